//! Codecs and levels.

use superstream_protocol::ClientKind;

use super::{Effective, Row, advice, check, effective, planned};

#[test]
fn codecs() {
    let row = |source, own, topic, advice, changes, refused| Row {
        source,
        own,
        topic,
        advice,
        changes,
        refused,
    };
    check(
        ClientKind::Producer,
        &[
            row(
                "from none every codec is fine",
                &[],
                None,
                r#"{"compression.type": "zstd"}"#,
                &[("compression.type", "zstd")],
                &[],
            ),
            row(
                "rdkafka_conf.c rd_kafka_conf_s2i: case does not count",
                &[("compression.type", "lz4")],
                None,
                r#"{"compression.codec": "LZ4"}"#,
                &[],
                &[],
            ),
            row(
                "rdkafka_conf.c: both names set one field",
                &[],
                None,
                r#"{"compression.codec": "gzip", "compression.type": "lz4"}"#,
                &[("compression.type", "lz4")],
                &[("compression.codec", "another name of compression.type")],
            ),
            row(
                "rdkafka_topic.c:423: the topic's codec wins",
                &[],
                Some(&[("compression.type", "snappy")]),
                r#"{"compression.type": "lz4"}"#,
                &[],
                &[("compression.type", "snappy, and that wins")],
            ),
            row(
                "rdkafka_topic.c:423: the topic's none wins too",
                &[],
                Some(&[("compression.type", "none")]),
                r#"{"compression.type": "lz4"}"#,
                &[],
                &[("compression.type", "none, and that wins")],
            ),
            row(
                "rdkafka_topic.c:423: the topic's codec is the effective one",
                &[],
                Some(&[("compression.type", "lz4")]),
                r#"{"compression.type": "lz4"}"#,
                &[],
                &[],
            ),
            row(
                "compression is never turned off",
                &[("compression.type", "gzip")],
                None,
                r#"{"compression.type": "none"}"#,
                &[],
                &[("compression.type", "not turned off")],
            ),
            row(
                "rdkafka_feature.c: zstd needs Produce v7",
                &[("compression.type", "snappy")],
                None,
                r#"{"compression.type": "zstd"}"#,
                &[],
                &[("compression.type", "before Kafka 2.1")],
            ),
            row(
                "rdkafka_conf.c builtin.features",
                &[("builtin.features", "gzip,snappy,lz4")],
                None,
                r#"{"compression.type": "zstd"}"#,
                &[],
                &[("compression.type", "built without zstd")],
            ),
            row(
                "rdkafka_feature.c rd_kafka_get_legacy_ApiVersions",
                &[("broker.version.fallback", "0.9.0.1")],
                None,
                r#"{"compression.type": "zstd"}"#,
                &[],
                &[("compression.type", "broker.version.fallback")],
            ),
            row(
                "rdkafka_feature.c: lz4 since 0.8.2",
                &[("broker.version.fallback", "0.8.2.2")],
                None,
                r#"{"compression.type": "lz4"}"#,
                &[("compression.type", "lz4")],
                &[],
            ),
            row(
                "rdkafka_feature.c: lz4 since 0.8.2",
                &[("broker.version.fallback", "0.8.1")],
                None,
                r#"{"compression.type": "lz4"}"#,
                &[],
                &[("compression.type", "broker.version.fallback")],
            ),
            row(
                "rdkafka_conf.c: the codecs",
                &[],
                None,
                r#"{"compression.type": "inherit"}"#,
                &[],
                &[("compression.type", "not one of none, gzip")],
            ),
        ],
    );
}

#[test]
fn levels() {
    let gzip9: Option<super::Pairs> = Some(&[("compression.level", "9")]);
    let row = |source, own, topic, advice, changes, refused| Row {
        source,
        own,
        topic,
        advice,
        changes,
        refused,
    };
    check(
        ClientKind::Producer,
        &[
            row(
                "policy: a level for the old codec goes back to -1",
                &[("compression.type", "gzip")],
                gzip9,
                r#"{"compression.type": "lz4"}"#,
                &[("compression.type", "lz4"), ("compression.level", "-1")],
                &[],
            ),
            row(
                "the advised level counts instead",
                &[("compression.type", "gzip")],
                gzip9,
                r#"{"compression.type": "lz4", "compression.level": 3}"#,
                &[("compression.type", "lz4"), ("compression.level", "3")],
                &[],
            ),
            row(
                "a refused level is none",
                &[("compression.type", "gzip")],
                gzip9,
                r#"{"compression.type": "lz4", "compression.level": 12}"#,
                &[("compression.type", "lz4"), ("compression.level", "-1")],
                &[("compression.level", "outside 0 to 6")],
            ),
            row(
                "the level is advised as it is",
                &[("compression.type", "gzip")],
                gzip9,
                r#"{"compression.type": "lz4", "compression.level": 9}"#,
                &[("compression.type", "lz4")],
                &[],
            ),
            row(
                "rdkafka_topic.c:428: 3 is zstd's default",
                &[("compression.type", "zstd")],
                Some(&[]),
                r#"{"compression.level": 3}"#,
                &[],
                &[],
            ),
            row(
                "the CPU of small containers",
                &[("compression.type", "zstd")],
                Some(&[]),
                r#"{"compression.level": 7}"#,
                &[],
                &[("compression.level", "outside 1 to 6")],
            ),
            row(
                "rdkafka_conf.h: RD_KAFKA_COMPLEVEL_MAX",
                &[("compression.type", "zstd")],
                Some(&[]),
                r#"{"compression.level": 22}"#,
                &[],
                &[("compression.level", "outside -1 to 12")],
            ),
            row(
                "rdkafka_topic.c:465: no levels",
                &[("compression.type", "snappy")],
                Some(&[]),
                r#"{"compression.level": 1}"#,
                &[],
                &[("compression.level", "snappy has no levels")],
            ),
            row(
                "rdkafka_conf.c rd_kafka_conf_set would create a topic configuration",
                &[("compression.type", "zstd")],
                None,
                r#"{"compression.level": 1}"#,
                &[],
                &[("compression.level", "no default topic configuration")],
            ),
            row(
                "policy: transactions get the reset, not the level",
                &[("compression.type", "gzip"), ("transactional.id", "t")],
                gzip9,
                r#"{"compression.type": "lz4", "compression.level": 3}"#,
                &[("compression.type", "lz4"), ("compression.level", "-1")],
                &[("compression.level", "transactional")],
            ),
        ],
    );
}

#[test]
fn what_is_unknown_is_not_changed() {
    let mut unknown_features = effective(&[], None);
    unknown_features.global.remove("builtin.features");
    for (codec, changes) in [("zstd", 0), ("lz4", 1)] {
        let advice = advice(&format!(r#"{{"compression.type": "{codec}"}}"#));
        let plan = planned(ClientKind::Producer, &unknown_features, &advice);
        assert_eq!(plan.changes.len(), changes, "{codec}");
    }
    let everything = advice(
        r#"{"batch.size": 900000, "batch.num.messages": 20000, "compression.type": "lz4",
            "compression.level": 2, "linger.ms": 50, "sticky.partitioning.linger.ms": 9,
            "queue.buffering.max.messages": 200000, "queue.buffering.max.kbytes": 2000}"#,
    );
    let nothing_known = Effective {
        topic: Some(Default::default()),
        ..Effective::default()
    };
    let plan = planned(ClientKind::Producer, &nothing_known, &everything);
    assert_eq!(plan.changes, []);
    assert_eq!(plan.refusals.len(), 8);
    for refusal in plan.refusals {
        assert!(refusal.reason.contains("does not tell"), "{refusal:?}");
    }
}
