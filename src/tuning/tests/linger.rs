//! linger, the sticky partitioner, and the guard of topics.

use superstream_protocol::ClientKind;

use crate::tuning::{Situation, plan, topic_timeout_for_linger};

use super::{Pairs, Row, advice, check, effective};

/// The source, the configuration, the default topic configuration, the advised linger, and what
/// comes of it: the new value (empty where nothing is done), or a part of the refusal's reason.
type Lingers<'a> = (
    &'a str,
    Pairs<'a>,
    Option<Pairs<'a>>,
    &'a str,
    Result<&'a str, &'a str>,
);

fn lingers(rows: &[Lingers]) {
    for (source, own, topic, asked, expected) in rows {
        let advice = format!(r#"{{"linger.ms": {asked}}}"#);
        let (new, reason);
        let (changes, refused): (Pairs, Pairs) = match expected {
            Ok("") => (&[], &[]),
            Ok(value) => {
                new = [("linger.ms", *value)];
                (&new, &[])
            }
            Err(text) => {
                reason = [("linger.ms", *text)];
                (&[], &reason)
            }
        };
        let row = Row {
            source,
            own,
            topic: *topic,
            advice: &advice,
            changes,
            refused,
        };
        check(ClientKind::Producer, &[row]);
    }
}

#[test]
fn linger_is_raised_within_limits() {
    let transactional = ("transactional.id", "t");
    lingers(&[
        ("within all limits", &[], None, "50", Ok("50")),
        ("text is fine", &[], None, "\"50\"", Ok("50")),
        ("there already", &[], None, "5.0", Ok("")),
        ("policy: 100 without a rate", &[], None, "5000", Ok("100")),
        (
            "strtod, rdkafka_conf.c: a locale's comma would cut it anyway",
            &[],
            None,
            "12.75",
            Ok("12"),
        ),
        (
            "whole ms leave nothing",
            &[],
            None,
            "5.5",
            Err("only whole"),
        ),
        (
            "whole ms leave nothing",
            &[("linger.ms", "0.1")],
            None,
            "0.5",
            Err("leaves 0 ms"),
        ),
        (
            "never lowered",
            &[("linger.ms", "50")],
            None,
            "20",
            Err("already (50 ms)"),
        ),
        (
            "%g in another locale",
            &[("linger.ms", "0,5")],
            None,
            "20",
            Ok("20"),
        ),
        (
            "rdkafka_conf.c: 0 to 900000",
            &[],
            None,
            "900001",
            Err("outside 0 to 900000"),
        ),
        (
            "rdkafka_conf.c: 0 to 900000",
            &[],
            None,
            "-1",
            Err("outside"),
        ),
        (
            "the cap leaves nothing",
            &[("linger.ms", "200")],
            None,
            "5000",
            Err("leaves 100 ms, and the application has 200 ms"),
        ),
        (
            "policy: not where the timeout is below 1 s",
            &[],
            Some(&[("message.timeout.ms", "600")]),
            "50",
            Err("below 1000"),
        ),
        (
            "rd_kafka_conf_finalize: a tenth of message.timeout.ms",
            &[],
            Some(&[("message.timeout.ms", "1000")]),
            "5000",
            Ok("100"),
        ),
        (
            "rd_kafka_conf_finalize: a tenth of message.timeout.ms",
            &[("transaction.timeout.ms", "1000"), transactional],
            Some(&[("message.timeout.ms", "300000")]),
            "5000",
            Ok("50"),
        ),
        (
            "rdkafka_conf.c: 0 is infinite",
            &[],
            Some(&[("message.timeout.ms", "0")]),
            "5000",
            Ok("100"),
        ),
        (
            "rd_kafka_conf_finalize: the engine lowered this one quietly",
            &[("linger.ms", "2000")],
            Some(&[("message.timeout.ms", "2000")]),
            "5000",
            Err("not below message.timeout.ms (2000)"),
        ),
        (
            "policy: a twentieth of the transaction",
            &[transactional, ("transaction.timeout.ms", "1500")],
            None,
            "5000",
            Ok("75"),
        ),
        (
            "rd_kafka_topic_conf_finalize: infinite, but not in a transaction",
            &[transactional, ("transaction.timeout.ms", "1500")],
            Some(&[("message.timeout.ms", "0")]),
            "5000",
            Ok("75"),
        ),
        (
            "rd_kafka_curr_msgs_add: QUEUE_FULL",
            &[("queue.buffering.max.messages", "20000")],
            None,
            "50",
            Ok("20"),
        ),
        (
            "rd_kafka_curr_msgs_add: QUEUE_FULL",
            &[("queue.buffering.max.messages", "1000")],
            None,
            "50",
            Err("queue.buffering.max.messages (1000): that leaves 1 ms"),
        ),
        (
            "rd_kafka_curr_msgs_add: a queue of one message",
            &[("queue.buffering.max.messages", "1"), ("linger.ms", "0.5")],
            None,
            "50",
            Err("leaves 0 ms"),
        ),
        (
            "policy: no delay was asked for",
            &[("linger.ms", "0")],
            None,
            "50",
            Err("asks for no delay"),
        ),
        (
            "rd_kafka_curr_msgs_add: 0 is no limit",
            &[("queue.buffering.max.messages", "0")],
            None,
            "50",
            Ok("50"),
        ),
        (
            "rd_kafka_curr_msgs_add: bytes count too",
            &[("queue.buffering.max.kbytes", "10486")],
            None,
            "50",
            Ok("10"),
        ),
    ]);
}

#[test]
fn linger_takes_the_planned_queue() {
    check(
        ClientKind::Producer,
        &[Row {
            source: "the queue is raised first",
            own: &[("queue.buffering.max.messages", "10000")],
            topic: None,
            advice: r#"{"queue.buffering.max.ms": 50, "queue.buffering.max.messages": 40000}"#,
            changes: &[
                ("queue.buffering.max.messages", "40000"),
                ("linger.ms", "40"),
            ],
            refused: &[],
        }],
    );
}

#[test]
fn an_unfinished_producer_gets_codec_batch_and_queue_alone() {
    let effective = effective(&[], None);
    let situation = Situation {
        kind: ClientKind::Producer,
        effective: &effective,
        latency_sensitive: false,
        unfinished: true,
    };
    let advice = advice(
        r#"{"compression.codec": "lz4", "batch.num.messages": 20000, "linger.ms": 50,
            "compression.level": 3, "fetch.min.bytes": 1000, "ssl.ca.location": "/x"}"#,
    );
    let plan = plan(&situation, &advice);
    let keys: Vec<&str> = plan.changes.iter().map(|change| &*change.key).collect();
    assert_eq!(keys, ["batch.num.messages", "compression.type"]);
    let reason = |key| {
        let refusal = plan.refusals.iter().find(|refusal| refusal.key == key);
        &*refusal.unwrap().reason
    };
    assert!(reason("linger.ms").contains("not known yet"), "{plan:#?}");
    assert!(
        reason("compression.level").contains("not known yet"),
        "{plan:#?}"
    );
    assert_eq!(plan.refusals.len(), 4, "{plan:#?}");

    let effective = self::effective(
        &[("compression.type", "gzip")],
        Some(&[("compression.type", "inherit"), ("compression.level", "9")]),
    );
    let situation = Situation {
        effective: &effective,
        ..situation
    };
    let plan = super::plan(&situation, &advice);
    assert!(
        plan.changes
            .iter()
            .all(|change| change.key != "compression.type"),
        "gzip's level would be lz4's: {plan:#?}"
    );
}

#[test]
fn latency_sensitive_applications_wait_no_longer() {
    let effective = effective(&[], None);
    let situation = |kind| Situation {
        kind,
        effective: &effective,
        latency_sensitive: true,
        unfinished: false,
    };
    let advice = advice(
        r#"{"compression.type": "lz4", "fetch.min.bytes": 1000, "fetch.wait.max.ms": 600,
            "linger.ms": 50}"#,
    );
    let producer = plan(&situation(ClientKind::Producer), &advice);
    assert_eq!(producer.changes.len(), 1);
    assert!(producer.refusals[0].reason.contains("LATENCY_SENSITIVE"));
    let consumer = plan(&situation(ClientKind::Consumer), &advice);
    assert_eq!(consumer.changes, []);
    assert!(consumer.refusals[0].reason.contains("LATENCY_SENSITIVE"));
    assert!(consumer.refusals[1].reason.contains("LATENCY_SENSITIVE"));
}

#[test]
fn sticky_partitions() {
    let row = |source, own, advice, changes, refused| Row {
        source,
        own,
        topic: None,
        advice,
        changes,
        refused,
    };
    let key = "sticky.partitioning.linger.ms";
    check(
        ClientKind::Producer,
        &[
            row(
                "rd_kafka_conf_finalize: the default follows linger, so keep it",
                &[],
                r#"{"linger.ms": 100, "sticky.partitioning.linger.ms": 10}"#,
                &[("linger.ms", "100"), (key, "10")],
                &[],
            ),
            row(
                "nothing to keep",
                &[],
                r#"{"sticky.partitioning.linger.ms": 10}"#,
                &[],
                &[],
            ),
            row(
                "twice linger is the most",
                &[],
                r#"{"linger.ms": 50, "sticky.partitioning.linger.ms": 100}"#,
                &[("linger.ms", "50"), (key, "100")],
                &[],
            ),
            row(
                "twice linger is the most",
                &[],
                r#"{"sticky.partitioning.linger.ms": 11}"#,
                &[],
                &[(key, "at most 10")],
            ),
            row(
                "rdkafka_topic.c:406: 0 is random",
                &[],
                r#"{"sticky.partitioning.linger.ms": 0}"#,
                &[],
                &[(key, "turns the sticky partitioner off")],
            ),
            row(
                "rdkafka_topic.c:406: 0 is random",
                &[(key, "0")],
                r#"{"sticky.partitioning.linger.ms": 5}"#,
                &[],
                &[(key, "turned the sticky partitioner off")],
            ),
        ],
    );
}

#[test]
fn the_reason_tells_what_follows() {
    let advice = advice(r#"{"linger.ms": 5000}"#);
    let reason = |own| {
        let plan = super::planned(ClientKind::Producer, &effective(own, None), &advice);
        plan.changes[0].reason.clone()
    };
    assert_eq!(
        reason(&[]),
        "advised 5000, cut to 100: 100 ms is the limit without a measured rate; \
         sticky.partitioning.linger.ms follows to 200 unless the application set it"
    );
    assert!(!reason(&[("sticky.partitioning.linger.ms", "20")]).contains("sticky"));

    let advice = super::advice(r#"{"linger.ms": 12.75}"#);
    let plan = super::planned(ClientKind::Producer, &effective(&[], None), &advice);
    let reason = &plan.changes[0].reason;
    assert!(reason.starts_with("advised 12.75, cut to 12: only whole"));
}

#[test]
fn the_guard_of_topics() {
    // rd_kafka_topic_conf_finalize, rdkafka_conf.c; the rest of a message's timeout is the
    // request's: rd_kafka_ProduceRequest, rdkafka_request.c.
    for (set, before, timeout, raised) in [
        ("100", "5", "300000", None),
        ("100", "5", "1000", None),
        ("100", "5", "999", Some(1094)),
        ("100", "5", "101", Some(196)),
        ("100", "5", "100", Some(195)),
        ("100", "5", "1", Some(101)),
        ("100.5", "5", "100", Some(196)),
        ("100", "5", "0", None),
        // The application set linger: stock refuses this one too.
        ("100", "50", "50", None),
        ("100", "50", "51", Some(101)),
        ("100", "0", "51", Some(151)),
        ("900000", "5", "900000", Some(1_799_995)),
        ("1e300", "5", "1", None),
        ("", "5", "1", None),
        ("100", "", "1", None),
        ("100", "5", "", None),
        ("100", "5", "-1", None),
        ("nan", "inf", "1", None),
    ] {
        assert_eq!(
            topic_timeout_for_linger(set, before, timeout),
            raised,
            "{set} {before} {timeout}"
        );
    }
}
