//! Turns of the endpoint's thread, one at a time.

mod addresses;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use mio::Poll;

use super::config::{BufferSize, PerformanceMode, ServerConfig};
use super::pool::Job;
use super::reactor::{FIRST_TOKEN, Party, Reactor, WAKE};
use super::server_core::ServerCore;
use super::shared::{Inbox, Shared};
use super::{Endpoint, Server};
use crate::error::CloseReason;
use crate::frames::Wire;
use crate::message::{MessageType, RequestId, Response};
use crate::session::{Options, Role, Session};

const CHAT: MessageType = MessageType::of(200);

fn reactor() -> Reactor {
    let poll = Poll::new().unwrap();
    let waker = mio::Waker::new(poll.registry(), WAKE).unwrap();
    Reactor::new(poll, Shared::new(waker, FIRST_TOKEN, 4))
}

fn core(reactor: &Reactor, change: impl FnOnce(&mut ServerConfig)) -> Arc<ServerCore> {
    let mut config = ServerConfig::default();
    change(&mut config);
    ServerCore::new(config, &reactor.shared)
}

/// A client that has greeted: as what the reactor knows it, and its socket.
fn greeted(reactor: &mut Reactor, core: &Arc<ServerCore>) -> (usize, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, addr) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let listener = reactor.shared.token();
    let socket = mio::net::TcpStream::from_std(socket);
    reactor.greet(Arc::clone(core), socket, addr, listener);
    let token = *reactor.entries.keys().max().unwrap();
    let options = Arc::new(Options::default());
    let mut session = Session::<()>::new(Role::Client, &options, Instant::now());
    let mut buffer = [0; 1024];
    while !session.is_ready() {
        let length = peer.read(&mut buffer).unwrap();
        let now = Instant::now();
        session
            .receive(&buffer[..length], now, &mut Vec::new())
            .unwrap();
    }
    let answer = session.take_chunk().unwrap();
    peer.write_all(answer.remaining()).unwrap();
    while !reactor.entries[&token].link.state().session.is_ready() {
        reactor.read(token, true);
        thread::yield_now();
    }
    (token, peer)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Wire::V1.encode(CHAT, RequestId(1), 0, payload, &mut bytes);
    bytes
}

/// Until so much lies in the socket, unread.
fn arrives(reactor: &Reactor, token: usize, length: usize) {
    let mut buffer = vec![0; length];
    let socket = reactor.entries[&token].stream.socket();
    while socket.peek(&mut buffer).unwrap_or(0) < length {
        thread::yield_now();
    }
}

#[test]
fn what_a_peer_said_is_delivered_though_it_cannot_be_written_to_and_callbacks_are_behind() {
    let mut reactor = reactor();
    let core = core(&reactor, |_| {});
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (messages, received) = channel();
    core.handlers.set_recv(Arc::new(move |_, response| {
        let _ = gate.lock().unwrap().recv();
        messages.send(response.content.len()).unwrap();
    }));
    let (token, mut peer) = greeted(&mut reactor, &core);
    let much = Response {
        message_type: CHAT,
        content: vec![0; 17 << 20],
        timestamp_ms: 0,
        received_at_ms: 0,
        crc: 0,
        request_id: RequestId(1),
    };
    let owner = reactor.entries[&token].party.owner();
    reactor.shared.submit(owner, [Job::Message(much)]);
    let last = frame(b"last words");
    peer.write_all(&last).unwrap();
    arrives(&reactor, token, last.len());
    reactor.broken(token, CloseReason::Network(std::io::ErrorKind::BrokenPipe));
    let mut inbox = Inbox::default();
    reactor.turn(&mut inbox);
    assert!(reactor.entries.contains_key(&token), "it is not read yet");
    drop(open);
    assert_eq!(received.recv().unwrap(), 17 << 20);
    while reactor.entries.contains_key(&token) {
        reactor.turn(&mut inbox);
    }
    assert_eq!(received.recv().unwrap(), b"last words".len());
}

#[test]
fn little_is_kept_of_what_a_client_says_that_nobody_trusts() {
    let mut reactor = reactor();
    let core = core(&reactor, |config| {
        config.max_untrusted_message_size = Some(8192);
    });
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (messages, received) = channel();
    core.handlers.set_recv(Arc::new(move |client, _| {
        let _ = gate.lock().unwrap().recv();
        client.trust();
        messages.send(()).unwrap();
    }));
    let (token, mut peer) = greeted(&mut reactor, &core);
    // Far less than is kept of others.
    let many = frame(&[0; 4000]).repeat(16);
    peer.write_all(&many).unwrap();
    arrives(&reactor, token, many.len());
    reactor.read(token, true);
    peer.write_all(&frame(b"more")).unwrap();
    arrives(&reactor, token, 1);
    reactor.read(token, true);
    assert!(reactor.entries[&token].paused);
    drop(open);
    let mut inbox = Inbox::default();
    for _ in 0..17 {
        while received.try_recv().is_err() {
            reactor.turn(&mut inbox);
        }
    }
    assert!(!reactor.entries[&token].paused);
}

#[test]
fn a_connection_waits_once_for_its_next_turn() {
    let mut reactor = reactor();
    let core = core(&reactor, |config| {
        config.buffer_size = BufferSize::Bytes(64);
    });
    let (token, mut peer) = greeted(&mut reactor, &core);
    let much = frame(&[0; 8192]);
    peer.write_all(&much).unwrap();
    arrives(&reactor, token, much.len());
    for _ in 0..3 {
        reactor.read(token, true);
    }
    assert_eq!(reactor.again, [token]);
}

/// As one that is held up until then.
fn is_held_up(until: Instant) {
    while Instant::now() <= until {
        thread::yield_now();
    }
}

#[test]
fn high_looks_again_without_a_pause_and_not_for_long() {
    for (mode, looks) in [
        (PerformanceMode::High, true),
        (PerformanceMode::Balanced, false),
    ] {
        let mut reactor = reactor();
        let core = core(&reactor, |config| {
            config.performance_mode = mode;
            config.session.handshake_timeout = Duration::from_secs(3600);
            config.session.ping_interval = None;
        });
        let (token, _peer) = greeted(&mut reactor, &core);
        reactor.turn(&mut Inbox::default());
        // It may have been held up for longer than it looks.
        let mut looked = false;
        for _ in 0..if looks { 1_000_000 } else { 1 } {
            reactor.attend(token);
            looked = reactor.time_to_sleep() == Some(Duration::ZERO);
            if looked {
                break;
            }
        }
        assert_eq!(looked, looks, "{mode:?}");
        while reactor.time_to_sleep() == Some(Duration::ZERO) {}
        assert!(reactor.shared.is_asleep(), "{mode:?}");
    }
}

#[test]
fn what_lies_there_unread_was_said_in_time() {
    const MOMENT: Duration = Duration::from_secs(1);
    let mut reactor = reactor();
    let core = core(&reactor, |config| {
        config.session.handshake_timeout = Duration::ZERO;
        config.session.ping_interval = Some(MOMENT);
        config.session.ping_timeout = MOMENT;
    });
    let (token, mut peer) = greeted(&mut reactor, &core);
    let mut inbox = Inbox::default();
    peer.set_nonblocking(true).unwrap();
    let ping = Wire::V1.header_size();
    while peer.read(&mut [0; 100]).unwrap_or(0) < ping {
        reactor.turn(&mut inbox);
    }
    let answer = frame(b"");
    peer.write_all(&answer).unwrap();
    arrives(&reactor, token, answer.len());
    is_held_up(Instant::now() + MOMENT);
    reactor.turn(&mut inbox);
    assert!(reactor.entries.contains_key(&token), "it answered");
    while reactor.entries.contains_key(&token) {
        reactor.turn(&mut inbox);
    }
}

#[test]
fn a_frame_that_lies_there_has_come_in_time_and_one_that_does_not_end_has_not() {
    let mut reactor = reactor();
    let core = core(&reactor, |config| {
        config.buffer_size = BufferSize::Bytes(64);
        config.session.frame_timeout = Duration::ZERO;
    });
    let (messages, received) = channel();
    core.handlers.set_recv(Arc::new(move |_, response| {
        messages.send(response.content.len()).unwrap();
    }));
    let (token, mut peer) = greeted(&mut reactor, &core);
    let whole = frame(&[0; 8192]);
    peer.write_all(&whole).unwrap();
    arrives(&reactor, token, whole.len());
    // A part of it; the rest in the turns that follow.
    reactor.read(token, true);
    is_held_up(Instant::now() + Duration::from_millis(20));
    let mut inbox = Inbox::default();
    while reactor.entries[&token].again {
        reactor.turn(&mut inbox);
    }
    assert!(reactor.entries[&token].closing.is_none());
    assert_eq!(received.recv(), Ok(8192));
    peer.write_all(&whole[..100]).unwrap();
    arrives(&reactor, token, 100);
    reactor.read(token, true);
    let reason = loop {
        reactor.turn(&mut inbox);
        if let Some(closing) = &reactor.entries[&token].closing {
            break closing.reason.clone();
        }
    };
    assert_eq!(reason, CloseReason::FrameTimeout);
}

#[test]
fn who_goes_on_after_the_end_is_cut_off() {
    let mut reactor = reactor();
    let core = core(&reactor, |_| {});
    let (token, mut peer) = greeted(&mut reactor, &core);
    reactor.close_gently(token);
    let closing = reactor.entries.get_mut(&token).unwrap();
    let closing = closing.closing.as_mut().unwrap();
    assert!(closing.told_end);
    // It is not the clock that ends it.
    closing.until = None;
    let flood = thread::spawn(move || {
        let many = vec![0; 1 << 20];
        let taken = (0..256).take_while(|_| peer.write_all(&many).is_ok());
        taken.count()
    });
    while reactor.entries.contains_key(&token) && !flood.is_finished() {
        reactor.read(token, true);
    }
    assert!(flood.join().unwrap() < 256);
}

#[test]
fn what_callbacks_and_tags_hold_may_panic_when_it_ends() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("at its end");
        }
    }
    let mut reactor = reactor();
    let core = core(&reactor, |_| {});
    let bomb = || {
        let bomb = Bomb;
        move || {
            let _ = &bomb;
        }
    };
    let [recv, route, connect, disconnect] = [(); 4].map(|()| bomb());
    core.handlers.set_recv(Arc::new(move |_, _| recv()));
    core.handlers.set_connect(Arc::new(move |_| connect()));
    core.handlers
        .set_disconnect(Arc::new(move |_, _| disconnect()));
    core.handlers.route(CHAT, Arc::new(move |_, _| route()));
    let (token, _peer) = greeted(&mut reactor, &core);
    let client = core.clients().remove(0);
    client.tags().add_value("bomb", Bomb);
    drop((core, client));
    let Party::Server(peer) = &reactor.entries[&token].party else {
        panic!("no server");
    };
    while Arc::strong_count(peer) > 1 {
        thread::yield_now();
    }
    // Nobody else holds any of it.
    reactor.cut(token);
}

#[test]
fn what_is_lost_after_a_server_was_started_again_is_no_loss_of_before() {
    let core = core(&reactor(), |_| {});
    core.joined(1);
    let (begins, begun) = channel();
    let closing = {
        let core = Arc::clone(&core);
        thread::spawn(move || {
            let state = core.state.lock().unwrap();
            begins.send(()).unwrap();
            core.wait_for_close(state)
        })
    };
    begun.recv().unwrap();
    // It waits as soon as anybody else can come in.
    core.joined(2);
    core.ended(2, true);
    core.ended(1, false);
    assert!(closing.join().unwrap());
}

#[test]
fn whoever_asks_for_the_shared_endpoint_gets_one_that_runs() {
    let place = std::sync::Mutex::default();
    let first = Endpoint::at(&place).unwrap();
    assert!(Arc::ptr_eq(&first.0, &Endpoint::at(&place).unwrap().0));
    assert!(first.shutdown(Duration::from_secs(30)));
    let second = Endpoint::at(&place).unwrap();
    let server = Server::on(&second, ServerConfig::new("127.0.0.1", 0));
    server.start().unwrap();
}
