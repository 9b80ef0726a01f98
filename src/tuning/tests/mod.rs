//! Tables: each row names the place that the rule follows from.

mod compression;
mod consumer;
mod linger;
mod producer;
mod random;
mod refusals;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;
use superstream_protocol::{ClientKind, Configuration};

use super::{Effective, Plan, Situation, plan};

/// The properties of librdkafka 2.12.1 that the rules look at, with its defaults.
const STOCK: &[(&str, &str)] = &[
    ("batch.num.messages", "10000"),
    ("batch.size", "1000000"),
    ("broker.version.fallback", "0.10.0"),
    (
        "builtin.features",
        "gzip,snappy,ssl,sasl,regex,lz4,sasl_plain,zstd",
    ),
    ("compression.type", "none"),
    ("fetch.max.bytes", "52428800"),
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "500"),
    ("linger.ms", "5"),
    ("max.partition.fetch.bytes", "1048576"),
    ("message.max.bytes", "1000000"),
    ("queue.buffering.max.kbytes", "1048576"),
    ("queue.buffering.max.messages", "100000"),
    ("queued.max.messages.kbytes", "65536"),
    ("queued.min.messages", "100000"),
    ("receive.message.max.bytes", "100000000"),
    ("socket.timeout.ms", "60000"),
    ("sticky.partitioning.linger.ms", "10"),
    ("transaction.timeout.ms", "60000"),
];

const STOCK_TOPIC: &[(&str, &str)] = &[
    ("compression.level", "-1"),
    ("compression.type", "inherit"),
    ("message.timeout.ms", "300000"),
];

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn map(stock: Pairs, own: Pairs) -> BTreeMap<String, String> {
    stock
        .iter()
        .chain(own)
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// A configuration that the application changed `own` of, and `topic` of the default topic
/// configuration, where it has one.
fn effective(own: Pairs, topic: Option<Pairs>) -> Effective {
    Effective {
        global: map(STOCK, own),
        topic: topic.map(|topic| map(STOCK_TOPIC, topic)),
    }
}

fn advice(text: &str) -> Configuration {
    match serde_json::from_str(text) {
        Ok(Value::Object(advice)) => advice,
        other => unreachable!("{text} is {other:?}"),
    }
}

fn planned(kind: ClientKind, effective: &Effective, advice: &Configuration) -> Plan {
    let situation = Situation {
        kind,
        effective,
        latency_sensitive: false,
        unfinished: false,
    };
    plan(&situation, advice)
}

/// What the caller does with a plan.
fn apply(plan: &Plan, effective: &mut Effective) {
    for change in &plan.changes {
        let map = match change.key.as_str() {
            "compression.level" => effective.topic.as_mut(),
            _ => Some(&mut effective.global),
        };
        let old = map.and_then(|map| map.insert(change.key.clone(), change.new.clone()));
        assert_eq!(old, change.old, "{change:?}");
    }
}

/// One row: the configuration, the advice, and what comes of it.
struct Row<'a> {
    /// Where the rule comes from.
    source: &'a str,
    own: Pairs<'a>,
    topic: Option<Pairs<'a>>,
    advice: &'a str,
    /// Keys and new values, in order.
    changes: Pairs<'a>,
    /// Keys and a part of the reason, in order.
    refused: Pairs<'a>,
}

fn check(kind: ClientKind, rows: &[Row]) {
    for row in rows {
        let mut effective = effective(row.own, row.topic);
        let advice = advice(row.advice);
        let plan = planned(kind, &effective, &advice);
        let changes: Vec<(&str, &str)> = plan
            .changes
            .iter()
            .map(|change| (change.key.as_str(), change.new.as_str()))
            .collect();
        assert_eq!(changes, row.changes, "{}: {plan:#?}", row.source);
        let keys: Vec<&str> = plan.refusals.iter().map(|refusal| &*refusal.key).collect();
        let expected: Vec<&str> = row.refused.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, expected, "{}: {plan:#?}", row.source);
        for (refusal, (_, reason)) in plan.refusals.iter().zip(row.refused) {
            assert!(
                refusal.reason.contains(reason),
                "{}: {refusal:?}",
                row.source
            );
        }
        apply(&plan, &mut effective);
        let again = planned(kind, &effective, &advice);
        assert_eq!(again.changes, [], "{}: planned again", row.source);
    }
}
