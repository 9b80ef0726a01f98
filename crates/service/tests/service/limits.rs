//! How large a message of reports may be.

use crate::common::figures::{STOCK, send, shown, stock};
use crate::common::{Service, TOKEN, bearer};
use serde_json::{Value, json};

#[test]
fn a_message_has_its_limits() {
    let service = Service::start(&[]);
    let reports = |count: usize| json!({"reports": vec![json!({}); count]});
    assert_eq!(service.send("POST", "/v1/reports", &reports(1_000)).0, 200);
    let token = bearer(TOKEN);
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    for (body, status) in [
        (reports(1_001).to_string(), 422),
        ("{\"reports\":[[]]}".to_owned(), 422),
        ("{\"reports\":[{\"measured\":[1]}]}".to_owned(), 422),
        ("{\"reports\":[{\"sequence\":-1}]}".to_owned(), 422),
        ("[]".to_owned(), 422),
        ("{".to_owned(), 400),
        (" ".repeat(4 * 1024 * 1024 + 1), 413),
    ] {
        let answer = service.raw("POST", "/v1/reports", &headers, body.as_bytes());
        answer.is_problem(status);
    }
    for path in [
        "/v1/reports",
        "/v1/totals",
        "/metrics",
        "/v1/clients/x/history",
    ] {
        service.raw("GET", path, &[], b"").is_problem(401);
    }
}

/// A client of the library into which others were merged while the service was away.
#[test]
fn the_largest_report_of_the_library_is_taken() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let mut report = STOCK.report(&hash, 1);
    let partitions: Vec<i32> = (0..1_024).collect();
    let requests = json!({"requests": u64::MAX, "bytes": u64::MAX});
    let durations: Value = (0..272)
        .map(|bucket| (bucket.to_string(), json!(u64::MAX)))
        .collect();
    for n in 0..256 {
        let topic = format!("{n:0249}");
        let records = json!({"records": u64::MAX, "bytes": u64::MAX});
        report["measured"]["topics"][&topic] = json!({
            "accepted": records, "delivered": records, "failed": records, "refused": records,
            "produced_partitions": partitions,
        });
        report["producer_topics_partitions"][&topic] = json!(partitions);
    }
    let broker = json!({
        "id": i32::MIN, "name": "x".repeat(300), "sent": requests, "produce": requests,
        "fetch": requests, "fetched_bytes": u64::MAX, "round_trip_us": durations,
    });
    report["measured"]["brokers"] = json!(vec![broker; 64]);
    report["measured"]["delivery_latency_us"] = durations;
    assert!(report.to_string().len() > 2 * 1024 * 1024);
    let answers = send(&service, &[report]);
    assert_eq!(answers[0]["sequence"], 1);
    let client = shown(&service, &hash);
    let topics = client["producer_topics_partitions"].as_object().unwrap();
    assert_eq!(topics.len(), 256);
    let measured = client["measured"]["topics"].as_object().unwrap();
    assert!(
        measured
            .values()
            .any(|topic| topic["produced_partitions"] == json!(partitions))
    );
}
