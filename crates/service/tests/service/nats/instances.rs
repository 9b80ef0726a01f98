//! Several instances side by side, over one database.

use serde_json::json;
use superstream_nats_server::NatsServer;

use super::peer::{Peer, registration, service_at};
use super::subjects::metrics;
use crate::common::{Service, log_file, wait_until};

fn share(server: &NatsServer, db: &std::path::Path) -> Service {
    service_at(server, &["--db", db.to_str().unwrap()])
}

/// How many messages an instance has taken.
fn taken(service: &Service) -> u64 {
    let metrics = metrics(service);
    let line = metrics.lines().find_map(|line| {
        line.strip_prefix("superstream_service_nats_outcomes_total{outcome=\"taken\"} ")
    });
    line.unwrap().parse().unwrap()
}

fn are_subscribed(server: &NatsServer, instances: usize) {
    wait_until("the instances listen", || {
        let connections = server.connections();
        let listen = connections.iter().filter(|connection| {
            connection["name"] == "superstream-service"
                && connection["subscriptions_list"]
                    .as_array()
                    .is_some_and(|s| s.len() >= 7)
        });
        listen.count() == instances
    });
}

#[test]
fn each_client_is_whole_whichever_instance_its_messages_come_to() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let server = NatsServer::start();
    let (one, mut two) = (share(&server, &db), share(&server, &db));
    are_subscribed(&server, 2);
    let peer = Peer::at(&server);
    let register = |n: u32| {
        let mut told = registration(&peer);
        told["config"]["client.id"] = json!(format!("client-{n}"));
        let running = peer.run(&told, "producer");
        let hash = running.hash.clone();
        let config = json!({"client_hash": hash, "config": {"acks": n}});
        peer.say("internal.clientConfigUpdate", &config);
        peer.say(
            &format!("internal_tasks.clientsUpdate.config.{hash}"),
            &json!({"producer_topics_partitions": {"t": [n]}}),
        );
        peer.say_raw(
            "internal.clientErrors",
            format!("[clientHash: {hash}] [sdk: python][version: 1][tags: ] error {n}"),
        );
        (n, running)
    };
    let is_whole = |service: &Service, n: u32, hash: &str| {
        let client = service.get(&format!("/v1/clients/{hash}")).1;
        client["type"] == "producer"
            && client["client_id"] == format!("client-{n}")
            && client["effective_config"]["acks"] == n
            && client["producer_topics_partitions"] == json!({"t": [n]})
            && client["errors"][0]["error"] == format!("error {n}")
            && client["alive"] == true
    };
    let clients: Vec<_> = (0..20).map(register).collect();
    for (n, running) in &clients {
        for service in [&one, &two] {
            wait_until("a client is whole, whomever one asks", || {
                is_whole(service, *n, &running.hash)
            });
        }
    }
    assert!(taken(&one) > 0 && taken(&two) > 0, "both have worked");

    two.signal("-KILL");
    two.child.wait().unwrap();
    are_subscribed(&server, 1);
    let clients: Vec<_> = (20..30).map(register).collect();
    for (n, running) in &clients {
        wait_until("the other goes on", || is_whole(&one, *n, &running.hash));
    }
}

#[test]
fn a_new_database_is_made_by_one_of_many() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        let log = |n: u32| dir.path().join(format!("log-{n}"));
        let started: Vec<_> = (0..4)
            .map(|n| {
                let (db, log) = (db.to_str().unwrap().to_owned(), log_file(&log(n)));
                std::thread::spawn(move || Service::start_logging(&["--db", &db], log))
            })
            .collect();
        let started = started.into_iter().zip(0..).map(|(service, n)| {
            let said = || std::fs::read_to_string(log(n)).unwrap();
            service.join().unwrap_or_else(|_| panic!("{}", said()))
        });
        let services: Vec<_> = started.collect();
        let hash = services[0].register(&json!({"type": "consumer"}));
        for service in &services {
            assert_eq!(service.get(&format!("/v1/clients/{hash}")).0, 200);
        }
    }
}

#[test]
fn who_stops_finishes_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let server = NatsServer::start();
    let (one, mut two) = (share(&server, &db), share(&server, &db));
    are_subscribed(&server, 2);
    let asking: Vec<_> = (0..4)
        .map(|peer| {
            let peer_of = Peer::at(&server);
            std::thread::spawn(move || {
                (0..100)
                    .map(|n| {
                        let id = format!("{peer}-{n}");
                        let told = json!({"registration_id": id, "type": "producer"});
                        peer_of.register(&told)
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    wait_until("the one that is to stop is busy", || taken(&two) > 5);
    two.signal("-TERM");
    assert_eq!(two.child.wait().unwrap().code(), Some(0));
    for asked in asking {
        for hash in asked.join().unwrap() {
            assert_eq!(one.get(&format!("/v1/clients/{hash}")).0, 200);
        }
    }
}
