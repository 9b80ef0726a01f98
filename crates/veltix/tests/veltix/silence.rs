//! Peers that are not there any more, though nobody said so.

use std::io::Write;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use superstream_veltix::session::{Options, Role, Session};
use superstream_veltix::{CloseReason, DisconnectReason, MessageType, RequestId};

use crate::support::*;

#[test]
fn a_server_notices_a_client_that_does_not_answer() {
    let server = server_with(|config| {
        config.session.ping_interval = Some(Duration::from_millis(20));
        config.session.ping_timeout = Duration::from_millis(20);
    });
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    assert_eq!(raw.frame().message_type, MessageType::PING);
    assert_eq!(next(&left), CloseReason::Silent);
    assert!(raw.closed());
}

#[test]
fn anything_that_a_peer_says_shows_that_it_is_there() {
    let server = server_with(|config| {
        config.session.ping_interval = Some(Duration::from_millis(20));
    });
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    // Each next one is asked because the last was answered.
    for answer in [MessageType::HEARTBEAT, MessageType::PONG].repeat(3) {
        let ping = raw.frame();
        assert_eq!(ping.message_type, MessageType::PING);
        raw.send(answer, ping.id, b"");
    }
    assert!(left.try_recv().is_err());
}

#[test]
fn who_does_not_read_for_long_still_says_that_it_is_there() {
    let options = Arc::new(Options::default());
    let start = Instant::now();
    let mut server = Session::<()>::new(Role::Server, &options, start);
    let mut client = Session::<()>::new(Role::Client, &options, start);
    say(&mut server, Some(&mut client), start);
    say(&mut client, Some(&mut server), start);
    assert!(server.is_ready() && client.is_ready());
    // The server's callbacks are behind; what the client says stays with the system.
    server.set_paused(true, start);
    for second in 1..300 {
        let now = start + Duration::from_secs(second);
        server.tick(now, &mut Vec::new()).unwrap();
        client.tick(now, &mut Vec::new()).unwrap();
        say(&mut server, Some(&mut client), now);
        say(&mut client, None, now);
    }
    // One that says nothing at all is still gone.
    let over = (300..400).any(|second| {
        let now = start + Duration::from_secs(second);
        say(&mut client, None, now);
        client.tick(now, &mut Vec::new()).is_err()
    });
    assert!(over);
    assert_eq!(client.closed(), Some(&CloseReason::Silent));
}

/// Brings what one says to the other, or only on its way.
fn say(from: &mut Session<()>, mut to: Option<&mut Session<()>>, now: Instant) {
    while let Some(mut chunk) = from.take_chunk() {
        let bytes = chunk.remaining().to_vec();
        chunk.advance(bytes.len());
        from.give_back(chunk, bytes.len(), now);
        if let Some(to) = &mut to {
            to.receive(&bytes, now, &mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn a_server_that_does_not_read_is_heard_of() {
    let server = server_with(|config| {
        config.session.ping_interval = Some(Duration::from_millis(20));
    });
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    server.on_recv(move |_, _| {
        let _ = gate.lock().unwrap().recv();
    });
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let mut other_end = raw.socket.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let message = frame(OTHER, RequestId(1), &vec![1; 1 << 20]);
        // More than is kept while nothing is taken, and than the systems keep.
        for _ in 0..64 {
            other_end.write_all(&message).unwrap();
        }
    });
    for _ in 0..5 {
        assert_eq!(raw.frame().message_type, MessageType::PING);
    }
    assert!(!writing.is_finished(), "it is read");
    drop(open);
    writing.join().unwrap();
}

#[test]
fn a_client_notices_a_server_that_does_not_answer_and_finds_it_again() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.session.ping_interval = Some(Duration::from_millis(100));
        config.session.ping_timeout = Duration::from_millis(100);
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
    // Who comes late out of this finds it lost again; what happened is told below.
    let _ = client.connect();
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
