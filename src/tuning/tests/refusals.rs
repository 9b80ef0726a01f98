//! What advice cannot do, and what a report shows of it.

use serde_json::{Value, json};
use superstream_protocol::{ClientKind, Configuration};

use super::{advice, effective, planned};
use crate::tuning::canonical;

#[test]
fn dangerous_keys_are_refused_with_their_family() {
    // The names are those of rdkafka_conf.c's property table.
    for (key, reason) in [
        ("plugin.library.paths", "runs code"),
        ("ssl.engine.location", "runs code"),
        ("ssl.providers", "runs code"),
        ("sasl.kerberos.kinit.cmd", "runs code"),
        ("sasl.password", "credentials"),
        ("ssl.key.pem", "credentials"),
        ("security.protocol", "credentials"),
        ("enable.ssl.certificate.verification", "credentials"),
        ("bootstrap.servers", "which brokers"),
        ("metadata.broker.list", "which brokers"),
        ("offset.store.path", "names a file"),
        ("debug", "output"),
        ("log.queue", "output"),
        ("acks", "guarantees"),
        ("max.in.flight", "guarantees"),
        ("transactional.id", "guarantees"),
        ("enable.gapless.guarantee", "guarantees"),
        ("isolation.level", "which messages"),
        ("group.id", "group membership"),
        ("group.instance.id", "group membership"),
        ("session.timeout.ms", "group membership"),
        ("delivery.timeout.ms", "timeouts"),
        ("message.timeout.ms", "timeouts"),
        ("socket.timeout.ms", "timeouts"),
        ("connections.max.idle.ms", "timeouts"),
        ("message.max.bytes", "size of a message"),
        ("client.id", "names the client"),
        ("dr_msg_cb", "code of the application"),
        ("LINGER.MS", "not on the allow-list"),
        (" linger.ms", "not on the allow-list"),
        ("", "not on the allow-list"),
    ] {
        let mut advice = Configuration::new();
        advice.insert(key.into(), json!("hunter2"));
        let plan = planned(ClientKind::Producer, &effective(&[], None), &advice);
        assert_eq!(plan.changes, [], "{key}");
        assert_eq!(plan.refusals.len(), 1, "{key}");
        assert!(plan.refusals[0].reason.contains(reason), "{plan:?}");
        assert_eq!(plan.refusals[0].asked, "(not shown)", "{key}");
    }
}

#[test]
fn keys_of_other_clients_are_refused() {
    let effective = effective(&[], None);
    let advice = advice(r#"{"fetch.min.bytes": 1000, "linger.ms": 50}"#);
    for (kind, changes, refused, reason) in [
        (
            ClientKind::Producer,
            1,
            "fetch.min.bytes",
            "is for a consumer",
        ),
        (ClientKind::Consumer, 1, "linger.ms", "is for a producer"),
        (ClientKind::Admin, 0, "fetch.min.bytes", "admin client"),
    ] {
        let plan = planned(kind, &effective, &advice);
        assert_eq!(plan.changes.len(), changes);
        assert_eq!(plan.refusals[0].key, refused);
        assert!(plan.refusals[0].reason.contains(reason), "{plan:?}");
        assert_ne!(plan.refusals[0].asked, "(not shown)");
    }
}

#[test]
fn reports_stay_small_and_plain() {
    let mut advice: Configuration = (0..100_000)
        .map(|number| (format!("junk.{number}"), Value::Null))
        .collect();
    advice.insert("batch.size".into(), json!(1));
    advice.insert(
        format!("!\u{1b}[2J\n\u{202e}{}", "x".repeat(1000)),
        json!(1),
    );
    let plan = planned(ClientKind::Producer, &effective(&[], None), &advice);
    assert_eq!(plan.refusals.len(), 65);
    assert_eq!(plan.refusals[0].key, "batch.size");
    assert_eq!(plan.refusals[0].asked, "1");
    assert_eq!(plan.refusals[64].key, "(the rest)");
    assert!(plan.refusals[64].reason.starts_with("99938 more"));
    let odd = &plan.refusals[1].key;
    assert!(odd.starts_with("!?[2J??xxx") && odd.len() == 64, "{odd}");
}

#[test]
fn other_names() {
    // The _RK_C_ALIAS rows of rdkafka_conf.c.
    for (alias, name) in [
        ("queue.buffering.max.ms", "linger.ms"),
        ("compression.codec", "compression.type"),
        ("metadata.broker.list", "bootstrap.servers"),
        ("delivery.timeout.ms", "message.timeout.ms"),
        ("request.required.acks", "acks"),
        ("message.send.max.retries", "retries"),
        ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
        ("max.in.flight", "max.in.flight.requests.per.connection"),
        ("sasl.mechanisms", "sasl.mechanism"),
        ("auto.commit.enable", "auto.commit.enable"),
        ("anything.else", "anything.else"),
    ] {
        assert_eq!(canonical(alias), name);
        assert_eq!(canonical(name), name);
    }
}
