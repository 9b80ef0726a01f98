//! What is said at a NATS server, written down beside those who say it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use superstream_tests::bus::Bus;
use superstream_tests::driver::PATIENCE;

use crate::messages::{REGISTER, START, Told};

/// Answers go to inboxes.
const SUBJECTS: &[&str] = &["internal.>", "internal_tasks.>", "_INBOX.>"];
/// Nothing that any client knows.
const NUDGE: &str = r#"{"type":"Nothing","payload":"e30="}"#;
/// How often somebody who waits looks again.
const GLANCE: Duration = Duration::from_millis(100);

/// What the SDK has not told by then, it does not tell.
const SDKS_PATIENCE: Duration = Duration::from_secs(15);
const ATTEMPTS: usize = 4;

/// A message, as it went by.
#[derive(Clone, Debug)]
pub struct Heard {
    pub subject: String,
    pub reply: Option<String>,
    pub payload: Vec<u8>,
}

/// The one that listens.
pub struct Recorder {
    bus: Bus,
    heard: Arc<(Mutex<Vec<Heard>>, Condvar)>,
}

impl Recorder {
    pub fn join(port: u16) -> Self {
        let heard: Arc<(Mutex<Vec<Heard>>, Condvar)> = Arc::default();
        let all = Arc::clone(&heard);
        let bus = Bus::join(port, SUBJECTS, move |message, _| {
            all.0.lock().unwrap().push(Heard {
                subject: message.subject,
                reply: message.reply,
                payload: message.payload,
            });
            all.1.notify_all();
        });
        Self { bus, heard }
    }

    /// All messages up to now, in the order of their arrival.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.0.lock().unwrap().clone()
    }

    /// Waits until the clients have told enough.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        self.wait_within(PATIENCE, is_so)
            .unwrap_or_else(|| panic!("never told: {what}; only {:#?}", told(&self.heard())))
    }

    /// The same, where they may never tell it.
    ///
    /// They are sent something that they ignore now and then: superstream-confluent-kafka hands what it
    /// publishes to a thread that it does not wake, and that next looks when something comes in.
    pub fn wait_within(
        &self,
        patience: Duration,
        is_so: impl Fn(&[Told]) -> bool,
    ) -> Option<Vec<Told>> {
        let deadline = Instant::now() + patience;
        loop {
            let told = told(&self.heard());
            if is_so(&told) {
                return Some(told);
            }
            if Instant::now() > deadline {
                return None;
            }
            for hash in told.iter().filter_map(|client| client.hash.as_ref()) {
                self.bus.publish(format!("internal.updates.{hash}"), NUDGE);
            }
            let heard = self.heard.0.lock().unwrap();
            drop(self.heard.1.wait_timeout(heard, GLANCE).unwrap());
        }
    }
}

/// Runs something with the SDK until it has told everything. It does not always: what it hands to
/// another thread is lost at times, and then it says for ever that it is there, and no more.
#[track_caller]
pub fn at_last<T>(mut run: impl FnMut(Duration) -> Option<T>) -> T {
    for _ in 1..ATTEMPTS {
        if let Some(done) = run(SDKS_PATIENCE) {
            return done;
        }
        eprintln!("the SDK has not told everything: once more");
    }
    run(PATIENCE).unwrap_or_else(|| panic!("not told in {ATTEMPTS} attempts"))
}

/// What each client has told, in the order of their registrations.
pub fn told(heard: &[Heard]) -> Vec<Told> {
    let answers: BTreeMap<&str, Value> = heard
        .iter()
        .filter(|message| message.subject.starts_with("_INBOX."))
        .map(|message| (message.subject.as_str(), decoded(&message.payload)))
        .collect();
    let mut clients = Vec::new();
    for message in heard.iter().filter(|message| message.subject == REGISTER) {
        let answer = message
            .reply
            .as_deref()
            .and_then(|reply| answers.get(reply));
        let hash = answer.and_then(|answer| answer["client_hash"].as_str());
        // The same one again, after an answer that was lost.
        if hash.is_some()
            && clients
                .iter()
                .any(|client: &Told| client.hash.as_deref() == hash)
        {
            continue;
        }
        clients.push(Told::new(hash, decoded(&message.payload)));
    }
    for message in heard {
        // What is said to clients is the service's.
        let to_clients = [START, "internal.updates.", "_INBOX."];
        if to_clients
            .iter()
            .any(|prefix| message.subject.starts_with(prefix))
        {
            continue;
        }
        for client in &mut clients {
            client.take(&message.subject, &decoded(&message.payload));
        }
    }
    clients
}

/// JSON, or a text as it is.
fn decoded(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload)))
}
