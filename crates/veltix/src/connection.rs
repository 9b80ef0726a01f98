//! A client's connection without a thread: its caller drives it.
//!
//! For a library inside somebody else's process that has one thread for all it does. That thread waits
//! in [`Connection::next`], for messages and for a [`Waker`] at once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::address::Address;
use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{Request, RequestId, Response};
use crate::session::{Event, Options, Role, Session};
use crate::stream::{ClientSecurity, Stop, Stream};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
const READ_SIZE: usize = 16 * 1024;
/// Messages that nobody has fetched are kept up to so many bytes; then the socket is not read, and
/// the peer has to wait.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// How a connection is made.
#[derive(Clone, Default)]
pub struct ConnectionOptions {
    /// The limits of the conversation.
    pub session: Options,
    pub(crate) security: ClientSecurity,
}

impl ConnectionOptions {
    /// What `veltixs://` uses.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.security.tls = Some(config);
        self
    }
}

/// Wakes the thread that waits in [`Connection::next`].
#[derive(Clone)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Ends the present or else the next waiting. Several together may end one.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// Why [`Connection::next`] came back.
#[derive(Debug)]
pub enum Next {
    /// A message.
    Message(Response),
    /// Somebody used the [`Waker`].
    Woken,
    /// The deadline has passed.
    TimedOut,
}

/// One connection to one server. Dropping it closes the socket and sends nothing, so that a forked
/// child may drop its copy.
pub struct Connection {
    stream: Stream,
    session: Session<()>,
    poll: Poll,
    ready: Events,
    waker: Waker,
    kept: VecDeque<Response>,
    kept_bytes: usize,
    buffer: Vec<u8>,
    events: Vec<Event<()>>,
    reply: Option<Response>,
    connected: bool,
    readable: bool,
    paused: bool,
    woken: bool,
}

impl Connection {
    /// Connects to the address and greets, before `deadline`. A host that is a name is asked of the
    /// system first, which no deadline holds.
    pub fn open(
        address: &Address,
        options: &ConnectionOptions,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let candidates = address.resolve()?;
        let mut last = Error::TimedOut;
        for (index, candidate) in candidates.iter().enumerate() {
            // One that does not answer leaves time for the others.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / (candidates.len() - index) as u32;
            let result = dial(*candidate, Instant::now() + share).and_then(|(socket, poll)| {
                let socket = Arc::new(socket);
                let stream = options.security.wrap(socket, &address.host, address.tls)?;
                Self::greet(stream, poll, options, deadline)
            });
            match result {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(
        stream: Stream,
        poll: Poll,
        options: &ConnectionOptions,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKE)?));
        let mut connection = Self {
            stream,
            session: Session::new(
                Role::Client,
                &Arc::new(options.session.clone()),
                Instant::now(),
            ),
            poll,
            ready: Events::with_capacity(4),
            waker,
            kept: VecDeque::new(),
            kept_bytes: 0,
            buffer: vec![0; READ_SIZE],
            events: Vec::new(),
            reply: None,
            connected: false,
            readable: true,
            paused: false,
            woken: false,
        };
        while !connection.connected {
            if connection.turn(deadline)? {
                return Err(Error::TimedOut);
            }
        }
        Ok(connection)
    }

    /// What wakes the thread that drives this connection.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The framing that the server speaks.
    pub fn wire(&self) -> Wire {
        self.session.wire()
    }

    /// Why the connection is closed; `None` while it is not.
    pub fn closed(&self) -> Option<&CloseReason> {
        self.session.closed()
    }

    /// Sends, and writes all of it to the socket before `deadline`. Where that does not succeed, the
    /// rest goes with the next call: a frame is never left in pieces.
    pub fn send(&mut self, request: &Request, deadline: Instant) -> Result<RequestId, Error> {
        let id = self.session.send(request)?;
        self.flush_before(deadline)?;
        Ok(id)
    }

    /// Sends and waits for the reply. Messages that come meanwhile are kept for
    /// [`Connection::next`].
    pub fn send_and_wait(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let id = self.session.ask(request, (), None)?;
        self.wait_for(id, deadline)
    }

    /// Asks whether the server is there, and tells how long the answer took.
    pub fn ping(&mut self, deadline: Instant) -> Result<Duration, Error> {
        let start = Instant::now();
        let id = self.session.ping((), None)?;
        self.wait_for(id, deadline)?;
        Ok(start.elapsed())
    }

    /// The next message, the next wake-up, or the deadline. With a deadline that has passed it takes
    /// what lies there.
    pub fn next(&mut self, deadline: Instant) -> Result<Next, Error> {
        let mut late = false;
        loop {
            if let Some(message) = self.kept.pop_front() {
                self.kept_bytes -= message.content.len();
                return Ok(Next::Message(message));
            }
            if std::mem::take(&mut self.woken) {
                return Ok(Next::Woken);
            }
            if late {
                return Ok(Next::TimedOut);
            }
            match self.turn(deadline) {
                Ok(timed_out) => late = timed_out,
                // What came before the end is not lost.
                Err(_) if !self.kept.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what waits, and tells the server that no more will come.
    pub fn close(mut self, deadline: Instant) -> Result<(), Error> {
        let written = self.flush_before(deadline);
        self.session.close(CloseReason::Manual);
        self.stream.end();
        written
    }

    fn wait_for(&mut self, id: RequestId, deadline: Instant) -> Result<Response, Error> {
        loop {
            let turned = self.turn(deadline);
            if let Some(reply) = self.reply.take() {
                return Ok(reply);
            }
            match turned {
                Ok(false) => {}
                Ok(true) => {
                    self.session.forget(id);
                    return Err(Error::TimedOut);
                }
                Err(error) => {
                    self.session.forget(id);
                    return Err(error);
                }
            }
        }
    }

    fn flush_before(&mut self, deadline: Instant) -> Result<(), Error> {
        loop {
            self.write()?;
            if self.session.waiting_bytes() == 0 {
                return Ok(());
            }
            if self.read_or_wait(deadline)? {
                return Err(Error::Stalled);
            }
        }
    }

    /// Writes, reads what is there, waits if nothing is. Whether the deadline has passed: what lay
    /// there has been read once all the same.
    fn turn(&mut self, deadline: Instant) -> Result<bool, Error> {
        self.write()?;
        self.read_or_wait(deadline)
    }

    fn read_or_wait(&mut self, deadline: Instant) -> Result<bool, Error> {
        let full = self.kept_bytes >= MAX_KEPT;
        if full != self.paused {
            self.paused = full;
            self.session.set_paused(full, Instant::now());
        }
        if full || !self.readable {
            self.wait(deadline)?;
        }
        if self.readable && !full {
            self.read()?;
        }
        let now = Instant::now();
        if let Err(reason) = self.session.tick(now, &mut self.events) {
            return Err(self.end(reason));
        }
        Ok(now >= deadline)
    }

    fn wait(&mut self, deadline: Instant) -> Result<(), Error> {
        let wait = self
            .session
            .next_deadline()
            .map_or(deadline, |own| own.min(deadline))
            .saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &self.ready {
            match event.token() {
                WAKE => self.woken = true,
                _ => self.readable |= event.is_readable() || event.is_read_closed(),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Error> {
        let length = match self.stream.read(&mut self.buffer) {
            Ok(0) => {
                let reason = self.session.end_of_stream();
                return Err(self.end(reason));
            }
            Ok(length) => length,
            Err(Stop::WouldBlock) => {
                self.readable = false;
                return Ok(());
            }
            Err(Stop::Again) => return Ok(()),
            Err(Stop::Failed(reason)) => return Err(self.end(reason)),
        };
        let result = self
            .session
            .receive(&self.buffer[..length], Instant::now(), &mut self.events);
        for event in self.events.drain(..) {
            match event {
                Event::Connected => self.connected = true,
                Event::Message(message) => {
                    self.kept_bytes += message.content.len();
                    self.kept.push_back(message);
                }
                Event::Reply((), reply) => self.reply = Some(reply),
                Event::Expired(()) => {}
            }
        }
        match result {
            Ok(()) => self.write(),
            Err(reason) => Err(self.end(reason)),
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        if let Some(reason) = self.session.closed() {
            return Err(Error::Closed(reason.clone()));
        }
        let mut result = self.stream.flush();
        while result.is_ok()
            && let Some(mut chunk) = self.session.take_chunk()
        {
            let written = self.stream.write(chunk.remaining());
            let length = *written.as_ref().unwrap_or(&0);
            chunk.advance(length);
            self.session.give_back(chunk, length, Instant::now());
            result = written.map(|_| ());
        }
        match result {
            Ok(()) | Err(Stop::WouldBlock | Stop::Again) => Ok(()),
            Err(Stop::Failed(reason)) => Err(self.end(reason)),
        }
    }

    fn end(&mut self, reason: CloseReason) -> Error {
        let reason = self.session.close(reason);
        self.stream.cut();
        Error::Closed(reason)
    }
}

/// A connected socket, and what waits for it.
fn dial(address: std::net::SocketAddr, deadline: Instant) -> Result<(TcpStream, Poll), Error> {
    let mut poll = Poll::new()?;
    let mut socket = TcpStream::connect(address)?;
    poll.registry()
        .register(&mut socket, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
    let mut events = Events::with_capacity(4);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        if let Some(error) = socket.take_error()? {
            return Err(error.into());
        }
        if socket.peer_addr().is_ok() {
            socket.set_nodelay(true)?;
            return Ok((socket, poll));
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut);
        }
    }
}
