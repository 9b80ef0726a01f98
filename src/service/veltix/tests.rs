//! Against a scripted service on the Veltix server of the workspace.

mod away;
mod creators;
mod floods;
mod forks;
mod service;

use std::sync::Mutex;

use serde_json::{Value, json};
use superstream_nats_server::wait_until;
use superstream_protocol::link::{HELLO, REPORT_NOW, RESUME, UPDATE};
use superstream_protocol::{ClientKind, ClientReport};

use self::service::Service;
use super::*;
use crate::lock::lock;
use crate::service::bell::Bell;
use crate::service::scripted::{config, hear};

fn veltix_at(port: u16, token: Option<&str>) -> Veltix {
    let token = token.map(|text| Token::parse(text).unwrap());
    Veltix::new(
        &Address::new("127.0.0.1", port),
        token,
        Duration::from_secs(60),
    )
}

fn veltix(service: &Service) -> Veltix {
    veltix_at(service.port(), None)
}

fn registration(id: &str) -> RegisterClient {
    RegisterClient {
        registration_id: Some(id.to_owned()),
        kind: Some(ClientKind::Producer),
        ..RegisterClient::default()
    }
}

fn register(veltix: &mut Veltix, id: &str) -> Result<Registration, Failure> {
    veltix.register(&registration(id), Duration::from_secs(20))
}

fn error(client_hash: &str, error: &str) -> ClientError {
    ClientError {
        client_hash: client_hash.to_owned(),
        error: error.to_owned(),
    }
}

fn report(client_hash: &str) -> Reports {
    Reports {
        reports: vec![ClientReport {
            client_hash: client_hash.to_owned(),
            sequence: 7,
            ..ClientReport::default()
        }],
    }
}

/// Checks that these clients were said to be on the connection, and no others. Where the answer is long
/// in coming, it is said again.
#[track_caller]
fn assert_resumed(service: &Service, names: &[&str]) {
    let told = service.told(RESUME);
    let these = json!({ "client_hashes": names });
    assert!(
        !told.is_empty() && told.iter().all(|one| *one == these),
        "{told:?}"
    );
}

fn zstd(client_hash: &str) -> Value {
    codec_for(client_hash, "zstd")
}

fn codec_for(client_hash: &str, codec: &str) -> Value {
    let payload = match codec {
        "zstd" => "eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWUsImNvbXByZXNzaW9uX3R5cGUiOiJ6c3RkIn0=",
        _ => "eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWUsImNvbXByZXNzaW9uX3R5cGUiOiJsejQifQ==",
    };
    json!({"client_hash": client_hash, "sequence": 1, "type": "CompressionUpdate", "payload": payload})
}

#[test]
fn the_service_answers_everything() {
    let service = Service::with(|kind, message| match kind {
        CONFIGURE => Some(json!({"error": "no such mode", "status": 422})),
        ERROR if message["error"] == "busy" => Some(json!({"error": "later", "status": 429})),
        _ => service::answer(kind, message),
    });
    let mut veltix = veltix_at(service.port(), Some("a-token"));
    let Registration::Answered(registered) = register(&mut veltix, "1").unwrap() else {
        panic!("it has the word to start in it");
    };
    assert_eq!(registered.client_hash, "h1");
    assert_eq!(
        registered.start.optimized_configuration.unwrap()["linger.ms"],
        100
    );
    let hello = &service.told(HELLO)[0];
    assert_eq!(hello["token"], "a-token");
    let name = concat!("superstream-librdkafka/", env!("CARGO_PKG_VERSION"));
    assert_eq!(hello["sdk"], name);
    let refused = Failure::Refused("422 no such mode".to_owned());
    assert_eq!(veltix.configure(&config("h1")), Err(refused));
    let taken = veltix.report(&report("h1")).unwrap();
    assert_eq!(taken.reports[0].sequence, 7);
    assert_eq!(veltix.error(&error("h1", "an error")), Ok(Said::Yes));
    let busy = Failure::Failed("429 later".to_owned());
    assert_eq!(veltix.error(&error("h1", "busy")), Err(busy));
    assert_eq!(veltix.goodbye("h1", "1"), Ok(Said::Yes));
    assert_eq!(service.told(GOODBYE), [json!({"client_hash": "h1"})]);
    assert!(veltix.names.is_empty());
    let kinds = [HELLO, REGISTER, CONFIGURE, REPORT, ERROR, ERROR, GOODBYE];
    assert_eq!(service.kinds(), kinds, "over one connection");
}

#[test]
fn what_is_said_unasked_is_heard() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    service.say(UPDATE, &zstd("another"));
    service.say(UPDATE, &zstd("h1"));
    let codec = Heard::Codec {
        client_hash: "h1".to_owned(),
        codec: "zstd",
    };
    assert_eq!(hear(&mut veltix, "the update", |_| true), codec);
    service.say(REPORT_NOW, &json!({"client_hashes": ["h1"]}));
    let asked = Heard::ReportNow {
        client_hashes: Some(vec!["h1".to_owned()]),
    };
    assert_eq!(hear(&mut veltix, "what is asked for", |_| true), asked);
    service.say(999, &json!({}));
    service.say(REPORT_NOW, &json!({}));
    let asked = Heard::ReportNow {
        client_hashes: None,
    };
    assert_eq!(hear(&mut veltix, "what is asked of all", |_| true), asked);
}

#[test]
fn a_token_is_refused_in_words_that_do_not_show_it() {
    let service = Service::with(|_, message| {
        let token = message["token"].as_str().unwrap();
        Some(json!({"error": format!("{token} is wrong"), "status": 401}))
    });
    let failure = register(&mut veltix_at(service.port(), Some("wrong-token")), "1").unwrap_err();
    let refused = Failure::Refused("401 [masked] is wrong".to_owned());
    assert_eq!(failure, refused);
    assert_eq!(service.kinds(), [HELLO]);
}

#[test]
fn the_clients_of_a_connection_that_broke_are_on_the_next_one() {
    let service = Service::with(|kind, message| match kind {
        RESUME => Some(json!({"unknown": ["h1", "somebody"]})),
        _ => service::answer(kind, message),
    });
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    register(&mut veltix, "2").unwrap();
    service.break_off();
    let unknown = Heard::Unknown {
        client_hash: "h1".to_owned(),
    };
    hear(&mut veltix, "who is not known", |heard| *heard == unknown);
    assert_resumed(&service, &["h1", "h2"]);
    assert_eq!(veltix.names.all(), ["h2"]);
}

#[test]
fn a_service_that_is_not_there_is_found_out_at_once() {
    let port = Service::start().end();
    let mut veltix = veltix_at(port, None);
    let failure = register(&mut veltix, "1").unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    assert_eq!(veltix.look_at(), None, "there is nothing to look for");
}

/// What was said over a connection that has just broken is said again, over another one.
#[test]
fn a_connection_that_broke_costs_no_message() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let port = service.end();
    let service = Service::at(port, service::answer);
    assert!(register(&mut veltix, "2").is_ok());
    assert_eq!(service.kinds(), [HELLO, RESUME, REGISTER]);
}

/// Nothing else is due for long: the socket alone tells.
#[test]
fn what_is_said_shows_at_the_socket() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let (bell, mutex) = (Bell::default(), Mutex::new(()));
    wait_until("a look that finds nothing", || {
        veltix.look().unwrap();
        let far = Instant::now() + Duration::from_secs(10);
        veltix.look_at().is_some_and(|at| at > far)
    });
    service.say(UPDATE, &zstd("h1"));
    let watch = veltix.watch().unwrap();
    let state = lock(&mutex);
    bell.listen(Some(&watch));
    let (_state, shows) = bell.wait(&mutex, state, None, Some(&watch));
    assert!(shows);
}

/// A look takes its part of a flood, and looks their part of the thread.
#[test]
fn a_flood_keeps_nobody() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    for _ in 0..10_000 {
        service.say(UPDATE, &zstd("h1"));
    }
    assert!(veltix.look().unwrap().len() <= 64);
    assert_eq!(veltix.configure(&config("h1")), Ok(Said::Yes));
    let rests = (0..10_000).any(|_| {
        veltix.look().unwrap();
        let watch = veltix.watch().unwrap();
        watch.rests_until(Instant::now()).is_some()
    });
    assert!(rests, "it is looked at all the time");
    assert!(veltix.look_at().is_some());
}

/// Nonsense is told once in a while, however much of it comes.
#[test]
fn an_update_that_is_none_is_told() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    for _ in 0..3 {
        service.say(
            UPDATE,
            &json!({"client_hash": "h1", "type": "CompressionUpdate"}),
        );
        service.say(UPDATE, &json!("nonsense"));
        service.say(REPORT_NOW, &json!({"client_hashes": 1}));
    }
    service.say(UPDATE, &zstd("h1"));
    let mut heard = Vec::new();
    wait_until("the update", || {
        heard.extend(veltix.look().unwrap());
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::Codec { .. }))
    });
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(matches!(heard[0], Heard::Nonsense { .. }), "{heard:?}");
}

/// Of an error of our own nothing is left but the clients.
#[test]
fn a_client_that_reports_is_on_the_connection() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    veltix.report(&report("h1")).unwrap();
    hear(&mut veltix, "that it is told", |heard| {
        *heard == Heard::Reached
    });
    assert_resumed(&service, &["h1"]);
}
