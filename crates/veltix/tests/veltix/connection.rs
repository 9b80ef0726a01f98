//! The connection without a thread.

use std::thread;
use std::time::{Duration, Instant};

use superstream_veltix::{
    Address, CloseReason, Connection, ConnectionOptions, Error, MessageType, Next, Request,
    RequestId,
};

use crate::support::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(30)
}

fn later() -> Instant {
    Instant::now() + LONG
}

fn open(port: u16) -> Connection {
    let address = Address::new("127.0.0.1", port);
    Connection::open(&address, &ConnectionOptions::default(), later()).unwrap()
}

fn opened() -> (Connection, Raw) {
    let (listener, port) = listener();
    let accepting = thread::spawn(move || Raw::accept_greeting(&listener));
    let connection = open(port);
    (connection, accepting.join().unwrap())
}

fn message(connection: &mut Connection) -> Vec<u8> {
    match connection.next(later()).unwrap() {
        Next::Message(message) => message.content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_asks_pings_and_takes_messages() {
    let server = echo_server();
    let mut connection = open(port(&server));
    let reply = connection
        .send_and_wait(&Request::new(CHAT, "hello"), later())
        .unwrap();
    assert_eq!(reply.content, b"hello");
    connection.ping(later()).unwrap();
    until("it is known", || !server.clients().is_empty());
    server.broadcast(&Request::new(OTHER, "news"), &[]);
    assert_eq!(message(&mut connection), b"news");
    connection.close(later()).unwrap();
    until("it is gone", || server.clients().is_empty());
}

#[test]
fn messages_that_come_while_it_waits_for_a_reply_are_kept_in_order() {
    let (mut connection, mut raw) = opened();
    let peer = thread::spawn(move || {
        let asked = raw.frame();
        raw.send(OTHER, RequestId(1), b"one");
        raw.send(OTHER, RequestId(2), b"two");
        raw.send(CHAT, asked.id, b"reply");
        raw
    });
    let reply = connection.send_and_wait(&Request::new(CHAT, "?"), later());
    assert_eq!(reply.unwrap().content, b"reply");
    assert_eq!(message(&mut connection), b"one");
    assert_eq!(message(&mut connection), b"two");
    drop(peer.join().unwrap());
    assert!(matches!(
        connection.next(later()),
        Err(Error::Closed(CloseReason::PeerClosed))
    ));
    assert_eq!(connection.closed(), Some(&CloseReason::PeerClosed));
}

#[test]
fn a_wake_up_ends_its_waiting_from_another_thread() {
    let (mut connection, _raw) = opened();
    let waker = connection.waker();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| connection.next(later()));
        waker.wake().unwrap();
        assert!(matches!(waiting.join().unwrap(), Ok(Next::Woken)));
    });
    // One that comes before the waiting is not lost.
    waker.wake().unwrap();
    assert!(matches!(connection.next(later()), Ok(Next::Woken)));
    assert!(matches!(connection.next(soon()), Ok(Next::TimedOut)));
}

#[test]
fn every_call_ends_by_its_deadline() {
    let (mut connection, mut raw) = opened();
    assert!(matches!(connection.next(soon()), Ok(Next::TimedOut)));
    let request = Request::new(CHAT, "?");
    let asked = connection.send_and_wait(&request, soon());
    assert!(matches!(asked, Err(Error::TimedOut)));
    assert!(matches!(connection.ping(soon()), Err(Error::TimedOut)));
    // The late answer is a message, as everywhere; the late pong is nothing.
    let asked = raw.frame();
    let ping = raw.frame();
    assert_eq!(ping.message_type, MessageType::PING);
    raw.send(MessageType::PONG, ping.id, b"");
    raw.send(CHAT, asked.id, b"late");
    assert_eq!(message(&mut connection), b"late");

    // A peer that does not read, and then does: no frame is left in pieces.
    let big = Request::new(OTHER, vec![9; 8_000_000]);
    assert!(matches!(connection.send(&big, soon()), Err(Error::Stalled)));
    let reading = thread::spawn(move || {
        assert_eq!(raw.frame().payload.len(), 8_000_000);
        assert_eq!(raw.frame().payload, b"after");
        raw
    });
    connection
        .send(&Request::new(OTHER, "after"), later())
        .unwrap();
    assert_eq!(connection.closed(), None);
    // A deadline that has passed takes what lies there.
    let mut raw = reading.join().unwrap();
    raw.send(OTHER, RequestId(1), b"there");
    until("it is there", || {
        matches!(connection.next(Instant::now()), Ok(Next::Message(_)))
    });
}

#[test]
fn a_flood_keeps_nobody_beyond_his_deadline() {
    let (mut connection, mut raw) = opened();
    let flood = thread::spawn(move || {
        use std::io::Write;
        let pings = vec![0; 22 * 100];
        // Until the other side has had enough.
        while raw.socket.write_all(&pings).is_ok() {}
    });
    let asked = connection.send_and_wait(&Request::new(CHAT, "?"), soon());
    assert!(
        matches!(
            asked,
            Err(Error::TimedOut | Error::Closed(CloseReason::Stalled))
        ),
        "{asked:?}"
    );
    drop(connection);
    flood.join().unwrap();
}

#[test]
fn it_is_refused_with_a_reason() {
    let (listener, port) = listener();
    let address = Address::new("127.0.0.1", port);
    let options = ConnectionOptions::default();
    assert!(matches!(
        Connection::open(&address, &options, soon()),
        Err(Error::TimedOut)
    ));
    drop(listener);
    assert!(Connection::open(&address, &options, later()).is_err());
    let nowhere = Address::new("host.invalid", 1);
    assert!(matches!(
        Connection::open(&nowhere, &options, later()),
        Err(Error::BadAddress(_))
    ));
}

#[test]
fn a_server_that_falls_silent_is_noticed() {
    let (listener, port) = listener();
    let accepting = thread::spawn(move || Raw::accept_greeting(&listener));
    let mut options = ConnectionOptions::default();
    options.session.ping_interval = Some(Duration::from_millis(50));
    options.session.ping_timeout = Duration::from_millis(50);
    let address = Address::new("127.0.0.1", port);
    let mut connection = Connection::open(&address, &options, later()).unwrap();
    let _raw = accepting.join().unwrap();
    assert!(matches!(
        connection.next(later()),
        Err(Error::Closed(CloseReason::Silent))
    ));
}

#[test]
fn dropping_it_sends_nothing() {
    let (connection, mut raw) = opened();
    drop(connection);
    assert!(raw.next().is_none());
}
