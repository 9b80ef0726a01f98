//! Callbacks: their order, and that they never hold up what arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use superstream_veltix::{CloseReason, MessageType, Request, RequestId};

use crate::support::*;

#[test]
fn each_client_is_served_in_order_and_several_at_once() {
    let server = server_with(|_| {});
    let (messages, received) = channel();
    server.on_recv(move |client, response| messages.send((client.id(), response.content)).unwrap());
    server.start().unwrap();
    let clients: Vec<_> = (0..4).map(|_| connected(port(&server))).collect();
    for number in 0..2000_u32 {
        for client in &clients {
            client
                .send(&Request::new(OTHER, number.to_be_bytes()))
                .unwrap();
        }
    }
    let mut expected = std::collections::HashMap::new();
    for _ in 0..4 * 2000 {
        let (id, content) = next(&received);
        let number = expected.entry(id).or_insert(0_u32);
        assert_eq!(content, number.to_be_bytes());
        *number += 1;
    }
    assert_eq!(expected.len(), 4);
}

#[test]
fn a_callback_may_ask_its_own_client_even_when_it_has_just_connected() {
    let server = server_with(|_| {});
    let (results, measured) = channel();
    server.on_connect(move |client| {
        results.send(client.ping(LONG)).unwrap();
        let reply = client.send_and_wait(&Request::new(CHAT, "you?"), LONG);
        results.send(reply.map(|_| Duration::ZERO)).unwrap();
    });
    server.start().unwrap();
    let client = client_with(port(&server), |_| {});
    let sender = client.sender();
    client.route(CHAT, move |response| {
        sender
            .send(&Request::reply_to(&response, CHAT, "me"))
            .unwrap();
    });
    client.connect().unwrap();
    next(&measured).unwrap();
    next(&measured).unwrap();
}

#[test]
fn callbacks_that_wait_hold_up_nothing_that_arrives() {
    const WORKERS: usize = 4;
    let server = server_with(|_| {});
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let entered = Arc::new(AtomicUsize::new(0));
    let inside = Arc::clone(&entered);
    server.on_recv(move |_, _| {
        inside.fetch_add(1, Ordering::SeqCst);
        let _ = gate.lock().unwrap().recv();
    });
    server.start().unwrap();
    let answering = || {
        let client = connected(port(&server));
        let sender = client.sender();
        client.route(CHAT, move |response| {
            let reply = Request::reply_to(&response, CHAT, response.content.clone());
            sender.send(&reply).unwrap();
        });
        client
    };
    let clients = [(); WORKERS].map(|()| answering());
    for client in &clients {
        for _ in 0..10 {
            client.send(&Request::new(OTHER, "wait")).unwrap();
        }
    }
    until("all workers wait", || {
        entered.load(Ordering::SeqCst) == WORKERS
    });
    // Those who wait, and one who comes now.
    let late = answering();
    until("it is there", || server.clients().len() == WORKERS + 1);
    for client in clients.iter().chain([&late]) {
        client.ping_server(LONG).unwrap();
    }
    for peer in server.clients() {
        peer.ping(LONG).unwrap();
        let reply = peer.send_and_wait(&Request::new(CHAT, "you"), LONG);
        assert_eq!(reply.unwrap().content, b"you");
    }
    assert_eq!(entered.load(Ordering::SeqCst), WORKERS, "they still wait");
    drop(open);
    until("all have run", || {
        entered.load(Ordering::SeqCst) == 10 * WORKERS
    });
}

#[test]
fn a_panic_in_a_callback_is_the_callback_s_own_affair() {
    let server = server_with(|_| {});
    let (messages, received) = channel();
    server.on_recv(move |_, response| {
        assert_ne!(response.content, b"panic");
        messages.send(response.content).unwrap();
    });
    server.on_connect(|_| panic!("on connect"));
    server.start().unwrap();
    let client = connected(port(&server));
    for content in ["one", "panic", "two"] {
        client.send(&Request::new(OTHER, content)).unwrap();
    }
    assert_eq!(next(&received), b"one");
    assert_eq!(next(&received), b"two");
    assert!(Raw::greeted(port(&server)).echoes());
}

#[test]
fn a_route_is_before_the_handler_and_the_first_one_stays() {
    let server = server_with(|_| {});
    let (messages, received) = channel();
    let (routed, general) = (messages.clone(), messages.clone());
    assert!(server.route(OTHER, move |_, _| routed.send("route").unwrap()));
    assert!(!server.route(OTHER, move |_, _| messages.send("second").unwrap()));
    server.on_recv(move |_, _| general.send("handler").unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    raw.send(OTHER, RequestId(1), b"");
    assert_eq!(next(&received), "route");
    for message_type in [
        MessageType::HEARTBEAT,
        MessageType::ERROR,
        MessageType::INVALID_REQUEST,
    ] {
        raw.send(message_type, RequestId(1), b"");
        assert_eq!(next(&received), "handler");
    }
    assert!(server.unroute(OTHER) && !server.unroute(OTHER));
    raw.send(OTHER, RequestId(1), b"");
    assert_eq!(next(&received), "handler");
}

#[test]
fn the_end_is_told_after_all_messages() {
    let server = server_with(|_| {});
    let (events, happened) = channel();
    let (connects, messages) = (events.clone(), events.clone());
    server.on_connect(move |_| connects.send("connect".to_owned()).unwrap());
    server.on_recv(move |_, response| messages.send(response.text().unwrap().to_owned()).unwrap());
    server.on_disconnect(move |client, reason| {
        assert!(client.send(&Request::new(OTHER, "too late")).is_err());
        events.send(reason.to_string()).unwrap();
    });
    server.start().unwrap();
    let client = connected(port(&server));
    for number in 0..500 {
        client
            .send(&Request::new(OTHER, number.to_string()))
            .unwrap();
    }
    assert!(client.disconnect(), "all was written");
    assert_eq!(next(&happened), "connect");
    for number in 0..500 {
        assert_eq!(next(&happened), number.to_string());
    }
    assert_eq!(next(&happened), CloseReason::PeerClosed.to_string());
    assert!(server.clients().is_empty());
}

#[test]
fn a_ping_without_waiting_tells_a_callback() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let peer = next(&connected);
    let (results, measured) = channel();
    let answered = results.clone();
    peer.ping_async(LONG, move |result| answered.send(result).unwrap())
        .unwrap();
    let ping = raw.frame();
    raw.send(MessageType::PONG, ping.id, b"");
    next(&measured).unwrap();
    peer.ping_async(Duration::from_millis(20), move |result| {
        results.send(result).unwrap();
    })
    .unwrap();
    assert!(next(&measured).is_err(), "nobody answered");
}
