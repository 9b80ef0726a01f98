//! The service over Veltix with a peer that is no library of ours: what it is shown, and what it is
//! told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_veltix::{
    Address, Connection, ConnectionOptions, Error, MessageType, Next, Request as Said, Response,
};

use super::links::{HELLO, REGISTER, REPORT_NOW, RESUME, UPDATE, Veltix};
use super::proxy::Greeting;
use super::{FaultService, Then, advise, raw, reply, silence};
use crate::driver::PATIENCE;
use crate::transports::Transport;

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn try_connect(service: &FaultService) -> Result<Connection, Error> {
    let address = Address::parse(&service.host).unwrap();
    Connection::open(&address, &ConnectionOptions::default(), soon())
}

/// A process with a token, that has been let in.
fn connect(service: &FaultService) -> Connection {
    let mut peer = try_connect(service).unwrap();
    let hello = json!({"token": "the-token", "sdk": "a test"});
    assert_eq!(ask(&mut peer, HELLO, &hello), json!({}));
    peer
}

fn ask(peer: &mut Connection, code: u16, content: &Value) -> Value {
    let said = Said::new(MessageType::of(code), content.to_string());
    let answer = peer.send_and_wait(&said, soon()).unwrap();
    assert_eq!(answer.message_type.code(), code);
    serde_json::from_slice(&answer.content).unwrap()
}

fn next(peer: &mut Connection) -> Response {
    match peer.next(soon()).unwrap() {
        Next::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_shown_as_requests_and_answered_as_such() {
    let service = Transport::Veltix.advising(json!({"linger.ms": 50}));
    let mut peer = connect(&service);
    let registered = ask(&mut peer, REGISTER, &json!({"type": "producer"}));
    assert_eq!(registered["client_hash"], "client-0");
    assert_eq!(registered["optimized_configuration"]["linger.ms"], 50);
    let report = json!({"client_hash": "client-0", "sequence": 1});
    let taken = ask(&mut peer, 203, &json!({"reports": [report]}));
    assert_eq!(taken["reports"][0], report);
    let of_client = json!({"client_hash": "client-0"});
    for code in [202, 204, 205] {
        assert_eq!(ask(&mut peer, code, &of_client), json!({}));
    }
    let requests = service.requests();
    let shown: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    let expected = [
        "POST /v1/clients",
        "POST /v1/reports",
        "PUT /v1/clients/client-0/config",
        "POST /v1/clients/client-0/errors",
        "DELETE /v1/clients/client-0",
    ];
    assert_eq!(shown, expected);
    for request in requests {
        assert_eq!(request.headers["authorization"], "Bearer the-token");
    }
    let (carriers, rest) = service.around_the_token();
    assert!(carriers[0].contains("the-token") && !rest.contains("the-token"));
}

#[test]
fn who_does_not_say_who_it_is_is_not_heard() {
    let service = Transport::Veltix.advising(json!({}));
    let mut peer = try_connect(&service).unwrap();
    let answer = ask(&mut peer, REGISTER, &json!({}));
    assert_eq!(answer["status"], 401);
    assert_eq!(service.requests().len(), 0);

    let no = json!({"error": "no such token", "status": 403});
    let told = no.clone();
    let veltix = Veltix::new().welcoming(move |_, _| told.clone());
    let service = FaultService::over_veltix(veltix, |request, stream| {
        advise(request, stream, &json!({}))
    });
    let mut peer = try_connect(&service).unwrap();
    assert_eq!(ask(&mut peer, HELLO, &json!({"token": "x"})), no);
    assert_eq!(ask(&mut peer, REGISTER, &json!({}))["status"], 401);
}

#[test]
fn a_refusal_has_the_status_of_http() {
    let service = Transport::Veltix
        .serve(|_, stream| reply(stream, "403 Forbidden", "{\"error\":\"not you\"}"));
    let answer = ask(&mut connect(&service), REGISTER, &json!({}));
    assert_eq!(answer, json!({"error": "not you", "status": 403}));
}

#[test]
fn a_client_is_told_something_where_it_is() {
    let service = Transport::Veltix.advising(json!({}));
    let mut others = connect(&service);
    ask(&mut others, REGISTER, &json!({}));
    let mut peer = connect(&service);
    ask(&mut peer, REGISTER, &json!({}));
    service.tell("client-1", &json!({"type": "X"}).to_string());
    let update = next(&mut peer);
    let content: Value = serde_json::from_slice(&update.content).unwrap();
    assert_eq!(update.message_type.code(), UPDATE);
    assert_eq!(
        content,
        json!({"client_hash": "client-1", "sequence": 1, "type": "X"})
    );
    service.tell("client-1", "garbage");
    assert_eq!(next(&mut peer).content, b"garbage");
    service.links().all()[1].report_now(&json!({})).unwrap();
    assert_eq!(next(&mut peer).message_type.code(), REPORT_NOW);

    // On a link that follows one that broke.
    service.links().all()[1].reset();
    service.wait_until("its end", || service.links().all()[1].is_over());
    let mut peer = connect(&service);
    let named = json!({"client_hashes": ["client-1"]});
    assert_eq!(ask(&mut peer, RESUME, &named), json!({"unknown": []}));
    assert_eq!(
        service.links().all()[2].resumptions(),
        [json!(["client-1"])]
    );
    service.tell("client-1", "more");
    assert_eq!(next(&mut peer).content, b"more");
}

#[test]
fn a_client_is_asked_whether_it_is_there_and_the_end_is_seen() {
    let service = Transport::Veltix.advising(json!({}));
    let mut peer = connect(&service);
    let link = service.links().only();
    link.ping().unwrap();
    ask(&mut peer, REGISTER, &json!({}));
    service.wait_until("its answer", || link.pongs() == 1);
    assert!(!link.is_over());
    drop(peer);
    service.wait_until("its end", || link.is_over());
}

#[test]
fn scripts_say_what_they_like() {
    let service = Transport::Veltix.serve(|request, stream| match request.registrations_before {
        0 => {
            let frame = stream.frame(b"{}");
            raw(stream, &frame[..frame.len() - 1])
        }
        1 => raw(stream, b"lolwut\r\n"),
        2 => Ok(Then::Reset),
        3 => {
            let frame = stream.frame(b"[]");
            stream.write_all(&frame)?;
            Ok(Then::KeepAlive)
        }
        _ => silence(),
    });
    for _ in 0..3 {
        let said = Said::new(MessageType::of(REGISTER), "{}");
        let answer = connect(&service).send_and_wait(&said, soon());
        assert!(matches!(answer, Err(Error::Closed(_))), "{answer:?}");
    }
    let mut peer = connect(&service);
    assert_eq!(ask(&mut peer, REGISTER, &json!({})), json!([]));
    let said = Said::new(MessageType::of(REGISTER), "{}");
    let briefly = Instant::now() + Duration::from_millis(50);
    let answer = peer.send_and_wait(&said, briefly);
    assert!(matches!(answer, Err(Error::TimedOut)), "{answer:?}");
    // Meanwhile the link is as well as ever.
    peer.ping(soon()).unwrap();
    assert_eq!(service.connections(), 4);
}

#[test]
fn connections_are_greeted() {
    for greeting in [
        Greeting::Close,
        Greeting::Reset,
        Greeting::PassThenClose(10),
    ] {
        let greet = Arc::new(move |_: usize, _: &mut _| Ok(greeting));
        let veltix = Veltix {
            greet,
            ..Veltix::new()
        };
        let service = FaultService::over_veltix(veltix, |_, _| silence());
        assert!(try_connect(&service).is_err(), "{greeting:?}");
        assert_eq!(service.connections(), 1);
        service.links().greet(|_, _| Ok(Greeting::PassSlowly));
        connect(&service);
    }
}
