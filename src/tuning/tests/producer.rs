//! Batches, the queue, and producers with guarantees.

use superstream_protocol::ClientKind;

use super::{Row, check};

#[test]
fn batches_are_only_raised() {
    let row = |source, own, advice, changes, refused| Row {
        source,
        own,
        topic: None,
        advice,
        changes,
        refused,
    };
    check(
        ClientKind::Producer,
        &[
            row(
                "policy: advice of Java's size would shrink the batch",
                &[],
                r#"{"batch.size": 32768}"#,
                &[],
                &[("batch.size", "batch.size is larger (1000000)")],
            ),
            row(
                "rdkafka_conf.c: raising a batch that the application made small",
                &[("batch.size", "16384")],
                r#"{"batch.size": 131072.0}"#,
                &[("batch.size", "131072")],
                &[],
            ),
            row(
                "the value is there already",
                &[("batch.size", "16384")],
                r#"{"batch.size": "16384"}"#,
                &[],
                &[],
            ),
            row(
                "rdkafka_msgset_writer.c:819: message.max.bytes limits a batch",
                &[("batch.size", "16384"), ("message.max.bytes", "65536")],
                r#"{"batch.size": 131072}"#,
                &[("batch.size", "65536")],
                &[],
            ),
            row(
                "rdkafka_msgset_writer.c:819: nothing to gain",
                &[("message.max.bytes", "65536"), ("batch.size", "65536")],
                r#"{"batch.size": 131072}"#,
                &[],
                &[("batch.size", "message.max.bytes")],
            ),
            row(
                "the broker's limit is for a batch, not a message",
                &[("message.max.bytes", "20000000")],
                r#"{"batch.size": 2000000}"#,
                &[],
                &[("batch.size", "a broker may refuse")],
            ),
            row(
                "rdkafka_conf.c: 1 to INT_MAX",
                &[],
                r#"{"batch.size": 2147483648}"#,
                &[],
                &[("batch.size", "outside 1 to 2147483647")],
            ),
            row(
                "policy: tiny messages",
                &[],
                r#"{"batch.num.messages": 50000}"#,
                &[("batch.num.messages", "50000")],
                &[],
            ),
            row(
                "rdkafka_conf.c: 1 to 1000000",
                &[],
                r#"{"batch.num.messages": 1000001}"#,
                &[],
                &[("batch.num.messages", "outside")],
            ),
            row(
                "never shrink",
                &[],
                r#"{"batch.num.messages": 9999}"#,
                &[],
                &[("batch.num.messages", "larger (10000)")],
            ),
        ],
    );
}

#[test]
fn queues_are_raised_within_limits() {
    let row = |source, own, advice, changes, refused| Row {
        source,
        own,
        topic: None,
        advice,
        changes,
        refused,
    };
    check(
        ClientKind::Producer,
        &[
            row(
                "four times is the most",
                &[],
                r#"{"queue.buffering.max.messages": 400000}"#,
                &[("queue.buffering.max.messages", "400000")],
                &[],
            ),
            row(
                "four times is the most",
                &[],
                r#"{"queue.buffering.max.messages": 400001}"#,
                &[],
                &[("queue.buffering.max.messages", "4 times at most")],
            ),
            row(
                "the cap",
                &[("queue.buffering.max.messages", "900000")],
                r#"{"queue.buffering.max.messages": 1000001}"#,
                &[],
                &[("queue.buffering.max.messages", "1000000 at most")],
            ),
            row(
                "rdkafka_int.h rd_kafka_curr_msgs_add: 0 is no limit",
                &[("queue.buffering.max.messages", "0")],
                r#"{"queue.buffering.max.messages": 400000}"#,
                &[],
                &[("queue.buffering.max.messages", "no limit")],
            ),
            row(
                "rdkafka_int.h rd_kafka_curr_msgs_add: 0 is no limit",
                &[],
                r#"{"queue.buffering.max.messages": 0}"#,
                &[],
                &[("queue.buffering.max.messages", "take the limit away")],
            ),
            row(
                "memory: no more than stock's",
                &[],
                r#"{"queue.buffering.max.kbytes": 1048577}"#,
                &[],
                &[("queue.buffering.max.kbytes", "1048576 at most")],
            ),
            row(
                "memory: twice",
                &[("queue.buffering.max.kbytes", "65536")],
                r#"{"queue.buffering.max.kbytes": 131072}"#,
                &[("queue.buffering.max.kbytes", "131072")],
                &[],
            ),
            row(
                "memory: twice",
                &[("queue.buffering.max.kbytes", "65536")],
                r#"{"queue.buffering.max.kbytes": 131073}"#,
                &[],
                &[("queue.buffering.max.kbytes", "2 times at most")],
            ),
        ],
    );
}

#[test]
fn guarantees_stay() {
    check(
        ClientKind::Producer,
        &[
            Row {
                source: "policy for transactional.id: linger and codec, nothing else",
                own: &[("transactional.id", "t"), ("batch.size", "16384")],
                topic: None,
                advice: r#"{"batch.size": 100000, "compression.type": "lz4", "linger.ms": 50,
                    "sticky.partitioning.linger.ms": 100, "batch.num.messages": 10000}"#,
                changes: &[("compression.type", "lz4"), ("linger.ms", "50")],
                refused: &[
                    ("batch.size", "transactional"),
                    ("sticky.partitioning.linger.ms", "transactional"),
                ],
            },
            Row {
                source: "rdkafka_conf.c rd_kafka_conf_finalize: what idempotence depends on",
                own: &[("enable.idempotence", "true"), ("batch.size", "16384")],
                topic: None,
                advice: r#"{"acks": "1", "batch.size": 100000, "enable.idempotence": false,
                    "max.in.flight": 5, "request.required.acks": 0, "retries": 0}"#,
                changes: &[("batch.size", "100000")],
                refused: &[
                    ("acks", "guarantees"),
                    ("enable.idempotence", "guarantees"),
                    ("max.in.flight", "guarantees"),
                    ("request.required.acks", "guarantees"),
                    ("retries", "guarantees"),
                ],
            },
        ],
    );
}
