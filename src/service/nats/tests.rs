//! Against the real nats-server, with the deployed service and with our own: what they are told, and what
//! they answer.

mod away;
mod creators;
mod service;

use serde_json::{Value, json};
use superstream_nats_server::{NatsServer, wait_until};
use superstream_protocol::{ClientKind, Registered};

use self::service::{MOVED, Service, address, connect, soon};
use super::*;
use crate::service::scripted::{config, hear};

fn nats(server: &NatsServer, token: Option<&str>) -> Nats {
    let token = token.map(|text| Token::parse(text).unwrap());
    Nats::new(&address(server.port()), token, Duration::from_secs(60))
}

fn registration() -> RegisterClient {
    RegisterClient {
        registration_id: Some("1".to_owned()),
        kind: Some(ClientKind::Producer),
        language: "c".to_owned(),
        version: "0.1.0".to_owned(),
        ..RegisterClient::default()
    }
}

fn register(nats: &mut Nats) -> Result<Registration, Failure> {
    nats.register(&registration(), Duration::from_secs(20))
}

fn report(client_hash: &str, partitions: &[i32]) -> Reports {
    Reports {
        reports: vec![ClientReport {
            client_hash: client_hash.to_owned(),
            sequence: 7,
            producer_topics_partitions: [("orders".to_owned(), partitions.to_vec())].into(),
            ..ClientReport::default()
        }],
    }
}

const ZSTD: &str = r#"{"type":"CompressionUpdate","payload":"eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWUsImNvbXByZXNzaW9uX3R5cGUiOiJ6c3RkIn0="}"#;

#[test]
fn the_deployed_service_is_told_what_its_own_clients_tell_it() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    let hash = "9f2c1e7a";
    let Registration::Named(registered) = register(&mut nats).unwrap() else {
        panic!("it is to say separately whether to start");
    };
    assert_eq!(registered.client_hash, hash);
    let told: Value = serde_json::from_str(&service.told(REGISTER)[0]).unwrap();
    let id = &server.connections().iter().find_map(|connection| {
        let is_ours =
            connection["name"] == concat!("superstream-librdkafka/", env!("CARGO_PKG_VERSION"));
        is_ours.then(|| connection["cid"].to_string())
    });
    let told_id = told["nats_connection_id"]
        .as_str()
        .unwrap()
        .rsplit_once(':');
    assert_eq!(told_id.map(|(_, id)| id.to_owned()), *id);

    service.say(
        "internal.startClient.9f2c1e7a",
        r#"{"start":false,"error":"wait"}"#,
    );
    let no = |heard: &Heard| matches!(heard, Heard::Start { start, .. } if !start.start);
    let heard = hear(&mut nats, "its word not to start", no);
    assert!(format!("{heard:?}").contains("wait"));
    service.say("internal.startClient.9f2c1e7a", "{");
    service.say(
        "internal.startClient.9f2c1e7a",
        r#"{"start":true,"optimized_configuration":{"linger.ms":100}}"#,
    );
    let yes = |heard: &Heard| matches!(heard, Heard::Start { start, .. } if start.start);
    let heard = hear(&mut nats, "its word to start", yes);
    assert!(format!("{heard:?}").contains("linger.ms"), "{heard:?}");

    let engines_names = ClientConfigUpdate {
        config: json!({"queue.buffering.max.ms": "50", "acks": "1", "request.required.acks": "2",
            "message.timeout.ms": "9"})
        .as_object()
        .cloned()
        .unwrap(),
        ..config(hash)
    };
    nats.configure(&engines_names).unwrap();
    let topics = format!("{TOPICS}{hash}");
    wait_until("the configuration", || service.told(&topics).len() == 1);
    assert_eq!(
        service.told(KIND),
        [r#"{"client_hash":"9f2c1e7a","type":"producer"}"#]
    );
    let told: Vec<Value> = service
        .told(CONFIG)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let both = json!({
        "queue.buffering.max.ms": "50", "linger.ms": "50", "acks": "1", "request.required.acks": "2",
        "message.timeout.ms": "9", "delivery.timeout.ms": "9",
    });
    assert_eq!((told.len(), &told[0]["config"]), (1, &both));
    for _ in 0..2 {
        let taken = nats.report(&report(hash, &[0, 1])).unwrap();
        assert_eq!(taken.reports[0].sequence, 7);
        assert_eq!(taken.report_interval_ms, Some(600_000));
    }
    nats.error(&ClientError {
        client_hash: hash.to_owned(),
        error: "an error".to_owned(),
    })
    .unwrap();
    wait_until("the error", || !service.told(ERRORS).is_empty());
    assert_eq!(
        service.told(ERRORS),
        ["[clientHash: 9f2c1e7a] [sdk: c][version: 0.1.0][tags: ] an error"]
    );
    let told = service.told(&topics);
    assert_eq!(
        told.len(),
        2,
        "what has not changed is not told again: {told:?}"
    );
    assert!(told[1].contains(r#"{"orders":[0,1]}"#));

    service.say("internal.updates.9f2c1e7a", ZSTD);
    let is_codec = |heard: &Heard| matches!(heard, Heard::Codec { codec: "zstd", .. });
    hear(&mut nats, "the update", is_codec);
    nats.goodbye(hash, "1").unwrap();
    assert!(nats.known.is_empty());
}

#[test]
fn our_service_answers_everything() {
    let server = NatsServer::start();
    let service = Service::ours(&server);
    let mut nats = nats(&server, Some("a-token"));
    let Registration::Answered(registered) = register(&mut nats).unwrap() else {
        panic!("it has the word to start in it");
    };
    let Registered { start, .. } = registered;
    assert_eq!(start.optimized_configuration.unwrap()["linger.ms"], 100);
    let refused = Failure::Refused("422 no such mode".to_owned());
    assert_eq!(nats.configure(&config("h")), Err(refused));
    let taken = nats.report(&report("h", &[0])).unwrap();
    assert_eq!(taken.reports[0].sequence, 7);
    let error = |error: &str| ClientError {
        client_hash: "h".to_owned(),
        error: error.to_owned(),
    };
    assert_eq!(nats.error(&error("an error")), Ok(Said::Yes));
    let busy = Failure::Failed("429 later".to_owned());
    assert_eq!(nats.error(&error("busy")), Err(busy));
    assert_eq!(nats.goodbye("h", "1"), Ok(Said::Yes));
    assert_eq!(service.told("internal_tasks.clientsUpdate.goodbye.h"), [""]);
    assert!(service.told(KIND).is_empty());
    // Of what it does not know it says nothing.
    assert_eq!(nats.configure(&config("h")), Ok(Said::Nothing));
    assert_eq!(nats.error(&error("an error")), Ok(Said::Nothing));
    assert!(nats.report(&report("h", &[0])).unwrap().reports[0].unknown);
}

#[test]
fn a_client_moves_to_the_next_connection() {
    let mut server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    drop(service);
    server.kill();
    wait_until("the end of the connection", || {
        nats.look().is_err() || nats.link.current().is_none()
    });
    assert!(nats.look_at().is_some());
    server.start_again();
    let service = Service::deployed(&server);
    hear(&mut nats, "the service again", |heard| {
        *heard == Heard::Reached
    });
    // Where the answer is long in coming it is told again, and not once that is there.
    let told = service.told(MOVED);
    let moved: Value = serde_json::from_str(&told[0]).unwrap();
    assert_eq!(moved["client_hash"], "9f2c1e7a");
    let id = moved["new_nats_connection_id"].as_str().unwrap();
    assert!(id.contains(':'), "{id}");

    service.say("internal.updates.9f2c1e7a", ZSTD);
    hear(&mut nats, "the update", |heard| {
        matches!(heard, Heard::Codec { .. })
    });
    assert_eq!(service.told(MOVED), told);
}

#[test]
fn one_that_our_service_does_not_know_any_more_is_to_register_again() {
    let mut server = NatsServer::start();
    let service = Service::ours(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    drop(service);
    server.start_again();
    let _service = Service::ours(&server);
    let unknown = Heard::Unknown {
        client_hash: "h".to_owned(),
    };
    hear(&mut nats, "that it is not known", |heard| *heard == unknown);
    assert!(nats.known.is_empty());
    assert!(register(&mut nats).is_ok());
}

/// The deployed service sees by the end of the connection that its clients are gone.
#[test]
fn a_connection_that_serves_nobody_is_closed_after_a_while() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    service.say("internal.startClient.9f2c1e7a", r#"{"start":true}"#);
    hear(&mut nats, "its word", |heard| {
        matches!(heard, Heard::Start { .. })
    });
    nats.goodbye("9f2c1e7a", "1").unwrap();
    nats.look().unwrap();
    assert!(
        nats.link.current().is_some(),
        "the next client may come soon"
    );
    assert!(nats.look_at().is_some_and(|at| at > Instant::now()));
    nats.unasked.idle_since = Instant::now().checked_sub(unasked::IDLE);
    nats.look().unwrap();
    assert_eq!((nats.link.current(), nats.look_at()), (None, None));
    let is_gone = || server.connections().len() == 1;
    wait_until("its end at the server", is_gone);
    assert!(register(&mut nats).is_ok());
}

/// What was said over a connection that has just broken is said again, over another one.
#[test]
fn a_connection_that_broke_costs_no_message() {
    let mut server = NatsServer::start();
    let service = Service::ours(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    drop(service);
    server.start_again();
    let _service = Service::ours(&server);
    assert!(register(&mut nats).is_ok());
}

#[test]
fn a_service_that_is_not_there_is_found_out_at_once() {
    let mut server = NatsServer::start();
    let mut nats = nats(&server, None);
    let failure = register(&mut nats).unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    server.kill();
    let failure = register(&mut nats).unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    assert_eq!(nats.look_at(), None, "there is nothing to look for");
}

#[test]
fn a_token_is_refused_in_words_that_do_not_show_it() {
    let server = NatsServer::with(
        r#"authorization { timeout: 60, user: superstream_internal, password: "right-token" }"#,
    );
    let failure = register(&mut nats(&server, Some("wrong-token"))).unwrap_err();
    let Failure::Refused(reason) = failure else {
        panic!("another try would not help: {failure:?}");
    };
    assert!(reason.contains("Authorization Violation"), "{reason}");
    assert!(!reason.contains("wrong-token"), "{reason}");
    // The right one is let in, and finds nobody.
    let failure = register(&mut nats(&server, Some("right-token"))).unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    let server = NatsServer::with(
        "authorization { timeout: 60, user: superstream_internal, password: no-auth }",
    );
    let failure = register(&mut nats(&server, None)).unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
}

/// A look takes its part of a flood, and no more.
#[test]
fn a_flood_does_not_keep_a_look() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    nats.look().unwrap();
    let mut connection = connect(server.port());
    for _ in 0..10_000 {
        let subject = "internal.updates.9f2c1e7a";
        connection
            .publish(subject, None, ZSTD.as_bytes(), soon())
            .unwrap();
    }
    connection.flush(soon()).unwrap();
    assert!(nats.look().unwrap().len() <= 64);
    assert_eq!(nats.configure(&config("9f2c1e7a")), Ok(Said::Yes));
    drop(service);
}

/// Nonsense is told once in a while, however much of it comes.
#[test]
fn an_update_that_is_none_is_told() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    nats.look().unwrap();
    for _ in 0..3 {
        service.say("internal.updates.9f2c1e7a", "nonsense");
    }
    service.say("internal.updates.9f2c1e7a", ZSTD);
    let mut nonsense = 0;
    wait_until("the update", || {
        let heard = nats.look().unwrap();
        let is_nonsense = |heard: &&Heard| matches!(heard, Heard::Nonsense { .. });
        nonsense += heard.iter().filter(is_nonsense).count();
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::Codec { .. }))
    });
    assert_eq!(nonsense, 1);
}

/// What is not allowed concerns itself alone.
#[test]
fn a_subject_that_is_forbidden_is_refused_alone() {
    let server = NatsServer::with(
        r#"authorization { timeout: 60, users: [
            {user: superstream_internal, password: no-auth, permissions: {
                publish: {deny: ["internal.clientErrors"]},
                subscribe: {deny: ["internal.updates.*"]}}},
            {user: service, password: ""}
        ] }
        no_auth_user: service"#,
    );
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    register(&mut nats).unwrap();
    nats.look().unwrap();
    let error = ClientError {
        client_hash: "9f2c1e7a".to_owned(),
        error: "an error".to_owned(),
    };
    assert!(matches!(nats.error(&error), Err(Failure::Refused(_))));
    assert_eq!(nats.configure(&config("9f2c1e7a")), Ok(Said::Yes));
    drop(service);
}
