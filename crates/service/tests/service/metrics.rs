//! `/metrics`, read as strictly as OpenMetrics is written. `openmetrics.sh` has a parser of others
//! read the same.

use std::collections::BTreeMap;

use crate::common::figures::{STOCK, TUNED, send, stock, tuned};
use crate::common::{Service, TOKEN, bearer};
use serde_json::json;

/// Values by their whole name, such as `family_total{type="producer"}`.
type Samples = BTreeMap<String, f64>;

fn metrics(service: &Service) -> Samples {
    let authorization = bearer(TOKEN);
    let answer = service.raw("GET", "/metrics", &[("authorization", &authorization)], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    read(&answer.text)
}

/// Reads a text, with every line in its place.
fn read(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("the text is whole");
    let mut samples = Samples::new();
    let mut seen = Vec::new();
    let (mut family, mut kind) = ("", "");
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            (family, kind) = declared.split_once(' ').unwrap();
            assert!(!seen.contains(&family), "{family} comes twice");
            seen.push(family);
            if let Some(unit) = lines.next_if(|line| line.starts_with("# UNIT ")) {
                let unit = unit.strip_prefix(&format!("# UNIT {family} ")).unwrap();
                assert!(family.ends_with(&format!("_{unit}")), "{family} {unit}");
            }
            let help = lines.next().unwrap();
            let help = help.strip_prefix(&format!("# HELP {family} ")).unwrap();
            assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (metric, labels) = name.split_once('{').unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "histogram" => "_bucket",
            "gauge" => "",
            other => panic!("{other}"),
        };
        assert_eq!(metric, format!("{family}{suffix}"));
        for label in labels.strip_suffix('}').unwrap().split(',') {
            let (label, value) = label.split_once('=').unwrap();
            assert!(
                ["type", "le", "status", "outcome"].contains(&label),
                "{label}"
            );
            assert!(value.len() > 2 && value.starts_with('"') && value.ends_with('"'));
        }
        let value: f64 = value.parse().unwrap();
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert_eq!(
            samples.insert(name.to_owned(), value),
            None,
            "{name} comes twice"
        );
    }
    samples
}

fn buckets(samples: &Samples, kind: &str) -> Vec<(f64, f64)> {
    let prefix = format!("superstream_delivery_latency_seconds_bucket{{type=\"{kind}\",le=\"");
    let mut buckets: Vec<_> = samples
        .iter()
        .filter_map(|(name, count)| {
            let bound = name.strip_prefix(&prefix)?.strip_suffix("\"}").unwrap();
            Some((bound.replace('+', "").parse::<f64>().unwrap(), *count))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

#[test]
fn figures_of_all_clients_are_summed() {
    let service = Service::start(&[]);
    let empty = metrics(&service);
    for kind in ["producer", "consumer"] {
        let name = format!("superstream_delivered_records_total{{type=\"{kind}\"}}");
        assert_eq!(empty[&name], 0.0, "lines begin at zero");
    }
    let (before, after) = (stock(&service, "a"), tuned(&service, "a"));
    send(
        &service,
        &[STOCK.report(&before, 1), TUNED.report(&after, 1)],
    );
    // Fast ones: bucket 40 holds 128 to 143 µs.
    let mut report = TUNED.times(2).report(&after, 2);
    report["measured"]["delivery_latency_us"]["40"] = 500.into();
    let nobody = json!({"client_hash": "nobody", "sequence": 1});
    send(&service, &[report.clone(), report, nobody]);

    let samples = metrics(&service);
    let names: Vec<_> = empty.keys().collect();
    assert_eq!(
        samples.keys().collect::<Vec<_>>(),
        names,
        "no line for a client"
    );
    let producers = |family: &str| samples[&format!("superstream_{family}{{type=\"producer\"}}")];
    assert_eq!(producers("clients_known"), 2.0);
    assert_eq!(producers("clients_alive"), 2.0);
    assert_eq!(
        producers("delivered_records_total"),
        3.0 * STOCK.records as f64
    );
    assert_eq!(producers("delivered_bytes_total"), 3.0 * STOCK.bytes as f64);
    assert_eq!(producers("produce_requests_total"), 1_200.0);
    assert_eq!(producers("produce_wire_bytes_total"), 330_000.0);
    assert_eq!(producers("saved_bytes"), 330_000.0);
    assert_eq!(producers("clients_compared"), 1.0);
    assert_eq!(producers("clients_without_baseline"), 0.0);
    for (outcome, count) in [("taken", 3.0), ("repeated", 1.0), ("unknown", 1.0)] {
        let name = format!("superstream_service_reports_total{{outcome=\"{outcome}\"}}");
        assert_eq!(samples[&name], count, "{outcome}");
    }

    let latency = buckets(&samples, "producer");
    let (bounds, counts): (Vec<_>, Vec<_>) = latency.into_iter().unzip();
    assert!(counts.is_sorted() && bounds.last() == Some(&f64::INFINITY));
    assert_eq!(counts.last(), Some(&(3.0 * STOCK.records as f64 + 500.0)));
    let upto = |bound: f64| counts[bounds.iter().position(|b| *b == bound).unwrap()];
    assert_eq!(upto(0.000127), 0.0);
    assert_eq!(
        upto(0.000255),
        500.0,
        "exact, at a bound of the clients' own"
    );
}

#[test]
fn requests_are_counted_by_their_status() {
    let service = Service::start(&[]);
    let count = |samples: &Samples, class: &str| {
        samples[&format!("superstream_service_answers_total{{status=\"{class}\"}}")]
    };
    let before = metrics(&service);
    assert_eq!(service.get("/v1/clients/nobody").0, 404);
    service.raw("GET", "/v1/clients", &[], b"").is_problem(401);
    let after = metrics(&service);
    assert_eq!(count(&after, "2xx"), count(&before, "2xx") + 1.0);
    assert_eq!(count(&after, "4xx"), count(&before, "4xx") + 2.0);
    assert_eq!(count(&after, "5xx"), 0.0);
}

#[test]
fn counters_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let arguments = ["--db", db.to_str().unwrap()];
    let service = Service::start(&arguments);
    let hash = stock(&service, "a");
    send(&service, &[STOCK.report(&hash, 1)]);
    let of_clients = |samples: Samples| -> Samples {
        let clients = samples.into_iter();
        clients
            .filter(|(name, _)| !name.starts_with("superstream_service_"))
            .collect()
    };
    let before = of_clients(metrics(&service));
    drop(service);
    let service = Service::start(&arguments);
    assert_eq!(of_clients(metrics(&service)), before);
}
