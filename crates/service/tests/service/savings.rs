//! What clients save, against measured baselines alone.

use crate::common::Service;
use crate::common::figures::{
    Produced, STOCK, TUNED, changed, configured, producer, registered, send, shown, stock, tuned,
};
use serde_json::{Value, json};

fn figures(service: &Service, hash: &str) -> Value {
    shown(service, hash)["figures"].clone()
}

/// Checks that a client has no baseline, and is told why.
fn has_none(service: &Service, hash: &str, because: &str) {
    let figures = figures(service, hash);
    assert_eq!(figures["baseline"], Value::Null, "{figures}");
    assert_eq!(figures["saved"], Value::Null, "{figures}");
    let words = figures["no_baseline_because"].as_str().unwrap();
    assert!(words.contains(because), "{words}");
}

fn run(service: &Service, hash: &str, produced: Produced) {
    send(service, &[produced.report(hash, 1)]);
}

#[test]
fn a_saving_is_measured_against_an_earlier_client() {
    let service = Service::start(&[]);
    let before = stock(&service, "a");
    run(&service, &before, STOCK);
    let after = tuned(&service, "a");
    let told = send(&service, &[TUNED.times(10).report(&after, 1)]);
    let baseline = json!({
        "delivered": {"records": STOCK.records, "bytes": STOCK.bytes},
        "produce": {"requests": STOCK.requests, "bytes": STOCK.wire_bytes},
    });
    assert_eq!(told[0]["baseline"], baseline, "and the client is told");

    let figures = figures(&service, &after);
    assert_eq!(
        figures["baseline"],
        json!({"client_hash": before, "wire_ratio": 1.1, "records_per_request": 2.0})
    );
    assert_eq!(figures["no_baseline_because"], Value::Null);
    assert_eq!(figures["produced"]["records_per_request"], 20.0);
    assert_eq!(figures["saved"]["bytes_ratio"], 0.75);
    assert_eq!(figures["saved"]["requests_ratio"], 0.9);
    let listed = service.get("/v1/clients").1;
    assert_eq!(listed["clients"][0]["figures"], figures);
    assert_eq!(listed["clients"][0]["changed"], true);
    assert_eq!(listed["clients"][1]["changed"], false);
    has_none(&service, &before, "others are compared with it");

    let totals = service.get("/v1/totals").1;
    let saved = json!({
        "bytes": 10 * (STOCK.wire_bytes - TUNED.wire_bytes),
        "clients": 1, "clients_without_baseline": 0,
    });
    assert_eq!(totals["saved"], saved);
    assert_eq!(totals["by_type"]["producer"]["saved"], saved);
    assert_eq!(totals["produced"]["records"], 11 * STOCK.records);
    let counts = json!({"known": 2, "alive": 2, "reported": 2});
    assert_eq!(totals["clients"], counts);
}

#[test]
fn only_what_can_be_compared_is() {
    let service = Service::start(&[]);
    let early = tuned(&service, "a");
    run(&service, &early, TUNED);
    has_none(&service, &early, "no earlier client");
    let before = stock(&service, "a");
    run(&service, &before, STOCK);
    has_none(&service, &early, "no earlier client");

    let other_id = tuned(&service, "b");
    run(&service, &other_id, TUNED);
    has_none(&service, &other_id, "no earlier client");

    let other_topic = tuned(&service, "a");
    let elsewhere = Produced {
        topic: "bills",
        ..TUNED
    };
    run(&service, &other_topic, elsewhere);
    has_none(&service, &other_topic, "no earlier client");

    let two_topics = tuned(&service, "a");
    let mut report = TUNED.report(&two_topics, 1);
    report["measured"]["topics"]["bills"] = json!({"accepted": {"records": 1, "bytes": 1}});
    send(&service, &[report]);
    has_none(&service, &two_topics, "several topics");

    let merged = tuned(&service, "a");
    let mut report = TUNED.report(&merged, 1);
    report["measured"]["merged_clients"] = 1.into();
    send(&service, &[report]);
    has_none(&service, &merged, "figures of other clients");

    let silent = service.register(&producer("a"));
    run(&service, &silent, TUNED);
    has_none(&service, &silent, "has not said");

    let idle = tuned(&service, "a");
    send(
        &service,
        &[json!({"client_hash": idle, "sequence": 1, "measured": {}})],
    );
    has_none(&service, &idle, "produced nothing");

    let consumer = service.register(&json!({"type": "consumer", "config": {"client.id": "a"}}));
    run(&service, &consumer, TUNED);
    let path = format!("/v1/clients/{consumer}/config");
    let change = json!({"key": "fetch.min.bytes", "new": "2", "reason": "advice"});
    assert_eq!(
        service.send("PUT", &path, &json!({"changes": [change]})).0,
        204
    );
    has_none(&service, &consumer, "no earlier client");

    let saved = service.get("/v1/totals").1["saved"].clone();
    let expected = json!({"bytes": 0, "clients": 0, "clients_without_baseline": 7});
    assert_eq!(saved, expected, "nothing is guessed");
}

#[test]
fn nobody_is_compared_with_another_application() {
    let service = Service::start(&[]);
    let client = |client_id: &str, host: &str, tags: &str, config: &Value, produced| {
        let registration = json!({
            "type": "producer", "config": {"client.id": client_id},
            "client_host": host, "tags": tags,
        });
        let hash = registered(&service, &registration, config);
        run(&service, &hash, produced);
        hash
    };
    let (staging, production) = (r#"{"env":"staging"}"#, r#"{"env":"production"}"#);
    let observing = json!({"mode": "observe"});
    for client_id in ["", "rdkafka", "orders"] {
        let before = client(client_id, "a", staging, &observing, STOCK);
        let same = client(client_id, "a", staging, &changed(), TUNED);
        assert_eq!(figures(&service, &same)["baseline"]["client_hash"], before);
        let tagged = client(client_id, "a", production, &changed(), TUNED);
        has_none(&service, &tagged, "same application");
        let elsewhere = client(client_id, "b", staging, &changed(), TUNED);
        if client_id == "orders" {
            let baseline = &figures(&service, &elsewhere)["baseline"];
            assert_eq!(baseline["client_hash"], before, "a name is one everywhere");
        } else {
            has_none(&service, &elsewhere, "same application");
        }
    }
}

#[test]
fn nobody_is_compared_with_another_cluster() {
    let service = Service::start(&[]);
    let client = |brokers: &Value, config: &Value, produced: Produced| {
        let mut registration = producer("orders");
        let members = brokers.as_object().unwrap().clone();
        registration["config"]
            .as_object_mut()
            .unwrap()
            .extend(members);
        let hash = registered(&service, &registration, config);
        run(&service, &hash, produced);
        hash
    };
    let staging = json!({"metadata.broker.list": "staging:9092"});
    let production = json!({"metadata.broker.list": "production:9092"});
    let unchanged = json!({"changes": []});
    let before = client(&staging, &unchanged, STOCK);
    let stranger = client(&production, &changed(), TUNED);
    has_none(&service, &stranger, "brokers");
    has_none(&service, &client(&json!({}), &changed(), TUNED), "brokers");
    // The engine's two names of one property.
    let alias = json!({"bootstrap.servers": "staging:9092"});
    // An empty text names none.
    let both = json!({"metadata.broker.list": "", "bootstrap.servers": "staging:9092"});
    for brokers in [&staging, &alias, &both] {
        let same = client(brokers, &changed(), TUNED);
        assert_eq!(figures(&service, &same)["baseline"]["client_hash"], before);
    }
}

#[test]
fn nobody_is_compared_where_the_cluster_cannot_be_told() {
    let service = Service::start(&[]);
    let run_of = |client_id: &str, brokers: &str, config: &Value, produced| {
        let names = json!({"client.id": client_id, "bootstrap.servers": brokers});
        let registration = json!({"type": "producer", "config": names});
        let hash = registered(&service, &registration, config);
        run(&service, &hash, produced);
        hash
    };
    let unchanged = json!({"changes": []});
    let list = |bytes: usize| "é".repeat(bytes / 2);
    let before = run_of("orders", &list(16_384), &unchanged, STOCK);
    let after = run_of("orders", &list(16_384), &changed(), TUNED);
    assert_eq!(figures(&service, &after)["baseline"]["client_hash"], before);

    let too_long = list(16_386);
    for (client_id, brokers) in [
        ("orders", too_long.as_str()),
        ("orders", "[masked]"),
        ("[masked]", "kafka:9092"),
    ] {
        run_of(client_id, brokers, &unchanged, STOCK);
        let after = run_of(client_id, brokers, &changed(), TUNED);
        has_none(&service, &after, "cannot be told from others");
    }
}

#[test]
fn a_baseline_has_done_enough_and_without_changes() {
    let service = Service::start(&[]);
    let few = Produced {
        records: 999,
        ..STOCK
    };
    let small = Produced {
        bytes: 99_999,
        ..STOCK
    };
    for too_little in [few, small] {
        let before = stock(&service, "a");
        run(&service, &before, too_little);
    }
    let merged = stock(&service, "a");
    let mut report = STOCK.report(&merged, 1);
    report["measured"]["merged_clients"] = 2.into();
    send(&service, &[report]);
    let changed = tuned(&service, "a");
    run(&service, &changed, STOCK);
    let client = tuned(&service, "a");
    run(&service, &client, TUNED);
    has_none(&service, &client, "no earlier client");

    // Planned changes are none where the client observes.
    let change = json!({"key": "linger.ms", "new": "100", "reason": "advice"});
    let observing = json!({"mode": "observe", "changes": [change]});
    let old = configured(&service, "a", &observing);
    let new = configured(&service, "a", &observing);
    run(&service, &old, STOCK);
    run(&service, &new, STOCK.times(2));
    let client = tuned(&service, "a");
    run(&service, &client, TUNED);
    let baseline = || figures(&service, &client)["baseline"]["client_hash"].clone();
    assert_eq!(baseline(), new.as_str(), "the newest wins");

    // What was a baseline is none once it is changed, or produces to another topic.
    let path = format!("/v1/clients/{new}/config");
    let configuration = json!({"changes": [change]});
    assert_eq!(service.send("PUT", &path, &configuration).0, 204);
    assert_eq!(baseline(), old.as_str());
    let mut report = STOCK.times(2).report(&old, 2);
    report["measured"]["topics"]["bills"] = json!({"accepted": {"records": 1, "bytes": 1}});
    send(&service, &[report]);
    has_none(&service, &client, "no earlier client");
}

/// Through an outage, records are sent again and again, and fail in the end.
#[test]
fn a_run_that_failed_is_no_baseline() {
    let service = Service::start(&[]);
    let run_with = |failed: u64| {
        let before = stock(&service, "a");
        let mut report = STOCK.report(&before, 1);
        report["measured"]["topics"]["orders"]["failed"] = json!({"records": failed, "bytes": 1});
        send(&service, &[report]);
        before
    };
    run_with(STOCK.records / 100 + 1);
    let client = tuned(&service, "a");
    run(&service, &client, TUNED);
    has_none(&service, &client, "at most one failed record");

    let before = run_with(STOCK.records / 100);
    let client = tuned(&service, "a");
    run(&service, &client, TUNED);
    let baseline = &figures(&service, &client)["baseline"];
    assert_eq!(baseline["client_hash"], before, "a few may fail");
}

#[test]
fn who_is_nobodys_baseline_is_told_why() {
    let service = Service::start(&[]);
    let few = Produced {
        records: 50,
        ..STOCK
    };
    let with = |change: &dyn Fn(&mut Value)| {
        let hash = stock(&service, "a");
        let mut report = STOCK.report(&hash, 1);
        change(&mut report["measured"]);
        send(&service, &[report]);
        hash
    };
    let bills = json!({"accepted": {"records": 1, "bytes": 1}});
    let failed = json!({"records": STOCK.records, "bytes": 1});
    let restarted = with(&|_| ());
    has_none(&service, &restarted, "others are compared with it");
    send(&service, &[few.report(&restarted, 2)]);
    for (hash, because) in [
        (with(&|m| *m = few.measured()), "has not delivered 1000"),
        (
            with(&|m| m["topics"]["bills"] = bills.clone()),
            "several topics",
        ),
        (
            with(&|m| m["merged_clients"] = 1.into()),
            "of other clients",
        ),
        (
            with(&|m| m["topics"]["orders"]["failed"] = failed.clone()),
            "failed",
        ),
        (restarted, "counted from nothing again"),
    ] {
        has_none(&service, &hash, "nobody is compared with it");
        has_none(&service, &hash, because);
    }
}

#[test]
fn a_handful_of_records_saves_nothing_yet() {
    let service = Service::start(&[]);
    let before = stock(&service, "a");
    run(&service, &before, STOCK);
    let after = tuned(&service, "a");
    let few = Produced {
        records: 999,
        ..TUNED
    };
    let small = Produced {
        records: 1_000,
        bytes: 99_999,
        ..TUNED
    };
    let enough = Produced {
        bytes: 100_000,
        ..small
    };
    for (sequence, too_little) in [
        (
            1,
            Produced {
                bytes: 99_999,
                ..few
            },
        ),
        (2, small),
    ] {
        send(&service, &[too_little.report(&after, sequence)]);
        has_none(&service, &after, "the client itself has not delivered");
    }
    let saved = service.get("/v1/totals").1["saved"].clone();
    let nothing = json!({"bytes": 0, "clients": 0, "clients_without_baseline": 1});
    assert_eq!(saved, nothing);
    send(&service, &[enough.report(&after, 3)]);
    assert_eq!(figures(&service, &after)["baseline"]["client_hash"], before);
}

#[test]
fn a_loss_is_shown_as_one() {
    let service = Service::start(&[]);
    let before = stock(&service, "a");
    run(&service, &before, TUNED);
    let after = tuned(&service, "a");
    run(&service, &after, STOCK);
    let saved = figures(&service, &after)["saved"].clone();
    assert_eq!(saved, json!({"bytes_ratio": -3.0, "requests_ratio": -9.0}));
    let lost = STOCK.wire_bytes as i64 - TUNED.wire_bytes as i64;
    assert_eq!(service.get("/v1/totals").1["saved"]["bytes"], -lost);
}
