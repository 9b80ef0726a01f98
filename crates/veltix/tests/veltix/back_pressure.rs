//! Peers that are slow: they are waited for, told of, and never sent half a frame.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use superstream_veltix::{Error, MessageType, Request, RequestId, Server};

use crate::support::*;

const MIB: usize = 1024 * 1024;

#[test]
fn a_peer_that_does_not_read_is_told_of_and_then_gets_every_frame_whole() {
    let server = server_with(|config| {
        config.session.max_queued_bytes = 12 * MIB;
        config.session.ping_interval = None;
    });
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    let mut sent = 0_u32;
    let big = |number: u32| {
        let mut content = vec![number as u8; 3_000_000];
        content[..4].copy_from_slice(&number.to_be_bytes());
        Request::new(OTHER, content)
    };
    // Who does not wait is told while the system would still take more; who waits, when it does not either.
    for patience in [Duration::ZERO, Duration::from_millis(100)] {
        loop {
            match peer.send_within(&big(sent), patience) {
                Ok(_) => sent += 1,
                Err(Error::Stalled) => break,
                Err(error) => panic!("{error}"),
            }
            assert!(sent < 100, "memory is bounded");
        }
        assert!(sent >= 3, "there is room for some");
    }
    // Another client does not notice.
    assert!(Raw::greeted(port(&server)).echoes());
    let waiting = thread::spawn(move || peer.send_within(&big(sent), LONG).map(|_| ()));
    for number in 0..=sent {
        let frame = raw.frame();
        assert_eq!(frame.payload.len(), 3_000_000);
        assert_eq!(frame.payload[..4], number.to_be_bytes());
        assert!(frame.payload[4..].iter().all(|byte| *byte == number as u8));
    }
    waiting.join().unwrap().unwrap();
}

#[test]
fn frames_of_many_threads_are_never_mixed() {
    let server = server_with(|_| {});
    let (messages, received) = channel();
    server.on_recv(move |_, response| messages.send(response.content).unwrap());
    server.start().unwrap();
    for mode in [
        superstream_veltix::PerformanceMode::Low,
        superstream_veltix::PerformanceMode::High,
    ] {
        let client = client_with(port(&server), |config| config.performance_mode = mode);
        client.connect().unwrap();
        thread::scope(|scope| {
            for number in 0..4_u8 {
                let client = &client;
                scope.spawn(move || {
                    for _ in 0..10 {
                        for size in [64, 300_000] {
                            let request = Request::new(OTHER, vec![number; size]);
                            client.send_within(&request, LONG).unwrap();
                        }
                    }
                });
            }
            for _ in 0..4 * 10 * 2 {
                let content = next(&received);
                assert!(content.iter().all(|byte| *byte == content[0]));
            }
        });
    }
}

/// Starts a server whose callbacks wait until what is given is dropped; and the bytes that they took then.
fn held_up(server: &Server) -> (Sender<()>, Arc<Mutex<usize>>) {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let received = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&received);
    server.on_recv(move |_, response| {
        let _ = gate.lock().unwrap().recv();
        *counted.lock().unwrap() += response.content.len();
    });
    server.start().unwrap();
    (open, received)
}

#[test]
fn callbacks_that_are_slow_hold_up_the_peer_and_not_our_memory() {
    let server = server_with(|_| {});
    let (open, received) = held_up(&server);
    let client = client_with(port(&server), |config| {
        config.session.max_queued_bytes = 11 * MIB;
        config.session.ping_interval = None;
    });
    client.connect().unwrap();
    let mut sent = 0;
    // What the server keeps, what both systems keep, and what waits here: then it is full. Earlier on a
    // machine that is slow, and then less is shown.
    while client
        .send_within(
            &Request::new(OTHER, vec![1; MIB]),
            Duration::from_millis(300),
        )
        .is_ok()
    {
        sent += MIB;
        assert!(sent < 150 * MIB, "somebody keeps everything");
    }
    drop(open);
    until("all has arrived", || *received.lock().unwrap() == sent);
    client.ping_server(LONG).unwrap();
}

/// Sends as much as is kept for callbacks that do not run, and then a little more: all of it has been
/// read, and nothing more will be. How many messages these are.
fn fill_up(raw: &mut Raw) -> usize {
    for _ in 0..15 {
        raw.send(OTHER, RequestId(1), &vec![1; MIB]);
    }
    raw.send(OTHER, RequestId(1), &vec![1; MIB - 4096]);
    raw.send(MessageType::PING, RequestId(2), b"");
    assert_eq!(raw.frame().message_type, MessageType::PONG);
    let mut last = frame(OTHER, RequestId(1), &[1; 8192]);
    last.extend(frame(MessageType::PING, RequestId(3), b""));
    raw.write(&last);
    assert_eq!(raw.frame().id, RequestId(3));
    17
}

#[test]
fn what_comes_while_callbacks_are_behind_waits_until_they_have_caught_up() {
    let server = server_with(|config| config.session.ping_interval = None);
    let (open, done) = held_up(&server);
    let mut raw = Raw::greeted(port(&server));
    fill_up(&mut raw);
    raw.send(MessageType::PING, RequestId(4), b"");
    // It would have been answered long ago.
    let soon = Duration::from_millis(100);
    raw.socket.set_read_timeout(Some(soon)).unwrap();
    let heard = raw.socket.peek(&mut [0]);
    assert!(heard.is_err(), "it reads on: {heard:?}");
    raw.socket.set_read_timeout(Some(LONG)).unwrap();
    drop(open);
    assert_eq!(raw.frame().id, RequestId(4));
    assert!(*done.lock().unwrap() >= 8 * MIB);
    assert!(raw.echoes());
}

#[test]
fn a_slow_callback_may_ask_the_peer_that_it_holds_up() {
    let server = server_with(|config| config.session.ping_interval = None);
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let (answers, answered) = channel();
    server.on_recv(move |client, _| {
        if gate.lock().unwrap().recv().is_ok() {
            let reply = client.send_and_wait(&Request::new(CHAT, "you"), LONG);
            answers.send(reply.map(|reply| reply.content)).unwrap();
        }
    });
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    fill_up(&mut raw);
    open.send(()).unwrap();
    let asked = raw.frame();
    assert_eq!(asked.payload, b"you");
    // The answer is behind more than systems keep.
    for _ in 0..12 {
        raw.send(OTHER, RequestId(1), &vec![1; MIB]);
    }
    raw.send(CHAT, asked.id, b"me");
    assert_eq!(next(&answered).unwrap(), b"me");
}

#[test]
fn a_broadcast_does_not_wait_for_the_slowest() {
    let server = server_with(|config| {
        config.session.max_message_size = MIB;
        config.session.max_queued_bytes = MIB;
        config.session.ping_interval = None;
    });
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let _slow = Raw::greeted(port(&server));
    let slow = next(&connected);
    let mut quick = Raw::greeted(port(&server));
    next(&connected);
    let big = Request::new(OTHER, vec![5; MIB / 2]);
    // Until the system takes nothing more for the slow one, and its queue is full.
    for round in 0.. {
        let result = server.broadcast(&big, &[]);
        assert_eq!(quick.frame().payload.len(), MIB / 2);
        if let [(peer, error)] = result.failed.as_slice() {
            assert_eq!((result.sent, peer), (1, &slow));
            assert!(matches!(error, Error::Stalled));
            break;
        }
        assert_eq!(result.sent, 2);
        assert!(round < 1000, "somebody keeps everything");
    }
}

#[test]
fn callbacks_that_ask_while_their_peer_is_held_up_are_always_answered() {
    let server = server_with(|_| {});
    let (answers, answered) = channel();
    server.on_recv(move |client, _| {
        let reply = client.send_and_wait(&Request::new(CHAT, "you"), LONG);
        answers.send(reply.map(|reply| reply.content)).unwrap();
    });
    server.start().unwrap();
    let client = client_with(port(&server), |_| {});
    let sender = client.sender();
    client.route(CHAT, move |response| {
        let reply = Request::reply_to(&response, CHAT, response.content.clone());
        sender.send_within(&reply, LONG).unwrap();
    });
    client.connect().unwrap();
    // More than is read while nobody asks, less than is read while somebody does: reading stops and
    // goes on many times.
    let message = Request::new(OTHER, vec![1; 4096]);
    for _ in 0..6000 {
        client.send_within(&message, LONG).unwrap();
    }
    for _ in 0..6000 {
        assert_eq!(next(&answered).unwrap(), b"you");
    }
}

#[test]
fn a_client_whose_callbacks_are_behind_is_greeted_by_the_next_server() {
    let (listener, port) = listener();
    let client = client_with(port, |config| {
        config.retry = 5;
        config.retry_delay = Duration::from_millis(1);
    });
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let (messages, received) = channel();
    client.on_recv(move |response| {
        let _ = gate.lock().unwrap().recv();
        messages.send(response.content.len()).unwrap();
    });
    let accepting = thread::spawn(move || (Raw::accept_greeting(&listener), listener));
    client.connect().unwrap();
    let (mut raw, listener) = accepting.join().unwrap();
    let count = fill_up(&mut raw);
    drop(raw);
    until("the client notices", || {
        client.send(&Request::new(OTHER, "")).is_err()
    });
    let mut raw = Raw::accept_greeting(&listener);
    drop(open);
    raw.send(OTHER, RequestId(1), b"behind");
    let sizes: Vec<usize> = (0..=count).map(|_| next(&received)).collect();
    assert_eq!(sizes[14..], [MIB, MIB - 4096, 8192, b"behind".len()]);
}
