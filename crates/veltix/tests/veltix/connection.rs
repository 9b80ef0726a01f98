//! The connection without a thread.

mod ending;
mod polled;

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
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
    Connection::open(&address, &unhurried(), later()).unwrap()
}

fn opened() -> (Connection, Raw) {
    opened_with(&unhurried())
}

fn opened_with(options: &ConnectionOptions) -> (Connection, Raw) {
    let (listener, port) = listener();
    let accepting = thread::spawn(move || Raw::accept_greeting(&listener));
    let address = Address::new("127.0.0.1", port);
    let connection = Connection::open(&address, options, later()).unwrap();
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

    // A deadline that has passed takes what lies there.
    raw.send(OTHER, RequestId(1), b"there");
    until("it is there", || {
        matches!(connection.next(Instant::now()), Ok(Next::Message(_)))
    });
}

#[test]
fn a_flood_keeps_nobody_beyond_his_deadline() {
    let (mut connection, mut raw) = opened();
    let flood = thread::spawn(move || {
        let pings = vec![0; 22 * 100];
        // Until the other side has had enough.
        while raw.socket.write_all(&pings).is_ok() {}
    });
    let asked = connection.send_and_wait(&Request::new(CHAT, "?"), soon());
    assert!(
        matches!(
            asked,
            Err(Error::TimedOut | Error::Stalled | Error::Closed(CloseReason::Stalled))
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
    let options = unhurried();
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
    let mut options = unhurried();
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
fn dropping_it_sends_nothing_and_does_not_end_what_a_forked_parent_has() {
    let (connection, mut raw) = opened();
    // As the parent has it: another descriptor of the same socket.
    let parents = connection.as_fd().try_clone_to_owned().unwrap();
    drop(connection);
    TcpStream::from(parents)
        .write_all(&frame(OTHER, RequestId(1), b"goes on"))
        .unwrap();
    assert_eq!(raw.frame().payload, b"goes on");
    assert!(raw.next().is_none());
}

/// More than all buffers of the system take of a peer that does not read.
const HUGE: usize = 40_000_000;

fn opened_for_huge() -> (Connection, Raw) {
    let mut options = unhurried();
    options.session.max_message_size = HUGE + 100;
    opened_with(&options)
}

#[test]
fn a_message_of_which_a_part_was_sent_ends_the_connection() {
    let (mut connection, mut raw) = opened_for_huge();
    let huge = Request::new(OTHER, vec![9; HUGE]);
    let sent = connection.send(&huge, soon());
    assert!(
        matches!(sent, Err(Error::Closed(CloseReason::Stalled))),
        "{sent:?}"
    );
    assert_eq!(connection.closed(), Some(&CloseReason::Stalled));
    assert!(raw.next().is_none());
}

#[test]
fn messages_without_content_take_room_too_and_none_is_lost() {
    const MANY: u32 = 400_000;
    let (mut connection, mut raw) = opened();
    let peer = thread::spawn(move || {
        let ping = raw.frame();
        let mut bytes = Vec::new();
        for id in 0..MANY {
            bytes.extend_from_slice(&frame(OTHER, RequestId(id), b""));
        }
        raw.write(&bytes);
        raw.send(MessageType::PONG, ping.id, b"");
        raw
    });
    // The answer lies behind more than is kept.
    let asked = connection.ping(later());
    assert!(matches!(asked, Err(Error::WrongState(_))), "{asked:?}");
    for id in 0..MANY {
        match connection.next(later()).unwrap() {
            Next::Message(message) => assert_eq!(message.request_id, RequestId(id)),
            other => panic!("{other:?}"),
        }
    }
    let mut raw = peer.join().unwrap();
    let peer = thread::spawn(move || assert!(raw.echoes()));
    let Next::Message(asked) = connection.next(later()).unwrap() else {
        panic!("no message");
    };
    let echo = Request::reply_to(&asked, CHAT, asked.content.clone());
    connection.send(&echo, later()).unwrap();
    peer.join().unwrap();
}

#[test]
fn a_reply_is_still_found_behind_what_fills_the_room_for_messages() {
    let (mut connection, mut raw) = opened();
    let peer = thread::spawn(move || {
        let asked = raw.frame();
        for id in 0..5 {
            raw.send(OTHER, RequestId(id), &vec![1; 4 << 20]);
        }
        raw.send(CHAT, asked.id, b"reply");
        raw
    });
    let reply = connection.send_and_wait(&Request::new(CHAT, "?"), later());
    assert_eq!(reply.unwrap().content, b"reply");
    for _ in 0..5 {
        assert_eq!(message(&mut connection).len(), 4 << 20);
    }
    drop(peer.join().unwrap());
}

#[test]
fn its_caller_sets_how_much_is_kept() {
    const MIB: usize = 1 << 20;
    let (mut connection, mut raw) = opened_with(&ConnectionOptions {
        max_kept_bytes: MIB,
        ..unhurried()
    });
    let peer = thread::spawn(move || {
        // The first reply is behind a part of what may be kept, the second behind more than all.
        for (count, size) in [(3, MIB / 2), (4, MIB)] {
            let asked = raw.frame();
            for id in 0..count {
                raw.send(OTHER, RequestId(id), &vec![1; size]);
            }
            raw.send(CHAT, asked.id, b"reply");
        }
        raw
    });
    let request = Request::new(CHAT, "?");
    assert!(connection.send_and_wait(&request, later()).is_ok());
    for _ in 0..3 {
        assert_eq!(message(&mut connection).len(), MIB / 2);
    }
    let asked = connection.send_and_wait(&request, later());
    assert!(matches!(asked, Err(Error::WrongState(_))), "{asked:?}");
    for _ in 0..4 {
        assert_eq!(message(&mut connection).len(), MIB);
    }
    assert_eq!(message(&mut connection), b"reply");
    drop(peer.join().unwrap());
}

#[test]
fn what_does_not_fit_is_taken_back_where_nothing_of_it_was_sent() {
    let (mut connection, mut raw) = opened_for_huge();
    connection
        .queue(&Request::new(OTHER, vec![9; HUGE]))
        .unwrap();
    assert!(matches!(connection.flush(soon()), Err(Error::Stalled)));
    let late = Request::new(OTHER, "too late");
    assert!(matches!(
        connection.send(&late, soon()),
        Err(Error::Stalled)
    ));
    let asked = connection.send_and_wait(&late, soon());
    assert!(matches!(asked, Err(Error::Stalled)), "{asked:?}");
    assert!(matches!(connection.ping(soon()), Err(Error::Stalled)));
    assert_eq!(connection.closed(), None);
    let reading = thread::spawn(move || {
        assert_eq!(raw.frame().payload.len(), HUGE);
        assert_eq!(raw.frame().payload, b"after");
        assert!(raw.next().is_none());
    });
    connection
        .send(&Request::new(OTHER, "after"), later())
        .unwrap();
    connection.close(later()).unwrap();
    reading.join().unwrap();
}

#[test]
fn an_address_that_accepts_and_says_nothing_or_nonsense_leaves_time_for_the_others() {
    let (mute, mute_port) = listener();
    let (mad, mad_port) = listener();
    let server = echo_server();
    let nonsense = thread::spawn(move || {
        let (socket, _) = mad.accept().unwrap();
        Raw::of(socket).write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        mad
    });
    let candidates = [mute_port, mad_port, port(&server)].map(|port| ([127, 0, 0, 1], port).into());
    let mut options = unhurried();
    // Only its part of the time ends the waiting for the first.
    options.session.handshake_timeout = 10 * LONG;
    let address = Address::new("127.0.0.1", port(&server));
    let deadline = Instant::now() + Duration::from_secs(12);
    let mut connection = Connection::open_at(&address, &candidates, &options, deadline).unwrap();
    connection.ping(later()).unwrap();
    let _mad = nonsense.join().unwrap();
    // Alone it has all of the time, and no more.
    let refused = Connection::open_at(&address, &candidates[..1], &options, soon());
    assert!(matches!(refused, Err(Error::TimedOut)));
    drop(mute);
}
