//! Advice that changes while clients run: it is told with their reports, for the next start.

use std::fs;

use crate::common::figures::{Produced, STOCK, producer, send, shown, stock};
use crate::common::{Service, wait_until};
use serde_json::{Value, json};

#[test]
fn changed_advice_is_told_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    let linger = |ms: u32| {
        let general = format!("[[rule]]\n[rule.configuration]\n\"linger.ms\" = {ms}\n");
        general + "[[rule]]\ntopic = \"pay*\"\nstart = false\nerror = \"not these\"\n"
    };
    fs::write(&rules, linger(1)).unwrap();
    let service = Service::start(&["--rules", rules.to_str().unwrap()]);
    let (a, b) = (stock(&service, "a"), stock(&service, "b"));
    let mut sequence = 0;
    let mut ask = || {
        sequence += 1;
        let reports = [STOCK.report(&a, sequence), STOCK.report(&b, sequence)];
        let answers = send(&service, &reports);
        (answers[0]["advice"].clone(), answers[1]["advice"].clone())
    };
    assert_eq!(ask(), (Value::Null, Value::Null), "nothing has changed");

    fs::write(&rules, linger(2)).unwrap();
    let changed = json!({
        "start": true, "optimized_configuration": {"linger.ms": 2}, "mode": "active",
    });
    wait_until("the new rules are taken", || ask().0 == changed);
    assert_eq!(
        ask(),
        (changed.clone(), changed.clone()),
        "until it is taken"
    );

    // What a client reports may choose another rule.
    let topics = json!({
        "client_hash": a, "sequence": 1_000_000, "producer_topics_partitions": {"payments": [0]},
    });
    let answers = send(&service, &[topics, STOCK.report(&b, 1_000_000)]);
    let withheld = json!({"start": false, "error": "not these", "mode": "active"});
    assert_eq!(answers[0]["advice"], withheld);
    assert_eq!(answers[1]["advice"], changed);
}

/// An application that waits for each delivery would wait for linger each time.
#[test]
fn who_sends_records_one_by_one_is_advised_no_linger() {
    let service = Service::start(&[]);
    let linger = |answer: &Value| answer["optimized_configuration"]["linger.ms"].clone();
    let register = |client_id: &str| {
        let (_, answer) = service.send("POST", "/v1/clients", &producer(client_id));
        answer
    };
    let first = register("a");
    assert_eq!(linger(&first), 100);
    let one_by_one = Produced {
        requests: STOCK.records,
        ..STOCK
    };
    let hash = first["client_hash"].as_str().unwrap();
    let told = send(&service, &[one_by_one.report(hash, 1)]);
    assert_eq!(linger(&told[0]["advice"]), Value::Null);
    assert_eq!(
        told[0]["advice"]["optimized_configuration"]["compression.type"],
        "zstd"
    );
    let next = register("a");
    assert_eq!(linger(&next), Value::Null, "and so at the next start");
    assert_eq!(linger(&register("b")), 100, "others are others");

    // The last run counts.
    let hash = next["client_hash"].as_str().unwrap();
    send(&service, &[STOCK.report(hash, 1)]);
    assert_eq!(linger(&register("a")), 100);
}

/// While the service is away, closed clients are merged into another one.
#[test]
fn who_holds_the_figures_of_others_is_not_one_by_one() {
    let service = Service::start(&[]);
    let hash = stock(&service, "bulk");
    let mut report = Produced {
        requests: STOCK.records,
        ..STOCK
    }
    .report(&hash, 1);
    report["measured"]["merged_clients"] = 300.into();
    send(&service, &[report]);
    let (_, next) = service.send("POST", "/v1/clients", &producer("bulk"));
    assert_eq!(next["optimized_configuration"]["linger.ms"], 100);
}

/// Staging may wait for each delivery where production does not, and one process may have both.
#[test]
fn the_last_run_is_of_the_same_cluster() {
    let service = Service::start(&[]);
    let register = |brokers: &str| {
        let mut registration = producer("a");
        registration["config"]["metadata.broker.list"] = brokers.into();
        let (_, answer) = service.send("POST", "/v1/clients", &registration);
        answer["client_hash"].as_str().unwrap().to_owned()
    };
    let one_by_one = Produced {
        requests: STOCK.records,
        ..STOCK
    };
    let (staging, production) = (register("staging"), register("production"));
    let reports = [one_by_one.report(&staging, 1), STOCK.report(&production, 1)];
    let told = send(&service, &reports);
    let advised = |answer: &Value| answer.get("advice").is_some();
    assert!(advised(&told[0]), "{told:?}");
    assert!(!advised(&told[1]), "its advice is as it was: {told:?}");
}

#[test]
fn advice_of_an_observing_service_is_no_news() {
    let service = Service::start(&["--observe"]);
    let hash = stock(&service, "a");
    let answers = send(&service, &[STOCK.report(&hash, 1)]);
    assert_eq!(answers[0].get("advice"), None, "{answers:?}");
    assert_eq!(shown(&service, &hash)["mode"], "observe");
}

#[test]
fn advice_that_cannot_be_worked_out_again_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    let rule = "[[rule]]\ntags = {api_token = \"x\"}\n[rule.configuration]\n\"linger.ms\" = 1\n";
    fs::write(&rules, rule).unwrap();
    let service = Service::start(&["--rules", rules.to_str().unwrap()]);
    let registration = json!({"type": "producer", "tags": "{\"api_token\":\"x\"}"});
    let (_, registered) = service.send("POST", "/v1/clients", &registration);
    assert_eq!(registered["optimized_configuration"]["linger.ms"], 1);
    let hash = registered["client_hash"].as_str().unwrap();
    let answers = send(&service, &[STOCK.report(hash, 1)]);
    assert_eq!(
        answers[0].get("advice"),
        None,
        "the store does not know the tag"
    );
}
