//! Random applications and random advice, with a taste for the edges of the engine's rules.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::engine::{Application, Properties};

/// Property and the values that matter to some rule of the engine.
type Choices = &'static [(&'static str, &'static [&'static str])];

const PRODUCER: Choices = &[
    (
        "linger.ms",
        &[
            "0", "0.5", "3", "5", "20", "50", "99", "100", "101", "500", "900000",
        ],
    ),
    ("queue.buffering.max.ms", &["0", "5", "60", "5000"]),
    (
        "message.timeout.ms",
        &[
            "0", "1", "5", "6", "50", "100", "101", "999", "1000", "300000",
        ],
    ),
    ("delivery.timeout.ms", &["2", "5000", "60000"]),
    (
        "batch.size",
        &["1", "1000", "16384", "1000000", "2147483647"],
    ),
    ("batch.num.messages", &["1", "10", "10000", "1000000"]),
    (
        "queue.buffering.max.messages",
        &["0", "1", "10", "1000", "100000", "10000000"],
    ),
    (
        "queue.buffering.max.kbytes",
        &["1", "100", "1048576", "2147483647"],
    ),
    (
        "compression.codec",
        &["none", "gzip", "snappy", "lz4", "zstd"],
    ),
    ("compression.type", &["none", "lz4", "zstd"]),
    ("compression.level", &["-1", "0", "1", "9", "12"]),
    ("enable.idempotence", &["true", "false"]),
    ("transactional.id", &["tx", "other"]),
    (
        "transaction.timeout.ms",
        &["1000", "2000", "60000", "900000"],
    ),
    ("acks", &["-1", "0", "1", "all"]),
    ("request.required.acks", &["1", "-1"]),
    ("retries", &["0", "1", "10"]),
    ("message.send.max.retries", &["0", "5"]),
    ("max.in.flight", &["1", "5", "6", "1000000"]),
    ("sticky.partitioning.linger.ms", &["0", "10", "11", "1000"]),
    (
        "message.max.bytes",
        &["1000", "50000", "1000000", "10000000"],
    ),
    ("socket.timeout.ms", &["10", "1000", "60000", "300000"]),
    ("queue.buffering.backpressure.threshold", &["1", "10"]),
    ("queuing.strategy", &["fifo", "lifo"]),
    ("enable.gapless.guarantee", &["true", "false"]),
    ("api.version.request", &["true", "false"]),
    (
        "broker.version.fallback",
        &["0.8.1", "0.9.0", "0.10.0", "2.0.0"],
    ),
    ("partitioner", &["random", "consistent", "murmur2_random"]),
];

const CONSUMER: Choices = &[
    ("group.id", &["g", "another"]),
    ("fetch.min.bytes", &["1", "1000", "100000000"]),
    ("fetch.wait.max.ms", &["0", "100", "500", "10000"]),
    (
        "fetch.max.bytes",
        &["0", "1000", "1000000", "52428800", "100000000"],
    ),
    (
        "fetch.message.max.bytes",
        &["1", "1000", "1048576", "100000000"],
    ),
    ("max.partition.fetch.bytes", &["1048576", "2000000"]),
    ("queued.min.messages", &["1", "1000", "100000", "10000000"]),
    (
        "queued.max.messages.kbytes",
        &["1", "1024", "65536", "2097151"],
    ),
    (
        "receive.message.max.bytes",
        &["1000", "1000512", "52428800", "52429312", "100000000"],
    ),
    ("message.max.bytes", &["1000", "1000000", "100000000"]),
    ("session.timeout.ms", &["6000", "45000", "3600000"]),
    ("max.poll.interval.ms", &["1000", "300000"]),
    ("group.protocol", &["classic", "consumer"]),
    ("socket.timeout.ms", &["10", "400", "60000"]),
    ("enable.auto.commit", &["true", "false"]),
    ("auto.offset.reset", &["earliest", "latest"]),
    ("isolation.level", &["read_committed", "read_uncommitted"]),
];

const TOPIC: Choices = &[
    (
        "message.timeout.ms",
        &["0", "1", "5", "6", "50", "100", "101", "1000", "300000"],
    ),
    (
        "compression.codec",
        &["inherit", "none", "gzip", "lz4", "zstd"],
    ),
    ("compression.level", &["-1", "0", "9", "12"]),
    ("acks", &["-1", "0", "1"]),
    ("queuing.strategy", &["fifo", "lifo"]),
];

/// Advice that a service has no business to give, and that would do what it says.
const HOSTILE: &[(&str, &str)] = &[
    ("acks", "0"),
    ("bootstrap.servers", "192.0.2.1:9092"),
    ("metadata.broker.list", "192.0.2.1:9092"),
    ("client.id", "mallory"),
    ("debug", "all"),
    ("delivery.timeout.ms", "1"),
    ("enable.idempotence", "false"),
    ("enable.ssl.certificate.verification", "false"),
    ("group.id", "mallory"),
    ("log_level", "7"),
    ("max.in.flight", "1000000"),
    ("message.max.bytes", "1000"),
    ("message.timeout.ms", "1"),
    ("plugin.library.paths", "/nonexistent/plugin.so"),
    ("queue.buffering.max.ms", "900000"),
    ("retries", "0"),
    ("sasl.kerberos.kinit.cmd", "true"),
    ("sasl.password", "mallory"),
    ("security.protocol", "sasl_plaintext"),
    ("socket.timeout.ms", "10"),
    ("ssl.ca.location", "/nonexistent"),
    ("ssl.engine.location", "/nonexistent"),
    ("statistics.interval.ms", "1"),
    ("transactional.id", "mallory"),
];

const TUNING: &[&str] = &[
    "linger.ms",
    "queue.buffering.max.ms",
    "batch.size",
    "batch.num.messages",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "sticky.partitioning.linger.ms",
    "compression.level",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "fetch.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.message.max.bytes",
    "queued.min.messages",
    "queued.max.messages.kbytes",
];

fn properties(choices: Choices, most: usize) -> impl Strategy<Value = Properties> {
    let one = select(choices).prop_flat_map(|(name, values)| {
        select(values).prop_map(move |value| (name.to_owned(), value.to_owned()))
    });
    vec(one, 0..most)
}

/// A producer or a consumer, often one that the engine refuses.
pub fn application() -> impl Strategy<Value = Application> {
    let producer = (
        properties(PRODUCER, 7),
        weighted(0.3, properties(TOPIC, 3)),
        vec(properties(TOPIC, 3), 0..3),
    )
        .prop_map(|(conf, default_topic_conf, topics)| Application {
            kind: 0,
            conf: quiet(conf),
            default_topic_conf,
            topics,
        });
    let consumer = properties(CONSUMER, 7).prop_map(|conf| Application {
        kind: 1,
        conf: quiet(conf),
        default_topic_conf: None,
        topics: Vec::new(),
    });
    prop_oneof![3 => producer, 2 => consumer]
}

fn quiet(mut conf: Properties) -> Properties {
    conf.push(("log_level".to_owned(), "0".to_owned()));
    conf
}

/// Sensible, senseless and hostile advice, mixed.
pub fn advice() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        4 => select(&[-1_i64, 0, 1, 5, 10, 50, 100, 1000, 5000, 32_768, 65_536][..])
            .prop_map(|number| json!(number)),
        4 => (0_i64..200_000_000).prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => select(&["100", "1e3", " 5", "0x10", "NaN", "", "\u{0}", "5 "][..])
            .prop_map(|text| json!(text)),
        1 => select(vec![json!(null), json!(true), json!([1]), json!({"a": 1})]),
    ];
    let tuning = (select(TUNING), number).prop_map(|(name, value)| (name.to_owned(), value));
    let codec = (
        select(&["compression.type", "compression.codec"][..]),
        select(&["zstd", "lz4", "gzip", "snappy", "none", "inherit", "brotli"][..]),
    )
        .prop_map(|(name, value)| (name.to_owned(), json!(value)));
    let hostile = select(HOSTILE).prop_map(|(name, value)| (name.to_owned(), json!(value)));
    let wild = ("[a-z.]{0,12}", "\\PC{0,12}").prop_map(|(name, value)| (name, json!(value)));
    let entry = prop_oneof![8 => tuning, 4 => codec, 2 => hostile, 1 => wild];
    vec(entry, 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
}
