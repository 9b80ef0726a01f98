//! Faults of a service over NATS alone: what goes wrong between client and server.

use std::io;
use std::iter;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Fault, pour};
use crate::fault_service::proxy::Greeting;
use crate::fault_service::{Gate, Stream, Then, raw, silence};

/// Much more than anybody keeps.
const MUCH: usize = 32 * 1024 * 1024;

/// All that may come in the place of an answer.
pub fn all() -> Vec<Fault> {
    let mut all = vec![slow(), reset()];
    all.extend(endless());
    all.extend(broken_off());
    all.extend(errors());
    all.extend(expulsions());
    all.extend(not_nats());
    all
}

/// How a message to an inbox begins.
fn head(stream: &dyn Stream, length: impl ToString) -> Vec<u8> {
    let (inbox, sid) = stream.inbox();
    format!("MSG {inbox} {sid} {}\r\n", length.to_string()).into_bytes()
}

/// The next byte goes out after a moment, and never the last one.
pub fn slow() -> Fault {
    Fault::new("one byte at a time", "no answer within", |_, stream| {
        let head = head(stream, 100_000);
        for byte in head.iter().chain(iter::repeat(&b' ')) {
            stream.write_all(&[*byte])?;
            // This is what is slow about it.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Then::Close)
    })
}

pub fn reset() -> Fault {
    Fault::new("a reset", "", |_, _| Ok(Then::Reset))
}

/// More than anybody wants to read.
pub fn endless() -> Vec<Fault> {
    let flood = |name: &str, start: &'static str, piece: Vec<u8>, length: usize| {
        Fault::new(name, "", move |_, stream| {
            stream.write_all(start.as_bytes())?;
            let pieces = piece.repeat(64 * 1024 / piece.len() + 1);
            pour(stream, &pieces, length / pieces.len())
        })
    };
    let others = "MSG somebody.else 4711 3\r\nabc\r\n".into();
    let information = format!(
        "INFO {}\r\n",
        json!({"connect_urls": vec!["127.0.0.1:1"; 1000]})
    );
    vec![
        flood("a line without an end", "", vec![b'a'; 1024], MUCH),
        flood("an INFO without an end", "INFO {", vec![b'a'; 1024], MUCH),
        flood("nothing but OK", "", b"+OK\r\n".to_vec(), MUCH),
        // Each of them asks for a word.
        flood("nothing but PING", "", b"PING\r\n".to_vec(), MUCH / 16),
        flood("nothing but PONG", "", b"PONG\r\n".to_vec(), MUCH),
        flood("nothing but INFO", "", information.into_bytes(), MUCH),
        flood("messages for somebody else", "", others, MUCH),
        Fault::new("a message of a gigabyte", "", |_, stream| {
            stream.write_all(&head(stream, 1_u32 << 30))?;
            pour(stream, &[b' '; 64 * 1024], MUCH / (64 * 1024))
        }),
        Fault::new("answers to other questions", "", |_, stream| {
            let (inbox, sid) = stream.inbox();
            let message = format!("MSG {inbox}0 {sid} 1000\r\n{}\r\n", "x".repeat(1000));
            let messages = message.repeat(64);
            pour(stream, messages.as_bytes(), MUCH / messages.len())
        }),
    ]
}

/// It dies half-way.
pub fn broken_off() -> Vec<Fault> {
    const BODY: &[u8] = br#"{"client_hash":"a","start":true}"#;
    let part = |length: usize| {
        let name = format!("broken off after {length}");
        Fault::new(name, "", move |_, stream| {
            let head = head(stream, BODY.len());
            // Some are counted from the beginning of the body.
            let length = if length >= 100 {
                head.len() + length - 100
            } else {
                length
            };
            let whole = [&head, BODY, b"\r\n"].concat();
            raw(stream, &whole[..length.min(whole.len() - 1)])
        })
    };
    [0, 1, 4, 20, 99, 100, 115, 100 + BODY.len(), usize::MAX / 2]
        .map(part)
        .into()
}

/// The server lets the client in no longer.
pub fn expulsions() -> Vec<Fault> {
    ["'Authorization Violation'", "'User Authentication Expired'"]
        .map(|text| error(text, "uth", Then::Close))
        .into()
}

fn error(text: &'static str, why: &'static str, then: Then) -> Fault {
    let name = format!("{text}, then {then:?}");
    Fault::new(name, why, move |_, stream| {
        stream.write_all(format!("-ERR {text}\r\n").as_bytes())?;
        match then {
            Then::KeepAlive => silence(),
            then => Ok(then),
        }
    })
}

/// The server says no, and stays or goes.
pub fn errors() -> Vec<Fault> {
    [
        ("'Stale Connection'", Then::Close),
        ("'Unknown Protocol Operation'", Then::Close),
        ("'maximum connections exceeded'", Then::Close),
        ("", Then::Close),
        ("'", Then::KeepAlive),
        ("'Slow Consumer'", Then::KeepAlive),
        (
            "'Permissions Violation for Publish to \"x\"'",
            Then::KeepAlive,
        ),
    ]
    .map(|(text, then)| error(text, "", then))
    .into()
}

pub fn not_nats() -> Vec<Fault> {
    let bytes = |bytes: &'static str| Fault::bytes("", bytes.as_bytes().to_vec());
    let to_inbox = |rest: &'static str| {
        Fault::new(format!("MSG … {rest:.30}"), "", move |_, stream| {
            let (inbox, sid) = stream.inbox();
            let message = format!("MSG {inbox} {sid} {rest}");
            raw(stream, message.as_bytes())
        })
    };
    let lines = [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "lolwut\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{0}\u{0}\u{0}\u{0}",
        "\r\n\r\n\r\n",
        "MSG\r\n",
        "MSG a b c d e f\r\n",
        "INFO 5\r\n",
        "INFO {\"max_payload\":\"much\"}\r\n",
        "HMSG a 1 12 5\r\n",
    ];
    let messages = [
        "-1\r\n",
        "99999999999999999999999\r\n",
        "many\r\n",
        // Longer than it says.
        "3\r\nabcdef\r\n",
    ];
    lines
        .into_iter()
        .map(bytes)
        .chain(messages.into_iter().map(to_inbox))
        .collect()
}

/// What a server may say first.
const INFO: &str = "INFO {\"server_id\":\"N\",\"server_name\":\"N\",\"version\":\"2.9.10\",\
                    \"proto\":1,\"headers\":true,\"max_payload\":1048576,\"client_id\":1}\r\n";

/// Connections that do not even get so far that something can be asked.
pub fn greetings() -> Vec<Fault> {
    let mut all = vec![
        Fault::greeting("accepts and hangs", "no answer within", |_, _| hang()),
        Fault::greeting("hangs up at once", "", |_, _| Ok(Greeting::Close)),
        Fault::greeting("resets at once", "", |_, _| Ok(Greeting::Reset)),
        Fault::greeting("slow from the beginning", "no answer within", |_, _| {
            Ok(Greeting::PassSlowly)
        }),
        Fault::greeting("an INFO without an end", "", |_, socket| {
            io::Write::write_all(socket, b"INFO {\"server_id\":\"")?;
            for _ in 0..MUCH / 4096 {
                io::Write::write_all(socket, &[b'a'; 4096])?;
            }
            hang()
        }),
    ];
    for length in [1, 5, 30, 200] {
        let name = format!("breaks off after {length}");
        all.push(Fault::greeting(name, "", move |_, _| {
            Ok(Greeting::PassThenClose(length))
        }));
    }
    let others = json!({"max_payload": 1000, "connect_urls": vec!["127.0.0.1:1"; 1000]});
    let elsewhere = format!("INFO {others}\r\n");
    let encrypted = INFO.replace("\"proto\"", "\"tls_required\":true,\"proto\"");
    let tiny = INFO.replace("1048576", "1");
    let says: [(&str, &str, bool); 14] = [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "", false),
        ("lolwut\r\n", "", true),
        ("\u{0}\u{0}\u{0}\u{0}", "", false),
        ("PING\r\n", "", false),
        ("INFO\r\n", "", false),
        ("INFO {\r\n", "", true),
        ("INFO 5\r\n", "", false),
        ("INFO {\"max_payload\":-1}\r\n", "", false),
        ("-ERR 'Maximum Connections Exceeded'\r\n", "", false),
        (INFO, "no answer within", true),
        (INFO, "", false),
        (&encrypted, "", true),
        (&elsewhere, "", false),
        (&tiny, "", true),
    ];
    for (text, why, stays) in says {
        let name = format!("{text:.40}{}", if stays { " and stays" } else { "" });
        let text = text.to_owned();
        all.push(Fault::greeting(name, why, move |_, socket| {
            io::Write::write_all(socket, text.as_bytes())?;
            if stays { hang() } else { Ok(Greeting::Close) }
        }));
    }
    all.push(after_info("'Unknown Protocol Operation'", ""));
    all.push(after_info("", ""));
    all
}

/// The server is there, and lets nobody in.
pub fn refusals() -> Vec<Fault> {
    let said = [
        "'Authorization Violation'",
        "'authorization violation'",
        "'User Authentication Expired'",
    ];
    said.map(|error| after_info(error, "uth")).into()
}

fn after_info(error: &str, why: &'static str) -> Fault {
    let text = format!("{INFO}-ERR {error}\r\n");
    Fault::greeting(format!("INFO, then {error}"), why, move |_, socket| {
        io::Write::write_all(socket, text.as_bytes())?;
        Ok(Greeting::Close)
    })
}

/// Until the test is over.
fn hang() -> io::Result<Greeting> {
    Gate::default().wait();
    Ok(Greeting::Close)
}
