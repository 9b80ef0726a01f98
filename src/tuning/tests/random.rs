//! Properties that hold for any configuration and any advice.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use superstream_protocol::{ClientKind, Configuration};

use super::{STOCK, STOCK_TOPIC, apply, map};
use crate::tuning::value::{engine_double, engine_whole};
use crate::tuning::{Effective, GLOBAL_TO_READ, Plan, Situation, plan};

/// Every name on an allow-list, with its range in rdkafka_conf.c's property table.
const RANGES: &[(&str, i64, i64)] = &[
    ("batch.num.messages", 1, 1_000_000),
    ("batch.size", 1, 2_147_483_647),
    ("compression.level", -1, 12),
    ("fetch.max.bytes", 0, 2_147_483_135),
    ("fetch.min.bytes", 1, 100_000_000),
    ("fetch.wait.max.ms", 0, 300_000),
    ("linger.ms", 0, 900_000),
    ("max.partition.fetch.bytes", 1, 1_000_000_000),
    ("queue.buffering.max.kbytes", 1, 2_147_483_647),
    ("queue.buffering.max.messages", 0, 2_147_483_647),
    ("queued.max.messages.kbytes", 1, 2_097_151),
    ("queued.min.messages", 1, 10_000_000),
    ("sticky.partitioning.linger.ms", 0, 900_000),
];

/// Other whole numbers that the rules look at.
const OTHER_RANGES: &[(&str, i64, i64)] = &[
    ("message.max.bytes", 1000, 1_000_000_000),
    ("receive.message.max.bytes", 1000, 2_147_483_647),
    ("socket.timeout.ms", 10, 300_000),
    ("transaction.timeout.ms", 1000, 2_147_483_647),
];

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What never gets smaller.
const RAISED_ONLY: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "fetch.min.bytes",
    "linger.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
];

/// A number of a range: small ones and large ones alike, and those near the defaults.
fn number(least: i64, most: i64) -> impl Strategy<Value = i64> {
    let near = prop::sample::select(vec![
        0,
        1,
        5,
        9,
        10,
        99,
        100,
        101,
        499,
        500,
        999,
        1000,
        1001,
        10_000,
        16_384,
        65_536,
        100_000,
        131_072,
        300_000,
        1_000_000,
        1_048_576,
        10_000_000,
        52_428_800,
        67_108_864,
        100_000_000,
    ]);
    let scale = (0u32..31).prop_flat_map(|bits| 0i64..(2i64 << bits));
    prop_oneof![near, scale].prop_map(move |number| number.clamp(least, most))
}

fn own_number(range: &(&'static str, i64, i64)) -> BoxedStrategy<Option<(String, String)>> {
    let key = range.0;
    let value = number(range.1, range.2);
    prop::option::weighted(
        0.4,
        value.prop_map(move |value| (key.into(), value.to_string())),
    )
    .boxed()
}

/// A configuration, and the keys that the application set.
fn configurations() -> impl Strategy<Value = (Effective, BTreeSet<String>)> {
    let numbers: Vec<_> = RANGES
        .iter()
        .filter(|(key, ..)| *key != "compression.level")
        .chain(OTHER_RANGES)
        .map(own_number)
        .collect();
    let codec = prop::sample::select(CODECS.to_vec());
    let topic_codec = prop_oneof![3 => Just("inherit"), 1 => codec.clone()];
    let topic = (topic_codec, -1i64..13, number(0, 2_147_483_647));
    let missing = prop::collection::vec(prop::sample::select(GLOBAL_TO_READ.to_vec()), 0..2);
    (
        numbers,
        codec,
        prop::option::of(topic),
        any::<bool>(),
        prop::option::weighted(0.1, missing),
    )
        .prop_map(|(numbers, codec, topic, transactional, missing)| {
            let mut global = map(STOCK, &[("compression.type", codec)]);
            let own: Vec<_> = numbers.into_iter().flatten().collect();
            let mut set: BTreeSet<String> = own.iter().map(|(key, _)| key.clone()).collect();
            global.extend(own);
            if transactional {
                global.insert("transactional.id".into(), "t".into());
            }
            for key in missing.into_iter().flatten() {
                global.remove(key);
            }
            let topic = topic.map(|(codec, level, timeout)| {
                set.insert("message.timeout.ms".into());
                let (level, timeout) = (level.to_string(), timeout.to_string());
                map(
                    STOCK_TOPIC,
                    &[
                        ("compression.type", codec),
                        ("compression.level", &level),
                        ("message.timeout.ms", &timeout),
                    ],
                )
            });
            (Effective { global, topic }, set)
        })
}

/// Any JSON.
fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(CODECS.to_vec()).prop_map(Value::from),
        number(-1, 2_147_483_647).prop_map(Value::from),
        number(-1, 2_147_483_647).prop_map(|number| json!(number.to_string())),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Value::from)
    })
}

fn advices() -> impl Strategy<Value = Configuration> {
    let numbers: Vec<_> = RANGES.iter().map(own_number).collect();
    let plausible = (
        numbers,
        prop::option::of(prop::sample::select(CODECS.to_vec())),
    )
        .prop_map(|(numbers, codec)| {
            let number = |text: String| engine_whole(&text).map_or(Value::Null, Value::from);
            let numbers = numbers.into_iter().flatten();
            let mut advice: Configuration =
                numbers.map(|(key, text)| (key, number(text))).collect();
            advice.extend(codec.map(|codec| ("compression.type".into(), json!(codec))));
            advice
        });
    let listed = prop::sample::select(RANGES.iter().map(|range| range.0).collect::<Vec<_>>());
    let other = prop::sample::select(vec![
        "acks",
        "compression.codec",
        "compression.type",
        "fetch.message.max.bytes",
        "message.timeout.ms",
        "plugin.library.paths",
        "queue.buffering.max.ms",
    ]);
    let key = prop_oneof![
        listed.prop_map(String::from),
        other.prop_map(String::from),
        any::<String>(),
    ];
    let wild = prop::collection::vec((key, json_values()), 0..12);
    prop_oneof![3 => plausible, 1 => wild.prop_map(Configuration::from_iter)]
}

/// What `rd_kafka_conf_finalize` and `rd_kafka_topic_conf_finalize` (rdkafka_conf.c) refuse, as
/// far as it depends on what a plan can set. `set` are the keys with a modified bit.
fn engine_takes(kind: ClientKind, effective: &Effective, set: &BTreeSet<String>) -> bool {
    let whole = |key: &str| {
        effective
            .global
            .get(key)
            .and_then(|text| engine_whole(text))
    };
    if kind == ClientKind::Producer {
        let (Some(topic), true) = (&effective.topic, set.contains("linger.ms")) else {
            return true;
        };
        let linger = effective.global.get("linger.ms");
        let linger = linger.and_then(|text| engine_double(text)).unwrap_or(5.0);
        let timeout = topic.get("message.timeout.ms");
        let timeout = timeout.and_then(|text| engine_whole(text)).unwrap_or(0);
        return timeout == 0 || timeout as f64 > linger;
    }
    let message_max = whole("message.max.bytes").unwrap_or(1_000_000);
    let queued = whole("queued.max.messages.kbytes").unwrap_or(65_536);
    let mut fetch_max = whole("fetch.max.bytes").unwrap_or(52_428_800);
    if set.contains("fetch.max.bytes") {
        if fetch_max < message_max {
            return false;
        }
    } else {
        fetch_max = fetch_max.min(queued * 1024).max(message_max);
    }
    let receive = whole("receive.message.max.bytes").unwrap_or(100_000_000);
    !set.contains("receive.message.max.bytes") || fetch_max + 512 <= receive
}

fn text_of<'a>(effective: &'a Effective, key: &str) -> Option<&'a String> {
    match key {
        "compression.level" => effective.topic.as_ref()?.get(key),
        _ => effective.global.get(key),
    }
}

fn check_changes(plan: &Plan, effective: &Effective) {
    for change in &plan.changes {
        assert_eq!(change.old.as_ref(), text_of(effective, &change.key));
        if change.key == "compression.type" {
            assert!(CODECS.contains(&change.new.as_str()) && change.new != "none");
            continue;
        }
        let range = RANGES.iter().find(|range| range.0 == change.key);
        let new = engine_whole(&change.new);
        assert!(
            matches!((range, new), (Some(range), Some(new)) if (range.1..=range.2).contains(&new)),
            "{change:?}"
        );
        if RAISED_ONLY.contains(&change.key.as_str()) {
            let old = change.old.as_deref().and_then(engine_double);
            assert!(new.map(|new| new as f64) > old, "{change:?}");
        }
    }
    let keys: BTreeSet<&String> = plan.changes.iter().map(|change| &change.key).collect();
    assert_eq!(keys.len(), plan.changes.len(), "a key is changed once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_are_safe(
        (effective, mut set) in configurations(),
        advice in advices(),
        kind in prop::sample::select(vec![ClientKind::Producer, ClientKind::Consumer, ClientKind::Admin]),
        latency_sensitive: bool,
        unfinished: bool,
    ) {
        let situation = Situation { kind, effective: &effective, latency_sensitive, unfinished };
        let first = plan(&situation, &advice);
        check_changes(&first, &effective);
        prop_assert!(first.refusals.len() <= 65);
        prop_assert_eq!(&plan(&situation, &advice), &first);

        let mut after = effective.clone();
        apply(&first, &mut after);
        let again = plan(&Situation { effective: &after, ..situation }, &advice);
        prop_assert_eq!(again.changes, vec![]);

        if engine_takes(kind, &effective, &set) {
            set.extend(first.changes.iter().map(|change| change.key.clone()));
            prop_assert!(engine_takes(kind, &after, &set), "{:?}", first.changes);
        }
        if kind == ClientKind::Admin {
            prop_assert!(first.changes.is_empty());
        }
        for change in &first.changes {
            prop_assert!(!(latency_sensitive && change.key == "linger.ms"));
        }
    }
}
