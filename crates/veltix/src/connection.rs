//! A client's connection without a thread: its caller drives it.
//!
//! For a library inside somebody else's process that has one thread for all it does. That thread waits
//! in [`Connection::next`], for messages and for a [`Waker`] at once. Or it waits by itself, for this
//! and for other things: [`Connection::waits`] tells for what, and [`Connection::try_next`] does what
//! there is to do.

mod driving;
mod kept;
mod opening;

use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{Request, RequestId, Response};
use crate::session::{Event, Options, Role, Session};
use crate::stream::{ClientSecurity, Stop, Stream};
use kept::Kept;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
const READ_SIZE: usize = 16 * 1024;
/// What [`Connection::try_next`] reads before it gives way to what else its caller does.
const READS_PER_TRY: usize = 16;

/// How a connection is made. There may be more to it in later versions: all but what is set is taken
/// from the default.
///
/// ```
/// use superstream_veltix::ConnectionOptions;
///
/// let options = ConnectionOptions {
///     max_kept_bytes: 1024 * 1024,
///     ..ConnectionOptions::default()
/// };
/// # assert_eq!(options.session, ConnectionOptions::default().session);
/// ```
#[derive(Clone)]
pub struct ConnectionOptions {
    /// The limits of the conversation.
    pub session: Options,
    /// So much is kept of messages that nobody has taken, with what each takes beside its content:
    /// 16 MiB by default. Then nothing more is read. What was read last may exceed it, by one message
    /// or 16 KiB of the wire. A call that waits for a reply may keep twice as much.
    pub max_kept_bytes: usize,
    /// What `veltixs://` uses.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            session: Options::default(),
            max_kept_bytes: 16 * 1024 * 1024,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ConnectionOptions {
    /// What `veltixs://` uses.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    fn security(&self) -> ClientSecurity {
        ClientSecurity {
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
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

/// What a caller has to wait for who waits by himself, with `poll(2)` or its like on the connection's
/// socket (on Unix it is [`AsFd`]). Whichever comes first: then [`Connection::try_next`] is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Until the socket can be read. Not while there is no room for messages.
    pub readable: bool,
    /// Until the socket can be written to.
    pub writable: bool,
    /// Until then and no longer: the peer is to be asked whether it is there, or has not answered.
    /// Already past where there is something to do that the socket does not show.
    pub until: Option<Instant>,
}

/// One connection to one server.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use superstream_veltix::{Address, Connection, ConnectionOptions, MessageType, Next, Request};
///
/// # fn main() -> Result<(), superstream_veltix::Error> {
/// let address = Address::parse("veltix://127.0.0.1:8080")?;
/// let soon = || Instant::now() + Duration::from_secs(5);
/// let mut connection = Connection::open(&address, &ConnectionOptions::default(), soon())?;
/// let request = Request::new(MessageType::of(200), "hello");
/// let reply = connection.send_and_wait(&request, soon())?;
/// println!("{:?}", reply.text());
/// while let Next::Message(message) = connection.next(soon())? {
///     println!("{}: {} bytes", message.message_type, message.content.len());
/// }
/// connection.close(soon())
/// # }
/// ```
///
/// Messages that nobody has taken are kept up to [`ConnectionOptions::max_kept_bytes`]. Then nothing
/// more is read and the peer has to wait; nothing is lost. A call that waits for a reply reads up to as
/// much again, because the reply may lie behind; it fails where that does not do, and the messages can
/// be taken.
///
/// Dropping it closes its descriptors and does nothing else: it neither shuts the socket down nor sends
/// the end of TLS. So a forked child may drop its copy, and the parent's goes on. Any other call in
/// the child may write to the parent's connection, end it, or wake its thread.
pub struct Connection {
    stream: Stream,
    session: Session<()>,
    poll: Poll,
    ready: Events,
    waker: Waker,
    kept: Kept,
    buffer: Vec<u8>,
    events: Vec<Event<()>>,
    reply: Option<Response>,
    connected: bool,
    /// As long as nothing else is known.
    readable: bool,
    writable: bool,
    woken: bool,
    /// Why nothing more can be written. What the peer said before is still there to be read.
    broken: Option<CloseReason>,
    /// So many of the session's bytes are with the system, and not with TLS.
    delivered: u64,
}

impl Connection {
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
            kept: Kept::new(options.max_kept_bytes),
            buffer: vec![0; READ_SIZE],
            events: Vec::new(),
            reply: None,
            connected: false,
            readable: true,
            writable: true,
            woken: false,
            broken: None,
            delivered: 0,
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

    /// Sends, and comes back when the system has all of it. That the peer has it, only a reply tells.
    ///
    /// [`Error::Stalled`]: the peer takes nothing, and nothing of the message was sent. Where a part
    /// was, the connection is over: [`Error::Closed`] with [`CloseReason::Stalled`].
    ///
    /// A connection that broke is read to its end before it is closed, as far as there is room:
    /// [`Connection::next`] and [`Connection::try_next`] give what came, and then the reason.
    pub fn send(&mut self, request: &Request, deadline: Instant) -> Result<RequestId, Error> {
        self.check_writable()?;
        let start = self.session.queued();
        let id = self.session.send(request)?;
        let frame = start..self.session.queued();
        match self.write_until(frame.end, deadline) {
            Ok(()) => Ok(id),
            Err(error) => Err(self.give_up(&frame, error)),
        }
    }

    /// Lets a message wait to be sent, without a look at the socket. It goes with any later call; of
    /// those, [`Connection::flush`] tells when it is gone.
    pub fn queue(&mut self, request: &Request) -> Result<RequestId, Error> {
        self.check_writable()?;
        self.session.send(request)
    }

    /// Comes back when the system has all that waits to be sent. With [`Error::Stalled`] the rest still
    /// waits.
    pub fn flush(&mut self, deadline: Instant) -> Result<(), Error> {
        self.write_until(self.session.queued(), deadline)
    }

    /// Sends and waits for the reply. Messages that come meanwhile are kept for
    /// [`Connection::next`]. Errors of sending are those of [`Connection::send`]; with
    /// [`Error::TimedOut`] all was sent.
    pub fn send_and_wait(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Error> {
        self.check_writable()?;
        let start = self.session.queued();
        let id = self.session.ask(request, (), None)?;
        let frame = start..self.session.queued();
        self.wait_for(id, &frame, deadline)
    }

    /// Asks whether the server is there, and tells how long the answer took.
    pub fn ping(&mut self, deadline: Instant) -> Result<Duration, Error> {
        self.check_writable()?;
        let now = Instant::now();
        let start = self.session.queued();
        let id = self.session.ping((), None)?;
        let frame = start..self.session.queued();
        self.wait_for(id, &frame, deadline)?;
        Ok(now.elapsed())
    }

    /// The next message, the next wake-up, or the deadline. With a deadline that has passed it takes
    /// what lies there.
    pub fn next(&mut self, deadline: Instant) -> Result<Next, Error> {
        let mut late = false;
        loop {
            if let Some(message) = self.kept.take() {
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

    /// The next message, if one lies here or at the socket. Never waits; writes what can be written,
    /// answers the peer's pings, and looks at the clock.
    pub fn try_next(&mut self) -> Result<Option<Response>, Error> {
        // Whoever waits for the socket himself knows better.
        self.readable = true;
        for _ in 0..READS_PER_TRY {
            if let Some(message) = self.kept.take() {
                return Ok(Some(message));
            }
            let tried = self.try_turn();
            match tried {
                Ok(()) if self.readable || !self.kept.is_empty() => {}
                Ok(()) => return Ok(None),
                // What came before the end is not lost.
                Err(_) if !self.kept.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.kept.take())
    }

    fn try_turn(&mut self) -> Result<(), Error> {
        self.write()?;
        if self.may_read() {
            self.read()?;
        }
        self.look_at_clock()
    }

    /// What to wait for until [`Connection::try_next`] has something to do.
    pub fn waits(&self) -> Waits {
        let full = self.kept.is_full(self.session.is_awaited());
        let open = self.session.closed().is_none();
        // A poll on the socket does not show what TLS has of it.
        let now = !open || !self.kept.is_empty() || self.readable && !full;
        Waits {
            readable: open && !full,
            writable: open && self.wants_write(),
            until: match now {
                true => Some(Instant::now()),
                false => self.session.next_deadline(),
            },
        }
    }

    /// Writes what waits, tells the server that no more will come, and waits for it to end its side:
    /// for the system, what was written counts as abandoned while there is something to read. What the
    /// server still says is thrown away. With a deadline that has passed nothing waits for anything.
    pub fn close(mut self, deadline: Instant) -> Result<(), Error> {
        self.kept.shut();
        let written = self.flush(deadline);
        self.session.close(CloseReason::Manual);
        if written.is_err() {
            self.stream.cut();
            return written;
        }
        // With TLS the server can tell this end from one that somebody else made.
        self.stream.announce_end();
        while matches!(self.stream.flush(), Err(Stop::WouldBlock)) && Instant::now() < deadline {
            self.wait(deadline)?;
        }
        self.stream.end();
        self.read_away(deadline)?;
        written
    }
}

/// The socket, to wait for. It is not to be read, written to or closed by others; a [`Waker`] does not
/// show in it.
#[cfg(unix)]
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.socket().as_fd()
    }
}
