//! Peers that are not there any more, though nobody said so.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use superstream_veltix::{CloseReason, DisconnectReason, MessageType, RequestId};

use crate::support::*;

#[test]
fn a_server_notices_a_client_that_does_not_answer() {
    let server = server_with(|config| {
        config.session.ping_interval = Some(Duration::from_millis(20));
        // As long as a busy machine may take to answer.
        config.session.ping_timeout = Duration::from_secs(2);
    });
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    // As long as it answers it may stay.
    for _ in 0..3 {
        let ping = raw.frame();
        assert_eq!(ping.message_type, MessageType::PING);
        raw.send(MessageType::PONG, ping.id, b"");
    }
    assert!(left.try_recv().is_err());
    assert_eq!(next(&left), CloseReason::Silent);
    assert!(raw.closed());
}

#[test]
fn anything_that_a_peer_says_shows_that_it_is_there() {
    let server = server_with(|config| {
        short(&mut config.session);
        config.session.handshake_timeout = LONG;
        config.session.ping_interval = Some(Duration::from_millis(20));
        config.session.ping_timeout = LONG;
    });
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    for _ in 0..5 {
        assert_eq!(raw.frame().message_type, MessageType::PING);
        raw.send(MessageType::HEARTBEAT, RequestId(1), b"");
    }
    assert!(left.try_recv().is_err());
}

#[test]
fn a_client_notices_a_server_that_does_not_answer_and_finds_it_again() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        short(&mut config.session);
        config.session.handshake_timeout = LONG;
        config.retry = 3;
        config.retry_delay = Duration::from_millis(1);
    });
    let (states, told) = channel();
    client.on_disconnect(move |state| states.send(state).unwrap());
    let (connects, connected) = channel();
    client.on_connect(move || connects.send(()).unwrap());
    let server = thread::spawn(move || {
        let silent = Raw::accept_greeting(&listener);
        let again = Raw::accept_greeting(&listener);
        (silent, again)
    });
    client.connect().unwrap();
    next(&connected);
    let state = next(&told);
    assert_eq!(state.cause, CloseReason::Silent);
    assert_eq!(
        (state.permanent, state.attempt, state.reason),
        (false, 0, DisconnectReason::Error)
    );
    next(&connected);
    server.join().unwrap();
}
