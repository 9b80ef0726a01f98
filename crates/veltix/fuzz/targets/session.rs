//! A conversation with a peer that says anything at any time, while we send, ask, write and look at
//! the clock: no panic, no event after the end, and every request has one outcome at most.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use superstream_veltix::frames::Wire;
use superstream_veltix::session::{Event, Options, Role, Session};
use superstream_veltix::{MessageType, Request, RequestId};

#[derive(Arbitrary, Debug)]
struct Input {
    server: bool,
    wire: Option<bool>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Bytes(Vec<u8>),
    /// A frame that is well formed; the id is that of our greeting or our last request, changed.
    Frame(u16, u32, Vec<u8>),
    /// What the other side would say to greet us.
    Greeting,
    Send(u16, u8),
    Ask(u16, Option<u16>, u8),
    Ping(u8),
    Write(u16),
    Pass(u16),
    Pause(bool),
    End,
}

const ROOM: usize = 4096;

fuzz_target!(|input: Input| {
    let mut now = Instant::now();
    let options = Arc::new(Options {
        wire: input.wire.map(|old| if old { Wire::V1 } else { Wire::V2 }),
        max_message_size: 1024,
        max_queued_bytes: ROOM,
        ..Options::default()
    });
    let role = if input.server {
        Role::Server
    } else {
        Role::Client
    };
    let mut session = Session::<u32>::new(role, &options, now);
    let mut events = Vec::new();
    let mut open = HashSet::new();
    let mut asked = 0;
    // The bytes 18 to 21 of a server's first frame are the id of its greeting.
    let mut last_id = RequestId(0);
    let mut connected = false;
    for step in input.steps {
        let was_closed = session.closed().is_some();
        match step {
            Step::Bytes(bytes) => drop(session.receive(&bytes, now, &mut events)),
            Step::Frame(code, change, payload) => {
                let mut bytes = Vec::new();
                let id = RequestId((last_id.0 ^ change) & session.wire().max_id());
                let message_type = MessageType::of(code);
                session
                    .wire()
                    .encode(message_type, id, 1, &payload, &mut bytes);
                drop(session.receive(&bytes, now, &mut events));
            }
            Step::Greeting => {
                let mut bytes = Vec::new();
                match (session.wire(), role) {
                    (Wire::V1, _) => {
                        let message_type = match role {
                            Role::Server => MessageType::HELLO_ACK,
                            Role::Client => MessageType::HELLO,
                        };
                        let payload = b"\x00\x051.6.3";
                        Wire::V1.encode(message_type, last_id, 1, payload, &mut bytes);
                    }
                    (Wire::V2, Role::Server) => {
                        bytes.extend(b"\x00\x16{\"v\":\"2.0.0rc1\",\"m\":1}")
                    }
                    (Wire::V2, Role::Client) => {
                        bytes.extend(b"\x00\x0d{\"v\":\"2.0.0\"}\x00\x0f{\"result\":\"ok\"}");
                    }
                }
                drop(session.receive(&bytes, now, &mut events));
            }
            Step::Send(code, length) => {
                let content = vec![0; usize::from(length) * 8];
                let _ = session.send(&Request::new(MessageType::of(code), content));
            }
            Step::Ask(code, expects, seconds) => {
                let mut request = Request::new(MessageType::of(code), Vec::new());
                request.expects = expects.map(MessageType::of);
                asked += 1;
                let deadline = (seconds > 0).then(|| now + Duration::from_secs(seconds.into()));
                if let Ok(id) = session.ask(&request, asked, deadline) {
                    last_id = id;
                    open.insert(asked);
                }
            }
            Step::Ping(seconds) => {
                asked += 1;
                let deadline = Some(now + Duration::from_secs(seconds.into()));
                if let Ok(id) = session.ping(asked, deadline) {
                    last_id = id;
                    open.insert(asked);
                }
            }
            Step::Write(most) => {
                if let Some(mut chunk) = session.take_chunk() {
                    let length = chunk.remaining().len().min(most.into());
                    if let Some(id) = chunk.remaining().get(18..22)
                        && !session.is_ready()
                    {
                        last_id = RequestId::from_bytes(id);
                    }
                    chunk.advance(length);
                    session.give_back(chunk, length, now);
                }
            }
            Step::Pass(seconds) => {
                now += Duration::from_secs(seconds.into());
                drop(session.tick(now, &mut events));
            }
            Step::Pause(paused) => session.set_paused(paused, now),
            Step::End => drop(session.end_of_stream()),
        }
        for event in events.drain(..) {
            assert!(!was_closed, "an event after the end");
            match event {
                Event::Connected => {
                    assert!(!connected, "connected twice");
                    connected = true;
                }
                Event::Message(message) => {
                    assert!(connected && message.message_type != MessageType::PING);
                }
                Event::Reply(number, _) | Event::Expired(number) => {
                    assert!(open.remove(&number), "an outcome twice");
                }
            }
        }
        // Greetings, answers to pings and one message beyond the room.
        assert!(session.waiting_bytes() <= ROOM + 64 * 1024 + 2048);
        if session.closed().is_some() {
            assert_eq!(session.next_deadline(), None);
        }
    }
});
