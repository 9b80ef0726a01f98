//! What no honest client sends.

use serde_json::{Value, json};

use super::peer::{Peer, pair, registration};
use super::subjects::metrics;
use crate::common::wait_until;

#[test]
fn whatever_comes_is_answered_and_harms_nobody() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let deep = "[".repeat(100_000);
    let nested = format!(
        "{{\"config\":{}1{}}}",
        "{\"a\":".repeat(120),
        "}".repeat(120)
    );
    let huge = vec![b'x'; 1024 * 1024];
    let wide = format!("{{\"config\":{{{}}}}}", many_keys(20_000));
    let mut binary: Vec<u8> = (0..=255).collect();
    binary.extend(binary.clone());
    let payloads: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"null".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        b"{\"client_hash\":null,\"config\":null}".to_vec(),
        b"{\"client_hash\":[],\"type\":{}}".to_vec(),
        b"[clientHash: ".to_vec(),
        deep.into_bytes(),
        nested.into_bytes(),
        wide.into_bytes(),
        binary,
        huge,
    ];
    let subjects = [
        "internal.registerClient",
        "internal.clientConfigUpdate",
        "internal.clientTypeUpdate",
        "internal.clientErrors",
        "internal_tasks.clientReconnectionUpdate",
        "internal_tasks.clientsUpdate.reports",
        "internal_tasks",
        "internal_tasks.x",
        "internal_tasks.clientsUpdate.config",
        &format!("internal_tasks.clientsUpdate.config.{hash}"),
        &format!("internal_tasks.clientsUpdate.config.{hash}.more"),
        &format!("internal_tasks.clientsUpdate.counters.{hash}"),
        &format!("internal_tasks.clientsUpdate.goodbye.{}", "x".repeat(1_000)),
        &format!("internal.schema.learnSchema.{hash}"),
        &format!("internal.schema.getSchema.{hash}"),
        "internal.schema.x.y",
        "internal_tasks.clientsUpdate.config.\u{e9}\u{1F600}'\"%;--",
    ];
    for subject in subjects {
        for payload in &payloads {
            peer.say_raw(subject, payload.clone());
            if subject != "internal_tasks" {
                let answer = peer.ask_raw(subject, payload.clone());
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                assert!(answer.is_object(), "{subject}: {answer}");
            }
        }
    }
    let metrics = metrics(&service);
    assert!(metrics.contains("outcome=\"failed\"} 0"), "{metrics}");
    assert!(metrics.contains("outcome=\"dropped\"} 0"), "{metrics}");
    let other = peer.run(&registration(&peer), "producer");
    assert_eq!(service.get(&format!("/v1/clients/{}", other.hash)).0, 200);
}

fn many_keys(count: usize) -> String {
    let keys: Vec<_> = (0..count)
        .map(|n| format!("\"k{n}\":[{n},null,{{}}]"))
        .collect();
    keys.join(",")
}

#[test]
fn values_of_every_kind_are_kept() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let mut told = registration(&peer);
    told["tags"] = json!("no object");
    told["connection_id"] = json!(0);
    told["client_ip"] = json!("127.0.1.1");
    told["config"]["bootstrap.servers"] = json!(["a:1", "b:2"]);
    told["config"]["acks"] = json!(null);
    told["config"]["linger.ms"] = json!("5");
    told["config"]["nested"] = json!({"deep": [true, 1.5]});
    let hash = peer.register(&told);
    let client = service.get(&format!("/v1/clients/{hash}")).1;
    let mut expected = told["config"].clone();
    expected["superstream.token"] = json!("********");
    assert_eq!(client["registered_config"], expected);
}

#[test]
fn an_answer_never_becomes_a_question() {
    let (server, mut service) = pair(&[]);
    let peer = Peer::at(&server);
    let mut answers = peer.listen("internal.registerClient");
    let subject = "internal_tasks.clientReconnectionUpdate";
    peer.say_with_reply(subject, "internal.registerClient", "{}");
    wait_until("it was worked on", || {
        metrics(&service).contains("about=\"reconnection\"} 1")
    });
    // It finishes what it took, answers too.
    service.signal("-TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    peer.say("internal.registerClient", &json!("the first"));
    assert_eq!(answers.next(), "the first");
}

#[test]
fn a_flood_is_survived() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let sample = vec![b'x'; 512 * 1024];
    let subject = format!("internal.schema.learnSchema.{hash}");
    for _ in 0..400 {
        peer.say_raw(&subject, sample.clone());
    }
    let again = peer.run(&registration(&peer), "producer");
    assert_eq!(service.get(&format!("/v1/clients/{}", again.hash)).0, 200);
}
