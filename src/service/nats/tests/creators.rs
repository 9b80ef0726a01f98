//! Creators that wait, with the session's own thread between them and the service.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_nats_server::{NatsServer, wait_until};
use superstream_protocol::{ClientKind, RegisterClient};

use super::service::{Service, address, soon};
use crate::report::record::Client;
use crate::service::nats::REGISTER;
use crate::service::session::{Asked, Session};
use crate::settings::{Endpoint, Reading, Settings};

fn settings(server: &NatsServer, timeout_ms: &str) -> Settings {
    let read = superstream_settings::parse(|name| match name {
        "SUPERSTREAM_HOST" => Some(format!("127.0.0.1:{}", server.port()).into()),
        "SUPERSTREAM_RESPONSE_TIMEOUT" => Some(timeout_ms.into()),
        _ => None,
    });
    let Reading::On { settings, .. } = read else {
        panic!("it is on");
    };
    assert_eq!(settings.endpoint, Endpoint::Nats(address(server.port())));
    *settings
}

fn client(id: &str) -> Arc<Client> {
    let registration = RegisterClient {
        registration_id: Some(id.to_owned()),
        ..RegisterClient::default()
    };
    let client = Client::new(registration, ClientKind::Producer, String::new());
    Arc::new(client)
}

/// A deployed service that names clients by their registrations.
fn deployed(server: &NatsServer) -> Service {
    Service::at(server, |subject, text| {
        let message: Value = serde_json::from_str(text).ok()?;
        let id = message["registration_id"]
            .as_str()
            .filter(|_| subject == REGISTER)?;
        Some(json!({"account_name": "a", "learning_factor": 20, "client_hash": format!("h{id}")}))
    })
}

fn start(service: &Service, id: usize) {
    let start = json!({"start": true, "optimized_configuration": {"linger.ms": id}});
    service.say(&format!("internal.startClient.h{id}"), &start.to_string());
}

fn linger(asked: &Asked) -> Option<u64> {
    let Asked::Answered(start) = asked else {
        return None;
    };
    start.optimized_configuration.as_ref()?["linger.ms"].as_u64()
}

/// None of them waits for the word of another one: all are registered before the first one has its.
#[test]
fn clients_that_are_created_at_once_wait_for_their_words_together() {
    const CLIENTS: usize = 40;
    let server = NatsServer::start();
    let service = deployed(&server);
    let session = Session::new(&settings(&server, "60000"), || {});
    let asked: Vec<Asked> = std::thread::scope(|scope| {
        let ask = |id: usize| {
            let session = &session;
            scope.spawn(move || session.ask(&client(&id.to_string()), soon()))
        };
        let creators: Vec<_> = (0..CLIENTS).map(ask).collect();
        wait_until("all of them registered", || {
            service.told(REGISTER).len() == CLIENTS
        });
        // The last one may not listen yet: a service says it again and again.
        wait_until("all of them started", || {
            (0..CLIENTS).rev().for_each(|id| start(&service, id));
            creators.iter().all(ScopedJoinHandle::is_finished)
        });
        let asked = creators.into_iter().map(|creator| creator.join());
        asked.map(Result::unwrap).collect()
    });
    for (id, asked) in asked.iter().enumerate() {
        assert_eq!(linger(asked), Some(id as u64), "{asked:?}");
    }
}

#[test]
fn a_word_that_is_lost_costs_one_client_its_advice() {
    let server = NatsServer::start();
    let service = deployed(&server);
    let session = Session::new(&settings(&server, "60000"), || {});
    let started = |name: &str, place: usize| {
        let asked = std::thread::scope(|scope| {
            let creator = scope.spawn(|| session.ask(&client(name), soon()));
            wait_until("its start", || {
                start(&service, place);
                creator.is_finished()
            });
            creator.join().unwrap()
        });
        assert_eq!(linger(&asked), Some(place as u64), "{asked:?}");
    };
    // By then there is a connection, and the next one's name comes at once.
    started("0", 0);
    let brief = Instant::now() + Duration::from_secs(5);
    let asked = session.ask(&client("1"), brief);
    assert!(matches!(asked, Asked::Nothing(_)), "{asked:?}");
    started("2", 2);
}
