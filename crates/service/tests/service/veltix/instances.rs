//! Several instances side by side, over one database.

use std::fs;

use serde_json::{Value, json};

use super::peer::{Peer, REPORT_NOW, UPDATE, far, is_alive, push, send_update, service, told};
use crate::common::{Service, wait_until};

#[test]
fn whichever_instance_is_asked_the_one_with_the_link_tells() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let db = ["--db", db.to_str().unwrap()];
    // The third has no links.
    let (one, two, three) = (service(&db), service(&db), Service::start(&db));
    let (mut near, mut far_off) = (Peer::at(&two), Peer::at(&one));
    let (a, b) = (
        near.register(&json!({"type": "producer"})),
        far_off.register(&json!({"type": "producer"})),
    );
    let c = far_off.register(&json!({"type": "consumer"}));
    // One that has to ask.
    two.register(&json!({"type": "producer"}));

    assert_eq!(send_update(&two, "type=producer", "A"), far(3, 1, 1));
    near.is_told(UPDATE, &told(&a, 1, "A"));
    far_off.is_told(UPDATE, &told(&b, 1, "A"));
    assert_eq!(send_update(&three, "type=producer", "B"), far(3, 0, 2));
    // What they have is not told again.
    near.is_told(UPDATE, &told(&a, 2, "B"));
    far_off.is_told(UPDATE, &told(&b, 2, "B"));

    let wish = |service: &Service, query: &str| {
        service.send("POST", &format!("/v1/report-now?{query}"), &json!({}))
    };
    assert_eq!(wish(&two, "type=producer"), far(3, 1, 1));
    near.is_told(REPORT_NOW, &json!({"client_hashes": [a]}));
    // The second update may have come while the instance told of the first: then it comes twice.
    let mut hears = |code: u16, content: Value| {
        let all = std::iter::repeat_with(|| far_off.next().unwrap());
        let mut news = all.filter(|(_, _, words)| *words != told(&b, 2, "B"));
        let heard = news.next().map(|(code, _, words)| (code, words));
        assert_eq!(heard, Some((code, content)));
    };
    hears(REPORT_NOW, json!({"client_hashes": [b]}));
    assert_eq!(wish(&three, &format!("client_hash={c}")), far(1, 0, 1));
    hears(REPORT_NOW, json!({"client_hashes": [c]}));
    // Each of them once.
    push(&one, &format!("client_hash={c}"), "C", 1, 1);
    hears(UPDATE, told(&c, 1, "C"));
}

#[test]
fn who_moves_meanwhile_is_told_where_it_is_then() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let db = ["--db", db.to_str().unwrap()];
    let (mut one, two) = (service(&db), service(&db));
    let mut peer = Peer::at(&one);
    let hash = peer.register(&json!({}));
    one.signal("-KILL");
    one.child.wait().unwrap();
    // Nobody has told the database that it is no more.
    let query = format!("client_hash={hash}");
    assert_eq!(send_update(&two, &query, "A"), far(1, 0, 1));
    let path = format!("/v1/report-now?{query}");
    assert_eq!(two.send("POST", &path, &json!({})), far(1, 0, 1));

    let mut peer = Peer::at(&two);
    peer.resume(&hash);
    // In either order.
    let mut waited = [peer.told(), peer.told()];
    waited.sort_by_key(|(code, _)| *code);
    let update = (UPDATE, told(&hash, 1, "A"));
    let wish = (REPORT_NOW, json!({"client_hashes": [hash]}));
    assert_eq!(waited, [update, wish]);
    push(&two, &query, "B", 1, 1);
    peer.is_told(UPDATE, &told(&hash, 2, "B"));
    drop(peer);
    wait_until("its end is seen", || !is_alive(&two, &hash));
    push(&two, &query, "C", 1, 0);
}

#[test]
fn each_instance_follows_its_rules_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let linger = |ms: u32| format!("[[rule]]\n[rule.configuration]\n\"linger.ms\" = {ms}\n");
    fs::write(path("rules"), linger(1)).unwrap();
    let start = || service(&["--db", &path("db"), "--rules", &path("rules")]);
    let (one, two) = (start(), start());
    let mut peers = [Peer::at(&one), Peer::at(&two)];
    for peer in &mut peers {
        peer.register(&json!({"type": "producer"}));
    }
    fs::write(path("rules"), linger(2)).unwrap();
    for peer in &mut peers {
        peer.is_told(REPORT_NOW, &json!({}));
    }
}
