//! One conversation, without a socket: bytes go in, events and bytes come out.
//!
//! Whoever owns the connection puts what arrives in [`Session::receive`], writes what
//! [`Session::take_chunk`] gives, and calls [`Session::tick`] at [`Session::next_deadline`]. The
//! endpoint's thread and the connection without a thread do so alike.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use superstream_veltix::session::{Event, Options, Role, Session};
//! use superstream_veltix::{Error, MessageType, Request};
//!
//! /// As a socket would, which may take and give less at a time.
//! fn pass(from: &mut Session<()>, to: &mut Session<()>) -> Result<Vec<Event<()>>, Error> {
//!     let mut events = Vec::new();
//!     while let Some(mut chunk) = from.take_chunk() {
//!         let written = chunk.remaining().len();
//!         to.receive(chunk.remaining(), Instant::now(), &mut events)
//!             .map_err(Error::Closed)?;
//!         chunk.advance(written);
//!         from.give_back(chunk, written, Instant::now());
//!     }
//!     Ok(events)
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let options = Arc::new(Options::default());
//! let mut server = Session::new(Role::Server, &options, Instant::now());
//! let mut client = Session::new(Role::Client, &options, Instant::now());
//! pass(&mut server, &mut client)?;
//! pass(&mut client, &mut server)?;
//! assert!(server.is_ready() && client.is_ready());
//!
//! client.send(&Request::new(MessageType::of(200), "hello"))?;
//! let events = pass(&mut client, &mut server)?;
//! assert!(matches!(&events[..], [Event::Message(message)] if message.content == b"hello"));
//! # Ok(())
//! # }
//! ```

mod handshake;
mod options;
mod outbound;
mod pending;
mod receiving;
mod sending;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use handshake::{VERSION_V1, VERSION_V2};
pub use options::Options;
pub use outbound::Chunk;

use crate::error::CloseReason;
use crate::frames::{Decoder, Wire};
use crate::message::{MessageType, RequestId, Response};
use outbound::Outbound;
use pending::{Ids, Pending};

/// Which side of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Speaks first.
    Server,
    /// Answers the greeting.
    Client,
}

/// What happened. `W` is whatever the caller has given to be found again by the reply.
#[derive(Debug, PartialEq)]
pub enum Event<W> {
    /// The handshake is done.
    Connected,
    /// A message that nobody waits for.
    Message(Response),
    /// The reply to a request.
    Reply(W, Response),
    /// The time of a request is over.
    Expired(W),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A client that takes whichever version the server begins with.
    Undecided,
    /// 1.6.3, before HELLO (client) or HELLO_ACK (server, with the id that it must have).
    Greeting(RequestId),
    /// 2.0.0, before the peer's first message.
    Introduction,
    /// 2.0.0, a client before the server's consent.
    Consent,
    Ready,
}

/// Whether the peer is there: asked when it had been silent.
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// Where the PING ends in what we send.
    end: u64,
    since: Instant,
}

/// What came before the handshake, and is delivered after it.
#[derive(Debug, Default)]
struct Early {
    messages: Vec<Response>,
    bytes: usize,
    pings: u8,
}

/// One side of one conversation. [The module](self) has an example.
#[derive(Debug)]
pub struct Session<W> {
    role: Role,
    options: Arc<Options>,
    phase: Phase,
    wire: Wire,
    decoder: Decoder,
    /// The longest frame that is taken after the handshake, where it is not that of the options.
    receive_limit: Option<usize>,
    /// Bytes of a handshake that has not ended.
    greeting: Vec<u8>,
    early: Option<Box<Early>>,
    outbound: Outbound,
    pending: Pending<W>,
    ids: Ids,
    opened: Instant,
    heard: Instant,
    /// When the frame that is incomplete began.
    frame_since: Option<Instant>,
    probe: Option<Probe>,
    paused: bool,
    closed: Option<CloseReason>,
}

impl<W> Session<W> {
    /// Begins a conversation: a server's greeting waits to be written from now on.
    pub fn new(role: Role, options: &Arc<Options>, now: Instant) -> Self {
        let wire = options.wire.unwrap_or_default();
        let mut session = Self {
            role,
            options: Arc::clone(options),
            phase: Phase::Introduction,
            wire,
            decoder: Decoder::new(wire, receiving::MAX_EARLY_FRAME),
            receive_limit: None,
            greeting: Vec::new(),
            early: None,
            outbound: Outbound::default(),
            pending: Pending::new(),
            ids: Ids::new(wire, role, options.id_window.into()),
            opened: now,
            heard: now,
            frame_since: None,
            probe: None,
            paused: false,
            closed: None,
        };
        session.phase = match (role, wire) {
            (Role::Client, _) if options.wire.is_none() => Phase::Undecided,
            (Role::Client, Wire::V1) => Phase::Greeting(RequestId(0)),
            (Role::Server, Wire::V1) => {
                let id = session.ids.next();
                session.write(MessageType::HELLO, id, &handshake::hello());
                Phase::Greeting(id)
            }
            (Role::Server, Wire::V2) => {
                session.write_plain(&handshake::server_json(options.id_window));
                Phase::Introduction
            }
            (Role::Client, Wire::V2) => Phase::Introduction,
        };
        session
    }

    /// Whether the handshake is done and the conversation is not over.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready && self.closed.is_none()
    }

    /// Why it is over.
    pub fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// The framing that is spoken: decided where the handshake is done.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Nobody waits for this reply any more.
    pub fn forget(&mut self, id: RequestId) -> Option<W> {
        self.pending.remove(id)
    }

    /// Whether a caller waits for a reply.
    pub fn is_awaited(&self) -> bool {
        !self.pending.is_empty()
    }

    /// All who wait for replies, which cannot come any more.
    pub fn forget_all(&mut self) -> Vec<W> {
        self.pending.take_all()
    }

    /// Bytes that no socket has taken yet.
    pub fn waiting_bytes(&self) -> usize {
        self.outbound.waiting()
    }

    /// Whether [`Session::take_chunk`] has something.
    pub fn has_chunk(&self) -> bool {
        self.outbound.has_chunk()
    }

    /// What is to be written next. One at a time: it must be given back before the next is taken.
    pub fn take_chunk(&mut self) -> Option<Chunk> {
        self.outbound.take()
    }

    /// Brings a chunk back of which `written` bytes were written since it was taken.
    pub fn give_back(&mut self, chunk: Chunk, written: usize, now: Instant) {
        self.outbound.give_back(chunk, written);
        // A PING that still waits for room cannot be answered yet.
        if written > 0
            && let Some(probe) = &mut self.probe
            && self.outbound.written() - written as u64 <= probe.end
        {
            probe.since = now;
        }
    }

    /// We do not read what comes, so that no deadline holds for the peer.
    pub fn set_paused(&mut self, paused: bool, now: Instant) {
        self.paused = paused;
        self.heard = now;
        self.probe = None;
        self.frame_since = self.decoder.is_within_frame().then_some(now);
    }

    /// Whether we do not read what comes.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// When [`Session::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let timeouts = if self.phase != Phase::Ready {
            [
                self.opened.checked_add(self.options.handshake_timeout),
                None,
            ]
        } else if self.paused {
            [self.silence_deadline(), None]
        } else {
            [self.frame_deadline(), self.silence_deadline()]
        };
        timeouts
            .into_iter()
            .flatten()
            .chain(self.pending.next_deadline())
            .min()
    }

    /// Whether that is so.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|next| next <= now)
    }

    /// Looks at the clock.
    pub fn tick(&mut self, now: Instant, events: &mut Vec<Event<W>>) -> Result<(), CloseReason> {
        if let Some(reason) = &self.closed {
            return Err(reason.clone());
        }
        events.extend(self.pending.expired(now).into_iter().map(Event::Expired));
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if self.phase != Phase::Ready {
            if passed(self.opened.checked_add(self.options.handshake_timeout)) {
                return Err(self.close(CloseReason::HandshakeTimeout));
            }
            return Ok(());
        }
        if self.paused {
            // The peer cannot know why we do not answer, and would take us for gone.
            if passed(self.silence_deadline()) {
                self.heard = now;
                if self.outbound.waiting() == 0 {
                    let id = self.ids.next();
                    self.write(MessageType::PING, id, &[]);
                }
            }
            return Ok(());
        }
        if passed(self.frame_deadline()) {
            return Err(self.close(CloseReason::FrameTimeout));
        }
        if passed(self.silence_deadline()) {
            if self.probe.is_some() {
                return Err(self.close(CloseReason::Silent));
            }
            let id = self.ids.next();
            self.write(MessageType::PING, id, &[]);
            self.probe = Some(Probe {
                end: self.outbound.queued(),
                since: now,
            });
        }
        Ok(())
    }

    /// Ends the conversation, and gives the reason: the first one stays.
    pub fn close(&mut self, reason: CloseReason) -> CloseReason {
        self.closed.get_or_insert(reason).clone()
    }

    fn frame_deadline(&self) -> Option<Instant> {
        let arrived = Duration::from_millis((self.decoder.kept() / 64) as u64);
        let whole = self.options.frame_timeout.saturating_add(arrived);
        self.frame_since?.checked_add(whole)
    }

    fn silence_deadline(&self) -> Option<Instant> {
        let interval = self.options.ping_interval?;
        match self.probe {
            Some(probe) => probe.since.checked_add(self.options.ping_timeout),
            None => self.heard.checked_add(interval),
        }
    }

    fn write(&mut self, message_type: MessageType, id: RequestId, payload: &[u8]) {
        let size = self.wire.header_size() + payload.len();
        let out = self.outbound.buffer(size);
        self.wire.encode(message_type, id, now_ms(), payload, out);
    }

    fn write_plain(&mut self, bytes: &[u8]) {
        self.outbound.buffer(bytes.len()).extend_from_slice(bytes);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
