//! Greetings: who is let in, who is not, and what both sides learn of it.

use std::sync::mpsc::channel;
use std::time::Duration;

use superstream_veltix::frames::Wire;
use superstream_veltix::{CloseReason, Error, MessageType, RequestId};

use crate::support::*;

fn hello(version: &str) -> Vec<u8> {
    let mut payload = (version.len() as u16).to_be_bytes().to_vec();
    payload.extend_from_slice(version.as_bytes());
    payload
}

#[test]
fn a_server_greets_first_and_lets_in_who_answers_its_greeting() {
    let server = echo_server();
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    let mut raw = Raw::connect(port(&server));
    let greeting = raw.frame();
    assert_eq!(greeting.message_type, MessageType::HELLO);
    assert_eq!(greeting.payload, hello("1.6.3"));
    assert!(server.clients().is_empty(), "not before it answered");
    raw.send(MessageType::HELLO_ACK, greeting.id, &hello("1.6.3"));
    let client = next(&connected);
    assert_eq!(client.addr(), raw.socket.local_addr().unwrap());
    assert!(client.handshake_done());
    assert!(raw.echoes());
}

#[test]
fn a_server_refuses_other_versions_and_answers_to_other_greetings() {
    let server = echo_server();
    for (version, id_change) in [("9.9.9", 0), ("2.0.0rc1", 0), ("", 0), ("1.6.3", 1)] {
        let mut raw = Raw::connect(port(&server));
        let id = RequestId(raw.frame().id.0 ^ id_change);
        raw.send(MessageType::HELLO_ACK, id, &hello(version));
        assert!(raw.closed(), "{version}");
    }
    // Any frame with the greeting's id would do for the Python library.
    let mut raw = Raw::connect(port(&server));
    let id = raw.frame().id;
    raw.send(CHAT, id, b"no answer to a greeting");
    raw.send(MessageType::PING, RequestId(9), b"");
    assert_eq!(raw.frame().id, RequestId(9), "both were read");
    assert!(server.clients().is_empty());
}

#[test]
fn a_peer_that_does_not_answer_the_greeting_is_not_kept() {
    let server = server_with(|config| config.session.handshake_timeout = Duration::from_millis(50));
    let (events, happened) = channel();
    let connects = events.clone();
    server.on_connect(move |_| connects.send("connect").unwrap());
    server.on_disconnect(move |_, _| events.send("disconnect").unwrap());
    server.start().unwrap();
    let mut raw = Raw::connect(port(&server));
    assert!(raw.closed());
    assert!(server.close_all());
    drop(server);
    assert!(happened.recv().is_err(), "it was never connected");
}

#[test]
fn what_comes_before_the_answer_is_delivered_after_it() {
    let server = server_with(|_| {});
    let (events, happened) = channel();
    let connects = events.clone();
    server.on_connect(move |_| connects.send("connect".to_owned()).unwrap());
    server.on_recv(move |_, response| events.send(response.text().unwrap().to_owned()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::connect(port(&server));
    let id = raw.frame().id;
    raw.send(OTHER, RequestId(1), b"early");
    raw.send(MessageType::PING, RequestId(9), b"");
    let pong = raw.frame();
    assert_eq!(
        (pong.message_type, pong.id),
        (MessageType::PONG, RequestId(9))
    );
    raw.send(MessageType::HELLO_ACK, id, &hello("1.6.3"));
    raw.send(OTHER, RequestId(2), b"late");
    let order: Vec<String> = (0..3).map(|_| next(&happened)).collect();
    assert_eq!(order, ["connect", "early", "late"]);
}

#[test]
fn a_client_refuses_another_version_at_once() {
    let (listener, port) = listener();
    let client = client_with(port, |config| config.retry = 3);
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    let server = std::thread::spawn(move || {
        let mut raw = Raw::accept(&listener);
        raw.send(MessageType::HELLO, RequestId(1), &hello("1.6.4"));
        assert!(raw.closed());
        listener
    });
    let Err(Error::Closed(reason)) = client.connect() else {
        panic!("connected");
    };
    assert_eq!(reason, CloseReason::Version("1.6.4".to_owned()));
    let state = next(&told);
    assert!(state.permanent, "another attempt would meet the same");
    assert_eq!(state.cause, reason);
    server.join().unwrap();
}

#[test]
fn a_client_does_not_wait_for_a_greeting_for_ever() {
    let (_listener, port) = listener();
    let client = client_with(port, |config| {
        config.session.handshake_timeout = Duration::from_millis(50);
    });
    let Err(Error::Closed(reason)) = client.connect() else {
        panic!("connected");
    };
    assert_eq!(reason, CloseReason::HandshakeTimeout);
}

#[test]
fn a_client_speaks_the_version_that_the_server_begins_with() {
    for wire in [Wire::V1, Wire::V2] {
        let server = server_with(|config| config.session.wire = Some(wire));
        server.start().unwrap();
        let client = connected(port(&server));
        assert_eq!(client.wire().unwrap(), wire);
        let request = superstream_veltix::Request::new(CHAT, "hello");
        assert_eq!(
            client.send_and_wait(&request, LONG).unwrap().content,
            b"hello"
        );
        client.ping_server(LONG).unwrap();
        until("the client is known", || !server.clients().is_empty());
        let peer = server.clients().remove(0);
        assert_eq!(peer.wire(), wire);
        peer.ping(LONG).unwrap();
    }
}

#[test]
fn versions_that_do_not_fit_end_with_a_reason() {
    let no_json = CloseReason::Handshake("a greeting that is no JSON");
    let limit = 64 * 1024;
    // The length of the JSON is read as a type, and the text as a length and so on.
    let too_long = |reason: &CloseReason| matches!(reason, CloseReason::TooLarge { limit: most, .. } if *most == limit);
    for (server_wire, client_wire) in [(Wire::V1, Wire::V2), (Wire::V2, Wire::V1)] {
        let server = server_with(|config| config.session.wire = Some(server_wire));
        server.start().unwrap();
        let client = client_with(port(&server), |config| {
            config.session.wire = Some(client_wire);
        });
        let Err(Error::Closed(reason)) = client.connect() else {
            panic!("connected");
        };
        match client_wire {
            Wire::V1 => assert!(too_long(&reason), "{reason:?}"),
            Wire::V2 => assert_eq!(reason, no_json),
        }
        assert!(server.clients().is_empty());
    }
}
