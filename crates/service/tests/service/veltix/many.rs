//! What is said to many, or often.

use std::fs;

use rusqlite::Connection;
use serde_json::json;

use super::peer::{
    Peer, REGISTER, REPORT, REPORT_NOW, UPDATE, at_once, far, is_no, push, send_update, service,
    service_in, told,
};

#[test]
fn updates_for_many_are_all_told() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let registered: Vec<_> = (0..2_500).map(|_| peer.register(&json!({}))).collect();
    push(&service, "all=true", "All", 2_500, 2_500);
    let mut told: Vec<_> = (0..2_500)
        .map(|_| {
            let (code, _, update) = peer.next().unwrap();
            assert_eq!((code, &update["sequence"]), (UPDATE, &json!(1)));
            update["client_hash"].as_str().unwrap().to_owned()
        })
        .collect();
    told.sort();
    let mut all = registered;
    all.sort();
    assert!(told == all, "each once");
}

#[test]
fn the_updates_of_one_client_are_told_in_order() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let hash = peer.register(&json!({}));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    push(&service, &format!("client_hash={hash}"), "A", 1, 1);
                }
            });
        }
    });
    for sequence in 1..=400 {
        peer.is_told(UPDATE, &told(&hash, sequence, "A"));
    }
}

#[test]
fn who_fails_half_way_says_how_many_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let service = service_in(dir.path());
    let mut peer = Peer::at(&service);
    for _ in 0..150 {
        peer.register(&json!({}));
    }
    let store = Connection::open(path("db")).unwrap();
    let fail_after = |count: u32| {
        store
            .execute_batch(&format!(
                "DROP TRIGGER IF EXISTS full; CREATE TRIGGER full BEFORE INSERT ON updates \
                 WHEN (SELECT count(*) FROM updates) >= {count} \
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            ))
            .unwrap();
    };
    let failure = || {
        let (status, answer) = send_update(&service, "all=true", "A");
        assert_eq!(status, 500, "{answer}");
        answer["error"].as_str().unwrap().to_owned()
    };
    fail_after(0);
    let words = failure();
    assert!(words.contains("try again"), "{words}");
    fail_after(100);
    let words = failure();
    assert!(words.contains("made for 100 clients"), "{words}");
    assert!(words.contains("twice"), "{words}");
    let log = fs::read_to_string(path("log")).unwrap();
    assert!(log.contains("the disk is full"), "{log}");

    store.execute_batch("DROP TRIGGER full").unwrap();
    push(&service, "all=true", "B", 150, 150);
    let next = || {
        let (code, _, update) = peer.next().unwrap();
        assert_eq!(code, UPDATE);
        (
            update["type"].as_str().unwrap().to_owned(),
            update["sequence"].clone(),
        )
    };
    let all: Vec<_> = std::iter::repeat_with(next).take(250).collect();
    let count = |kind: &str, sequence: u64| {
        let meant = (kind.to_owned(), json!(sequence));
        all.iter().filter(|told| **told == meant).count()
    };
    assert_eq!(
        (count("A", 1), count("B", 2), count("B", 1)),
        (100, 100, 50)
    );
}

#[test]
fn many_processes_do_not_report_at_once() {
    let service = service(&[]);
    let mut peers = at_once(210, || {
        let mut peer = Peer::at(&service);
        let hash = peer.register(&json!({}));
        (peer, hash)
    });
    let asked = service.send("POST", "/v1/report-now?all=true", &json!({}));
    assert_eq!(asked, far(210, 210, 0));
    let mut said_at: Vec<_> = peers
        .iter_mut()
        .map(|(peer, hash)| {
            let (wish, said_at_ms) = peer.next_stamped().unwrap();
            assert_eq!(wish, (REPORT_NOW, json!({"client_hashes": [hash]})));
            said_at_ms
        })
        .collect();
    // The service itself tells when it spoke. It may be slow, and never too fast.
    said_at.sort_unstable();
    for next in [100, 200] {
        let pause = said_at[next] - said_at[next - 1];
        assert!(pause >= 95, "{pause} ms between the hundreds");
    }
}

#[test]
fn who_is_forgotten_leaves_room_on_the_link() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let service = service(&["--db", db.to_str().unwrap()]);
    let store = Connection::open(&db).unwrap();
    store
        .execute_batch(
            "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 10000) \
             INSERT INTO clients (hash, client_id, host, tags, registration, answer, mode, \
             registered_ms, seen_ms) SELECT n, '', '', '', '{}', '{}', 'active', \
             unixepoch() * 1000, unixepoch() * 1000 FROM n",
        )
        .unwrap();
    let names: Vec<_> = (1..=10_000).map(|n| n.to_string()).collect();
    let mut peer = Peer::at(&service);
    peer.comes_with(&names);
    is_no(&peer.ask(REGISTER, &json!({})), 422);

    store
        .execute("DELETE FROM clients WHERE hash = '1'", [])
        .unwrap();
    let report = json!({"reports": [{"client_hash": "1", "sequence": 1}]});
    let taken = peer.ask(REPORT, &report);
    assert_eq!(taken["reports"][0]["unknown"], true, "{taken}");
    peer.register(&json!({}));
}
