//! What the service says unasked.

use std::fs;

use serde_json::{Value, json};

use super::peer::{
    Peer, REPORT, REPORT_NOW, RESUME, UPDATE, far, is_alive, is_no, metric, push, service, told,
    update,
};
use crate::common::{Service, TOKEN, bearer, wait_until};

fn tagged(team: &str) -> Value {
    json!({"type": "producer", "tags": json!({"team": team}).to_string()})
}

#[test]
fn an_update_comes_at_once_to_those_it_is_for() {
    let service = service(&[]);
    let (mut one, mut other) = (Peer::at(&service), Peer::at(&service));
    let (a, b) = (
        one.register(&tagged("payments")),
        one.register(&tagged("orders")),
    );
    let c = other.register(&tagged("payments"));
    // Somebody who has to ask.
    service.register(&tagged("payments"));

    push(&service, "tag=team%3Dpayments", "First", 3, 2);
    one.is_told(UPDATE, &told(&a, 1, "First"));
    other.is_told(UPDATE, &told(&c, 1, "First"));
    push(&service, &format!("client_hash={b}"), "Second", 1, 1);
    one.is_told(UPDATE, &told(&b, 1, "Second"));
    push(
        &service,
        "type=producer&tag=team%3Dorders&alive=true",
        "Third",
        1,
        1,
    );
    one.is_told(UPDATE, &told(&b, 2, "Third"));
    push(&service, "type=consumer", "Nobody", 0, 0);
    push(&service, "all=true", "All", 4, 3);
    // The other one was told nothing that is not for it.
    other.is_told(UPDATE, &told(&c, 2, "All"));
}

#[test]
fn what_waited_comes_with_the_link() {
    let service = service(&[]);
    let registration = json!({"type": "producer", "registration_id": "r"});
    let hash = service.register(&registration);
    let query = format!("client_hash={hash}");
    push(&service, &query, "A", 1, 0);
    push(&service, &query, "B", 1, 0);
    push(&service, &query, "A", 1, 0);

    let mut peer = Peer::at(&service);
    assert_eq!(peer.register(&registration), hash);
    peer.is_told(UPDATE, &told(&hash, 2, "B"));
    peer.is_told(UPDATE, &told(&hash, 3, "A"));
    let mut peer = Peer::at(&service);
    peer.resume(&hash);
    peer.is_told(UPDATE, &told(&hash, 2, "B"));
    peer.is_told(UPDATE, &told(&hash, 3, "A"));
    push(&service, &query, "C", 1, 1);
    peer.is_told(UPDATE, &told(&hash, 4, "C"));
}

#[test]
fn who_does_not_read_is_closed_and_told_when_it_is_back() {
    let service = service(&[]);
    let mut deaf = Peer::at(&service);
    let hash = deaf.register(&json!({}));
    // Its queue holds 16 MiB.
    let long = json!({"type": "A", "payload": "ICAg".repeat(10_000) + "e30="});
    let path = format!("/v1/updates?client_hash={hash}");
    let mut pushed = 0;
    wait_until("the link is closed", || {
        for _ in 0..20 {
            assert_eq!(service.send("POST", &path, &long).0, 200);
            pushed += 1;
        }
        metric(&service, "superstream_service_links") == 0
    });
    assert!(!is_alive(&service, &hash));

    let mut peer = Peer::at(&service);
    peer.resume(&hash);
    let (code, _, update) = peer.next().unwrap();
    assert_eq!((code, &update["sequence"]), (UPDATE, &json!(pushed)));
    deaf.ends();
}

#[test]
fn reports_are_asked_for_by_tag() {
    let service = service(&[]);
    let (mut one, mut other) = (Peer::at(&service), Peer::at(&service));
    let (a, b) = (
        one.register(&tagged("payments")),
        one.register(&tagged("orders")),
    );
    let c = other.register(&tagged("orders"));
    service.register(&tagged("payments"));
    let ask = |query: &str| service.send("POST", &format!("/v1/report-now?{query}"), &json!({}));

    let reached = |clients: u64, reached: u64| far(clients, reached, 0);
    assert_eq!(ask("tag=team%3Dpayments"), reached(2, 1));
    one.is_told(REPORT_NOW, &json!({"client_hashes": [a]}));
    assert_eq!(ask(&format!("client_hash={b}")), reached(1, 1));
    one.is_told(REPORT_NOW, &json!({"client_hashes": [b]}));
    assert_eq!(ask("tag=team%3Dorders"), reached(2, 2));
    one.is_told(REPORT_NOW, &json!({"client_hashes": [b]}));
    other.is_told(REPORT_NOW, &json!({"client_hashes": [c]}));
    assert_eq!(ask("client_id=none"), reached(0, 0));
    assert_eq!(ask("all=true"), reached(4, 3));
    other.is_told(REPORT_NOW, &json!({"client_hashes": [c]}));
}

#[test]
fn who_is_meant_must_be_said() {
    // Without links there is the same to ask.
    let service = Service::start(&[]);
    let hash = service.register(&json!({}));
    for path in ["/v1/updates", "/v1/report-now"] {
        for query in [
            "",
            "?",
            "?all=yes",
            "?all=true&type=producer",
            "?limit=1",
            "?tags=a&all=true",
            "?type=broker",
            "?alive=maybe",
            "?client_hash=a&client_hash=b",
            &format!("?client_hash={hash}&all=true"),
        ] {
            let (status, answer) = service.send("POST", &format!("{path}{query}"), &update("A"));
            let words = answer["error"].as_str().unwrap_or_default();
            assert!(
                status == 400 && words.len() > 10,
                "{path}{query}: {status} {answer}"
            );
        }
        let (status, answer) = service.send("POST", path, &update("A"));
        let words = answer["error"].as_str().unwrap_or_default();
        assert!(status == 400 && words.contains("all=true"), "{answer}");
        let unknown = service.send("POST", &format!("{path}?client_hash=x"), &update("A"));
        assert_eq!(unknown.0, 404, "{unknown:?}");
        service
            .raw("POST", &format!("{path}?all=true"), &[], b"")
            .is_problem(401);
        let token = bearer(TOKEN);
        service
            .raw("GET", path, &[("authorization", &token)], b"")
            .is_problem(405);
    }
    for bad in [
        json!({}),
        json!({"type": "", "payload": "e30="}),
        json!({"type": "x".repeat(101), "payload": "e30="}),
        json!({"type": "A"}),
        json!(["A", "e30="]),
        json!({"type": ["A"], "payload": "e30="}),
        json!({"type": "A", "payload": "{}"}),
        json!({"type": "A", "payload": {}}),
        json!({"type": "A", "payload": "ICAg".repeat(16 * 1024) + "e30="}),
        json!({"type": "A", "payload": "ICAg".repeat(16 * 1024 - 70) + "e30="}),
        json!({"type": "A", "payload": "bm8="}),
    ] {
        let (status, answer) = service.send("POST", "/v1/updates?all=true", &bad);
        assert_eq!(status, 422, "{bad:.200}: {answer}");
    }
    push(&service, "all=true", "A", 1, 0);
    let updates = service.get(&format!("/v1/clients/{hash}/updates")).1;
    let waits = json!([{"sequence": 1, "type": "A", "payload": "e30="}]);
    assert_eq!(updates["updates"], waits, "and nothing of what was refused");
}

#[test]
fn changed_rules_reach_those_who_run() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    let linger = |ms: u32| format!("[[rule]]\n[rule.configuration]\n\"linger.ms\" = {ms}\n");
    fs::write(&rules, linger(1)).unwrap();
    let service = service(&["--rules", rules.to_str().unwrap()]);
    let mut peer = Peer::at(&service);
    let hash = peer.register(&json!({"type": "producer"}));
    // One that no client is on is left alone.
    let mut empty = Peer::at(&service);

    fs::write(&rules, linger(2)).unwrap();
    peer.is_told(REPORT_NOW, &json!({}));
    let taken = peer.ask(
        REPORT,
        &json!({"reports": [{"client_hash": hash, "sequence": 1}]}),
    );
    let advice = &taken["reports"][0]["advice"]["optimized_configuration"];
    assert_eq!(advice["linger.ms"], 2, "{taken}");
    let late = empty.register(&json!({}));
    push(&service, &format!("client_hash={late}"), "A", 1, 1);
    empty.is_told(UPDATE, &told(&late, 1, "A"));
    is_no(&empty.ask(RESUME, &json!([])), 422);
}
