//! The clients of a service, one row each: taken from its documents, and sorted. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::columns::{Cell, Column};

/// One client.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub hash: String,
    pub client_id: String,
    pub kind: String,
    pub host: String,
    /// Tags by name, as text.
    pub tags: BTreeMap<String, String>,
    pub language: String,
    /// In a second, over the time between the last two reports of a live client.
    pub rates: Option<Rates>,
    pub records_per_request: Option<f64>,
    pub wire_ratio: Option<f64>,
    pub saved: Saved,
    pub errors: u64,
    /// How long ago the service heard of it.
    pub silent: Duration,
    pub life: Life,
    /// The service's own document, where it is wanted.
    pub document: Option<Value>,
}

/// Whether a client is there, as the service sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    #[default]
    Live,
    /// Nothing was heard of it for long.
    Silent,
    /// It has said goodbye.
    Gone,
}

/// What a client does in a second: of a consumer what it consumes, else what it produces.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub records: f64,
    pub payload: f64,
    pub wire: f64,
    pub requests: f64,
}

impl Rates {
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.payload += other.payload;
        self.wire += other.wire;
        self.requests += other.requests;
    }
}

/// What a client saves on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Saved {
    /// It has produced nothing that could be compared.
    #[default]
    Nothing,
    /// It is compared with nothing.
    NoBaseline,
    /// It runs without changes: it has nothing to save.
    Unchanged,
    /// As a part of what its baseline needs; below zero where it needs more.
    Part(f64),
}

impl Row {
    /// The row of a client.
    pub fn of(document: &Value, now_ms: i64) -> Self {
        let seen_ms = document["last_seen_at_ms"].as_i64().unwrap_or(0);
        let silent = now_ms.saturating_sub(seen_ms).max(0).unsigned_abs();
        let life = match (document["alive"].as_bool(), &document["gone_at_ms"]) {
            (Some(true), _) => Life::Live,
            (_, Value::Null) => Life::Silent,
            (_, _) => Life::Gone,
        };
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        let kind = text("type");
        let produced = &document["figures"]["produced"];
        let rates = rates(&document["figures"]["rates"], kind == CONSUMER);
        Self {
            hash: text("client_hash"),
            client_id: text("client_id"),
            host: text("client_host"),
            tags: tags(document["tags"].as_str().unwrap_or_default()),
            language: text("language"),
            rates: rates.filter(|_| life == Life::Live),
            records_per_request: produced["records_per_request"].as_f64(),
            wire_ratio: produced["wire_ratio"].as_f64(),
            saved: saved(document),
            errors: document["errors_total"].as_u64().unwrap_or(0),
            silent: Duration::from_millis(silent),
            life,
            kind,
            document: None,
        }
    }

    pub fn consumes(&self) -> bool {
        self.kind == CONSUMER
    }
}

const CONSUMER: &str = "consumer";

/// The service gives all rates or none.
fn rates(document: &Value, consumes: bool) -> Option<Rates> {
    let names = match consumes {
        true => [
            "consumed_records",
            "consumed_bytes",
            "fetched_bytes",
            "fetch_requests",
        ],
        false => [
            "produced_records",
            "produced_bytes",
            "wire_bytes",
            "produce_requests",
        ],
    };
    let [records, payload, wire, requests] = names.map(|name| document[name].as_f64());
    Some(Rates {
        records: records?,
        payload: payload?,
        wire: wire?,
        requests: requests?,
    })
}

fn saved(document: &Value) -> Saved {
    let figures = &document["figures"];
    let has_delivered = figures["produced"]["records"].as_u64().unwrap_or(0) > 0;
    match figures["saved"]["bytes_ratio"].as_f64() {
        Some(part) => Saved::Part(part),
        None if has_delivered && document["changed"] == false => Saved::Unchanged,
        None if has_delivered && figures["baseline"].is_null() => Saved::NoBaseline,
        None => Saved::Nothing,
    }
}

/// Tags as the service itself understands them: a JSON object, with values as text.
fn tags(text: &str) -> BTreeMap<String, String> {
    let tags: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let as_text = tags.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    as_text.collect()
}

/// A tag to filter by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    name: String,
    value: Option<String>,
}

impl FromStr for Tag {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match name {
            "" => Err("a tag has a name: write NAME or NAME=VALUE"),
            name => Ok(Self {
                name: name.to_owned(),
                value,
            }),
        }
    }
}

impl Tag {
    /// As the service takes it, and as it was given.
    pub fn as_text(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Sorts by a column, and where that is equal by name: numbers from the greatest, texts from A to
/// Z, and what is not known last.
pub fn sort(rows: &mut [Row], column: Column) {
    rows.sort_by(|one, other| {
        compare(&column.cell(one), &column.cell(other))
            .then_with(|| one.client_id.cmp(&other.client_id))
            .then_with(|| one.hash.cmp(&other.hash))
    });
}

fn compare(one: &Cell, other: &Cell) -> Ordering {
    match (one.sorted_number(), other.sorted_number()) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => match (one, other) {
            (Cell::Text(one), Cell::Text(other)) => {
                one.is_empty().cmp(&other.is_empty()).then(one.cmp(other))
            }
            _ => one.rank().cmp(&other.rank()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(id: &str, wire: Option<f64>) -> Value {
        let rates = wire.map(|wire| {
            json!({"produced_records": 1, "produced_bytes": 2, "wire_bytes": wire,
                   "produce_requests": 4})
        });
        json!({
            "client_hash": "h", "type": "producer", "client_id": id, "tags": "",
            "last_seen_at_ms": 10_000, "gone_at_ms": null, "alive": true, "figures": {"rates": rates},
        })
    }

    fn row(document: Value) -> Row {
        Row::of(&document, 12_000)
    }

    fn ids(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.client_id.as_str()).collect()
    }

    #[test]
    fn who_is_not_alive_does_nothing() {
        let live = row(client("a", Some(1.0)));
        assert_eq!(
            (live.silent, live.life),
            (Duration::from_secs(2), Life::Live)
        );
        assert!(live.rates.is_some());
        let mut client = client("a", Some(1.0));
        client["alive"] = json!(false);
        assert_eq!(row(client.clone()).life, Life::Silent);
        assert_eq!(row(client.clone()).rates, None);
        client["gone_at_ms"] = json!(11_000);
        assert_eq!(row(client.clone()).life, Life::Gone);
        // The service's clock is ahead of its answer's, which has whole seconds.
        assert_eq!(Row::of(&client, 9_000).silent, Duration::ZERO);
    }

    #[test]
    fn a_consumer_is_shown_by_what_it_consumes() {
        let mut document = client("a", Some(0.0));
        document["type"] = json!("consumer");
        document["figures"]["rates"] = json!({
            "produced_records": 0, "produced_bytes": 0, "wire_bytes": 0, "produce_requests": 0,
            "consumed_records": 1.5, "consumed_bytes": 2, "fetched_bytes": 3, "fetch_requests": 4,
        });
        let expected = Rates {
            records: 1.5,
            payload: 2.0,
            wire: 3.0,
            requests: 4.0,
        };
        assert_eq!(row(document).rates, Some(expected));
    }

    #[test]
    fn what_was_not_measured_is_not_made_up() {
        let row = row(json!({"alive": true, "last_seen_at_ms": 12_000, "figures": null}));
        assert_eq!((row.rates, row.wire_ratio), (None, None));
        assert_eq!(row.saved, Saved::Nothing);
    }

    #[test]
    fn a_saving_is_told_against_a_baseline_alone() {
        let mut document = client("a", None);
        document["figures"]["produced"] = json!({"records": 5});
        assert_eq!(row(document.clone()).saved, Saved::NoBaseline);
        document["changed"] = json!(false);
        assert_eq!(row(document.clone()).saved, Saved::Unchanged);
        document["changed"] = json!(true);
        assert_eq!(row(document.clone()).saved, Saved::NoBaseline);
        document["figures"]["saved"] = json!({"bytes_ratio": -0.5});
        assert_eq!(row(document).saved, Saved::Part(-0.5));
    }

    #[test]
    fn the_greatest_comes_first_and_the_unknown_last() {
        let mut rows: Vec<Row> = [
            ("none", None),
            ("b", Some(5.0)),
            ("a", Some(5.0)),
            ("most", Some(70.0)),
        ]
        .map(|(id, wire)| row(client(id, wire)))
        .into();
        sort(&mut rows, Column::Wire);
        assert_eq!(ids(&rows), ["most", "a", "b", "none"]);
        sort(&mut rows, Column::ClientId);
        assert_eq!(ids(&rows), ["a", "b", "most", "none"]);
        rows[2].silent = Duration::ZERO;
        sort(&mut rows, Column::Seen);
        assert_eq!(ids(&rows), ["most", "a", "b", "none"]);
        rows[3].saved = Saved::Part(-0.2);
        rows[0].saved = Saved::NoBaseline;
        sort(&mut rows, Column::Saved);
        assert_eq!(ids(&rows), ["none", "most", "a", "b"]);
    }

    #[test]
    fn tags_are_asked_for_as_they_are_given() {
        for tag in ["team", "none=", "a=b=c"] {
            assert_eq!(tag.parse::<Tag>().unwrap().as_text(), tag);
        }
        assert!("=x".parse::<Tag>().is_err());
    }
}
