//! Every subject, as the deployed SDKs and the library use it.

use serde_json::{Value, json};

use super::peer::{Peer, pair, registration};
use crate::common::{Service, wait_until};

fn client(service: &Service, hash: &str) -> Value {
    let (status, client) = service.get(&format!("/v1/clients/{hash}"));
    assert_eq!(status, 200, "{hash}");
    client
}

#[test]
fn a_deployed_sdk_is_met_as_it_expects() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let answer = peer.ask("internal.registerClient", &registration(&peer));
    let hash = answer["client_hash"].as_str().unwrap();
    let expected = json!({"account_name": "local", "learning_factor": 20, "client_hash": hash});
    assert_eq!(answer, expected, "and nothing else");
    assert!(
        hash.bytes().all(|b| b.is_ascii_alphanumeric()),
        "it has to fit into a subject: {hash}"
    );

    let mut starts = peer.listen(&format!("internal.startClient.{hash}"));
    let start = starts.next();
    let advice = json!({"compression.type": "zstd", "linger.ms": 100, "batch.size": 1_000_000});
    assert_eq!(
        start,
        json!({"start": true, "optimized_configuration": advice})
    );
    drop(starts);

    let topics = |producer: Value| {
        json!({"connection_id": 4, "producer_topics_partitions": producer,
               "consumer_group_topics_partitions": {}})
    };
    let subject = format!("internal_tasks.clientsUpdate.config.{hash}");
    peer.say(&subject, &topics(json!({})));
    peer.say(
        &subject,
        &topics(json!({"orders": [-1, 1, 0], "late": [-1]})),
    );
    peer.say(&subject, &topics(json!({"orders": [2]})));
    peer.say(
        &format!("internal_tasks.clientsUpdate.counters.{hash}"),
        &json!({"total_read_bytes_reduced": 0, "total_write_bytes_reduced": 0, "connection_id": 3}),
    );
    let told = json!({"client_hash": hash, "type": "producer"});
    peer.say("internal.clientTypeUpdate", &told);
    peer.say("internal.clientTypeUpdate", &told);
    let config = json!({"client_hash": hash, "config": {
        "bootstrap.servers": "b:9092", "compression.type": "zstd", "linger.ms": 100,
        "batch.size": 16384, "acks": -1,
    }});
    peer.say("internal.clientConfigUpdate", &config);
    peer.say_raw(
        "internal.clientErrors",
        format!(
            "[clientHash: {hash}] [sdk: python][version: 2.4.0.3][tags: ] error deserializing \
             data: Error parsing message"
        ),
    );
    wait_until("all of it is known", || {
        let known = client(&service, hash);
        known["type"] == "producer"
            && known["effective_config"]["acks"] == -1
            && known["producer_topics_partitions"] == json!({"orders": [-1, 0, 1, 2], "late": [-1]})
            && known["errors"][0]["error"] == "error deserializing data: Error parsing message"
            && known["reports_total"] == 3
    });
    let known = client(&service, hash);
    assert_eq!(known["connection_id"], 4, "as it told last");
    assert_eq!(known["alive"], true);
    assert_eq!(known["changed"], true);
    let changes = known["changes"].as_array().unwrap();
    let changed: Vec<_> = changes.iter().map(|change| &change["key"]).collect();
    assert_eq!(changed, ["compression.type", "linger.ms"], "{changes:?}");
    assert_eq!(known["refusals"][0]["key"], "batch.size");
    assert_eq!(known["client_host"], "app-1");
    let (_, list) = service.get("/v1/clients?type=producer");
    assert_eq!(
        list["clients"][0]["client_hash"], *hash,
        "the list knows its kind too"
    );
    assert_eq!(list["clients"][0]["type"], "producer");
}

#[test]
fn who_consumes_is_advised_as_a_consumer() {
    let (server, _service) = pair(&[]);
    let peer = Peer::at(&server);
    let mut told = registration(&peer);
    told["config"]["group.id"] = json!("g");
    let running = peer.run(&told, "consumer");
    assert_eq!(
        running.start,
        json!({"start": true}),
        "the rules advise producers"
    );
}

#[test]
fn the_same_registration_again_is_one_client() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let told = registration(&peer);
    let first = peer.register(&told);
    assert_eq!(peer.register(&told), first, "the answer was lost");
    let mut starts = peer.listen(&format!("internal.startClient.{first}"));
    assert_eq!(starts.next()["start"], true);

    let mut other = told.clone();
    other["config"]["client.id"] = json!("other");
    assert_ne!(peer.register(&other), first, "another configuration");
    other = told.clone();
    other["language"] = json!("go");
    assert_ne!(peer.register(&other), first, "another language");
    other = told.clone();
    other["nats_connection_id"] = json!("None:7");
    let unnamed = peer.register(&other);
    assert_ne!(
        peer.register(&other),
        unnamed,
        "a server without a name names nobody"
    );
    let (_, list) = service.get("/v1/clients");
    assert_eq!(list["clients"].as_array().unwrap().len(), 5);
}

#[test]
fn the_learning_factor_is_given_back() {
    let (server, _service) = pair(&[]);
    let peer = Peer::at(&server);
    let mut told = registration(&peer);
    for (factor, expected) in [(json!(7), 7), (json!(0), 0), (json!(20.0), 20)] {
        told["learning_factor"] = factor;
        let answer = peer.ask("internal.registerClient", &told);
        assert_eq!(answer["learning_factor"], expected);
    }
    told.as_object_mut().unwrap().remove("learning_factor");
    let answer = peer.ask("internal.registerClient", &told);
    assert_eq!(answer["learning_factor"], 20);
}

#[test]
fn who_has_an_id_is_told_everything_at_once() {
    let (server, service) = pair(&["--report-interval", "60s"]);
    let peer = Peer::at(&server);
    let told = json!({
        "nats_connection_id": peer.connection_id(), "registration_id": "one", "type": "producer",
        "language": "c", "version": "1", "config": {"client.id": "a"},
    });
    let answer = peer.ask("internal.registerClient", &told);
    assert_eq!(answer["start"], true, "{answer}");
    assert_eq!(answer["mode"], "active");
    assert_eq!(answer["report_interval_ms"], 60_000);
    assert_eq!(answer["optimized_configuration"]["linger.ms"], 100);
    let again = peer.ask("internal.registerClient", &told);
    assert_eq!(again, answer, "it is the same client");
    let mut second = told.clone();
    second["registration_id"] = json!("two");
    let other = peer.ask("internal.registerClient", &second);
    assert_ne!(other["client_hash"], answer["client_hash"]);

    let hash = answer["client_hash"].as_str().unwrap();
    let config = json!({"client_hash": hash, "config": {"linger.ms": "100"}, "mode": "active",
        "changes": [{"key": "linger.ms", "old": "5", "new": "100", "reason": "r"}]});
    assert_eq!(peer.ask("internal.clientConfigUpdate", &config), json!({}));
    let report = json!({"client_hash": hash, "sequence": 1,
        "producer_topics_partitions": {"t": [0]},
        "measured": {"duration_ms": 5, "topics": {"t": {"accepted": {"records": 1, "bytes": 2}}}}});
    let reports = json!({"reports": [report, {"client_hash": "nobody", "sequence": 1}]});
    let taken = peer.ask("internal_tasks.clientsUpdate.reports", &reports);
    assert_eq!(
        taken["reports"][0],
        json!({"client_hash": hash, "sequence": 1})
    );
    assert_eq!(taken["reports"][1]["unknown"], true);
    assert_eq!(taken["report_interval_ms"], 60_000);
    let error = format!("[clientHash: {hash}] [sdk: c][version: 1][tags: ] it went wrong");
    assert_eq!(peer.ask_raw("internal.clientErrors", error), b"{}");
    let empty: [u8; 0] = [];
    let goodbye = format!("internal_tasks.clientsUpdate.goodbye.{hash}");
    assert_eq!(peer.ask_raw(&goodbye, empty), b"{}");

    let known = client(&service, hash);
    assert_eq!(
        known["changes"][0]["reason"], "r",
        "what it tells itself is kept"
    );
    assert_eq!(known["measured"]["duration_ms"], 5);
    assert_eq!(known["errors"][0]["error"], "it went wrong");
    assert!(known["gone_at_ms"].is_i64() && known["alive"] == false);
}

#[test]
fn only_advice_is_wanted() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let answer = peer.ask(
        "internal.registerClient",
        &json!({"dry_run": true, "type": "producer"}),
    );
    assert_eq!(
        answer["optimized_configuration"]["linger.ms"], 100,
        "{answer}"
    );
    assert!(answer.get("client_hash").is_none());
    assert_eq!(service.get("/v1/clients").1["clients"], json!([]));
}

#[test]
fn reconnections_are_always_answered() {
    let (server, _service) = pair(&[]);
    let peer = Peer::at(&server);
    let hash = peer.register(&registration(&peer));
    let subject = "internal_tasks.clientReconnectionUpdate";
    let told = |hash: &str| json!({"new_nats_connection_id": "NAT1:9", "client_hash": hash});
    assert_eq!(peer.ask(subject, &told(&hash)), json!({}));
    assert_eq!(
        peer.ask(subject, &told("9f2c1e7a")),
        json!({}),
        "nobody knows it"
    );
    for payload in ["", "{}", "nonsense", "{\"client_hash\":5}", "[1]"] {
        assert_eq!(peer.ask_raw(subject, payload), b"{}", "{payload}");
    }
    let forgotten = peer.ask(subject, &told("0123456789abcdef0123456789abcdef"));
    assert_eq!(
        forgotten["status"], 404,
        "it is to register again: {forgotten}"
    );
}

#[test]
fn after_a_reconnection_a_registration_is_another() {
    let (server, _service) = pair(&[]);
    let peer = Peer::at(&server);
    let told = registration(&peer);
    let first = peer.register(&told);
    let moved = json!({"new_nats_connection_id": "NAT1:9", "client_hash": first});
    peer.ask("internal_tasks.clientReconnectionUpdate", &moved);
    assert_ne!(
        peer.register(&told),
        first,
        "its number was given to another"
    );
}

#[test]
fn schemas_are_not_learnt() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let running = peer.run(&registration(&peer), "producer");
    let hash = &running.hash;
    for sample in ["{\"a\":1}", "5", "null", "[]", "\"x\""] {
        peer.say_raw(&format!("internal.schema.learnSchema.{hash}"), sample);
    }
    peer.say_raw(&format!("internal_tasks.schema.registerSchema.{hash}"), "");
    for client in [hash.as_str(), "None", "nobody"] {
        let question = format!("internal.schema.getSchema.{client}");
        let answer = peer.ask(&question, &json!({"schema_id": "7"}));
        assert_eq!(answer, json!({"error": "schema not found"}), "{client}");
    }
    wait_until("all of it is counted", || {
        let metrics = metrics(&service);
        [
            "schema_sample\"} 5",
            "schema_question\"} 3",
            "schema_order\"} 1",
        ]
        .iter()
        .all(|line| metrics.contains(line))
    });
}

pub fn metrics(service: &Service) -> String {
    let token = crate::common::bearer(crate::common::TOKEN);
    service
        .raw("GET", "/metrics", &[("authorization", &token)], b"")
        .text
}

#[test]
fn what_is_wrong_is_said_and_nobody_is_ignored() {
    let (server, service) = pair(&[]);
    let peer = Peer::at(&server);
    let mut told = registration(&peer);
    told["tags"] = json!("x".repeat(20_000));
    let hash = peer.register(&told);
    let tags = client(&service, &hash)["tags"].clone();
    assert_eq!(tags, "x".repeat(16 * 1024), "who never asks again is cut");
    told["registration_id"] = json!("can ask again");
    let answer = peer.ask("internal.registerClient", &told);
    assert_eq!(answer["status"], 422, "{answer}");
    assert!(
        answer["error"].as_str().unwrap().contains("tags"),
        "{answer}"
    );
    assert_eq!(
        peer.ask("internal.registerClient", &json!([]))["status"],
        422
    );
    let answer = peer.ask_raw("internal.registerClient", "nonsense");
    assert!(String::from_utf8(answer).unwrap().contains("400"));
    let config = json!({"client_hash": "nobody", "config": {}});
    assert_eq!(
        peer.ask("internal.clientConfigUpdate", &config)["status"],
        404
    );
    let kind = json!({"client_hash": "nobody", "type": "robot"});
    assert_eq!(peer.ask("internal.clientTypeUpdate", &kind)["status"], 422);
    assert_eq!(
        peer.ask("internal_tasks.something", &json!({}))["status"],
        404
    );

    let before = service.get("/v1/clients").1;
    for subject in [
        "internal_tasks.clientsUpdate.config.None",
        "internal_tasks.clientsUpdate.counters.None",
        "internal_tasks.clientsUpdate.goodbye.None",
        "internal_tasks.schema.registerSchema.None",
    ] {
        assert_eq!(peer.ask(subject, &json!({}))["status"], 404, "{subject}");
    }
    for subject in ["internal.clientTypeUpdate", "internal.clientConfigUpdate"] {
        let told = json!({"client_hash": "None", "type": "producer", "config": {}});
        assert_eq!(peer.ask(subject, &told)["status"], 404, "{subject}");
    }
    peer.say_raw("internal.clientErrors", "[clientHash: None] words");
    peer.say_raw(
        "internal.clientErrors",
        "[sdk: python][version: 1][tags: ] words",
    );
    assert_eq!(service.get("/v1/clients").1, before);
}
