//! Services that end, and others that come after them.

use std::collections::HashSet;

use serde_json::json;

use super::peer::{Peer, REGISTER, RESUME, client, is_alive, service};
use crate::common::{program, wait_until};

#[test]
fn who_stops_answers_what_came() {
    let mut service = service(&[]);
    let mut peer = Peer::at(&service);
    let mut asked: HashSet<_> = (0..100)
        .map(|n| peer.say(REGISTER, &json!({"registration_id": n.to_string()})))
        .collect();
    service.signal("-TERM");
    while !asked.is_empty() {
        let (code, id, answer) = peer.next().unwrap();
        assert!(code == REGISTER && asked.remove(&id), "{answer}");
        assert!(answer["client_hash"].is_string(), "{answer}");
    }
    peer.is_closed();
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_restart_loses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let db = ["--db", db.to_str().unwrap()];
    for signal in ["-TERM", "-KILL"] {
        let mut first = service(&db);
        let mut peer = Peer::at(&first);
        let hash = peer.register(&json!({"tags": "{\"team\":\"payments\"}"}));
        first.signal(signal);
        first.child.wait().unwrap();
        peer.is_closed();

        let second = service(&db);
        assert!(is_alive(&second, &hash), "{signal}: it runs");
        let mut peer = Peer::at(&second);
        peer.resume(&hash);
        drop(peer);
        wait_until("the new one sees its end", || !is_alive(&second, &hash));
        let mut peer = Peer::at(&second);
        peer.resume(&hash);
        assert_eq!(client(&second, &hash)["alive"], true);
    }
}

#[test]
fn who_has_forgotten_a_client_says_so() {
    let mut first = service(&[]);
    let mut peer = Peer::at(&first);
    let hash = peer.register(&json!({}));
    first.signal("-TERM");
    first.child.wait().unwrap();
    let second = service(&[]);
    let mut peer = Peer::at(&second);
    let resume = json!({"client_hashes": [hash]});
    assert_eq!(peer.ask(RESUME, &resume), json!({"unknown": [hash]}));
}

#[test]
fn an_address_that_cannot_be_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for address in [taken.as_str(), "nonsense", ":0", "127.0.0.1:99999"] {
        let output = program()
            .args(["--listen", "127.0.0.1:0", "--veltix", address])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{address}: {said}");
        assert!(said.contains("Veltix") && said.contains(address), "{said}");
        assert!(output.stdout.is_empty(), "{address}");
    }
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--veltix"));
}
