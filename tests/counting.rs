//! What is counted at the engine's hooks, against what the application did and what librdkafka's own
//! statistics say.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use superstream_tests::measuring::{assert_agrees, run_and_parse};
use superstream_tests::{Cluster, Library, compile, with_library};

fn program() -> &'static Path {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("tests/c/counting.c"))
}

/// Runs the application to its end. What it says, and what it reported.
fn run(arguments: &[&str]) -> (Value, Value) {
    let mut command: Command = with_library(Library::DropIn, program());
    run_and_parse(command.args(arguments))
}

fn records(records: &Value, bytes: &Value) -> Value {
    json!({ "records": records, "bytes": bytes })
}

#[test]
fn every_way_to_produce_is_counted_right() {
    let cluster = Cluster::start(&["orders:6"]);
    for properties in [
        &["linger.ms=5"][..],
        &["enable.idempotence=true", "compression.type=lz4"],
        &["compression.type=zstd", "linger.ms=50"],
        &["acks=0"],
    ] {
        let mut arguments = vec!["produce", &cluster.brokers, "orders", "20000"];
        arguments.extend(properties);
        let (said, reported) = run(&arguments);
        let topic = &reported["topics"]["orders"];
        let delivered = records(&said["delivered"], &said["delivered_bytes"]);
        assert_eq!(topic["delivered"], delivered, "{properties:?}");
        assert_eq!(topic["refused"]["records"], said["refused"]);
        let taken = topic["accepted"]["records"].as_u64().unwrap();
        assert_eq!(
            taken,
            said["accepted"].as_u64().unwrap() + 1,
            "and one refused"
        );
        assert_eq!(topic["produced_partitions"], json!([0, 1, 2, 3, 4, 5]));
        assert_agrees(&said);
    }
}

#[test]
fn transactions_are_counted_right() {
    let cluster = Cluster::start(&["orders:6"]);
    // What is aborted at once is still in the queue; commits and flushes do not linger.
    let properties = ["transactional.id=orders", "linger.ms=10000"];
    let arguments = ["transact", &cluster.brokers, "orders", "6000"];
    let (said, reported) = run(&[&arguments[..], &properties].concat());
    let topic = &reported["topics"]["orders"];
    let accepted = records(&said["accepted"], &said["accepted_bytes"]);
    let delivered = records(&said["delivered"], &said["delivered_bytes"]);
    assert_eq!(topic["accepted"], accepted);
    assert_eq!(topic["delivered"], delivered);
    assert_eq!(topic["failed"]["records"], said["failed"]);
    assert!(said["failed"].as_u64() > Some(0), "purged: {said}");
    assert!(said["delivered"].as_u64() >= Some(4000), "{said}");
    assert_agrees(&said);
}

#[test]
fn every_way_to_consume_is_counted_right() {
    let cluster = Cluster::start(&["orders:3"]);
    let (produced, _) = run(&["produce", &cluster.brokers, "orders", "10000"]);
    let total = produced["delivered"].to_string();
    let arguments = ["consume", &cluster.brokers, "orders", &total];
    let group = ["group.id=g", "auto.offset.reset=earliest"];
    let (said, reported) = run(&[&arguments[..], &group].concat());
    let topic = &reported["topics"]["orders"];
    let consumed = records(&said["consumed"], &said["consumed_bytes"]);
    assert_eq!(topic["consumed"], consumed);
    assert_eq!(said["consumed_bytes"], produced["delivered_bytes"]);
    assert_eq!(topic["consumed_partitions"], json!([0, 1, 2]));
    assert_agrees(&said);
}

#[test]
fn what_was_given_up_is_told_from_what_was_never_acknowledged() {
    let (said, reported) = run(&["abandon", "lost", "2000"]);
    let topic = &reported["topics"]["lost"];
    let accepted = records(&said["accepted"], &said["accepted_bytes"]);
    assert_eq!(topic["accepted"], accepted);
    assert_eq!(topic["failed"]["records"], 1000, "purged");
    assert_eq!(topic["delivered"]["records"], 0);
    assert_eq!(topic["refused"]["records"], 0);
}

/// The engine runs the application's callbacks on a thread of its own, which may produce.
#[test]
fn what_is_refused_on_the_background_thread_is_no_failure() {
    let mut command = with_library(Library::DropIn, compile("tests/c/background.c"));
    let (said, reported) = run_and_parse(command.args(["orders", "100"]));
    assert_eq!(said, json!({"delivered": 100, "refused": 100}));
    let topic = &reported["topics"]["orders"];
    assert_eq!(topic["accepted"]["records"], 200);
    assert_eq!(topic["delivered"]["records"], 100);
    assert_eq!(topic["refused"], json!({"records": 100, "bytes": 800}));
    assert_eq!(topic["failed"]["records"], 0);
}

/// The application waits for the answers on a thread of its own, which the engine tells of a failure
/// once more.
#[test]
fn requests_that_time_out_are_counted_once() {
    let (said, reported) = run(&["timeouts"]);
    let timeouts = said["timeouts"].as_u64().unwrap();
    assert!(timeouts >= 1, "{said:#}");
    // RD_KAFKA_RESP_ERR__TIMED_OUT
    let counted = |measured: &Value| measured["transport_errors"]["-185"].as_u64().unwrap();
    let [before, after] = ["before", "status"].map(|status| counted(&said[status]["measured"]));
    assert!((before..=after).contains(&timeouts), "{said:#}");
    assert!(counted(&reported) >= after, "{reported:#}");
}
