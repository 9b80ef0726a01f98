//! Connections that cannot be made, or are lost.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use superstream_veltix::{
    CloseReason, DisconnectReason, DisconnectState, Error, MessageType, Request, RequestId,
};

use crate::support::*;

fn short_state(state: &DisconnectState) -> (bool, u32, u32, DisconnectReason) {
    (
        state.permanent,
        state.attempt,
        state.retry_max,
        state.reason,
    )
}

#[test]
fn a_refused_port_is_tried_as_often_as_is_set() {
    let nobody = Reserved::new();
    for retry in [0, 3] {
        let client = client_with(nobody.port(), |config| {
            config.retry = retry;
            config.retry_delay = Duration::from_millis(1);
        });
        let (states, told) = channel();
        client.on_disconnect(move |state| states.send(state).unwrap());
        assert!(matches!(client.connect(), Err(Error::Closed(_))));
        let mut all: Vec<_> = (0..=retry).map(|_| short_state(&next(&told))).collect();
        let last = all.pop().unwrap();
        assert_eq!(last, (true, retry, retry, DisconnectReason::Error));
        let expected: Vec<_> = (1..=retry)
            .map(|attempt| (false, attempt, retry, DisconnectReason::Error))
            .collect();
        assert_eq!(all, expected);
        assert!(told.try_recv().is_err());
        assert!(!client.is_connected());
    }
}

#[test]
fn routes_senders_and_callbacks_outlive_the_connection() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.retry = 5;
        config.retry_delay = Duration::from_millis(1);
    });
    let (events, happened) = channel();
    let (routed, received, states) = (events.clone(), events.clone(), events.clone());
    client.route(CHAT, move |response| {
        routed
            .send(format!("route {}", response.text().unwrap()))
            .unwrap();
    });
    client.on_recv(move |response| {
        received
            .send(format!("handler {}", response.text().unwrap()))
            .unwrap();
    });
    client.on_connect(move || events.send("connect".to_owned()).unwrap());
    client.on_disconnect(move |state| {
        states
            .send(format!("lost {:?}", short_state(&state)))
            .unwrap();
    });
    let sender = client.sender();
    let accepting = thread::spawn(move || {
        let raw = Raw::accept_greeting(&listener);
        (raw, listener)
    });
    client.connect().unwrap();
    let (mut raw, listener) = accepting.join().unwrap();
    for round in 0..3 {
        assert_eq!(next(&happened), "connect");
        raw.send(CHAT, RequestId(1), b"a");
        raw.send(OTHER, RequestId(1), b"b");
        assert_eq!(next(&happened), "route a");
        assert_eq!(next(&happened), "handler b");
        sender.send(&Request::new(OTHER, "from sender")).unwrap();
        assert_eq!(raw.frame().payload, b"from sender");
        if round == 2 {
            break;
        }
        drop(raw);
        // The documented attempt 0, which the Python library does not send.
        assert_eq!(next(&happened), "lost (false, 0, 5, ServerClosed)");
        raw = Raw::accept_greeting(&listener);
    }
    client.disconnect();
    assert_eq!(next(&happened), "lost (true, 0, 5, Manual)");
    assert!(raw.closed());
    assert!(matches!(
        sender.send(&Request::new(OTHER, "")),
        Err(Error::NotConnected)
    ));
}

#[test]
fn a_server_that_accepts_and_closes_is_not_tried_for_ever() {
    let (listener, port) = listener();
    let accepting = thread::spawn(move || {
        for _ in 0..3 {
            drop(listener.accept().unwrap());
        }
        listener
    });
    let client = client_with(port, |config| {
        config.retry = 2;
        config.retry_delay = Duration::from_millis(1);
    });
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    assert!(client.connect().is_err());
    let all: Vec<_> = (0..3).map(|_| short_state(&next(&told))).collect();
    assert!(all[2].0 && all[2].1 == 2, "{all:?}");
    let listener = accepting.join().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "no further attempt");
}

#[test]
fn a_connection_that_fails_first_does_not_spoil_the_next() {
    // As short as the machine can keep.
    let kept = [1, 4, 16, 64].map(Duration::from_secs);
    assert!(kept.into_iter().any(fails_first_and_then_does_not));
}

/// Whether the second attempt met the time; if so, the end of the first one's time changes nothing.
fn fails_first_and_then_does_not(handshake_timeout: Duration) -> bool {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.retry = 1;
        config.retry_delay = Duration::from_millis(1);
        config.session.handshake_timeout = handshake_timeout;
    });
    let accepting = thread::spawn(move || {
        drop(listener.accept().unwrap());
        let mut raw = Raw::accept(&listener);
        raw.send(MessageType::HELLO, RequestId(77), b"\x00\x051.6.3");
        raw
    });
    let connected = client.connect();
    let mut raw = accepting.join().unwrap();
    if matches!(connected, Err(Error::Closed(CloseReason::HandshakeTimeout))) {
        return false;
    }
    connected.unwrap();
    assert_eq!(raw.frame().message_type, MessageType::HELLO_ACK);
    // The time of one that began later is over: so would be that of the first.
    let (_silent, port) = crate::support::listener();
    let later = client_with(port, |config| {
        config.session.handshake_timeout = handshake_timeout;
    });
    let Err(Error::Closed(CloseReason::HandshakeTimeout)) = later.connect() else {
        panic!("nobody greets");
    };
    client.send(&Request::new(OTHER, "still")).unwrap();
    assert_eq!(raw.frame().payload, b"still");
    true
}

#[test]
fn attempts_can_be_ended_and_begun() {
    let nobody = Reserved::new();
    let port = nobody.port();
    let client = client_with(port, |config| {
        config.retry = u32::MAX;
        config.retry_delay = Duration::MAX;
        config.retry_delay_max = Duration::MAX;
    });
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect());
        // It waits for the next attempt for ever, or comes there.
        until("it ends", || {
            client.stop_retry();
            connecting.is_finished()
        });
        assert!(connecting.join().unwrap().is_err());
    });
    assert!(next(&told).permanent);

    // More attempts than were set, and they are heeded.
    let client = client_with(port, |config| {
        config.retry_delay = Duration::from_millis(1);
    });
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    assert!(client.connect().is_err());
    assert!(next(&told).permanent);
    client.retry(Some(2));
    let attempts: Vec<_> = (0..3).map(|_| short_state(&next(&told))).collect();
    assert_eq!(
        attempts,
        [
            (false, 1, 2, DisconnectReason::Error),
            (false, 2, 2, DisconnectReason::Error),
            (true, 2, 2, DisconnectReason::Error)
        ]
    );
}

#[test]
fn disconnecting_ends_an_attempt_and_shows_the_peer_at_once() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.session.handshake_timeout = LONG;
    });
    thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect());
        let mut silent = Raw::accept(&listener);
        assert!(client.disconnect());
        let Err(Error::Closed(reason)) = connecting.join().unwrap() else {
            panic!("connected");
        };
        assert_eq!(reason, CloseReason::Manual);
        assert!(silent.closed());
    });
    // And it can be connected again.
    let accepting = thread::spawn(move || Raw::accept_greeting(&listener));
    client.connect().unwrap();
    let mut raw = accepting.join().unwrap();
    client.disconnect();
    assert!(raw.closed());
}

#[test]
fn a_dropped_client_is_gone() {
    let server = echo_server();
    let client = connected(port(&server));
    until("it is known", || server.clients().len() == 1);
    drop(client);
    until("it is gone", || server.clients().is_empty());
}
