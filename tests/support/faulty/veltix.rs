//! Faults of a service over Veltix alone: what goes wrong on a link.

use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use superstream_veltix::frames::Wire;
use superstream_veltix::{MessageType, RequestId};

use super::{Fault, pour};
use crate::fault_service::links::{HELLO, REPORT_NOW, UPDATE};
use crate::fault_service::proxy::Greeting;
use crate::fault_service::{Gate, Then, Veltix, raw};

/// Much more than anybody keeps.
const MUCH: usize = 32 * 1024 * 1024;
/// Where a frame has its length, and the checksum of its content.
const LENGTH: usize = 2;
const CHECKSUM: usize = 6;
/// Bytes before the content.
const HEADER: usize = 22;

/// All that may come in the place of an answer.
pub fn all() -> Vec<Fault> {
    let mut all = vec![slow(), reset()];
    all.extend(endless());
    all.extend(broken_off());
    all.extend(not_veltix());
    all.extend(other_messages());
    all
}

/// A frame that answers nothing.
fn frame(message_type: MessageType, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let nobodys = RequestId(0x7fff_fff0);
    Wire::V1.encode(message_type, nobodys, 0, content, &mut frame);
    frame
}

fn code(code: u16) -> MessageType {
    MessageType::of(code)
}

/// The next byte goes out after a moment, and never the last one.
pub fn slow() -> Fault {
    Fault::new("one byte at a time", "no answer within", |_, stream| {
        let frame = stream.frame(&[b' '; 1_000_000]);
        for byte in &frame {
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
    let flood = |name: &str, frame: Vec<u8>, length: usize| {
        Fault::new(name, "", move |_, stream| {
            let pieces = frame.repeat(64 * 1024 / frame.len() + 1);
            pour(stream, &pieces, length / pieces.len())
        })
    };
    let update = json!({"client_hash": "client-4711", "sequence": 1, "type": "CompressionUpdate",
                        "payload": "A".repeat(1000)});
    let now = json!({"client_hashes": ["client-4711"]});
    vec![
        // Each of them asks for a word.
        flood("nothing but PING", frame(MessageType::PING, b""), MUCH / 16),
        flood("nothing but PONG", frame(MessageType::PONG, b""), MUCH),
        flood("nothing but greetings", greeting("1.6.3"), MUCH),
        flood("messages of no known type", frame(code(299), b"{}"), MUCH),
        flood(
            "answers to other questions",
            frame(code(201), &[b' '; 1000]),
            MUCH,
        ),
        flood(
            "updates for somebody else",
            frame(code(UPDATE), update.to_string().as_bytes()),
            MUCH,
        ),
        flood(
            "somebody else is to report",
            frame(code(REPORT_NOW), now.to_string().as_bytes()),
            MUCH / 16,
        ),
        Fault::new("a message of a gigabyte", "", |_, stream| {
            let mut frame = stream.frame(b"");
            frame[LENGTH..LENGTH + 4].copy_from_slice(&(1_u32 << 30).to_be_bytes());
            stream.write_all(&frame)?;
            pour(stream, &[b' '; 64 * 1024], MUCH / (64 * 1024))
        }),
    ]
}

/// It dies half-way.
pub fn broken_off() -> Vec<Fault> {
    const BODY: &[u8] = br#"{"client_hash":"a","start":true}"#;
    let part = |length: usize| {
        let name = format!("broken off after {length}");
        Fault::new(name, "", move |_, stream| {
            let whole = stream.frame(BODY);
            raw(stream, &whole[..length])
        })
    };
    [
        0,
        1,
        2,
        6,
        HEADER - 1,
        HEADER,
        HEADER + 15,
        HEADER + BODY.len() - 1,
    ]
    .map(part)
    .into()
}

pub fn not_veltix() -> Vec<Fault> {
    let bytes = |bytes: &'static str| Fault::bytes("", bytes.as_bytes().to_vec());
    let changed = |name: &str, place: usize, bytes: &'static [u8]| {
        Fault::new(name, "", move |_, stream| {
            let mut frame = stream.frame(br#"{"client_hash":"a","start":true}"#);
            frame[place..place + bytes.len()].copy_from_slice(bytes);
            raw(stream, &frame)
        })
    };
    let mut all: Vec<Fault> = [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "lolwut\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{0}\u{0}\u{0}\u{0}",
        "\r\n\r\n\r\n",
        "{\"client_hash\":\"a\",\"start\":true}",
    ]
    .map(bytes)
    .into();
    all.extend([
        changed("a wrong checksum", CHECKSUM, &[0, 0, 0, 0]),
        changed("a length beyond its end", LENGTH, &[0, 0, 1, 0]),
        changed("a length before its end", LENGTH, &[0, 0, 0, 1]),
        changed("the longest length", LENGTH, &[0xff; 4]),
        changed("an answer of another type", 0, &[0, 203]),
        changed("an answer to another question", HEADER - 4, &[0x7f; 4]),
    ]);
    all
}

/// Messages that the service may send, and that say nothing as they are.
pub fn other_messages() -> Vec<Fault> {
    let types = [
        MessageType::ERROR,
        MessageType::INVALID_REQUEST,
        MessageType::HEARTBEAT,
        code(HELLO),
        code(UPDATE),
        code(REPORT_NOW),
        code(u16::MAX),
    ];
    let contents: [&[u8]; 4] = [b"", b"garbage", b"[]", b"{\"client_hash\":5}"];
    let say = |message_type: MessageType| {
        let name = format!("{message_type} instead of an answer");
        Fault::new(name, "", move |_, stream| {
            for content in contents {
                stream.write_all(&frame(message_type, content))?;
            }
            Ok(Then::Close)
        })
    };
    types.map(say).into()
}

/// What the server says first.
pub fn greeting(version: &str) -> Vec<u8> {
    let length = (version.len() as u16).to_be_bytes();
    let content = [&length, version.as_bytes()].concat();
    frame(MessageType::HELLO, &content)
}

/// Connections that do not even get so far that something can be asked.
pub fn greetings() -> Vec<Fault> {
    let mut all = vec![
        Fault::greeting("accepts and hangs", "no answer within", |_, _| hang()),
        Fault::greeting("hangs up at once", "", |_, _| Ok(Greeting::Close)),
        Fault::greeting("resets at once", "", |_, _| Ok(Greeting::Reset)),
        Fault::greeting("slow from the beginning", "no answer within", |_, _| {
            Ok(Greeting::PassSlowly)
        }),
        Fault::greeting("a greeting without an end", "", |_, socket| {
            let mut head = greeting("1.6.3");
            head[LENGTH..LENGTH + 4].copy_from_slice(&u32::MAX.to_be_bytes());
            socket.write_all(&head)?;
            for piece in iter::repeat_n([b'a'; 4096], MUCH / 4096) {
                socket.write_all(&piece)?;
            }
            hang()
        }),
        Fault::greeting("nothing but PING", "", |_, socket| {
            let pings = frame(MessageType::PING, b"").repeat(100);
            for _ in 0..MUCH / 16 / pings.len() {
                socket.write_all(&pings)?;
            }
            hang()
        }),
    ];
    let whole = greeting("1.6.3").len();
    for length in [1, 5, HEADER, whole - 1, whole, whole + HEADER] {
        let name = format!("breaks off after {length}");
        all.push(Fault::greeting(name, "", move |_, _| {
            Ok(Greeting::PassThenClose(length))
        }));
    }
    let json = json!({"v": "2.0.0", "meta": {"id_window": 30_000}}).to_string();
    let of_2 = [&(json.len() as u16).to_be_bytes(), json.as_bytes()].concat();
    let mut mistaken = greeting("1.6.3");
    mistaken[CHECKSUM] ^= 1;
    let says: [(&str, Vec<u8>, bool); 12] = [
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false),
        ("a line", b"lolwut\r\n".to_vec(), true),
        ("zeros", vec![0; 64], false),
        (
            "INFO of NATS",
            b"INFO {\"max_payload\":1}\r\n".to_vec(),
            true,
        ),
        ("a later version", greeting("1.6.4"), true),
        ("no version", greeting(""), true),
        ("a long version", greeting(&"1".repeat(60_000)), false),
        ("an empty greeting", frame(MessageType::HELLO, b""), true),
        ("a wrong checksum", mistaken, true),
        ("2.0.0", of_2, true),
        ("a message", frame(code(UPDATE), b"{}"), false),
        ("a greeting", greeting("1.6.3"), false),
    ];
    for (name, bytes, stays) in says {
        let name = format!("{name}{}", if stays { " and stays" } else { "" });
        all.push(Fault::greeting(name, "", move |_, socket| {
            socket.write_all(&bytes)?;
            if stays { hang() } else { Ok(Greeting::Close) }
        }));
    }
    all
}

/// The service is there, and lets nobody in.
pub fn refusals() -> Vec<Fault> {
    let refusal = |status: u16| Fault {
        veltix: Some(Arc::new(move || {
            let no = json!({"error": "no such token", "status": status});
            Veltix::new().welcoming(move |_, _| no.clone())
        })),
        ..Fault::new(
            format!("{status} to the first word"),
            "no such token",
            |_, _| Ok(Then::Close),
        )
    };
    [401, 403].map(refusal).into()
}

/// Until the test is over.
fn hang() -> io::Result<Greeting> {
    Gate::default().wait();
    Ok(Greeting::Close)
}
