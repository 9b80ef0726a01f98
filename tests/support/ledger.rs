//! What a good service keeps of reports: they carry totals, so the last word on each client counts,
//! however often it comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::fault_service::taken;

/// The reports that a service has taken.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Value>>>);

impl Ledger {
    /// Takes what a request tells; the answer.
    pub fn take(&self, reports: &Value) -> Value {
        let mut ledger = self.0.lock().unwrap();
        for report in reports["reports"].as_array().unwrap() {
            let hash = report["client_hash"].as_str().unwrap().to_owned();
            let last = ledger.entry(hash).or_insert(Value::Null);
            if report["sequence"].as_u64().unwrap() > last["sequence"].as_u64().unwrap_or(0) {
                *last = report.clone();
            }
        }
        taken(reports)
    }

    /// The number of a client's last report; 0 before the first.
    pub fn sequence(&self, client_hash: &str) -> u64 {
        let ledger = self.0.lock().unwrap();
        let last = ledger.get(client_hash);
        last.map_or(0, |report| report["sequence"].as_u64().unwrap())
    }

    /// The records that a client has delivered.
    pub fn delivered(&self, client_hash: &str) -> u64 {
        self.0.lock().unwrap().get(client_hash).map_or(0, delivered)
    }

    /// The records that all clients have delivered.
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap().values().map(delivered).sum()
    }
}

/// The records that a report tells of, in all topics.
pub fn delivered(report: &Value) -> u64 {
    let measured = &report["measured"];
    let topics = measured["topics"].as_object().into_iter().flatten();
    let topics = topics.map(|(_, figures)| figures);
    let figures = topics.chain([&measured["other_topics"]]);
    figures
        .filter_map(|figures| figures["delivered"]["records"].as_u64())
        .sum()
}
