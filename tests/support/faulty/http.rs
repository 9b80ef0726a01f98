//! Faults of a service over HTTP alone.

use std::thread;
use std::time::Duration;

use super::{Fault, pour};
use crate::fault_service::{Then, raw};

/// All of them.
pub fn all() -> Vec<Fault> {
    let mut all = vec![slow(), looping()];
    all.extend(redirects("http://127.0.0.1:1/v1"));
    all.extend(endless());
    all.extend(broken_off());
    all.extend(not_http());
    all
}

/// The next byte goes out after a moment, and never the last one.
pub fn slow() -> Fault {
    Fault::new("one byte at a time", "no answer within", |_, stream| {
        let start = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{\"client_hash\":\"";
        for byte in start.iter().chain(std::iter::repeat(&b'x')) {
            stream.write_all(&[*byte])?;
            // This is what is slow about it.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Then::Close)
    })
}

pub fn redirects(location: &str) -> Vec<Fault> {
    let statuses = [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ];
    let redirect = |status| {
        let head =
            format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        Fault::bytes("redirects are not followed", head.into_bytes())
    };
    statuses.into_iter().map(redirect).collect()
}

pub fn looping() -> Fault {
    Fault::new("a loop", "redirects are not followed", |request, stream| {
        let further = format!("{}/again", request.path);
        let head =
            format!("HTTP/1.1 302 Found\r\nLocation: {further}\r\nContent-Length: 0\r\n\r\n");
        raw(stream, head.as_bytes())
    })
}

/// More than anybody wants to read.
pub fn endless() -> Vec<Fault> {
    let mut all = vec![
        Fault::new("a gigabyte", "", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
            pour(stream, &[b' '; 64 * 1024], 16 * 1024)
        }),
        Fault::new("a body without an end", "", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let mut chunk = b"10000\r\n".to_vec();
            chunk.resize(chunk.len() + 0x10000, b' ');
            chunk.extend_from_slice(b"\r\n");
            pour(stream, &chunk, usize::MAX)
        }),
        // Announces the real answer, again and again.
        Fault::new("always about to come", "", |_, stream| {
            pour(stream, b"HTTP/1.1 100 Continue\r\n\r\n", usize::MAX)
        }),
        // It is not asked for, and what would come of it is bounded.
        Fault::bytes("", {
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n";
            [head.as_bytes(), &[0x1f, 0x8b, 8, 0]].concat()
        }),
    ];
    for start in [
        "HTTP/1.1 200 OK\r\nX: ",
        "HTTP/1.1 200 ",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let name = format!("a head without an end: {start}");
        all.push(Fault::new(name, "", move |_, stream| {
            stream.write_all(start.as_bytes())?;
            let many = b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1000);
            let piece: &[u8] = match start.ends_with('\n') {
                true => &many,
                false => &[b'a'; 64 * 1024],
            };
            pour(stream, piece, usize::MAX)
        }));
    }
    all
}

/// It dies half-way.
pub fn broken_off() -> Vec<Fault> {
    let body = r#"{"client_hash":"a","start":true}"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let whole = format!("{head}{body}");
    let lengths = [0, 1, 12, head.len() - 1, head.len(), head.len() + 15];
    let part = |length: usize| Fault::bytes("", whole.as_bytes()[..length].to_vec());
    lengths.map(part).into()
}

pub fn not_http() -> Vec<Fault> {
    let answers = [
        "<html>HTTP/0.9 knows no head</html>",
        "lolwut\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        "\u{0}\u{0}\u{0}\u{0}",
    ];
    answers
        .map(|answer| Fault::bytes("", answer.as_bytes().to_vec()))
        .into()
}
