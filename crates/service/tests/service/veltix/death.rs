//! Processes that end without a word.

use std::fs;

use serde_json::json;

use super::peer::{
    GOODBYE, Peer, REPORT, UPDATE, client, is_alive, links_are, metric, push, service, service_in,
    told,
};
use crate::common::wait_until;

#[test]
fn a_death_is_seen_and_told_from_a_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let service = service_in(dir.path());
    let (mut one, mut other) = (Peer::at(&service), Peer::at(&service));
    let lost = one.register(&json!({"type": "producer", "tags": "{\"team\":\"payments\"}"}));
    let left = one.register(&json!({"type": "producer"}));
    let last = one.register(&json!({"type": "producer"}));
    let lives = other.register(&json!({"type": "producer"}));
    assert_eq!(one.ask(GOODBYE, &json!({"client_hash": left})), json!({}));
    one.ask(
        REPORT,
        &json!({"reports": [{"client_hash": last, "last": true}]}),
    );
    links_are(&service, 2);
    drop(one);
    wait_until("the death is seen", || !is_alive(&service, &lost));
    links_are(&service, 1);
    assert_eq!(metric(&service, "superstream_service_links_lost_total"), 1);
    let lost_clients = "superstream_service_link_clients_lost_total";
    assert_eq!(metric(&service, lost_clients), 1);
    assert!(is_alive(&service, &lives), "the other process runs");
    let list = service.get("/v1/clients?alive=true").1;
    assert_eq!(list["clients"].as_array().unwrap().len(), 1, "{list}");
    wait_until("the log tells", || {
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        log.contains("1 clients with it that did not say goodbye")
            && log.contains("team=payments")
            && log.contains("1 clients without a goodbye")
    });

    // Whoever says goodbye to all of its clients loses nothing.
    assert_eq!(
        other.ask(GOODBYE, &json!({"client_hash": lives})),
        json!({})
    );
    drop(other);
    links_are(&service, 0);
    assert_eq!(metric(&service, "superstream_service_links_lost_total"), 1);
    assert_eq!(metric(&service, lost_clients), 1);
}

#[test]
fn a_client_that_was_lost_comes_back() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let (a, b) = (peer.register(&json!({})), peer.register(&json!({})));
    let gone = peer.register(&json!({}));
    assert_eq!(peer.ask(GOODBYE, &json!({"client_hash": gone})), json!({}));
    drop(peer);
    wait_until("both are lost", || {
        !is_alive(&service, &a) && !is_alive(&service, &b)
    });

    let mut peer = Peer::at(&service);
    peer.resume(&a);
    assert!(is_alive(&service, &a));
    assert_eq!(client(&service, &a)["gone_at_ms"], json!(null));
    assert!(!is_alive(&service, &b), "it was not named");
    let report = |hash: &str| json!({"reports": [{"client_hash": hash, "sequence": 1}]});
    peer.ask(REPORT, &report(&b));
    assert!(is_alive(&service, &b), "it reports");
    peer.ask(REPORT, &report(&gone));
    assert!(
        !is_alive(&service, &gone),
        "the goodbye overtook the report"
    );

    // Who was on the link is lost again; who only reported is heard of as over HTTP.
    drop(peer);
    wait_until("it is lost again", || !is_alive(&service, &a));
    let path = format!("/v1/clients/{a}/reports");
    assert_eq!(service.send("POST", &path, &json!({})).0, 204);
    assert!(is_alive(&service, &a));
}

#[test]
fn a_half_open_link_does_not_take_its_clients_along() {
    let service = service(&[]);
    let mut old = Peer::at(&service);
    let hash = old.register(&json!({}));
    let mut new = Peer::at(&service);
    new.resume(&hash);
    links_are(&service, 2);
    let push = || push(&service, &format!("client_hash={hash}"), "A", 1, 1);
    push();
    new.is_told(UPDATE, &told(&hash, 1, "A"));
    drop(old);
    links_are(&service, 1);
    assert!(is_alive(&service, &hash));
    push();
    new.is_told(UPDATE, &told(&hash, 2, "A"));

    // The other way round: the newer link ends first.
    let mut third = Peer::at(&service);
    third.resume(&hash);
    links_are(&service, 2);
    push();
    drop(third);
    links_are(&service, 1);
    assert!(is_alive(&service, &hash));
    // What it was told there it may not have read.
    new.is_told(UPDATE, &told(&hash, 3, "A"));
    push();
    new.is_told(UPDATE, &told(&hash, 4, "A"));
    drop(new);
    wait_until("the last link ended", || !is_alive(&service, &hash));
}

#[test]
fn who_is_on_very_many_links_leaves_the_oldest() {
    let service = service(&[]);
    let mut first = Peer::at(&service);
    let hash = first.register(&json!({}));
    let newer: Vec<_> = (0..8)
        .map(|_| {
            let mut peer = Peer::at(&service);
            peer.resume(&hash);
            peer
        })
        .collect();
    drop(newer);
    wait_until("the last of its links ended", || !is_alive(&service, &hash));
    assert!(first.is_there());
    first.resume(&hash);
    assert!(is_alive(&service, &hash));
}

#[test]
fn the_old_link_may_be_to_another_instance() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let db = ["--db", db.to_str().unwrap()];
    let (one, two) = (service(&db), service(&db));
    let mut old = Peer::at(&one);
    let (moves, stays) = (old.register(&json!({})), old.register(&json!({})));
    let mut new = Peer::at(&two);
    new.resume(&moves);
    drop(old);
    wait_until("the end of the old link is seen", || {
        !is_alive(&two, &stays)
    });
    assert!(is_alive(&one, &moves));
    drop(new);
    wait_until("the end of the new link is seen", || {
        !is_alive(&one, &moves)
    });
}
