//! What a client has measured, in words.

use serde::Deserialize;
use serde_json::Value;
use superstream_protocol::measured::Measured;

use crate::numbers::{bytes, number, percent};
use crate::report::Page;

/// Adds what a client did, and what it saved, as far as that was measured.
pub fn describe(page: &mut Page, client: &Value) {
    let Ok(measured) = Measured::deserialize(&client["measured"]) else {
        return;
    };
    produced(page, &measured, &client["saving"]);
    consumed(page, &measured);
    let errors: Vec<String> = measured
        .transport_errors
        .iter()
        .map(|(code, count)| format!("{count} with librdkafka's code {code}"))
        .collect();
    if !errors.is_empty() {
        page.line("failed", &format!("requests: {}", errors.join(", ")));
    }
}

fn produced(page: &mut Page, measured: &Measured, saving: &Value) {
    let topics = measured.all_topics();
    if topics.accepted.records == 0 {
        return;
    }
    let (delivered, produce) = (topics.delivered, measured.produce());
    page.line(
        "delivered",
        &format!(
            "{} records, {} of payload, in {} requests of {} on the wire",
            delivered.records,
            bytes(delivered.bytes as f64),
            produce.requests,
            bytes(produce.bytes as f64),
        ),
    );
    let others = [
        ("failed", topics.failed.records),
        ("refused", topics.refused.records),
        ("not acknowledged yet", topics.unacknowledged().records),
    ];
    let others = others.into_iter().filter(|(_, records)| *records > 0);
    let others: Vec<String> = others
        .map(|(what, records)| format!("{records} {what}"))
        .collect();
    if !others.is_empty() {
        page.line("", &others.join(", "));
    }
    let ratio = |value: &Value| value.as_f64().filter(|ratio| *ratio > 0.0);
    let baseline = &saving["baseline"];
    if let (Some(now), Some(before)) = (measured.wire_ratio(), ratio(&baseline["wire_ratio"])) {
        let bytes = percent(1.0 - now / before);
        let mut words = format!("{bytes} of the bytes on the wire");
        if let (Some(now), Some(before)) = (
            measured.records_per_request(),
            ratio(&baseline["records_per_request"]).filter(|_| produce.requests > 0),
        ) {
            let requests = percent(1.0 - before / now);
            words.push_str(&format!(", {requests} of the requests"));
        }
        words.push_str(", against an earlier client without changes");
        page.line("saved", &words);
    } else if let Some(now) = measured.wire_ratio() {
        let now = number(now);
        page.line(
            "saved",
            &format!("no baseline; {now} bytes on the wire for each byte of payload"),
        );
    }
}

fn consumed(page: &mut Page, measured: &Measured) {
    let topics = measured.all_topics();
    let consumed = topics.consumed;
    if consumed.records == 0 {
        return;
    }
    let fetches = measured.requests(|broker| broker.fetch);
    let fetched: u64 = measured
        .brokers
        .iter()
        .map(|broker| broker.fetched_bytes)
        .fold(0, u64::saturating_add);
    page.line(
        "consumed",
        &format!(
            "{} records, {} of payload, by {} fetches of {} on the wire",
            consumed.records,
            bytes(consumed.bytes as f64),
            fetches.requests,
            bytes(fetched as f64),
        ),
    );
    if topics.consumed_with_schema > 0 {
        page.line(
            "",
            &format!(
                "at least {} records have a superstream_schema header; they are delivered unchanged",
                topics.consumed_with_schema
            ),
        );
    } else if measured.headers_unseen {
        page.line(
            "",
            "this librdkafka shows no headers: records with a superstream_schema header are not counted",
        );
    }
}
