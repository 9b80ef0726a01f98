//! What consumers are given.

use superstream_protocol::ClientKind;

use super::{Row, check};

#[test]
fn fetches() {
    let row = |source, own, advice, changes, refused| Row {
        source,
        own,
        topic: None,
        advice,
        changes,
        refused,
    };
    check(
        ClientKind::Consumer,
        &[
            row(
                "a fuller fetch",
                &[],
                r#"{"fetch.min.bytes": 65536, "fetch.wait.max.ms": 300}"#,
                &[("fetch.wait.max.ms", "300"), ("fetch.min.bytes", "65536")],
                &[],
            ),
            row(
                "DelayedFetch: one partition must be able to fill it",
                &[("max.partition.fetch.bytes", "32768")],
                r#"{"fetch.min.bytes": 65536}"#,
                &[],
                &[("fetch.min.bytes", "at most 32768")],
            ),
            row(
                "DelayedFetch: the wait must be short",
                &[("fetch.wait.max.ms", "30000")],
                r#"{"fetch.min.bytes": 65536}"#,
                &[],
                &[("fetch.min.bytes", "30000 ms")],
            ),
            row(
                "never lowered",
                &[("fetch.min.bytes", "100000")],
                r#"{"fetch.min.bytes": 1}"#,
                &[],
                &[("fetch.min.bytes", "waits for more already")],
            ),
            row(
                "rd_kafka_conf_warn: below socket.timeout.ms",
                &[("socket.timeout.ms", "1400")],
                r#"{"fetch.wait.max.ms": 401}"#,
                &[],
                &[("fetch.wait.max.ms", "socket.timeout.ms (1400)")],
            ),
            row(
                "policy: a message waits no longer than by default",
                &[],
                r#"{"fetch.wait.max.ms": 501}"#,
                &[],
                &[("fetch.wait.max.ms", "wait too long")],
            ),
            row(
                "rd_kafka_conf_finalize: the engine refuses the application's own",
                &[("fetch.max.bytes", "1000")],
                r#"{"fetch.max.bytes": 2097152}"#,
                &[],
                &[("fetch.max.bytes", "librdkafka has the say")],
            ),
            row(
                "an idle consumer",
                &[],
                r#"{"fetch.wait.max.ms": 0}"#,
                &[],
                &[("fetch.wait.max.ms", "too often")],
            ),
            row(
                "rdkafka_conf.c: alias",
                &[],
                r#"{"fetch.message.max.bytes": 2097152}"#,
                &[("max.partition.fetch.bytes", "2097152")],
                &[],
            ),
            row(
                "smaller fetches",
                &[],
                r#"{"max.partition.fetch.bytes": 1000, "fetch.max.bytes": 1000000}"#,
                &[],
                &[
                    ("fetch.max.bytes", "below 1048576"),
                    ("max.partition.fetch.bytes", "below 1048576"),
                ],
            ),
        ],
    );
}

#[test]
fn fetch_max_bytes_and_its_modified_bit() {
    let row = |source, own, advice, changes, refused| Row {
        source,
        own,
        topic: None,
        advice,
        changes,
        refused,
    };
    let key = "fetch.max.bytes";
    check(
        ClientKind::Consumer,
        &[
            row(
                "rd_kafka_conf_finalize: within all",
                &[],
                r#"{"fetch.max.bytes": 10485760}"#,
                &[(key, "10485760")],
                &[],
            ),
            row(
                "rd_kafka_conf_finalize: not below message.max.bytes",
                &[("message.max.bytes", "20000000")],
                r#"{"fetch.max.bytes": 10485760}"#,
                &[],
                &[(key, "message.max.bytes (20000000)")],
            ),
            row(
                "rd_kafka_conf_finalize: not above the queue",
                &[],
                r#"{"fetch.max.bytes": 67108865}"#,
                &[],
                &[(key, "queued.max.messages.kbytes holds (67108864 bytes)")],
            ),
            row(
                "rd_kafka_conf_finalize: 512 bytes for framing",
                &[("receive.message.max.bytes", "60000000")],
                r#"{"fetch.max.bytes": 59999489}"#,
                &[],
                &[(key, "receive.message.max.bytes (60000000)")],
            ),
            row(
                "rd_kafka_conf_finalize: 512 bytes for framing",
                &[("receive.message.max.bytes", "60000000")],
                r#"{"fetch.max.bytes": 59999488}"#,
                &[(key, "59999488")],
                &[],
            ),
            row(
                "rd_kafka_conf_finalize: the engine makes it so",
                &[("queued.max.messages.kbytes", "16384")],
                r#"{"fetch.max.bytes": 16777216}"#,
                &[],
                &[],
            ),
            row(
                "the planned queue counts",
                &[],
                r#"{"fetch.max.bytes": 80000000, "queued.max.messages.kbytes": 131072}"#,
                &[("queued.max.messages.kbytes", "131072"), (key, "80000000")],
                &[],
            ),
            row(
                "what fetch.max.bytes makes room for comes in the next round",
                &[
                    ("queued.max.messages.kbytes", "16384"),
                    ("receive.message.max.bytes", "20000000"),
                ],
                r#"{"fetch.max.bytes": 10485760, "queued.max.messages.kbytes": 32768}"#,
                &[(key, "10485760"), ("queued.max.messages.kbytes", "32768")],
                &[],
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
        ClientKind::Consumer,
        &[
            row(
                "limits",
                &[],
                r#"{"queued.min.messages": 400000, "queued.max.messages.kbytes": 131072}"#,
                &[
                    ("queued.min.messages", "400000"),
                    ("queued.max.messages.kbytes", "131072"),
                ],
                &[],
            ),
            row(
                "limits",
                &[],
                r#"{"queued.min.messages": 400001, "queued.max.messages.kbytes": 131073}"#,
                &[],
                &[
                    ("queued.min.messages", "4 times at most"),
                    ("queued.max.messages.kbytes", "131072 at most"),
                ],
            ),
            row(
                "never shrink",
                &[],
                r#"{"queued.min.messages": 1, "queued.max.messages.kbytes": 1}"#,
                &[],
                &[
                    ("queued.min.messages", "larger (100000)"),
                    ("queued.max.messages.kbytes", "larger (65536)"),
                ],
            ),
            row(
                "rd_kafka_conf_finalize: fetch.max.bytes follows the queue, and is refused",
                &[
                    ("queued.max.messages.kbytes", "16384"),
                    ("receive.message.max.bytes", "20000000"),
                ],
                r#"{"queued.max.messages.kbytes": 32768}"#,
                &[],
                &[("queued.max.messages.kbytes", "has no room")],
            ),
        ],
    );
}
