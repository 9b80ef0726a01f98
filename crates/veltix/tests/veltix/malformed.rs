//! Input that no peer should send: the connection ends with a reason, and what came before is not
//! lost. For all three that read, in both versions.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use superstream_veltix::frames::{Frame, Wire};
use superstream_veltix::session::Options;
use superstream_veltix::{
    Address, CloseReason, Connection, ConnectionOptions, Error, MessageType, Next, RequestId,
};

use crate::support::*;

const LIMIT: usize = 100_000;
const PLAIN: MessageType = MessageType::of(300);
const BEFORE: &[u8] = b"before";

/// What a peer sends after its first message, and what comes of it.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    /// Whether it ends its side then, or falls silent.
    ends: bool,
    messages: Vec<Vec<u8>>,
    /// What it hears.
    pongs: usize,
    reason: CloseReason,
}

impl Row {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, reason: CloseReason) -> Self {
        Self {
            name,
            bytes: bytes.into(),
            ends: false,
            messages: Vec::new(),
            pongs: 0,
            reason,
        }
    }

    fn ending(self) -> Self {
        Self { ends: true, ..self }
    }

    fn with_message(mut self, content: &[u8]) -> Self {
        self.messages.push(content.to_vec());
        self
    }
}

fn rows(wire: Wire) -> Vec<Row> {
    // The checksum follows the length.
    let length_at = match wire {
        Wire::V1 => 2,
        Wire::V2 => 5,
    };
    let head = wire.header_size();
    let frame = |content: &[u8]| frame_on(wire, CHAT, RequestId(2), content);
    let longer = |payload: u32| {
        let mut bytes = frame(b"");
        bytes[length_at..length_at + 4].copy_from_slice(&payload.to_be_bytes());
        bytes
    };
    let too_large = |payload: u32| CloseReason::TooLarge {
        size: head as u64 + u64::from(payload),
        limit: LIMIT,
    };
    let no_start = |payload: u32| match wire {
        Wire::V1 => too_large(payload),
        Wire::V2 => CloseReason::BadMagic,
    };
    let bad_checksum = || CloseReason::BadChecksum { message_type: CHAT };
    let whole = frame(b"payload");
    let mut wrong = whole.clone();
    wrong[length_at + 4] ^= 1;
    wrong.extend(frame(b"behind"));
    let mut wrong_of_nothing = frame(b"");
    wrong_of_nothing[length_at + 7] = 1;
    let longest = vec![7; LIMIT - head];
    let most = longest.len() as u32;

    let mut rows = vec![
        Row::new("a wrong checksum", wrong, bad_checksum()),
        Row::new("one of nothing", wrong_of_nothing, bad_checksum()),
        Row::new("too long", longer(most + 1), too_large(most + 1)),
        Row::new(
            "as long as can be said",
            longer(u32::MAX),
            too_large(u32::MAX),
        ),
        Row::new(
            "the longest, and the next longer one",
            [frame(&longest), longer(most + 1)].concat(),
            too_large(most + 1),
        )
        .with_message(&longest),
        Row::new("all ones", [0xff; 64], no_start(u32::MAX)),
        Row::new(
            "HTTP",
            *b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            no_start(u32::from_be_bytes(*b"T / ")),
        ),
        Row::new(
            "a header that does not end",
            &whole[..head - 1],
            CloseReason::FrameTimeout,
        ),
        Row::new(
            "a payload that does not end",
            &whole[..head + 3],
            CloseReason::FrameTimeout,
        ),
        Row::new(
            "a header cut short",
            &whole[..head - 1],
            CloseReason::CutShort,
        )
        .ending(),
        Row::new(
            "a payload cut short",
            &whole[..head + 3],
            CloseReason::CutShort,
        )
        .ending(),
        Row::new("an end", Vec::new(), CloseReason::PeerClosed).ending(),
        Row::new(
            "a type that nobody knows",
            frame_on(wire, MessageType::of(65_535), RequestId(2), b"unknown"),
            CloseReason::PeerClosed,
        )
        .with_message(b"unknown")
        .ending(),
    ];
    match wire {
        // What is left over of them does not stay.
        Wire::V1 => rows.push(Row {
            pongs: 2,
            ..Row::new("zeros are pings", [0; 64], CloseReason::FrameTimeout)
        }),
        Wire::V2 => {
            rows.push(Row::new("zeros", [0; 64], CloseReason::BadMagic));
            let mut half = whole;
            half[1] ^= 1;
            rows.push(Row::new("half the magic", half, CloseReason::BadMagic));
        }
    }
    rows
}

/// A message, or the reason of the end.
type Told = Result<Vec<u8>, CloseReason>;
/// A conversation with the one that reads: its peer, and what it tells.
type Met = (Raw, Receiver<Told>);

/// Runs all rows against whoever reads, who comes with its limits set.
fn all_rows(mut meet: impl FnMut(Wire, Options) -> Met) {
    for wire in [Wire::V1, Wire::V2] {
        for row in rows(wire) {
            let name = format!("{}, {wire:?}", row.name);
            // Shown where a test fails, whatever it waits for.
            println!("{name}");
            let mut options = patience();
            options.wire = Some(wire);
            options.max_message_size = LIMIT;
            if row.reason == CloseReason::FrameTimeout {
                options.frame_timeout = Duration::from_millis(100);
            }
            let (mut raw, told) = meet(wire, options);
            let mut bytes = frame_on(wire, PLAIN, RequestId(1), BEFORE);
            bytes.extend(&row.bytes);
            raw.write(&bytes);
            if row.ends {
                raw.end();
            }
            assert_eq!(next(&told), Ok(BEFORE.to_vec()), "{name}");
            for message in row.messages {
                assert_eq!(next(&told), Ok(message), "{name}");
            }
            assert_eq!(next(&told), Err(row.reason), "{name}");
            let heard: Vec<Frame> = std::iter::from_fn(|| raw.next()).collect();
            assert_eq!(heard.len(), row.pongs, "{name}");
            for pong in heard {
                assert_eq!(pong.message_type, MessageType::PONG, "{name}");
                assert_eq!(pong.id, RequestId(0), "{name}");
                assert!(pong.payload.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn a_server_ends_the_connection_and_harms_nobody_else() {
    // Until the last row is done.
    let mut servers = Vec::new();
    all_rows(|wire, options| {
        let server = server_with(|config| config.session = options);
        let (messages, told) = channel::<Told>();
        let reasons = messages.clone();
        server.unroute(CHAT);
        server.on_recv(move |_, response| messages.send(Ok(response.content)).unwrap());
        server.on_disconnect(move |_, reason| {
            // Others leave at the end of the test, when nobody listens any more.
            let _ = reasons.send(Err(reason.clone()));
        });
        server.start().unwrap();
        let raw = Raw::greeted_on(wire, port(&server));
        let other = Raw::greeted_on(wire, port(&server));
        servers.push((server, other));
        (raw, told)
    });
    for (server, mut other) in servers {
        server.route(CHAT, echo);
        assert!(other.echoes());
    }
}

#[test]
fn a_client_ends_the_connection() {
    let mut clients = Vec::new();
    all_rows(|wire, options| {
        let (listener, port) = listener();
        let accepting = thread::spawn(move || Raw::accept_greeting_on(wire, &listener));
        let client = client_with(port, |config| config.session = options);
        let (messages, told) = channel::<Told>();
        let reasons = messages.clone();
        client.on_recv(move |response| messages.send(Ok(response.content)).unwrap());
        client.on_disconnect(move |state| reasons.send(Err(state.cause)).unwrap());
        client.connect().unwrap();
        clients.push(client);
        (accepting.join().unwrap(), told)
    });
}

#[test]
fn a_connection_without_a_thread_ends() {
    all_rows(|wire, options| {
        let (listener, port) = listener();
        let accepting = thread::spawn(move || Raw::accept_greeting_on(wire, &listener));
        let options = ConnectionOptions {
            session: options,
            ..ConnectionOptions::default()
        };
        let address = Address::new("127.0.0.1", port);
        let deadline = Instant::now() + LONG;
        let mut connection = Connection::open(&address, &options, deadline).unwrap();
        let (tell, told) = channel::<Told>();
        thread::spawn(move || {
            loop {
                let end = match connection.next(Instant::now() + LONG) {
                    Ok(Next::Message(message)) => {
                        tell.send(Ok(message.content)).unwrap();
                        continue;
                    }
                    Err(Error::Closed(reason)) => reason,
                    other => panic!("{other:?}"),
                };
                assert_eq!(connection.closed(), Some(&end));
                drop(connection);
                return tell.send(Err(end)).unwrap();
            }
        });
        (accepting.join().unwrap(), told)
    });
}
