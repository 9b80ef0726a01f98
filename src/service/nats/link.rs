//! The one connection of the process: opened when something is to be said, and opened again when it
//! broke.

use std::time::{Duration, Instant};

use superstream_nats::{Address, Connection, Error, Message, Options, ServerInfo, Subscription};

use crate::debug;
use crate::service::Failure;
use crate::service::answer::short;
use crate::service::reopening::{PROOF_LIMIT, Reopening};
use crate::settings::Token;

/// The user that all Superstream clients are to a server.
const USER: &str = "superstream_internal";
/// Its password where no token is set.
const NO_TOKEN: &str = "no-auth";
/// A server that is silent for so long is asked whether it is there, and is gone after twice as long.
const PING_EVERY: Duration = Duration::from_secs(30);
/// What may lie here until the next look: a creator may wait for some of it.
const MAX_KEPT_BYTES: usize = 512 * 1024;
/// Servers of one cluster that are remembered.
const MAX_OTHERS: usize = 16;

/// A connection, and what it takes to make one.
pub(super) struct Link {
    options: Result<Options, String>,
    token: Option<Token>,
    /// Servers of the cluster that an earlier connection told of.
    others: Vec<Address>,
    connection: Option<Connection>,
    reopening: Reopening,
    /// Something was not answered in time: the server itself may be gone.
    is_suspect: bool,
}

impl Link {
    pub(super) fn new(server: &Address, token: Option<Token>) -> Self {
        let password = token.as_ref().map_or(NO_TOKEN, Token::reveal).to_owned();
        let options = superstream_settings::tls().map(|tls| Options {
            server: server.clone(),
            user: Some(USER.to_owned()),
            password: Some(password),
            name: concat!("superstream-librdkafka/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls,
            ping_every: PING_EVERY,
            max_kept_bytes: MAX_KEPT_BYTES,
        });
        Self {
            options: options.map_err(|error| short(&error)),
            token,
            others: Vec::new(),
            connection: None,
            reopening: Reopening::default(),
            is_suspect: false,
        }
    }

    /// Which connection is open, as far as is known.
    pub(super) fn current(&self) -> Option<u64> {
        self.connection.as_ref().map(|_| self.reopening.last())
    }

    /// When a connection that nobody waits for may be made.
    pub(super) fn open_at(&self) -> Instant {
        self.reopening.at()
    }

    /// Sees to it that there is a connection; which one.
    pub(super) fn open(&mut self, deadline: Instant) -> Result<u64, Failure> {
        let proof = deadline.min(Instant::now() + PROOF_LIMIT);
        self.drop_closed();
        if std::mem::take(&mut self.is_suspect)
            && let Some(connection) = &mut self.connection
            // What was refused is not this one's affair.
            && !matches!(connection.flush(proof), Ok(()) | Err(Error::Denied(_)))
        {
            self.forget();
        }
        if self.connection.is_some() {
            return Ok(self.reopening.last());
        }
        let options = match &self.options {
            Ok(options) => options,
            Err(reason) => {
                self.reopening.failed();
                return Err(Failure::Refused(reason.clone()));
            }
        };
        match Connection::open(options, &self.others, deadline) {
            Ok(connection) => {
                self.others = others_of(&connection);
                self.connection = Some(connection);
                self.reopening.opened();
                Ok(self.reopening.last())
            }
            Err(error) => {
                self.reopening.failed();
                Err(self.failure(&error))
            }
        }
    }

    /// Asks, and waits for the answer. What is asked may name the connection that it goes over.
    pub(super) fn request(
        &mut self,
        subject: &str,
        deadline: Instant,
        payload: impl Fn(&str) -> Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        self.with(deadline, |connection| {
            let payload = payload(&id(connection.info()));
            connection.request(subject, &payload, deadline)
        })
    }

    /// Publishes, and waits until the server has everything.
    pub(super) fn publish(
        &mut self,
        messages: &[(String, Vec<u8>)],
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.with(deadline, |connection| {
            for (subject, payload) in messages {
                connection.publish(subject, None, payload, deadline)?;
            }
            connection.flush(deadline)
        })
    }

    /// Speaks over a connection. One that has just broken is no failure: what was said is said once
    /// more, over a new one. All of it may be repeated.
    fn with<T>(
        &mut self,
        deadline: Instant,
        mut speak: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let is_new = self.current().is_none();
        self.open(deadline)?;
        match self.speak(&mut speak) {
            Err(error) if is_broken(&error) && !is_new && Instant::now() < deadline => {
                self.open(deadline)?;
                self.speak(&mut speak)
            }
            other => other,
        }
        .map_err(|error| self.failure(&error))
    }

    fn speak<T>(
        &mut self,
        speak: &mut impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::Closed("there is no connection".to_owned()));
        };
        let said = speak(connection);
        if let Err(error) = &said {
            self.is_suspect |= matches!(error, Error::TimedOut);
            if is_broken(error) {
                self.forget();
            }
        }
        self.drop_closed();
        said
    }

    /// Subscribes, on the connection that there is.
    pub(super) fn subscribe(
        &mut self,
        subject: &str,
        deadline: Instant,
    ) -> Result<Subscription, Failure> {
        let said = self.speak(&mut |connection| connection.subscribe(subject, None, deadline));
        said.map_err(|error| {
            // A connection that is not listened to is of no use.
            self.forget();
            self.failure(&error)
        })
    }

    /// Sees to it that the server has what was subscribed to, and hears what it does not allow: that
    /// concerns nothing that is said later.
    pub(super) fn confirm(&mut self, deadline: Instant) {
        match self.speak(&mut |connection| connection.flush(deadline)) {
            Ok(()) => {}
            Err(error) => debug!("what the service says unasked: {}", self.failure(&error)),
        }
    }

    /// Ends a subscription. Where that fails, so has the connection, and the subscription with it.
    pub(super) fn unsubscribe(&mut self, subscription: Subscription, deadline: Instant) {
        let _ = self.speak(&mut |connection| connection.unsubscribe(subscription, deadline));
    }

    /// The next message of any subscription, on the connection that there is.
    pub(super) fn next(&mut self, deadline: Instant) -> Option<Message> {
        self.speak(&mut |connection| connection.next(deadline))
            .ok()
            .flatten()
    }

    /// Nothing is to be said or heard for a while. The service sees by it that we are gone.
    pub(super) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    fn drop_closed(&mut self) {
        let is_closed = |connection: &Connection| connection.closed().is_some();
        if self.connection.as_ref().is_some_and(is_closed) {
            self.forget();
        }
    }

    /// The connection broke.
    pub(super) fn forget(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.others = others_of(&connection);
            connection.close();
            self.reopening.broke();
        }
    }

    fn failure(&self, error: &Error) -> Failure {
        let words = short(&match &self.token {
            Some(token) => token.masked(&error.to_string()),
            None => error.to_string(),
        });
        match error {
            Error::Unauthorized(_)
            | Error::Denied(_)
            | Error::TooLarge { .. }
            | Error::BadSubject(_) => Failure::Refused(words),
            Error::Io(_)
            | Error::Tls(_)
            | Error::NoResponders
            | Error::TimedOut
            | Error::Protocol(_)
            | Error::Closed(_) => Failure::Unavailable(words),
        }
    }
}

/// The servers that stand in for this connection's.
fn others_of(connection: &Connection) -> Vec<Address> {
    let others = connection.others().iter();
    others.take(MAX_OTHERS).cloned().collect()
}

/// What names a connection at the service.
fn id(info: &ServerInfo) -> String {
    let server = match info.server_name.as_str() {
        // As the deployed clients say it.
        "" => "None",
        name => name,
    };
    format!("{server}:{}", info.client_id)
}

/// Whether another connection may do better.
fn is_broken(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Closed(_) | Error::Protocol(_))
}
