//! Servers that are none, or that mean ill.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use superstream_nats::{Connection, Error, Options};

use crate::common::{open, options, shortly, soon};

const INFO: &str =
    "INFO {\"server_name\":\"s\",\"client_id\":1,\"max_payload\":1048576,\"headers\":true}\r\n";

/// A server for one connection. It ends with it.
fn serve(what: impl FnOnce(TcpStream) + Send + 'static) -> Options {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || what(listener.accept().unwrap().0));
    let mut options = options(&format!("127.0.0.1:{port}"));
    options.user = Some("u".to_owned());
    options.password = Some("hunter2".to_owned());
    options
}

/// Says INFO, waits for CONNECT and PING, and answers.
fn greet(stream: &mut TcpStream) {
    stream.write_all(INFO.as_bytes()).unwrap();
    read_until(stream, "PING\r\n");
    stream.write_all(b"PONG\r\n").unwrap();
}

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

/// A deadline within a flood.
fn at_once() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

/// Says the same again and again, until nobody listens.
fn flood(mut stream: TcpStream, text: &str) {
    let bytes = text.repeat(1000);
    while stream.write_all(bytes.as_bytes()).is_ok() {}
}

fn error_of(options: &Options) -> Error {
    Connection::open(options, &[], soon())
        .map(drop)
        .unwrap_err()
}

#[test]
fn what_is_no_nats_is_told_at_once() {
    for text in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "INFO nonsense\r\n",
    ] {
        let options = serve(move |mut stream| {
            stream.write_all(text.as_bytes()).unwrap();
            let _ = stream.read(&mut [0]);
        });
        let error = error_of(&options);
        assert!(matches!(error, Error::Protocol(_)), "{text:?}: {error:?}");
    }
    let error = error_of(&serve(|stream| flood(stream, "x")));
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    let error = error_of(&serve(drop));
    assert!(matches!(error, Error::Io(_)), "{error:?}");
}

#[test]
fn a_server_that_repeats_the_password_does_not_get_it_told() {
    let options = serve(|mut stream| {
        stream.write_all(INFO.as_bytes()).unwrap();
        let hello = read_until(&mut stream, "PING\r\n");
        let long = "y".repeat(1000);
        let hello = hello.replace("\r\n", "\u{1b}[2J\r");
        stream
            .write_all(format!("-ERR '{hello} hunter2 {long}'\r\n").as_bytes())
            .unwrap();
    });
    let error = error_of(&options);
    assert!(matches!(error, Error::Closed(_)), "{error:?}");
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(told.contains("[masked]"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    assert!(told.len() < 1500, "{told}");
}

#[test]
fn the_first_words_are_as_the_protocol_wants_them() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let options = serve(move |mut stream| {
        stream.write_all(INFO.as_bytes()).unwrap();
        sender.send(read_until(&mut stream, "PING\r\n")).unwrap();
        stream.write_all(b"PONG\r\n").unwrap();
    });
    open(&options).unwrap();
    let hello = receiver.recv().unwrap();
    let json = hello.strip_prefix("CONNECT ").unwrap();
    let json = json.strip_suffix("\r\nPING\r\n").unwrap();
    let connect: serde_json::Value = serde_json::from_str(json).unwrap();
    let expected = serde_json::json!({
        "verbose": false, "pedantic": false, "echo": true, "headers": true,
        "no_responders": true, "tls_required": false, "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "name": "a test", "user": "u",
        "pass": "hunter2",
    });
    assert_eq!(connect, expected);
}

#[test]
fn no_flood_keeps_a_call_beyond_its_deadline() {
    for text in [
        "MSG a 1 1\r\nx\r\n",
        "MSG b 9 1\r\nx\r\n",
        "PING\r\n",
        "+OK\r\n",
        "-ERR 'Permissions Violation for Publish to \"z\"'\r\n",
        INFO,
    ] {
        let options = serve(move |mut stream| {
            greet(&mut stream);
            flood(stream, text);
        });
        let mut connection = open(&options).unwrap();
        let subscription = connection.subscribe("a", None, soon()).unwrap();
        let other = connection.subscribe("b", None, soon()).unwrap();
        // That each of these ends is what is tested. A server that does not read its PONGs is left.
        let is_over =
            |error: Error| matches!(error, Error::TimedOut | Error::Closed(_) | Error::Io(_));
        let answers = [
            connection
                .next_of(other, at_once())
                .map(|message| assert!(message.is_none())),
            connection.request("c", b"", at_once()).map(drop),
            connection.publish("c", None, b"", at_once()),
            connection.next_of(subscription, at_once()).map(drop),
        ];
        for answer in answers {
            assert!(answer.map_or_else(is_over, |()| true), "{text}");
        }
        let flushed = connection.flush(at_once());
        assert!(flushed.is_err_and(is_over), "{text}");
    }
}

#[test]
fn a_write_that_nobody_reads_ends_with_its_deadline() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let options = serve(move |mut stream| {
        greet(&mut stream);
        // Reads nothing, and holds the socket until the test is over.
        let _ = receiver.recv();
    });
    let mut connection = open(&options).unwrap();
    let payload = vec![b'x'; 1024 * 1024];
    let error = loop {
        if let Err(error) = connection.publish("a", None, &payload, shortly()) {
            break error;
        }
    };
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    // By half: nothing can follow it.
    assert!(connection.closed().is_some());
    let error = connection.publish("a", None, b"", soon()).unwrap_err();
    assert!(matches!(error, Error::Closed(_)), "{error:?}");
    drop(sender);
}

#[test]
fn a_message_that_is_longer_than_said_ends_the_connection() {
    for text in [
        "MSG a 1 2000000\r\n",
        "MSG a 1 99999999999\r\n",
        "MSG a 1 1\r\nxyz\r\n",
    ] {
        let options = serve(move |mut stream| {
            greet(&mut stream);
            stream.write_all(text.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let mut connection = open(&options).unwrap();
        let error = connection.next(soon()).unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert!(connection.closed().is_some());
    }
}

#[test]
fn what_the_server_ends_for_is_told_from_then_on() {
    let options = serve(|mut stream| {
        greet(&mut stream);
        read_until(&mut stream, "SUB a 1\r\n");
        stream
            .write_all(b"MSG a 1 1\r\nx\r\n-ERR 'Maximum Payload Violation'\r\n")
            .unwrap();
    });
    let mut connection = open(&options).unwrap();
    connection.subscribe("a", None, soon()).unwrap();
    let error = connection.flush(soon()).unwrap_err();
    assert!(
        error.to_string().contains("Maximum Payload Violation"),
        "{error:?}"
    );
    assert_eq!(connection.closed(), Some("Maximum Payload Violation"));
    // What came before is still there.
    assert_eq!(connection.next(soon()).unwrap().unwrap().payload, b"x");
    let error = connection.next(soon()).unwrap_err();
    assert!(matches!(error, Error::Closed(_)), "{error:?}");
}

#[test]
fn a_server_that_speaks_no_tls_learns_nothing() {
    for (scheme, info) in [
        ("tls", INFO),
        ("nats", "INFO {\"tls_required\":true}\r\n"),
        ("tls", "INFO {\"tls_required\":true}\r\n"),
        ("tls", "PING\r\nINFO {\"tls_available\":true}\r\n"),
    ] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut options = serve(move |mut stream| {
            stream.write_all(info.as_bytes()).unwrap();
            let mut said = Vec::new();
            let mut chunk = [0; 4096];
            let length = stream.read(&mut chunk).unwrap_or(0);
            said.extend_from_slice(&chunk[..length]);
            let _ = stream.write_all(b"PONG\r\n");
            let _ = stream.read_to_end(&mut said);
            sender.send(said).unwrap();
        });
        options.server.tls = scheme == "tls";
        let error = error_of(&options);
        assert!(matches!(error, Error::Tls(_)), "{error:?}");
        let said = receiver.recv().unwrap();
        // Nothing, or the handshake of TLS.
        assert!(said.is_empty() || said[0] == 0x16, "{said:?}");
        assert!(!said.windows(7).any(|part| part == b"hunter2"));
    }
}

#[test]
fn what_is_said_between_info_and_tls_is_not_taken_for_the_servers() {
    let options = serve(|mut stream| {
        stream
            .write_all(b"INFO {\"tls_required\":true}\r\nINFO {\"connect_urls\":[\"evil:1\"]}")
            .unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let error = error_of(&options);
    assert!(
        matches!(&error, Error::Tls(text) if text.contains("before TLS")),
        "{error:?}"
    );
}
