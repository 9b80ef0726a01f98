//! Handshakes that come to nothing, in both versions and for all who greet: noticed at once, with the
//! reason.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use superstream_veltix::frames::Wire;
use superstream_veltix::session::Options;
use superstream_veltix::{
    Address, CloseReason, Connection, ConnectionOptions, Error, MessageType, RequestId,
};

use crate::support::*;

const SHORT: Duration = Duration::from_millis(100);

/// What a peer says instead of its part of the handshake, or in vain; nothing where it is silent.
struct Row {
    name: &'static str,
    said: Vec<u8>,
    reason: CloseReason,
}

fn row(name: &'static str, said: impl Into<Vec<u8>>, reason: CloseReason) -> Row {
    Row {
        name,
        said: said.into(),
        reason,
    }
}

fn version(text: &str) -> CloseReason {
    CloseReason::Version(text.to_owned())
}

/// What both sides of 2.0.0 refuse.
fn bad_json() -> Vec<Row> {
    let no_json = CloseReason::Handshake("a greeting that is no JSON");
    let no_version = CloseReason::Handshake("a greeting without a version");
    vec![
        row(
            "longer than any greeting",
            [&5000_u16.to_be_bytes()[..], b"{\"v\":"].concat(),
            CloseReason::Handshake("a greeting that is too long"),
        ),
        row("no JSON", json("{version 2}"), no_json),
        row(
            "no version",
            json(r#"{"meta":{"id_window":30000}}"#),
            no_version.clone(),
        ),
        row(
            "a version that is no text",
            json(r#"{"v":2,"meta":{}}"#),
            no_version,
        ),
        row(
            "a later version",
            json(r#"{"v":"2.0.1","meta":{}}"#),
            version("2.0.1"),
        ),
        row(
            "the version before",
            json(r#"{"v":"1.6.3","meta":{}}"#),
            version("1.6.3"),
        ),
        row("nothing", [0; 0], CloseReason::HandshakeTimeout),
        row(
            "a part of a greeting",
            &json(JSON)[..20],
            CloseReason::HandshakeTimeout,
        ),
    ]
}

fn hello(message_type: MessageType, payload: &[u8]) -> Vec<u8> {
    frame(message_type, RequestId(77), payload)
}

/// What a client refuses.
fn bad_greetings(wire: Wire) -> Vec<Row> {
    let no_version = || CloseReason::Handshake("a greeting without a version");
    match wire {
        Wire::V1 => vec![
            row(
                "a later version",
                hello(MessageType::HELLO, b"\x00\x051.6.4"),
                version("1.6.4"),
            ),
            row(
                "a release candidate",
                hello(MessageType::HELLO, b"\x00\x082.0.0rc1"),
                version("2.0.0rc1"),
            ),
            row("no version", hello(MessageType::HELLO, b""), no_version()),
            row(
                "a version that is cut short",
                hello(MessageType::HELLO, b"\x00\x091.6.3"),
                no_version(),
            ),
            row(
                "a greeting with a wrong checksum",
                {
                    let mut bytes = hello(MessageType::HELLO, b"\x00\x051.6.3");
                    bytes[6] ^= 1;
                    bytes
                },
                CloseReason::BadChecksum {
                    message_type: MessageType::HELLO,
                },
            ),
            row(
                "an answer where a greeting should be",
                hello(MessageType::HELLO_ACK, b"\x00\x051.6.3"),
                CloseReason::HandshakeTimeout,
            ),
            row("nothing", [0; 0], CloseReason::HandshakeTimeout),
        ],
        Wire::V2 => {
            let refused = || CloseReason::Handshake("the server did not say ok");
            let after = |text: &str| [json(JSON), json(text)].concat();
            let mut rows = bad_json();
            rows.extend([
                row(
                    "another result than ok",
                    after(r#"{"result":"version_mismatch"}"#),
                    refused(),
                ),
                row("no result", after("{}"), refused()),
                row("no consent", json(JSON), CloseReason::HandshakeTimeout),
            ]);
            rows
        }
    }
}

/// Settings by which nothing but the row's own time ends.
fn options(wire: Option<Wire>, row: &Row) -> Options {
    let mut options = patience();
    options.wire = wire;
    if row.reason == CloseReason::HandshakeTimeout {
        options.handshake_timeout = SHORT;
    }
    options
}

/// Says what a row has to whoever connects, and waits for the end.
fn refusing(said: Vec<u8>) -> (thread::JoinHandle<()>, u16) {
    let (listener, port) = listener();
    let peer = thread::spawn(move || {
        use std::io::Read;
        let mut raw = Raw::accept(&listener);
        raw.write(&said);
        let mut rest = Vec::new();
        // What it still says is not looked at.
        match raw.socket.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert!(is_end(&error), "{error}"),
        }
    });
    (peer, port)
}

/// Rows of both versions, for clients that are told the version and for those that find out.
fn client_rows(mut meet: impl FnMut(&str, Options, u16) -> CloseReason) {
    for wire in [Wire::V1, Wire::V2] {
        for told in [Some(wire), None] {
            for row in bad_greetings(wire) {
                let name = format!("{}, {wire:?}, {told:?}", row.name);
                let options = options(told, &row);
                let (peer, port) = refusing(row.said);
                assert_eq!(meet(&name, options, port), row.reason, "{name}");
                peer.join().unwrap();
            }
        }
    }
}

#[test]
fn a_client_refuses_a_server() {
    client_rows(|name, options, port| {
        let client = client_with(port, |config| config.session = options);
        let (states, told) = channel();
        client.on_disconnect(move |state| states.send(state).unwrap());
        let Err(Error::Closed(reason)) = client.connect() else {
            panic!("{name}: connected");
        };
        let state = next(&told);
        assert!(state.permanent, "{name}");
        assert_eq!(state.cause, reason, "{name}");
        reason
    });
}

#[test]
fn a_connection_without_a_thread_refuses_a_server() {
    client_rows(|name, options, port| {
        let options = ConnectionOptions {
            session: options,
            ..ConnectionOptions::default()
        };
        let address = Address::new("127.0.0.1", port);
        match Connection::open(&address, &options, Instant::now() + LONG) {
            Err(Error::Closed(reason)) => reason,
            Err(error) => panic!("{name}: {error}"),
            Ok(_) => panic!("{name}: connected"),
        }
    });
}

/// A server's part is seen from outside: it never consents, ends the connection, and tells nobody of a
/// client.
#[test]
fn a_server_refuses_a_client_of_2_0_0() {
    for row in bad_json() {
        let server = server_with(|config| config.session = options(Some(Wire::V2), &row));
        let (connects, connected) = channel();
        let leaves = connects.clone();
        server.on_connect(move |_| connects.send("connect").unwrap());
        server.on_disconnect(move |_, _| leaves.send("disconnect").unwrap());
        server.start().unwrap();
        let socket = std::net::TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
        let mut raw = Raw::on(Wire::V2, socket);
        assert!(raw.json().unwrap().contains("id_window"), "{}", row.name);
        raw.write(&row.said);
        assert_eq!(raw.json(), None, "{}", row.name);
        assert!(server.clients().is_empty(), "{}", row.name);
        assert!(server.close_all());
        drop((raw, server));
        assert!(connected.recv().is_err(), "{}", row.name);
    }
}
