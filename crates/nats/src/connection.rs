//! A connection and what is said over it.

use std::time::Instant;

use crate::error::Error;
use crate::options::{Address, Options};

/// What the server's INFO said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// Empty where the server gives none.
    pub server_name: String,
    /// This connection's number at the server.
    pub client_id: u64,
    /// The longest payload that the server takes, in bytes.
    pub max_payload: usize,
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it was published to.
    pub subject: String,
    /// Which subscription it came for.
    pub subscription: Subscription,
    /// Where an answer goes.
    pub reply: Option<String>,
    /// What it says. Headers are read for their status alone and dropped.
    pub payload: Vec<u8>,
}

/// Names a subscription of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscription(u64);

/// One connection to one server. Not shared between threads; dropping it closes the socket and sends
/// nothing, so that a forked child may drop its copy.
pub struct Connection {}

impl Connection {
    /// Connects, to `server` or, where it cannot be reached, to one of `others`, all before `deadline`.
    pub fn open(
        _options: &Options,
        _others: &[Address],
        _deadline: Instant,
    ) -> Result<Self, Error> {
        todo!()
    }

    /// The newest INFO.
    pub fn info(&self) -> &ServerInfo {
        todo!()
    }

    /// The other servers of the cluster, as the newest INFO tells (`connect_urls`), with the named
    /// server's scheme.
    pub fn others(&self) -> &[Address] {
        todo!()
    }

    /// Why the connection is closed; `None` while it is not.
    pub fn closed(&self) -> Option<&str> {
        todo!()
    }

    /// Subscribes, as a member of a queue group where one is named.
    pub fn subscribe(
        &mut self,
        _subject: &str,
        _queue: Option<&str>,
        _deadline: Instant,
    ) -> Result<Subscription, Error> {
        todo!()
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, _subscription: Subscription, _deadline: Instant) -> Result<(), Error> {
        todo!()
    }

    /// Publishes, and writes it to the socket before `deadline`. Whether the server has it shows
    /// [`Connection::flush`] alone.
    pub fn publish(
        &mut self,
        _subject: &str,
        _reply: Option<&str>,
        _payload: &[u8],
        _deadline: Instant,
    ) -> Result<(), Error> {
        todo!()
    }

    /// Waits until the server has taken all that was sent (PING, PONG). What the server has refused since
    /// the last flush ([`Error::Denied`]) is told here.
    pub fn flush(&mut self, _deadline: Instant) -> Result<(), Error> {
        todo!()
    }

    /// Asks and waits for the one answer to it. Other messages that come meanwhile are kept.
    pub fn request(
        &mut self,
        _subject: &str,
        _payload: &[u8],
        _deadline: Instant,
    ) -> Result<Vec<u8>, Error> {
        todo!()
    }

    /// The next message of any subscription, kept or new; `None` where none came before `deadline`. PINGs
    /// are answered here. With a deadline that has passed it takes what lies there and waits for nothing;
    /// a flood does not keep it longer than its deadline.
    pub fn next(&mut self, _deadline: Instant) -> Result<Option<Message>, Error> {
        todo!()
    }

    /// As [`Connection::next`], of one subscription alone.
    pub fn next_of(
        &mut self,
        _subscription: Subscription,
        _deadline: Instant,
    ) -> Result<Option<Message>, Error> {
        todo!()
    }

    /// Messages that were dropped because the caller did not take them.
    pub fn dropped(&self) -> u64 {
        todo!()
    }
}
