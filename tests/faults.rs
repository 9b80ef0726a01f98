//! A service that fails in every way that we know. Whatever it does, the application gets its
//! client, with its own configuration, within the timeout, and hears nothing of it.
//!
//! Where a test measures time, the bound is one against hanging: the timeout and seconds of
//! room for a busy machine. That a second client does not wait is told by its status, and by
//! half of a timeout that the first one waited out in full.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "support/driver.rs"]
mod driver;
#[path = "support/fault_service.rs"]
mod fault_service;
mod support;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use driver::Driver;
use fault_service::{FaultService, Request, Stream, Then, advise, raw, reply, silence};
use serde_json::{Value, json};
use support::Library;

const TIMEOUT: Duration = Duration::from_millis(500);
/// Room for a busy machine around [`TIMEOUT`].
const ROOM: Duration = Duration::from_secs(4);

/// An application with values of its own in front of a faulty service. Creates two clients,
/// which must not notice; the status of the first.
#[track_caller]
fn unharmed(host: &str, environment: &[(&str, &str)]) -> Value {
    let mut all = vec![
        ("SUPERSTREAM_HOST", host),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "500"),
    ];
    all.extend_from_slice(environment);
    let mut driver = Driver::start(Library::DropIn, &all);
    let mut statuses = Vec::new();
    for client in 0..2 {
        driver.set(&[("linger.ms", "7"), ("batch.size", "70000")]);
        let before: u64 = driver.say("high-water").parse().unwrap();
        let took = driver.create("producer");
        let after: u64 = driver.say("high-water").parse().unwrap();
        assert!(took < TIMEOUT + ROOM, "creation took {took:?}");
        assert!(
            // The kernel counts in batches: the mark may even fall a little.
            after.saturating_sub(before) < 16 * 1024,
            "{before} KiB grew to {after} KiB"
        );
        assert_eq!(driver.get(client, "linger.ms"), "7");
        assert_eq!(driver.get(client, "batch.size"), "70000");
        assert_eq!(driver.get(client, "compression.codec"), "none");
        let status = driver.status(client);
        assert_eq!(status["changes"], json!([]), "{status:#}");
        statuses.push(status);
    }
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    statuses.remove(0)
}

/// As [`unharmed`], where the service is found to be down for a reason that has `why` in it.
#[track_caller]
fn down(host: &str, environment: &[(&str, &str)], why: &str) {
    let status = unharmed(host, environment);
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let reason = status["note"].as_str().unwrap();
    assert!(reason.contains(why), "{why:?} is not in {reason:?}");
}

/// A service that answers every request in one way.
fn always(
    script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
) -> FaultService {
    FaultService::start(script)
}

/// A registration that is answered with this body; the status of the client.
#[track_caller]
fn answered_with(body: String) -> Value {
    let service = always(move |_, stream| reply(stream, "200 OK", &body));
    unharmed(&service.url(), &[])
}

#[track_caller]
fn not_understood(body: &str) {
    let status = answered_with(body.to_owned());
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("its answer"), "{note}");
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    down(&host, &[], "refused");
}

#[test]
fn silence_costs_one_timeout_and_the_second_client_does_not_wait() {
    let service = always(|_, _| silence());
    let mut driver = Driver::start(
        Library::DropIn,
        &[
            ("SUPERSTREAM_HOST", &service.url()),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "2000"),
        ],
    );
    let first = driver.create("producer");
    assert!(first >= Duration::from_secs(2), "{first:?}");
    assert!(first < Duration::from_secs(2) + ROOM, "{first:?}");
    let second = driver.create("producer");
    assert!(
        second < Duration::from_secs(1),
        "the second waited too: {second:?}"
    );
    for client in 0..2 {
        let status = driver.status(client);
        assert_eq!(status["service"]["state"], "down");
        assert_eq!(
            status["note"],
            "no answer within SUPERSTREAM_RESPONSE_TIMEOUT"
        );
    }
    driver.end_quietly();
}

/// Nobody even accepts: the kernel does, and the handshake of HTTP is never answered.
#[test]
fn a_listener_that_never_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    down(&host, &[], "no answer within");
}

/// The next byte goes out when the peer has been silent for a moment, and never the last one.
#[test]
fn one_byte_at_a_time() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{\"client_hash\":\"";
    let wrap = |stream: std::net::TcpStream| -> Option<Box<dyn Stream>> {
        stream.set_nodelay(true).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .ok()?;
        Some(Box::new(stream))
    };
    let service = FaultService::start_within(wrap, move |_, stream| {
        for byte in answer.iter().chain(std::iter::repeat(&b'x')) {
            stream.write_all(&[*byte])?;
            let mut nothing = [0; 1];
            match stream.read(&mut nothing) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        Ok(Then::Close)
    });
    down(&service.url(), &[], "no answer within");
}

#[test]
fn an_error_of_the_service() {
    let service = always(|_, stream| reply(stream, "500 Internal Server Error", "oops"));
    down(&service.url(), &[], "500");
}

#[test]
fn a_service_that_is_overloaded() {
    let service =
        always(|_, stream| reply(stream, "429 Too Many Requests", "{\"error\":\"slow\"}"));
    down(&service.url(), &[], "slow");
}

#[test]
fn a_service_that_refuses_the_client() {
    let service =
        always(|_, stream| reply(stream, "403 Forbidden", "{\"error\":\"no such token\"}"));
    let status = unharmed(&service.url(), &[]);
    assert_eq!(status["service"]["state"], "up");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("no such token"), "{note}");
}

#[test]
fn a_redirect_to_another_host_is_not_followed_and_gets_no_token() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/v1/clients", other.local_addr().unwrap());
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let answer =
            format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let service = always(move |_, stream| raw(stream, answer.as_bytes()));
        let token = [("SUPERSTREAM_TOKEN", "the-token")];
        down(&service.url(), &token, "redirects are not followed");
        assert!(service.received().contains("Bearer the-token"));
    }
    other.set_nonblocking(true).unwrap();
    let error = other.accept().expect_err("the other host got a connection");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_redirect_loop_is_not_entered() {
    let service = always(|request, stream| {
        let further = format!("{}/again", request.path);
        let head =
            format!("HTTP/1.1 302 Found\r\nLocation: {further}\r\nContent-Length: 0\r\n\r\n");
        raw(stream, head.as_bytes())
    });
    down(&service.url(), &[], "redirects are not followed");
    for request in service.requests() {
        assert!(request.registers(), "{request:?}");
    }
}

/// The answer is as long as it says, or would be: nobody reads it to its end.
#[test]
fn a_body_of_a_gigabyte() {
    let service = always(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
        pour(stream, &[b' '; 64 * 1024], 16 * 1024)
    });
    down(&service.url(), &[], "");
}

#[test]
fn a_body_without_an_end() {
    let service = always(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut chunk = b"10000\r\n".to_vec();
        chunk.resize(chunk.len() + 0x10000, b' ');
        chunk.extend_from_slice(b"\r\n");
        pour(stream, &chunk, usize::MAX)
    });
    down(&service.url(), &[], "");
}

#[test]
fn a_head_without_an_end() {
    for start in [
        "HTTP/1.1 200 OK\r\nX: ",
        "HTTP/1.1 200 ",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let service = always(move |_, stream| {
            stream.write_all(start.as_bytes())?;
            let many = b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1000);
            let piece: &[u8] = match start.ends_with('\n') {
                true => &many,
                false => &[b'a'; 64 * 1024],
            };
            pour(stream, piece, usize::MAX)
        });
        down(&service.url(), &[], "");
    }
}

/// A megabyte of zeros, compressed a thousandfold and more: it is not asked for, and what would
/// come of it is bounded.
#[test]
fn a_body_that_says_it_is_compressed() {
    let service = always(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n";
        raw(stream, &[head.as_bytes(), &[0x1f, 0x8b, 8, 0]].concat())
    });
    down(&service.url(), &[], "");
}

/// Answers that only announce the real one.
#[test]
fn an_answer_that_is_always_about_to_come() {
    let service = always(|_, stream| pour(stream, b"HTTP/1.1 100 Continue\r\n\r\n", usize::MAX));
    down(&service.url(), &[], "");
}

/// As much advice as fits: each key is refused, and what is kept of it is bounded.
#[test]
fn advice_of_a_thousand_keys() {
    let keys: serde_json::Map<String, Value> = (0..1000)
        .map(|number| (format!("some.key.{number}"), json!(number)))
        .collect();
    let body = json!({"client_hash": "a", "start": true, "optimized_configuration": keys});
    let status = answered_with(body.to_string());
    assert_eq!(status["service"]["state"], "up");
    assert_eq!(status["refusals"].as_array().unwrap().len(), 65);
}

fn pour(stream: &mut dyn Stream, piece: &[u8], times: usize) -> io::Result<Then> {
    for _ in 0..times {
        stream.write_all(piece)?;
    }
    Ok(Then::Close)
}

#[test]
fn an_answer_that_is_not_json() {
    not_understood("<html>sign in to this network</html>");
    not_understood("{\"client_hash\":\"a\",\"start\":true");
    not_understood("");
    not_understood("\u{0}\u{1}");
}

#[test]
fn json_that_is_too_deep() {
    // As deep as what is read of an answer allows.
    let deep = "[".repeat(15_000) + &"]".repeat(15_000);
    not_understood(&deep);
    for key in ["optimized_configuration", "client_hash", "unknown"] {
        not_understood(&format!(
            "{{\"client_hash\":\"a\",\"start\":true,\"{key}\":{deep}}}"
        ));
    }
    let deeper = "[".repeat(100_000);
    let service = always(move |_, stream| reply(stream, "200 OK", &deeper));
    down(&service.url(), &[], "");
}

#[test]
fn json_of_wrong_types() {
    for body in [
        json!(5),
        json!([]),
        json!(null),
        json!({}),
        json!({"client_hash": [], "start": true}),
        json!({"client_hash": 5, "start": true}),
        json!({"client_hash": "a", "start": "yes"}),
        json!({"client_hash": "a", "start": true, "optimized_configuration": 5}),
        json!({"client_hash": "a", "start": true, "optimized_configuration": ["linger.ms"]}),
        json!({"client_hash": "a", "start": true, "learning_factor": 1e300}),
    ] {
        not_understood(&body.to_string());
    }
}

#[test]
fn values_of_wrong_types() {
    for value in [
        json!({"a": 1}),
        json!([100]),
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!("many"),
        json!("100\u{0}"),
        json!("x".repeat(10_000)),
    ] {
        let status = answered_with(
            json!({
                "client_hash": "a",
                "start": true,
                "optimized_configuration": {"linger.ms": value, "compression.type": value},
            })
            .to_string(),
        );
        assert_eq!(status["service"]["state"], "up", "{status:#}");
        let refusals = status["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), 2, "{status:#}");
    }
}

#[test]
fn a_client_hash_that_leads_elsewhere() {
    let long = "a".repeat(129);
    for hash in [
        "../../x", "a/b", "a?b", "a#b", "a b", "a%2fb", "a.b", "*", ">", "", "a\r\nb", "ä", &long,
    ] {
        let body = json!({"client_hash": hash, "start": true}).to_string();
        let service = always(move |_, stream| reply(stream, "200 OK", &body));
        down(&service.url(), &[], "client_hash");
        for request in service.requests() {
            assert!(request.registers(), "{request:?}");
        }
    }
}

#[test]
fn it_dies_half_way() {
    let body = r#"{"client_hash":"a","start":true}"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let whole = format!("{head}{body}");
    for length in [0, 1, 12, head.len() - 1, head.len(), head.len() + 15] {
        let part = whole.as_bytes()[..length].to_vec();
        let service = always(move |_, stream| raw(stream, &part));
        down(&service.url(), &[], "");
    }
}

#[test]
fn something_that_is_not_http() {
    for answer in [
        "<html>HTTP/0.9 knows no head</html>",
        "lolwut\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        "\u{0}\u{0}\u{0}\u{0}",
    ] {
        let service = always(move |_, stream| raw(stream, answer.as_bytes()));
        down(&service.url(), &[], "");
    }
}

#[test]
fn a_name_that_does_not_exist() {
    down("http://no-such-host.invalid:1", &[], "");
}

/// The program's own `getaddrinfo` never returns for this name.
#[test]
fn a_name_server_that_hangs() {
    down("http://hang.example:1", &[], "no answer within");
}

/// The service knows the client and advises nothing.
#[test]
fn a_service_that_says_no() {
    let body = json!({"client_hash": "a", "start": false, "error": "not today",
                      "optimized_configuration": {"linger.ms": 100}});
    let status = answered_with(body.to_string());
    assert_eq!(status["service"]["state"], "up");
    assert_eq!(status["note"], "not today");
    assert_eq!(status["answered"]["start"], false);
}

/// What follows a good registration fails: nobody notices.
#[test]
fn a_service_that_only_registers() {
    let service = always(|request, stream| match request.registers() {
        true => advise(request, stream, &json!({})),
        false => raw(stream, b"\r\n\r\nno"),
    });
    let status = unharmed(&service.url(), &[]);
    assert_eq!(status["note"], "the service answered in time");
}
