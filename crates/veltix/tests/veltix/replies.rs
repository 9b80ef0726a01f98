//! Requests and their replies.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use superstream_veltix::{CloseReason, Error, MessageType, Request, RequestId};

use crate::support::*;

#[test]
fn a_reply_comes_to_who_asked_and_others_to_the_handler() {
    let server = echo_server();
    let client = connected(port(&server));
    thread::scope(|scope| {
        for number in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for turn in 0..50 {
                    let content = format!("{number}/{turn}");
                    let request = Request::new(CHAT, content.clone());
                    let reply = client.send_and_wait(&request, LONG).unwrap();
                    assert_eq!(reply.text().unwrap(), content);
                }
            });
        }
    });
}

#[test]
fn one_client_cannot_answer_for_another() {
    let server = server_with(|_| {});
    let (messages, received) = channel();
    server.on_recv(move |client, response| messages.send((client.id(), response)).unwrap());
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let mut asked = Raw::greeted(port(&server));
    let peer = next(&connected);
    let mut other = Raw::greeted(port(&server));
    let other_peer = next(&connected);
    let id = RequestId(0x0102_0304);
    let waiting =
        thread::spawn(move || peer.send_and_wait(&Request::new(OTHER, "who?").with_id(id), LONG));
    assert_eq!(asked.frame().id, id);
    other.send(OTHER, id, b"not me");
    let (from, message) = next(&received);
    assert_eq!(
        (from, message.content),
        (other_peer.id(), b"not me".to_vec())
    );
    asked.send(OTHER, id, b"me");
    assert_eq!(waiting.join().unwrap().unwrap().content, b"me");
}

#[test]
fn a_reply_of_another_type_is_none_where_a_type_is_asked_for() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    let (messages, received) = channel();
    server.on_recv(move |_, response| messages.send(response.content).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    let asking = peer.clone();
    let waiting = thread::spawn(move || {
        asking.send_and_wait(&Request::new(OTHER, "?").expecting(OTHER), LONG)
    });
    let id = raw.frame().id;
    raw.send(MessageType::of(300), id, b"of another type");
    assert_eq!(next(&received), b"of another type");
    raw.send(OTHER, id, b"of the type");
    assert_eq!(waiting.join().unwrap().unwrap().content, b"of the type");

    // Without a type the id decides, as in Python.
    let waiting = thread::spawn(move || peer.send_and_wait(&Request::new(OTHER, "?"), LONG));
    let id = raw.frame().id;
    raw.send(MessageType::of(300), id, b"any");
    assert_eq!(waiting.join().unwrap().unwrap().content, b"any");
}

#[test]
fn a_late_reply_is_a_message_and_a_late_pong_is_nothing() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    let (messages, received) = channel();
    server.on_recv(move |_, response| messages.send(response.content).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    let soon = Duration::from_millis(20);
    assert!(matches!(peer.ping(soon), Err(Error::TimedOut)));
    let ping = raw.frame();
    assert_eq!(ping.message_type, MessageType::PING);
    assert!(matches!(
        peer.send_and_wait(&Request::new(OTHER, "?"), soon),
        Err(Error::TimedOut)
    ));
    let asked = raw.frame();
    raw.send(MessageType::PONG, ping.id, b"");
    raw.send(MessageType::PONG, RequestId(12_345), b"");
    raw.send(OTHER, asked.id, b"late");
    assert_eq!(next(&received), b"late", "and no pong before it");
}

#[test]
fn a_ping_is_answered_by_a_pong_alone() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    let waiting = thread::spawn(move || peer.ping(LONG));
    let ping = raw.frame();
    raw.send(OTHER, ping.id, b"no pong");
    raw.send(MessageType::PONG, ping.id, b"");
    waiting.join().unwrap().unwrap();
}

#[test]
fn two_cannot_wait_for_one_id() {
    let (listener, port) = listener();
    let client = client_with(port, |_| {});
    let raw = thread::spawn(move || Raw::accept_greeting(&listener));
    client.connect().unwrap();
    let mut raw = raw.join().unwrap();
    let request = Request::new(OTHER, "?").with_id(RequestId(5));
    thread::scope(|scope| {
        let first = scope.spawn(|| client.send_and_wait(&request, LONG));
        assert_eq!(raw.frame().id, RequestId(5));
        assert!(matches!(
            client.send_and_wait(&request, LONG),
            Err(Error::BadId(RequestId(5)))
        ));
        raw.send(OTHER, RequestId(5), b"!");
        assert_eq!(first.join().unwrap().unwrap().content, b"!");
    });
}

#[test]
fn who_waits_is_told_that_the_connection_is_gone() {
    let (listener, port) = listener();
    let client = client_with(port, |_| {});
    let raw = thread::spawn(move || Raw::accept_greeting(&listener));
    client.connect().unwrap();
    let mut raw = raw.join().unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| client.send_and_wait(&Request::new(OTHER, "?"), LONG));
        raw.frame();
        drop(raw);
        assert!(matches!(
            asking.join().unwrap(),
            Err(Error::Closed(CloseReason::PeerClosed))
        ));
    });
    until("the client knows", || !client.is_connected());
    // And a send that fails says so.
    assert!(matches!(
        client.send(&Request::new(OTHER, "!")),
        Err(Error::NotConnected)
    ));
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is() {
    let server = echo_server();
    let client = client_with(port(&server), |config| {
        config.session.max_message_size = 100;
    });
    let request = Request::new(CHAT, vec![0; 78]);
    assert!(matches!(client.send(&request), Err(Error::NotConnected)));
    client.connect().unwrap();
    client.send_and_wait(&request, LONG).unwrap();
    let Err(Error::TooLarge { size, limit }) = client.send(&Request::new(CHAT, vec![0; 79])) else {
        panic!("sent");
    };
    assert_eq!((size, limit), (101, 100));
    for reserved in [
        MessageType::PING,
        MessageType::PONG,
        MessageType::HELLO,
        MessageType::HELLO_ACK,
    ] {
        assert!(matches!(
            client.send(&Request::new(reserved, "")),
            Err(Error::Reserved(_))
        ));
    }
    assert!(client.send_and_wait(&request, LONG).is_ok(), "it goes on");
}
