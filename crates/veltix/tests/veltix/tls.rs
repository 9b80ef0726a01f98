//! `veltixs://`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use superstream_veltix::frames::{Decoder, Wire};
use superstream_veltix::{
    Address, Client, ClientConfig, CloseReason, Connection, Error, MessageType, Next, Request,
    RequestId, Server, ServerConfig,
};

use crate::support::*;

type Configs = (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>);

/// A server's configuration, and that of a client who trusts it.
pub fn certificates() -> Configs {
    certificates_for(&["localhost", "127.0.0.1"])
}

fn certificates_for(names: &[&str]) -> Configs {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// Of a client as patient as the server.
pub fn secure_client(server: &Server, tls: &Arc<rustls::ClientConfig>) -> ClientConfig {
    let mut config = ClientConfig::new("127.0.0.1", port(server)).with_tls(Arc::clone(tls));
    patient(&mut config.session);
    config.connect_timeout = LONG;
    config
}

fn secure_server(tls: &Arc<rustls::ServerConfig>) -> Server {
    secure_server_on(Wire::V1, tls)
}

fn secure_server_on(wire: Wire, tls: &Arc<rustls::ServerConfig>) -> Server {
    let mut config = ServerConfig::new("127.0.0.1", 0).with_tls(Arc::clone(tls));
    patient(&mut config.session);
    config.session.wire = Some(wire);
    let server = Server::on(&endpoint(), config);
    server.route(CHAT, |client, response| {
        let reply = Request::reply_to(&response, CHAT, response.content.clone());
        client.send_within(&reply, LONG).unwrap();
    });
    server.start().unwrap();
    server
}

#[test]
fn everything_goes_through_tls_large_frames_too() {
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let url = format!("veltixs://127.0.0.1:{}", port(&server));
    let config = ClientConfig::from_url(&url).unwrap().with_tls(client_tls);
    let client = Client::on(&endpoint(), config);
    client.connect().unwrap();
    for size in [0, 1, 70_000, 10 * 1024 * 1024 - 22] {
        let request = Request::new(CHAT, vec![3; size]);
        let reply = client.send_and_wait(&request, LONG).unwrap();
        assert_eq!(reply.content, request.content, "{size}");
    }
    client.ping_server(LONG).unwrap();
    until("it is known", || server.clients().len() == 1);
    server.clients()[0].ping(LONG).unwrap();
    assert!(client.disconnect());
    until("it is gone", || server.clients().is_empty());
}

#[test]
fn the_connection_without_a_thread_does_too() {
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let url = format!("veltixs://127.0.0.1:{}", port(&server));
    let address = Address::parse(&url).unwrap();
    let options = unhurried().with_tls(client_tls);
    let mut connection = Connection::open(&address, &options, Instant::now() + LONG).unwrap();
    let request = Request::new(CHAT, vec![3; 1_000_000]);
    let reply = connection.send_and_wait(&request, Instant::now() + LONG);
    assert_eq!(reply.unwrap().content, request.content);
}

#[test]
fn both_versions_go_through_tls() {
    for wire in [Wire::V1, Wire::V2] {
        let (server_tls, client_tls) = certificates();
        let server = secure_server_on(wire, &server_tls);
        let config = secure_client(&server, &client_tls);
        let client = Client::on(&endpoint(), config);
        client.connect().unwrap();
        assert_eq!(client.wire().unwrap(), wire);
        let mut connection = open(port(&server), client_tls).unwrap();
        assert_eq!(connection.wire(), wire);
        for size in [0, 1, 70_000, 10 * 1024 * 1024 - wire.header_size()] {
            let request = Request::new(CHAT, vec![3; size]);
            let reply = client.send_and_wait(&request, LONG).unwrap();
            assert_eq!(reply.content, request.content, "{wire:?}, {size}");
            let reply = connection.send_and_wait(&request, Instant::now() + LONG);
            assert_eq!(reply.unwrap().content, request.content, "{wire:?}, {size}");
        }
        client.ping_server(LONG).unwrap();
        connection.ping(Instant::now() + LONG).unwrap();
    }
}

#[test]
fn a_client_comes_back_through_tls() {
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let mut config = secure_client(&server, &client_tls);
    config.retry = u32::MAX;
    config.retry_delay = Duration::from_millis(1);
    let client = Client::on(&endpoint(), config);
    let (events, happened) = channel();
    let losses = events.clone();
    client.on_connect(move || {
        let _ = events.send(None);
    });
    client.on_disconnect(move |state| {
        // Others are of attempts that a busy machine was too slow for.
        if state.attempt == 0 {
            let _ = losses.send(Some(state.cause));
        }
    });
    client.connect().unwrap();
    for _ in 0..3 {
        assert_eq!(next(&happened), None);
        let request = Request::new(CHAT, "still there?");
        let reply = client.send_and_wait(&request, LONG).unwrap();
        assert_eq!(reply.content, request.content);
        for peer in server.clients() {
            peer.close();
        }
        // Told the end by TLS, and not only cut off.
        assert_eq!(next(&happened), Some(CloseReason::PeerClosed));
    }
    assert_eq!(next(&happened), None);
    client.disconnect();
}

#[test]
fn whom_nobody_trusts_is_not_spoken_to() {
    let (server_tls, _) = certificates();
    let (_, stranger) = certificates();
    let server = secure_server(&server_tls);
    let config = secure_client(&server, &stranger);
    let client = Client::on(&endpoint(), config);
    let Err(Error::Closed(CloseReason::Tls(_))) = client.connect() else {
        panic!("connected");
    };
    assert!(server.clients().is_empty());
}

#[test]
fn who_asks_for_tls_never_goes_without() {
    let plain = echo_server();
    let url = format!("veltixs://127.0.0.1:{}", port(&plain));
    let client = Client::on(&endpoint(), ClientConfig::from_url(&url).unwrap());
    assert!(matches!(
        client.connect(),
        Err(Error::Closed(CloseReason::Tls(_)))
    ));
    let address = Address::parse(&url).unwrap();
    let opened = Connection::open(&address, &unhurried(), Instant::now() + LONG);
    assert!(matches!(opened, Err(Error::Tls(_))));

    // A client without it, at a server with it: each waits for the other to begin.
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let client = client_with(port(&server), |config| {
        short(&mut config.session);
    });
    let refused = client.connect();
    assert!(
        matches!(refused, Err(Error::Closed(CloseReason::HandshakeTimeout))),
        "{refused:?}"
    );
    // One that speaks what is no TLS is refused too, and the server goes on.
    let mut raw = Raw::connect(port(&server));
    raw.send(MessageType::HELLO_ACK, RequestId(1), b"\x00\x051.6.3");
    until(
        "it is refused",
        || !matches!(raw.socket.read(&mut [0; 100]), Ok(length) if length > 0),
    );
    assert!(server.clients().is_empty());
    let mut connection = open(port(&server), client_tls).unwrap();
    connection.ping(Instant::now() + LONG).unwrap();
}

type TlsPeer = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

/// A server's side that greets and then keeps to no rule.
fn accept_greeting(listener: &TcpListener, tls: Arc<rustls::ServerConfig>) -> TlsPeer {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let session = rustls::ServerConnection::new(tls).unwrap();
    let mut peer = rustls::StreamOwned::new(session, socket);
    let hello = frame(MessageType::HELLO, RequestId(77), b"\x00\x051.6.3");
    peer.write_all(&hello).unwrap();
    peer.read_exact(&mut vec![0; hello.len()]).unwrap();
    peer
}

fn opened_with((server_tls, client_tls): Configs) -> (Connection, TlsPeer) {
    let (listener, port) = listener();
    let accepting = thread::spawn(move || accept_greeting(&listener, server_tls));
    let connection = open(port, client_tls).unwrap();
    (connection, accepting.join().unwrap())
}

fn open(port: u16, tls: Arc<rustls::ClientConfig>) -> Result<Connection, Error> {
    let address = Address::parse(&format!("veltixs://127.0.0.1:{port}")).unwrap();
    let options = unhurried().with_tls(tls);
    Connection::open(&address, &options, Instant::now() + LONG)
}

#[test]
fn an_end_that_tls_was_not_told_of_is_no_clean_end() {
    for clean in [true, false] {
        let (mut connection, mut peer) = opened_with(certificates());
        peer.write_all(&frame(OTHER, RequestId(1), b"last"))
            .unwrap();
        if clean {
            peer.conn.send_close_notify();
        }
        peer.flush().unwrap();
        peer.sock.shutdown(Shutdown::Write).unwrap();
        let Next::Message(last) = connection.next(Instant::now() + LONG).unwrap() else {
            panic!("no message");
        };
        assert_eq!(last.content, b"last");
        let Err(Error::Closed(reason)) = connection.next(Instant::now() + LONG) else {
            panic!("it goes on");
        };
        match clean {
            true => assert_eq!(reason, CloseReason::PeerClosed),
            false => assert!(matches!(reason, CloseReason::Tls(_)), "{reason:?}"),
        }
    }
}

#[test]
fn what_came_before_a_bad_record_is_delivered() {
    let (mut connection, mut peer) = opened_with(certificates());
    let mut records = Vec::new();
    for (id, content) in [(1, "one"), (2, "two")] {
        let bytes = frame(OTHER, RequestId(id), content.as_bytes());
        peer.conn.writer().write_all(&bytes).unwrap();
    }
    peer.conn.write_tls(&mut records).unwrap();
    // What no key of this conversation has made.
    records.extend_from_slice(&[23, 3, 3, 0, 20]);
    records.extend_from_slice(&[7; 20]);
    peer.sock.write_all(&records).unwrap();
    for content in ["one", "two"] {
        let Next::Message(message) = connection.next(Instant::now() + LONG).unwrap() else {
            panic!("no message");
        };
        assert_eq!(message.content, content.as_bytes());
    }
    let end = connection.next(Instant::now() + LONG);
    assert!(
        matches!(end, Err(Error::Closed(CloseReason::Tls(_)))),
        "{end:?}"
    );
}

#[test]
fn a_certificate_of_another_name_or_of_a_stranger_is_refused() {
    let wrong_name = certificates_for(&["elsewhere.example"]);
    let untrusted = (certificates().0, certificates().1);
    for ((server_tls, client_tls), why) in [(wrong_name, "not valid for"), (untrusted, "")] {
        let server = secure_server(&server_tls);
        let refused = open(port(&server), client_tls).err().unwrap();
        let Error::Closed(CloseReason::Tls(text)) = refused else {
            panic!("{refused:?}");
        };
        assert!(text.starts_with("invalid peer certificate"), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(server.clients().is_empty());
    }
}

#[test]
fn what_was_sent_is_with_the_system_and_not_with_tls() {
    let (mut connection, mut peer) = opened_with(certificates());
    let request = Request::new(OTHER, vec![5; 50_000]);
    let mut sent = 0;
    // Until nothing more fits anywhere.
    while connection
        .send(&request, Instant::now() + Duration::from_millis(30))
        .is_ok()
    {
        sent += 1;
    }
    drop(connection);
    let mut decoder = Decoder::new(Wire::V1, usize::MAX);
    let mut arrived = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = peer.read(&mut buffer)
        && length > 0
    {
        let mut input = &buffer[..length];
        while let Some(frame) = decoder.next(&mut input).unwrap() {
            assert_eq!(frame.payload, request.content);
            arrived += 1;
        }
    }
    assert!(sent > 0);
    assert_eq!(arrived, sent);
}

#[cfg(unix)]
#[test]
fn dropping_it_does_not_end_what_a_forked_parent_has() {
    use std::os::fd::AsFd;

    let (connection, mut peer) = opened_with(certificates());
    // As the parent has it: another descriptor of the same socket.
    let parents = connection.as_fd().try_clone_to_owned().unwrap();
    drop(connection);
    TcpStream::from(parents).write_all(b"goes on").unwrap();
    let mut raw = Vec::new();
    peer.sock.read_to_end(&mut raw).unwrap();
    assert_eq!(raw, b"goes on");
}
