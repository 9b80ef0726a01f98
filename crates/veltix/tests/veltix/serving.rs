//! What a server does for its clients, and how it ends.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use superstream_veltix::{
    Address, BufferSize, Client, ClientConfig, CloseReason, Connection, Error, PerformanceMode,
    Request, RequestId, Server, ServerConfig,
};

use crate::support::*;

#[test]
fn a_broadcast_reaches_all_but_those_excepted() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let mut raws = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..3 {
        raws.push(Raw::greeted(port(&server)));
        peers.push(next(&connected));
    }
    let result = server.broadcast(&Request::new(OTHER, "all"), &peers[1..2]);
    assert_eq!((result.sent, result.failed.len()), (2, 0));
    let id = raws[0].frame().id;
    assert_eq!(raws[2].frame().id, id, "one id for all, as in Python");
    assert!(raws[1].echoes(), "and nothing else came");
    // To one that is gone it fails, and says so.
    drop(raws.remove(2));
    until("it is gone", || server.clients().len() == 2);
    let result = server.broadcast_to(&peers, &Request::new(OTHER, "all"), &[]);
    assert_eq!(result.sent, 2);
    assert_eq!(result.failed[0].0, peers[2]);
    assert!(matches!(
        result.failed[0].1,
        Error::Closed(CloseReason::PeerClosed)
    ));
    assert_eq!(
        server.broadcast_to(&[], &Request::new(OTHER, ""), &[]).sent,
        0
    );
}

#[test]
fn clients_are_found_by_their_tags_while_they_are_there() {
    let server = server_with(|_| {});
    server.on_recv(|client, response| {
        client.tags().add_value("name", response.content.clone());
        client.tags().add(response.text().unwrap());
        let _ = client.send(&Request::reply_to(&response, OTHER, ""));
    });
    server.start().unwrap();
    let mut first = Raw::greeted(port(&server));
    let mut second = Raw::greeted(port(&server));
    first.send(OTHER, RequestId(1), b"red");
    second.send(OTHER, RequestId(1), b"blue");
    first.frame();
    second.frame();
    assert_eq!(server.clients_by_tag("name").len(), 2);
    let red = server.clients_by_tag("red");
    assert_eq!(red.len(), 1);
    assert_eq!(
        red[0].tags().get::<Vec<u8>>("name").unwrap().as_slice(),
        b"red"
    );
    assert_eq!(red[0].addr(), first.socket.local_addr().unwrap());
    red[0].send(&Request::new(OTHER, "to red")).unwrap();
    assert_eq!(first.frame().payload, b"to red");
    drop(first);
    until("it is gone", || server.clients_by_tag("red").is_empty());
}

#[test]
fn a_server_can_end_a_client_and_the_socket_is_closed_though_it_is_kept() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    let (reasons, left) = channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let kept = next(&connected);
    kept.send(&Request::new(OTHER, "last words")).unwrap();
    kept.close();
    assert_eq!(raw.frame().payload, b"last words");
    assert!(raw.next().is_none());
    assert_eq!(next(&left), CloseReason::Manual);
    // Whoever writes to a socket that is closed in both directions learns so.
    until("the socket is closed", || {
        raw.socket.write_all(b"x").is_err()
    });
    assert!(matches!(
        kept.send(&Request::new(OTHER, "")),
        Err(Error::Closed(CloseReason::Manual))
    ));
}

#[test]
fn beyond_the_maximum_a_client_is_greeted_when_there_is_room() {
    let server = server_with(|config| config.max_connection = 2);
    server.start().unwrap();
    let mut first = Raw::greeted(port(&server));
    let _second = Raw::greeted(port(&server));
    let mut third = Raw::connect(port(&server));
    // The server has looked at its sockets since.
    assert!(first.echoes() && first.echoes());
    third.socket.set_nonblocking(true).unwrap();
    let error = third.socket.peek(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "not greeted");
    third.socket.set_nonblocking(false).unwrap();
    drop(first);
    third.greet();
    assert!(third.echoes());
}

#[test]
fn closing_a_server_writes_what_was_sent_and_ends_at_once() {
    let server = server_with(|_| {});
    let (connects, connected) = channel();
    server.on_connect(move |client| connects.send(client.clone()).unwrap());
    server.start().unwrap();
    let port = port(&server);
    let mut raws: Vec<_> = (0..20).map(|_| Raw::greeted(port)).collect();
    for _ in 0..20 {
        let peer = next(&connected);
        for number in 0..50_u8 {
            peer.send(&Request::new(OTHER, vec![number; 1000])).unwrap();
        }
    }
    assert!(server.close_all(), "all was written");
    assert!(server.clients().is_empty() && server.local_addr().is_none());
    for raw in &mut raws {
        for number in 0..50_u8 {
            assert_eq!(raw.frame().payload, vec![number; 1000]);
        }
        assert!(raw.next().is_none());
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    // And again.
    server.start().unwrap();
    assert!(Raw::greeted(crate::support::port(&server)).echoes());
    assert!(matches!(server.start(), Err(Error::WrongState(_))));
}

#[test]
fn an_endpoint_ends_while_callbacks_run_and_one_may_end_its_server() {
    let endpoint = endpoint();
    let server = Arc::new(Server::on(&endpoint, ServerConfig::new("127.0.0.1", 0)));
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let (enters, entered) = channel();
    let own = Arc::downgrade(&server);
    server.on_recv(move |_, _| {
        own.upgrade().unwrap().close_all();
        enters.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
    });
    server.start().unwrap();
    let client = Client::on(&endpoint, ClientConfig::new("127.0.0.1", port(&server)));
    client.connect().unwrap();
    client.send(&Request::new(OTHER, "")).unwrap();
    next(&entered);
    assert!(
        !endpoint.shutdown(Duration::from_millis(50)),
        "one still runs"
    );
    until("the client knows", || !client.is_connected());
    drop(open);
    assert!(endpoint.shutdown(LONG), "now all have ended");
    // And nothing begins on it any more.
    assert!(client.connect().is_err());
    assert!(matches!(server.start(), Err(Error::WrongState(_))));
}

#[test]
fn a_port_that_is_taken_is_told_of() {
    let server = echo_server();
    let second = server_with(|config| config.port = port(&server));
    assert!(matches!(second.start(), Err(Error::Io(_))));
    let nowhere = server_with(|config| config.host = "host.invalid".to_owned());
    assert!(matches!(nowhere.start(), Err(Error::BadAddress(_))));
}

#[test]
fn ipv6_and_names_do() {
    let server = server_with(|config| config.host = "::1".to_owned());
    match server.start() {
        Ok(()) => {
            let url = format!("veltix://[::1]:{}", port(&server));
            let client = Client::new(ClientConfig::from_url(&url).unwrap()).unwrap();
            client.connect().unwrap();
            client.ping_server(LONG).unwrap();
        }
        // A machine without IPv6 cannot show it, and says so where nobody keeps it back.
        Err(error) => writeln!(std::io::stderr(), "IPv6 is NOT tested here: {error}").unwrap(),
    }

    let server = echo_server();
    let client = client_with(port(&server), |config| {
        // It may be an IPv6 address first, where nobody listens.
        config.address.host = "localhost".to_owned();
    });
    client.connect().unwrap();
    client.ping_server(LONG).unwrap();
}

/// As a name may have them, one of IPv6 before one of IPv4.
#[test]
fn all_addresses_are_tried_in_their_order() {
    let (first, second) = (Reserved::new(), Reserved::new());
    let servers = [echo_server(), echo_server()];
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let [nobody, nobody_else] = [&first, &second].map(|reserved| at(reserved.port()));
    let [good, other] = [&servers[0], &servers[1]].map(|server| at(port(server)));
    // Which of these it is that is reached.
    for (addresses, reached) in [
        (vec![good], Some(0)),
        (vec![nobody, good], Some(0)),
        (vec![nobody, nobody_else, good, other], Some(0)),
        (vec![other, good], Some(1)),
        (vec![nobody, nobody_else], None),
    ] {
        let address = Address::new("somewhere.example", 1);
        let options = unhurried();
        let deadline = Instant::now() + LONG;
        match Connection::open_at(&address, &addresses, &options, deadline) {
            Ok(mut connection) => {
                connection.ping(deadline).unwrap();
                let served = servers.each_ref().map(|server| server.clients().len());
                let expected = [0, 1].map(|index| usize::from(reached == Some(index)));
                assert_eq!(served, expected, "{addresses:?}");
                connection.close(deadline).unwrap();
                until("it is gone", || {
                    servers.iter().all(|server| server.clients().is_empty())
                });
            }
            Err(Error::Io(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                assert_eq!(reached, None, "{addresses:?}");
            }
            Err(error) => panic!("{addresses:?}: {error}"),
        }
    }
}

#[test]
fn messages_flow_in_every_mode_and_with_every_buffer() {
    // As they are documented, and as Python's are.
    let buffers = [
        (BufferSize::Small, 1024),
        (BufferSize::Medium, 8192),
        (BufferSize::Large, 65_536),
        (BufferSize::Huge, 1_048_576),
        (BufferSize::Bytes(3000), 3000),
    ];
    let modes = [
        PerformanceMode::Low,
        PerformanceMode::Balanced,
        PerformanceMode::High,
        PerformanceMode::Auto,
    ];
    for (mode, (buffer_size, bytes)) in modes
        .into_iter()
        .flat_map(|mode| buffers.map(|buffer| (mode, buffer)))
    {
        assert_eq!(buffer_size.bytes(), bytes);
        let server = server_with(|config| {
            config.performance_mode = mode;
            config.buffer_size = buffer_size;
        });
        let (messages, received) = channel();
        server.on_recv(move |_, response| messages.send(response.content).unwrap());
        server.start().unwrap();
        let client = client_with(port(&server), |config| {
            config.performance_mode = mode;
            config.buffer_size = buffer_size;
        });
        client.connect().unwrap();
        for size in [0, 1, bytes - 22, bytes, 200_000] {
            let what = format!("{mode:?}, {buffer_size:?}, {size}");
            let content = vec![5; size];
            let sent = Request::new(OTHER, content.clone());
            client.send_within(&sent, LONG).unwrap();
            assert!(next(&received) == content, "{what}");
            let asked = client.send_and_wait(&Request::new(CHAT, content.clone()), LONG);
            assert!(asked.unwrap().content == content, "{what}");
        }
        client.ping_server(LONG).unwrap();
        server.clients()[0].ping(LONG).unwrap();
    }
}
