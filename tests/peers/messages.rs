//! What a client tells its service over NATS, whoever it is.

use std::collections::BTreeMap;

use serde_json::Value;

pub const REGISTER: &str = "internal.registerClient";
pub const START: &str = "internal.startClient.";
pub const TYPE: &str = "internal.clientTypeUpdate";
pub const CONFIG: &str = "internal.clientConfigUpdate";
pub const TOPICS: &str = "internal_tasks.clientsUpdate.config.<hash>";
pub const RECONNECTED: &str = "internal_tasks.clientReconnectionUpdate";
/// In the place of a client's own.
const HASH: &str = "<hash>";
/// In the place of the cluster's addresses.
pub const BROKERS: &str = "<brokers>";

/// All that one client has told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What the service has called it.
    pub hash: Option<String>,
    /// Of each kind of message the last one, with [`HASH`] for its own.
    pub messages: BTreeMap<String, Value>,
}

impl Told {
    pub fn new(hash: Option<&str>, registration: Value) -> Self {
        Self {
            hash: hash.map(str::to_owned),
            messages: BTreeMap::from([(REGISTER.to_owned(), registration)]),
        }
    }

    /// What it was created as.
    pub fn name(&self) -> &str {
        self.messages[REGISTER]["config"]["client.id"]
            .as_str()
            .unwrap_or_default()
    }

    /// Takes a message that is its own.
    pub fn take(&mut self, subject: &str, payload: &Value) {
        let Some(hash) = &self.hash else { return };
        let is_addressed = subject.split('.').next_back() == Some(hash);
        if !is_addressed && payload["client_hash"] != *hash {
            return self.take_reports(subject, payload);
        }
        let (subject, mut payload) = (subject.replace(hash.as_str(), HASH), payload.clone());
        if let Some(own) = payload.get_mut("client_hash") {
            *own = HASH.into();
        }
        self.messages.insert(subject, payload);
    }

    /// Its part of what is told of several clients at once.
    fn take_reports(&mut self, subject: &str, payload: &Value) {
        let Some(reports) = payload["reports"].as_array() else {
            return;
        };
        let own = reports
            .iter()
            .find(|report| report["client_hash"].as_str() == self.hash.as_deref());
        if let Some(report) = own {
            let mut report = report.clone();
            report["client_hash"] = HASH.into();
            self.messages.insert(subject.to_owned(), report);
        }
    }

    /// Hides which cluster it was.
    pub fn forget(&mut self, brokers: &str) {
        for message in self.messages.values_mut() {
            let text = message.to_string().replace(brokers, BROKERS);
            *message = serde_json::from_str(&text).unwrap();
        }
    }

    /// Whether it has told its topics.
    pub fn has_topics(&self) -> bool {
        let kinds = [
            "producer_topics_partitions",
            "consumer_group_topics_partitions",
        ];
        self.messages
            .values()
            .flat_map(|message: &Value| kinds.map(|kind| message[kind].as_object()))
            .flatten()
            .any(|topics| !topics.is_empty())
    }
}

#[test]
fn a_client_takes_what_is_its_own() {
    use serde_json::json;
    let mut told = Told::new(Some("9f2c"), json!({"config": {"client.id": "orders"}}));
    told.take(
        CONFIG,
        &json!({"client_hash": "9f2c", "config": {"linger.ms": 5}}),
    );
    told.take(
        CONFIG,
        &json!({"client_hash": "other", "config": {"linger.ms": 7}}),
    );
    told.take(
        "internal_tasks.clientsUpdate.config.9f2c",
        &json!({"connection_id": 0}),
    );
    told.take(
        "internal_tasks.clientsUpdate.config.other",
        &json!({"connection_id": 1}),
    );
    told.take(
        "internal_tasks.clientsUpdate.reports",
        &json!({"reports": [{"client_hash": "other"}, {"client_hash": "9f2c", "sequence": 2}]}),
    );
    assert_eq!(told.name(), "orders");
    assert_eq!(
        told.messages,
        BTreeMap::from([
            (
                REGISTER.to_owned(),
                json!({"config": {"client.id": "orders"}})
            ),
            (
                CONFIG.to_owned(),
                json!({"client_hash": HASH, "config": {"linger.ms": 5}})
            ),
            (TOPICS.to_owned(), json!({"connection_id": 0})),
            (
                "internal_tasks.clientsUpdate.reports".to_owned(),
                json!({"client_hash": HASH, "sequence": 2})
            ),
        ])
    );
}
