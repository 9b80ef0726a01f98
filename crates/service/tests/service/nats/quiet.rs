//! Clients that say nothing while they run: their start, what they are told, and their end.

use serde_json::{Value, json};
use superstream_nats_server::NatsServer;
use superstream_service::{InProcess, Options, nats};

use super::peer::{Peer, pair, registration, service_at};
use super::subjects::metrics;
use crate::common::{Service, wait_until};

fn is_alive(service: &Service, hash: &str) -> bool {
    service.get(&format!("/v1/clients/{hash}")).1["alive"] == true
}

fn is_gone(service: &Service, hash: &str) -> bool {
    service.get(&format!("/v1/clients/{hash}")).1["gone_at_ms"].is_i64()
}

/// Waits until a start has been said several times more that nobody hears.
fn said_in_vain(server: &NatsServer) {
    let said = || server.monitor("/varz")["in_msgs"].as_u64().unwrap();
    let before = said();
    wait_until("it is said again and again", || said() > before + 10);
}

#[test]
fn a_start_is_said_until_the_client_says_something_and_then_no_more() {
    let (server, _service) = pair(&["--report-interval", "1s"]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    // Nobody listens yet: whatever was said so far is lost.
    said_in_vain(&server);
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    assert_eq!(starts.next()["start"], true);
    let mut updates = peer.listen(&format!("internal.updates.{hash}"));
    let told = json!({"client_hash": hash, "type": "producer"});
    peer.say("internal.clientTypeUpdate", &told);
    // It is looked for from now on, and a start would be said more often than that.
    updates.next();
    starts.skip_what_came();
    for _ in 0..4 {
        assert_eq!(updates.next()["type"], "StillThere");
    }
    peer.say(&format!("internal.startClient.{hash}"), &json!("the end"));
    let mut said = starts.next();
    // One that was on its way when the client spoke.
    if said["start"] == true {
        said = starts.next();
    }
    assert_eq!(said, "the end");
}

#[test]
fn who_looks_at_everything_takes_no_start_from_anybody() {
    let (server, _service) = pair(&[]);
    let (peer, operator) = (Peer::at(&server), Peer::at(&server));
    let mut all = operator.listen("internal.startClient.>");
    let hash = peer.register(&registration(&peer));
    for _ in 0..10 {
        assert_eq!(all.next()["start"], true, "somebody else hears it");
    }
    drop(all);
    operator.round_trip();
    said_in_vain(&server);
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    assert_eq!(starts.next()["start"], true, "and the client does later");
}

#[test]
fn who_has_a_new_connection_and_was_not_started_is_started_there() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let again = json!({"new_nats_connection_id": "NAT1:9", "client_hash": hash});
    peer.ask("internal_tasks.clientReconnectionUpdate", &again);
    peer.say_raw(
        "internal.clientErrors",
        format!("[clientHash: {hash}] [sdk: python][version: 1][tags: ] no start"),
    );
    wait_until("the error is known", || {
        service.get(&format!("/v1/clients/{hash}")).1["errors"][0]["error"] == "no start"
    });
    // So the SDK goes on after each reconnection, whether it was started or not.
    peer.ask(
        &format!("internal_tasks.clientsUpdate.config.{hash}"),
        &json!({"connection_id": 3, "producer_topics_partitions": {},
                "consumer_group_topics_partitions": {}}),
    );
    said_in_vain(&server);
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    assert_eq!(starts.next()["start"], true);
}

#[test]
fn who_observes_is_given_no_advice() {
    let (server, service) = pair(&["--observe"]);
    let peer = Peer::at(&server);
    let running = peer.run(&registration(&peer), "producer");
    assert_eq!(running.start, json!({"start": true}));
    let config = json!({"client_hash": running.hash, "config": {"linger.ms": 100}});
    peer.ask("internal.clientConfigUpdate", &config);
    let client = service.get(&format!("/v1/clients/{}", running.hash)).1;
    assert_eq!(client["changed"], false, "{client}");
    assert_eq!(client["mode"], "observe");
}

#[test]
fn who_is_withheld_advice_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules");
    std::fs::write(&rules, "[[rule]]\nstart = false\nerror = \"not today\"\n").unwrap();
    let (server, _service) = pair(&["--rules", rules.to_str().unwrap()]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    assert_eq!(starts.next(), json!({"start": false, "error": "not today"}));
}

#[test]
fn who_says_nothing_is_alive_for_as_long_as_it_listens() {
    let (server, service) = pair(&["--report-interval", "1s"]);
    let watcher = Peer::at(&server);
    let peer = Peer::at(&server);
    let mut running = peer.run(&registration(&peer), "producer");
    let hash = running.hash.clone();
    // Two looks are longer than a client may be silent that reports.
    let looks: Vec<Value> = (0..6).map(|_| running.updates.next()).collect();
    assert!(
        looks.iter().all(|look| look["payload"] == "e30="),
        "{looks:?}"
    );
    wait_until("it is alive", || is_alive(&service, &hash));
    assert!(!is_gone(&service, &hash));
    drop(running);
    drop(peer);
    wait_until("it is gone with its connection", || {
        is_gone(&service, &hash)
    });
    assert!(!is_alive(&service, &hash));

    let again = json!({"new_nats_connection_id": "NAT1:9", "client_hash": hash});
    let _updates = watcher.listen(&format!("internal.updates.{hash}"));
    watcher.ask("internal_tasks.clientReconnectionUpdate", &again);
    wait_until("it was only away", || is_alive(&service, &hash));
    assert!(!is_gone(&service, &hash));
}

#[test]
fn who_looks_at_everything_keeps_nobody_alive() {
    let (server, service) = pair(&["--report-interval", "1s"]);
    let operator = Peer::at(&server);
    let peer = Peer::at(&server);
    let running = peer.run(&registration(&peer), "producer");
    let hash = running.hash.clone();
    wait_until("it is alive", || is_alive(&service, &hash));
    let all = operator.listen("internal.updates.>");
    drop(running);
    drop(peer);
    wait_until("it is not heard of", || !is_alive(&service, &hash));
    assert!(!is_gone(&service, &hash), "nobody knows");
    drop(all);
    wait_until("it is known to be gone", || is_gone(&service, &hash));
}

#[test]
fn who_took_its_start_and_said_nothing_is_alive_too() {
    let (server, service) = pair(&["--report-interval", "1s"]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    starts.next();
    drop(starts);
    let mut updates = peer.listen(&format!("internal.updates.{hash}"));
    assert_eq!(updates.next()["type"], "StillThere");
    wait_until("it is known to be there", || is_alive(&service, &hash));
}

#[test]
fn who_reports_is_not_looked_for() {
    let (server, service) = pair(&["--report-interval", "1s"]);
    let peer = Peer::at(&server);
    let own = peer.ask("internal.registerClient", &json!({"registration_id": "a"}));
    let own = own["client_hash"].as_str().unwrap();
    let mut updates = peer.listen(&format!("internal.updates.{own}"));
    // Somebody else is looked for meanwhile.
    let mut quiet = peer.run(&registration(&peer), "producer");
    for _ in 0..3 {
        quiet.updates.next();
    }
    peer.say(&format!("internal.updates.{own}"), &json!("the first"));
    assert_eq!(updates.next(), "the first");
    assert!(!is_gone(&service, own));
}

#[test]
fn updates_are_told_when_they_are_made_and_again_after_a_reconnection() {
    let server = NatsServer::start();
    let options = Options {
        nats: Some(nats::Options {
            url: server.url(),
            ..nats::Options::default()
        }),
        ..Options::default()
    };
    let service = InProcess::start(options).unwrap();
    let directory = service.directory().unwrap();
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let mut updates = peer.listen(&format!("internal.updates.{hash}"));
    let toggle = json!({"type": "ToggleReduction", "payload": "e30="});
    let codec = |codec: &str| json!({"type": "CompressionUpdate", "payload": codec});
    for update in [&toggle, &codec("bHo0"), &codec("enN0ZA==")] {
        let text = |name: &str| update[name].as_str().unwrap();
        directory
            .push_update(&hash, text("type"), text("payload"))
            .unwrap();
        assert_eq!(updates.next_update(), *update);
    }
    let again = json!({"new_nats_connection_id": "NAT1:9", "client_hash": hash});
    peer.ask("internal_tasks.clientReconnectionUpdate", &again);
    assert_eq!(updates.next_update(), toggle);
    assert_eq!(
        updates.next_update(),
        codec("enN0ZA=="),
        "what was before it is of no use"
    );

    let late = peer.register(&json!({"language": "late"}));
    directory
        .push_update(&late, "ToggleReduction", "e30=")
        .unwrap();
    let mut updates = peer.listen(&format!("internal.updates.{late}"));
    let told = json!({"client_hash": late, "type": "producer"});
    peer.say("internal.clientTypeUpdate", &told);
    assert_eq!(updates.next_update(), toggle, "it listens by now");
}

#[test]
fn whom_another_instance_registered_is_started_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let server = NatsServer::start();
    let arguments = ["--db", db.to_str().unwrap(), "--report-interval", "1s"];
    let mut first = service_at(&server, &arguments);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    first.signal("-KILL");
    first.child.wait().unwrap();
    let second = service_at(&server, &arguments);
    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    assert_eq!(starts.next()["start"], true);
    assert!(metrics(&second).contains("superstream_service_nats_up 1"));
}
