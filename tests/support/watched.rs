//! A cluster whose clients are watched, and what is found out of each there.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::{Value, json};

use crate::broker_log::{Batch, batches};
use crate::capture::{self, Capture, FETCH, PRODUCE, Requests};
use crate::driver::PATIENCE;
use crate::kafka::{self, Kafka};
use crate::measuring::requests;
use crate::python::{TODAY, python};
use crate::{root, run, tool};

const PARTITIONS: u64 = 6;
/// As the log numbers them.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A cluster whose clients are watched.
pub struct Scene {
    pub kafka: Kafka,
    pub capture: Capture,
}

pub fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let capture = Capture::start();
        let kafka = Kafka::start_behind(capture.port);
        capture.pass_to(&kafka.captured);
        Scene { kafka, capture }
    })
}

impl Scene {
    /// A topic that no other test uses.
    pub fn topic(&self, name: &str) -> String {
        let topic = kafka::topic(name);
        let partitions = PARTITIONS.to_string();
        python_says(&["topics", &self.kafka.brokers, &partitions, &topic]);
        topic
    }

    /// What a consumer reads that has nothing of ours.
    pub fn account(&self, topic: &str) -> Value {
        python_says(&["account", &self.kafka.brokers, topic])
    }
}

/// An application in Python.
pub fn script() -> PathBuf {
    root().join("tests/python/records.py")
}

fn python_says(arguments: &[&str]) -> Value {
    let said = run(tool(python(TODAY)).arg("-B").arg(script()).args(arguments));
    serde_json::from_str(&said).unwrap()
}

/// One client's run, watched.
pub struct Run<'a> {
    client_id: &'a str,
    topic: &'a str,
    measured: &'a Value,
}

/// As reports have them.
pub fn payload(records: u64, bytes: u64) -> Value {
    json!({ "records": records, "bytes": bytes })
}

/// The same of what an application says.
pub fn said(said: &Value, what: &str) -> Value {
    json!({ "records": said[what], "bytes": said[format!("{what}_bytes")] })
}

/// The same of an account.
pub fn records_of(account: &Value) -> Value {
    json!({ "records": account["records"], "bytes": account["bytes"] })
}

impl<'a> Run<'a> {
    pub fn new(client_id: &'a str, topic: &'a str, measured: &'a Value) -> Self {
        Self {
            client_id,
            topic,
            measured,
        }
    }

    pub fn figures(&self) -> &Value {
        &self.measured["topics"][self.topic]
    }

    /// What the application knows that it did.
    #[track_caller]
    pub fn assert_did(&self, did: &Value) {
        let (figures, name) = (self.figures(), self.client_id);
        assert_eq!(figures["delivered"], said(did, "delivered"), "{name}");
        assert_eq!(figures["failed"]["records"], did["failed"], "{name}");
        for (figure, accepted) in [("records", "accepted"), ("bytes", "accepted_bytes")] {
            let [taken, refused] =
                ["accepted", "refused"].map(|which| figures[which][figure].as_u64());
            assert_eq!(
                taken.unwrap() - refused.unwrap(),
                did[accepted],
                "{name}: {accepted}"
            );
        }
        assert_eq!(figures["produced_partitions"], json!([0, 1, 2, 3, 4, 5]));
    }

    /// All requests, and those of two kinds, are those that went over the wire.
    #[track_caller]
    pub fn assert_on_the_wire(&self) -> capture::Client {
        let captured = scene().capture.of_closed(self.client_id);
        for (kind, on_the_wire) in [
            ("sent", captured.all()),
            ("produce", captured.of(PRODUCE)),
            ("fetch", captured.of(FETCH)),
        ] {
            let (requests, bytes) = requests(self.measured, kind);
            let reported = Requests { requests, bytes };
            assert_eq!(reported, on_the_wire, "{kind} of {}", self.client_id);
        }
        assert!(captured.all().bytes > 0);
        captured
    }

    /// What is in the log, and what is read back. A broker answers to the end of a transaction before
    /// it has written that down in all partitions: both are read until they agree.
    fn kept(&self, has_ends: bool) -> (Vec<Batch>, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = batches(&scene().kafka.data, self.topic);
            let account = scene().account(self.topic);
            let records: u64 = log.iter().map(|batch| batch.records).sum();
            let agree = account["all"]["offsets"] == records;
            if agree || !has_ends || Instant::now() >= deadline {
                return (log, account);
            }
        }
    }

    /// Everything that was delivered is in the log, and nothing else; and the log has what went
    /// over the wire, without what is around it.
    #[track_caller]
    pub fn assert_in_the_log(&self, codec: &str, transactional_id: &str) -> Value {
        let (topic, id) = (self.topic, self.client_id);
        let captured = self.assert_on_the_wire();
        let (log, account) = self.kept(!transactional_id.is_empty());
        let of = |is_control: bool| {
            log.iter()
                .filter(move |batch| batch.is_control == is_control)
        };
        let sum =
            |is_control, of_batch: fn(&Batch) -> u64| of(is_control).map(of_batch).sum::<u64>();
        let delivered = &self.figures()["delivered"];

        let kept = sum(false, |batch| batch.records);
        let ends = sum(true, |batch| batch.records);
        assert_eq!(delivered["records"], kept, "{id}: in the log");
        assert_eq!(account["all"]["offsets"], kept + ends, "{id}: offsets");
        assert_eq!(
            ends > 0,
            !transactional_id.is_empty(),
            "{id}: ends of transactions"
        );
        assert_eq!(*delivered, records_of(&account["all"]), "{id}: read back");
        assert!(account["all"]["nulls"].as_u64() > Some(0), "{account}");
        let produced = of(false).map(|batch| CODECS[usize::from(batch.codec)]);
        let codecs: Vec<&str> = produced.filter(|codec| *codec != "none").collect();
        assert!(codecs.iter().all(|used| *used == codec), "{id}: {codecs:?}");
        assert_eq!(codecs.is_empty(), codec == "none", "{id}: is compressed");

        let produce = captured.of(PRODUCE);
        assert_eq!(
            produce.requests,
            of(false).count() as u64,
            "{id}: a request for each batch"
        );
        let version = captured.version(PRODUCE);
        let framing = |batch: &Batch| framing(version, id, transactional_id, topic, batch.bytes);
        let around: u64 = of(false).map(framing).sum();
        let batches = sum(false, |batch| batch.bytes);
        assert_eq!(
            produce.bytes,
            batches + around,
            "{id}: {} requests",
            produce.requests
        );
        account
    }
}

/// What a produce request with one batch has around the batch, by Kafka's protocol guide.
fn framing(version: i16, client_id: &str, transactional_id: &str, topic: &str, batch: u64) -> u64 {
    let [client_id, transactional_id, topic] =
        [client_id, transactional_id, topic].map(|text| text.len() as u64);
    // Length, kind, version, correlation, client; acks, timeout; partition.
    let fixed = 4 + 2 + 2 + 4 + (2 + client_id) + 2 + 4 + 4;
    match version {
        // Lengths of strings are of two bytes, those of arrays and of the batch of four.
        3..=8 => fixed + (2 + transactional_id) + 4 + (2 + topic) + 4 + 4,
        // Lengths are of as many bytes as they need, none of a string that is not there; and five
        // places for tags, of which there are none.
        9..=12 => {
            let counted = |length: u64| varint(length + 1) + length;
            let strings = counted(transactional_id) + counted(topic);
            fixed + strings + 1 + 1 + varint(batch + 1) + 4
        }
        other => panic!("produce requests of version {other}: what is around a batch there?"),
    }
}

fn varint(number: u64) -> u64 {
    u64::from(number.max(1).ilog2() / 7 + 1)
}
