//! Reports: taken once, whatever the network does to them, and whatever they hold.

use crate::common::figures::{STOCK, TUNED, producer, registered, send, shown, stock, tuned};
use crate::common::{Service, TOKEN, bearer};
use serde_json::{Value, json};

fn history(service: &Service, hash: &str, query: &str) -> Value {
    let (status, page) = service.get(&format!("/v1/clients/{hash}/history{query}"));
    assert_eq!(status, 200, "{page}");
    page
}

/// The sum of one column over the history.
fn sum(service: &Service, hash: &str, column: &str) -> u64 {
    let page = history(service, hash, "?limit=1000");
    let rows = page["history"].as_array().unwrap();
    rows.iter().map(|row| row[column].as_u64().unwrap()).sum()
}

#[test]
fn the_interval_is_told() {
    for (arguments, expected) in [
        (&[][..], 600_000),
        (&["--report-interval", "1"], 1_000),
        (&["--report-interval", "90s"], 90_000),
        (&["--report-interval", "5m"], 300_000),
        (&["--report-interval", "24h"], 86_400_000),
    ] {
        let service = Service::start(arguments);
        let registered = service.send("POST", "/v1/clients", &producer("a")).1;
        assert_eq!(registered["report_interval_ms"], expected, "{arguments:?}");
        let taken = service.send("POST", "/v1/reports", &json!({})).1;
        assert_eq!(
            taken,
            json!({"reports": [], "report_interval_ms": expected})
        );
    }
}

#[test]
fn the_number_of_the_cluster_is_what_was_told_last() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    assert_eq!(shown(&service, &hash)["connection_id"], 0);
    let mut report = STOCK.report(&hash, 1);
    report["connection_id"] = json!(3);
    send(&service, &[report]);
    assert_eq!(shown(&service, &hash)["connection_id"], 3);
    send(&service, &[STOCK.times(2).report(&hash, 2)]);
    assert_eq!(shown(&service, &hash)["connection_id"], 3, "0 is unknown");
    let list = service.get("/v1/clients").1;
    assert_eq!(list["clients"][0]["connection_id"], 3);
}

#[test]
fn repeated_lost_and_overtaken_reports_count_once() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    assert_eq!(shown(&service, &hash)["figures"], Value::Null);
    let newest = |answers: Vec<Value>| answers[0]["sequence"].as_u64().unwrap();

    let first = STOCK.report(&hash, 1);
    assert_eq!(newest(send(&service, std::slice::from_ref(&first))), 1);
    // The answer was lost.
    assert_eq!(newest(send(&service, std::slice::from_ref(&first))), 1);
    // 2 was lost, and comes after 3 has come.
    assert_eq!(
        newest(send(&service, &[STOCK.times(5).report(&hash, 3)])),
        3
    );
    assert_eq!(
        newest(send(&service, &[STOCK.times(2).report(&hash, 2)])),
        3
    );
    // Two in one message.
    let both = [
        STOCK.times(6).report(&hash, 4),
        STOCK.times(6).report(&hash, 4),
    ];
    assert_eq!(send(&service, &both).len(), 2);

    let client = shown(&service, &hash);
    let figures = &client["figures"];
    assert_eq!(figures["produced"]["records"], 6 * STOCK.records);
    assert_eq!(figures["produced"]["wire_bytes"], 6 * STOCK.wire_bytes);
    assert_eq!(figures["measured_ms"], 6_000);
    assert_eq!(figures["rates"]["produced_records"], 2_000.0);
    assert_eq!(client["reports_total"], 3);
    assert_eq!(
        history(&service, &hash, "")["history"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(sum(&service, &hash, "delivered_records"), 6 * STOCK.records);
    assert_eq!(sum(&service, &hash, "wire_bytes"), 6 * STOCK.wire_bytes);
}

#[test]
fn one_that_nobody_knows_does_not_keep_the_others() {
    let service = Service::start(&[]);
    let (one, two) = (stock(&service, "a"), tuned(&service, "b"));
    let nobody = "0".repeat(32);
    let answers = send(
        &service,
        &[
            STOCK.report(&one, 1),
            STOCK.report(&nobody, 9),
            TUNED.report(&two, 7),
            json!({"sequence": 1}),
        ],
    );
    let unknown = |hash: &str| json!({"client_hash": hash, "sequence": 0, "unknown": true});
    assert_eq!(answers[0], json!({"client_hash": one, "sequence": 1}));
    assert_eq!(answers[1], unknown(&nobody));
    assert_eq!(answers[2], json!({"client_hash": two, "sequence": 7}));
    assert_eq!(answers[3], unknown(""));
    for (hash, sent) in [(one, STOCK), (two, TUNED)] {
        let figures = shown(&service, &hash)["figures"].clone();
        assert_eq!(figures["produced"]["wire_bytes"], sent.wire_bytes);
        assert_eq!(figures["rates"], Value::Null, "one report has no rate");
    }
}

#[test]
fn the_address_of_one_client_stores_the_same() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let path = format!("/v1/clients/{hash}/reports");
    for _ in 0..2 {
        assert_eq!(service.send("POST", &path, &STOCK.report("", 1)).0, 204);
    }
    let client = shown(&service, &hash);
    assert_eq!(client["reports_total"], 1);
    assert_eq!(client["figures"]["produced"]["records"], STOCK.records);
    let measured = &client["measured"];
    assert_eq!(
        measured["topics"]["orders"]["delivered"]["bytes"],
        STOCK.bytes
    );
    // Bucket 100 ends at 26623 µs, bucket 80 at 4607 µs.
    assert_eq!(
        client["latencies"],
        json!({
            "delivery_us": {"p50": 26623, "p95": 26623, "p99": 26623},
            "brokers": [{
                "id": 1, "name": "kafka:9092/1",
                "round_trip_us": {"p50": 4607, "p95": 4607, "p99": 4607},
            }],
        })
    );
}

#[test]
fn peers_that_do_not_count_are_served_as_ever() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let topics =
        |topic: &str| json!({"client_hash": hash, "producer_topics_partitions": {topic: [0]}});
    send(&service, &[topics("a"), topics("b")]);
    // Figures without a number are totals all the same.
    send(
        &service,
        &[STOCK.report(&hash, 0), STOCK.times(2).report(&hash, 0)],
    );
    let client = shown(&service, &hash);
    assert_eq!(client["reports_total"], 4);
    assert_eq!(
        client["producer_topics_partitions"],
        json!({"a": [0], "b": [0]})
    );
    assert_eq!(client["figures"]["produced"]["records"], 2 * STOCK.records);
    // Once it counts, a report without a number is an old one.
    send(
        &service,
        &[STOCK.times(3).report(&hash, 1), STOCK.report(&hash, 0)],
    );
    let client = shown(&service, &hash);
    assert_eq!(client["reports_total"], 5);
    assert_eq!(client["figures"]["produced"]["records"], 3 * STOCK.records);
}

#[test]
fn the_last_report_is_a_goodbye() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let mut last = STOCK.report(&hash, 1);
    last["last"] = true.into();
    send(&service, &[last.clone()]);
    let gone_at = shown(&service, &hash)["gone_at_ms"].clone();
    assert!(gone_at.is_u64(), "{gone_at}");
    send(&service, &[last]);
    let client = shown(&service, &hash);
    assert_eq!(client["gone_at_ms"], gone_at);
    assert_eq!(client["reports_total"], 1);
    assert_eq!(service.get("/v1/totals").1["clients"]["alive"], 0);
}

#[test]
fn records_with_a_schema_are_summed_and_shown() {
    let service = Service::start(&[]);
    let consumer = json!({"type": "consumer", "config": {"client.id": "bills"}});
    let hash = registered(&service, &consumer, &json!({"changes": []}));
    for (sequence, with_schema) in [(1, Value::Null), (2, json!(60)), (3, json!(2_940))] {
        let consumed = json!({"records": sequence * 1_000, "bytes": sequence * 100_000});
        let mut topic = json!({"consumed": consumed});
        if !with_schema.is_null() {
            topic["consumed_with_schema"] = with_schema;
        }
        let measured = json!({"duration_ms": sequence * 1_000, "topics": {"orders": topic}});
        let report = json!({"client_hash": hash, "sequence": sequence, "measured": measured});
        send(&service, &[report]);
    }
    let client = shown(&service, &hash);
    assert_eq!(client["figures"]["consumed"]["schema_records"], 2_940);
    let orders = &client["measured"]["topics"]["orders"];
    assert_eq!(orders["consumed_with_schema"], 2_940);
    let page = history(&service, &hash, "");
    let rows = page["history"].as_array().unwrap();
    let gains: Vec<_> = rows.iter().map(|row| &row["schema_records"]).collect();
    assert_eq!(gains, [&json!(2_880), &json!(60), &json!(0)]);
    let totals = service.get("/v1/totals").1;
    assert_eq!(totals["consumed"]["schema_records"], 2_940);
    assert_eq!(
        totals["by_type"]["consumer"]["consumed"]["schema_records"],
        2_940
    );
    let authorization = bearer(TOKEN);
    let metrics = service.raw("GET", "/metrics", &[("authorization", &authorization)], b"");
    let line = "superstream_consumed_schema_records_total{type=\"consumer\"} 2940\n";
    assert!(metrics.text.contains(line), "{metrics:?}");
}

#[test]
fn hostile_figures_harm_nobody() {
    let service = Service::start(&[]);
    let (hash, other) = (tuned(&service, "a"), tuned(&service, "b"));
    let most = json!({"records": u64::MAX, "bytes": u64::MAX});
    let requests = json!({"requests": u64::MAX, "bytes": u64::MAX});
    let long = "x".repeat(100_000);
    let measured = json!({
        "duration_ms": u64::MAX, "merged_clients": u64::MAX,
        "topics": {
            "a": {"accepted": most, "delivered": most, "failed": most, "refused": most,
                  "consumed": most, "consumed_with_schema": u64::MAX,
                  "produced_partitions": [i32::MIN, i32::MAX]},
            "b": {"delivered": most}, long.as_str(): {"delivered": most}, "": {"delivered": most},
        },
        "other_topics": {"accepted": most},
        "brokers": [
            {"id": i32::MIN, "name": long, "sent": requests, "produce": requests,
             "fetch": requests, "fetched_bytes": u64::MAX,
             "round_trip_us": {"0": u64::MAX, "999999999": u64::MAX}},
            {"produce": requests, "fetched_bytes": u64::MAX},
        ],
        "delivery_latency_us": {"0": u64::MAX, "271": u64::MAX, "999999999": u64::MAX},
        "latency_sampled": u32::MAX,
        "transport_errors": {"-195": u64::MAX},
    });
    let report = json!({"client_hash": hash, "sequence": u64::MAX - 1, "measured": measured});
    let answers = send(&service, &[report, STOCK.report(&other, 1)]);
    assert_eq!(answers[0]["sequence"], u64::MAX - 1);
    let client = shown(&service, &hash);
    assert_eq!(client["figures"]["produced"]["records"], (1u64 << 53) - 1);
    assert_eq!(client["errors"], json!([]));
    assert!(!client.to_string().contains(&long[..1_000]));

    // It counts anew, and has counted as much as anybody can; the other client is not touched.
    let answers = send(&service, &[STOCK.report(&hash, u64::MAX)]);
    assert_eq!(answers[0]["sequence"], u64::MAX);
    let figures = shown(&service, &hash)["figures"].clone();
    assert_eq!(figures["produced"]["records"], (1u64 << 53) - 1);
    assert_eq!(sum(&service, &hash, "delivered_records"), (1 << 53) - 1);
    assert_eq!(
        send(&service, &[STOCK.report(&hash, 5)])[0]["sequence"],
        u64::MAX
    );
    let figures = shown(&service, &other)["figures"].clone();
    assert_eq!(figures["produced"]["records"], STOCK.records);
    for path in ["/v1/clients", "/v1/totals", "/metrics"] {
        let authorization = bearer(TOKEN);
        let answer = service.raw("GET", path, &[("authorization", &authorization)], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn names_of_topics_are_masked_wherever_they_stand() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let mut report = STOCK.report(&hash, 1);
    for role in ["producer", "consumer_group"] {
        report[format!("{role}_topics_partitions")] =
            json!({TOKEN: [1], "password=hunter2": [2], "password=hunter3": [3], "orders": [0]});
    }
    send(&service, &[report.clone()]);
    let path = format!("/v1/clients/{hash}/reports");
    report["sequence"] = 2.into();
    assert_eq!(service.send("POST", &path, &report).0, 204);
    let client = shown(&service, &hash);
    let masked = json!({"********": [1], "password=********": [2, 3], "orders": [0]});
    for role in ["producer", "consumer_group"] {
        assert_eq!(client[format!("{role}_topics_partitions")], masked);
    }
    let text = client.to_string();
    assert!(!text.contains(TOKEN) && !text.contains("hunter"), "{text}");
}

#[test]
fn nothing_is_taken_where_a_report_cannot_be_read() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    let reports = json!({"reports": [STOCK.report(&hash, 1), {"measured": {"duration_ms": "x"}}]});
    assert_eq!(service.send("POST", "/v1/reports", &reports).0, 422);
    assert_eq!(shown(&service, &hash)["figures"], Value::Null);
}

#[test]
fn the_history_is_paged() {
    let service = Service::start(&[]);
    let hash = stock(&service, "a");
    assert_eq!(history(&service, &hash, ""), json!({"history": []}));
    let reports: Vec<_> = (1..=5).map(|n| STOCK.times(n).report(&hash, n)).collect();
    send(&service, &reports);
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = history(&service, &hash, &query);
        for row in page["history"].as_array().unwrap() {
            assert_eq!(row["delivered_records"], STOCK.records);
            assert_eq!(
                (&row["reports"], &row["measured_ms"]),
                (&json!(1), &json!(1_000))
            );
            seen.push(row["number"].as_u64().unwrap());
        }
        pages += 1;
        match page.get("next") {
            Some(next) => query = format!("?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!((seen, pages), (vec![5, 4, 3, 2, 1], 3));
    let token = bearer(TOKEN);
    for (path, status) in [
        (format!("/v1/clients/{hash}/history?limit=0"), 400),
        (format!("/v1/clients/{hash}/history?after=x"), 400),
        ("/v1/clients/nobody/history".to_owned(), 404),
    ] {
        let answer = service.raw("GET", &path, &[("authorization", &token)], b"");
        answer.is_problem(status);
    }
}

#[test]
fn a_database_in_a_file_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let arguments = ["--db", db.to_str().unwrap()];
    let mut service = Service::start(&arguments);
    let (a, b) = (stock(&service, "a"), tuned(&service, "a"));
    send(&service, &[STOCK.report(&a, 1), TUNED.report(&b, 1)]);
    send(&service, &[TUNED.times(3).report(&b, u64::MAX)]);
    let all = |service: &Service| {
        [
            shown(service, &a),
            shown(service, &b),
            history(service, &b, ""),
            service.get("/v1/totals").1,
        ]
    };
    let before = all(&service);
    assert_eq!(before[1]["figures"]["baseline"]["client_hash"], a.as_str());
    service.signal("-KILL");
    service.child.wait().unwrap();
    let service = Service::start(&arguments);
    assert_eq!(all(&service), before);
    assert_eq!(
        send(&service, &[TUNED.times(9).report(&b, 9)])[0]["sequence"],
        u64::MAX,
        "and knows what was taken"
    );
}
