//! The one connection of the process: opened when something is to be said, and opened again when it
//! broke.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use superstream_protocol::link::{HELLO, Hello};
use superstream_veltix::{
    Address, Connection, ConnectionOptions, Error, MessageType, Next, Request, Response,
};

use super::inbox::Inbox;
use super::json;
use crate::service::answer::{self, short};
use crate::service::reopening::{PROOF_LIMIT, Reopening};
use crate::service::{Failure, Watch};
use crate::settings::Token;

/// A service that is silent for so long is asked whether it is there, and is gone after twice as long.
const PING_EVERY: Duration = Duration::from_secs(30);
/// The longest message, in both directions. Answers and what is said unasked are held to less.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// What may lie here until the next look.
const MAX_KEPT_BYTES: usize = 1024 * 1024;
/// A peer that is given up may go on speaking: it is listened to for so long.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(200);

/// A connection, and what it takes to make one.
pub(super) struct Link {
    server: Address,
    options: Result<ConnectionOptions, String>,
    token: Option<Token>,
    connection: Option<Connection>,
    reopening: Reopening,
    /// Something was not answered in time: the service itself may be gone.
    is_suspect: bool,
    /// What the service has said unasked, on any of the connections.
    pub(super) inbox: Inbox,
}

impl Link {
    pub(super) fn new(server: &Address, token: Option<Token>) -> Self {
        Self {
            server: server.clone(),
            options: options(server).map_err(|error| short(&error)),
            token,
            connection: None,
            reopening: Reopening::default(),
            is_suspect: false,
            inbox: Inbox::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Which connection is open, as far as is known.
    pub(super) fn current(&self) -> Option<u64> {
        self.connection.as_ref().map(|_| self.reopening.last())
    }

    /// When a connection that nobody waits for may be made.
    pub(super) fn open_at(&self) -> Instant {
        self.reopening.at()
    }

    pub(super) fn may_open(&self, now: Instant) -> bool {
        self.reopening.is_over(now)
    }

    /// Sees to it that there is a connection; which one.
    pub(super) fn open(&mut self, deadline: Instant) -> Result<u64, Failure> {
        let proof = deadline.min(Instant::now() + PROOF_LIMIT);
        self.drop_closed();
        if std::mem::take(&mut self.is_suspect)
            && let Some(connection) = &mut self.connection
            // It is there where it says more than can be kept.
            && !matches!(connection.ping(proof), Ok(_) | Err(Error::WrongState(_)))
        {
            self.forget();
        }
        if self.connection.is_none() {
            let greeted = self.connect(deadline);
            if greeted.is_err() {
                self.reopening.failed();
            }
            self.connection = Some(greeted?);
            self.reopening.opened();
        }
        Ok(self.reopening.last())
    }

    /// Connects, and says who we are.
    fn connect(&mut self, deadline: Instant) -> Result<Connection, Failure> {
        let options = self.options.as_ref();
        let options = options.map_err(|reason| Failure::Refused(reason.clone()))?;
        let hello = json(&Hello {
            token: self.token.as_ref().map(|token| token.reveal().to_owned()),
            sdk: concat!("superstream-librdkafka/", env!("CARGO_PKG_VERSION")).to_owned(),
        })?;
        let connected = Connection::open(&self.server, options, deadline);
        let mut connection = connected.map_err(|error| self.failure(&error))?;
        let hello = request(HELLO, hello);
        let answered = ask(
            &mut connection,
            &hello,
            deadline,
            &mut self.inbox,
            self.token.as_ref(),
        );
        let answered = answered.map_err(|error| self.failure(&error))?;
        answer::accepted(&answered.content, self.token.as_ref(), answer::longest(0))?;
        Ok(connection)
    }

    /// Asks over the connection that there is, and waits for the answer.
    pub(super) fn request(
        &mut self,
        kind: u16,
        content: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let request = request(kind, content);
        let answer = self
            .speak(|connection, inbox, token| ask(connection, &request, deadline, inbox, token));
        match answer {
            Ok(answer) => Ok(answer.content),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Takes what the service has said unasked: so many messages at most, and no more after so many bytes.
    pub(super) fn take(&mut self, messages: usize, bytes: usize) {
        let mut taken = 0;
        for _ in 0..messages {
            let next = self.speak(|connection, inbox, token| {
                let next = connection.try_next()?;
                if let Some(message) = &next {
                    inbox.push(message, token);
                }
                Ok(next.map(|message| message.content.len()))
            });
            match next {
                Ok(Some(length)) if taken + length < bytes => taken += length,
                _ => return,
            }
        }
    }

    /// What shows that something lies there, or that what waits can be sent.
    pub(super) fn watch(&self) -> Option<Watch<'_>> {
        let connection = self.connection.as_ref()?;
        let waits = connection.waits();
        Some(Watch {
            socket: connection.as_fd(),
            readable: waits.readable,
            writable: waits.writable,
            from: None,
        })
    }

    /// When the connection is to be looked at, whatever shows.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.connection.as_ref()?.waits().until
    }

    fn speak<T>(
        &mut self,
        speak: impl FnOnce(&mut Connection, &mut Inbox, Option<&Token>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::NotConnected);
        };
        let said = speak(connection, &mut self.inbox, self.token.as_ref());
        match &said {
            Err(Error::TimedOut | Error::Stalled) => self.is_suspect = true,
            Err(Error::Io(_) | Error::Closed(_)) => self.forget(),
            _ => {}
        }
        self.drop_closed();
        said
    }

    /// Nothing is to be said or heard for a while. The service sees by it that we are gone, even where
    /// a forked child still has a copy of the socket.
    pub(super) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Nobody waits for what is still to be written.
            let _ = connection.close(Instant::now());
        }
    }

    fn drop_closed(&mut self) {
        let is_closed = |connection: &Connection| connection.closed().is_some();
        if self.connection.as_ref().is_some_and(is_closed) {
            self.forget();
        }
    }

    /// The connection broke. What came before is not lost, unless there is no end to it.
    pub(super) fn forget(&mut self) {
        if let Some(connection) = &mut self.connection {
            let until = Instant::now() + LAST_WORDS_LIMIT;
            while let Ok(Some(message)) = connection.try_next() {
                self.inbox.push(&message, self.token.as_ref());
                if Instant::now() >= until {
                    break;
                }
            }
            self.close();
            self.reopening.broke();
        }
    }

    fn failure(&self, error: &Error) -> Failure {
        let words = short(&match &self.token {
            Some(token) => token.masked(&error.to_string()),
            None => error.to_string(),
        });
        match error {
            Error::TooLarge { .. } | Error::Reserved(_) => Failure::Refused(words),
            _ => Failure::Unavailable(words),
        }
    }
}

/// Asks, and waits for the answer. What comes before is taken, so that it does not stand in the way.
fn ask(
    connection: &mut Connection,
    request: &Request,
    deadline: Instant,
    inbox: &mut Inbox,
    token: Option<&Token>,
) -> Result<Response, Error> {
    let id = connection.send(request, deadline)?;
    loop {
        match connection.next(deadline)? {
            Next::Message(message)
                if message.request_id == id && message.message_type == request.message_type =>
            {
                return Ok(message);
            }
            Next::Message(message) => inbox.push(&message, token),
            Next::Woken | Next::TimedOut => {}
        }
        // A service that says something all the time is out of time, too.
        if Instant::now() >= deadline {
            return Err(Error::TimedOut);
        }
    }
}

fn options(server: &Address) -> Result<ConnectionOptions, impl ToString + use<>> {
    let mut options = ConnectionOptions {
        max_kept_bytes: MAX_KEPT_BYTES,
        ..ConnectionOptions::default()
    };
    options.session.max_message_size = MAX_MESSAGE_BYTES;
    options.session.ping_interval = Some(PING_EVERY);
    options.session.ping_timeout = PING_EVERY;
    match server.tls {
        true => superstream_settings::tls().map(|tls| options.with_tls(tls)),
        false => Ok(options),
    }
}

fn request(kind: u16, content: impl Into<Vec<u8>>) -> Request {
    Request::new(MessageType::of(kind), content)
}
