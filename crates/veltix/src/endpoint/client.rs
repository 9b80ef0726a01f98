//! The client that an application uses.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Endpoint;
use super::client_core::{ClientCore, Phase};
use super::config::ClientConfig;
use super::link::Link;
use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{MessageType, Request, RequestId, Response};

/// Who ended a connection, in three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The server.
    ServerClosed,
    /// The network, or somebody who does not keep to the protocol; or there never was a connection.
    Error,
    /// [`Client::disconnect`].
    Manual,
}

/// What a client is told when it has lost its connection, and after each attempt that came to
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectState {
    /// No further attempt follows.
    pub permanent: bool,
    /// The attempt that this is about; 0: the connection itself.
    pub attempt: u32,
    /// How many attempts there may be.
    pub retry_max: u32,
    /// Who ended it.
    pub reason: DisconnectReason,
    /// Why, in detail.
    pub cause: CloseReason,
    /// Bytes of messages that were accepted, and that the system did not take any more: 0 where all
    /// was written. With the connection itself, not with attempts.
    pub unsent_bytes: usize,
}

/// A client. Callbacks run in order, and never hold up what arrives. Routes, callbacks and
/// [`Sender`]s outlive a connection, and serve the next one.
///
/// ```no_run
/// use std::time::Duration;
/// use superstream_veltix::{Client, ClientConfig, MessageType, Request};
///
/// const GREETING: MessageType = MessageType::of(200);
/// const QUESTION: MessageType = MessageType::of(201);
///
/// # fn main() -> Result<(), superstream_veltix::Error> {
/// let mut config = ClientConfig::from_url("veltix://127.0.0.1:8080")?;
/// config.retry = 10;
/// let client = Client::new(config)?;
/// client.route(GREETING, |greeting| println!("{:?}", greeting.text()));
/// client.on_disconnect(|state| {
///     println!("attempt {}: {}", state.attempt, state.cause);
/// });
/// client.connect()?;
///
/// let question = Request::new(QUESTION, "are you well?");
/// let answer = client.send_and_wait(&question, Duration::from_secs(5))?;
/// println!("{:?} after {:?}", answer.text(), client.ping_server(Duration::from_secs(5))?);
///
/// // For a callback or another thread.
/// let sender = client.sender();
/// sender.send(&Request::new(GREETING, "hello"))?;
/// if !client.disconnect() {
///     eprintln!("something was not written in time");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    core: Arc<ClientCore>,
    _endpoint: Endpoint,
}

impl Client {
    /// A client on the process's [`Endpoint::shared`].
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        Ok(Self::on(&Endpoint::shared()?, config))
    }

    /// A client on an endpoint.
    pub fn on(endpoint: &Endpoint, config: ClientConfig) -> Self {
        Self {
            core: ClientCore::new(config, endpoint.inner()),
            _endpoint: endpoint.clone(),
        }
    }

    /// Takes messages that no route takes.
    pub fn on_recv(&self, handler: impl Fn(Response) + Send + Sync + 'static) {
        self.core.handlers.set_recv(Arc::new(handler));
    }

    /// Is told of each connection, before any of its messages.
    pub fn on_connect(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.core.handlers.set_connect(Arc::new(handler));
    }

    /// Is told of each connection that has ended, after all of its messages, and of each further
    /// attempt that came to nothing.
    pub fn on_disconnect(&self, handler: impl Fn(DisconnectState) + Send + Sync + 'static) {
        self.core.handlers.set_disconnect(Arc::new(handler));
    }

    /// Takes messages of one type, before [`Client::on_recv`]. `false` where the type has a route
    /// already, which stays.
    pub fn route(
        &self,
        message_type: MessageType,
        handler: impl Fn(Response) + Send + Sync + 'static,
    ) -> bool {
        self.core.handlers.route(message_type, Arc::new(handler))
    }

    /// Takes a route away. Whether there was one.
    pub fn unroute(&self, message_type: MessageType) -> bool {
        self.core.handlers.unroute(message_type)
    }

    /// Connects, and waits until the server has greeted. Tries again as often as the configuration
    /// says; the error is that of the last attempt.
    pub fn connect(&self) -> Result<(), Error> {
        self.core.connect()
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.core.phase() == Phase::Connected
    }

    /// What sends for others, over whichever connection there is.
    pub fn sender(&self) -> Sender {
        Sender(Arc::downgrade(&self.core))
    }

    /// The framing that the server speaks.
    pub fn wire(&self) -> Result<Wire, Error> {
        Ok(self.core.link()?.wire())
    }

    /// Sends. That it succeeds means that the message is written in order, not that it was read, unless
    /// the connection ends before: then [`DisconnectState::unsent_bytes`] tells. A server that does not
    /// keep up gives [`Error::Stalled`].
    pub fn send(&self, request: &Request) -> Result<RequestId, Error> {
        self.core.link()?.send(request)
    }

    /// Sends, and waits for room where the server does not keep up.
    pub fn send_within(&self, request: &Request, timeout: Duration) -> Result<RequestId, Error> {
        self.core.link()?.send_within(request, timeout)
    }

    /// Sends, and waits for the reply.
    pub fn send_and_wait(&self, request: &Request, timeout: Duration) -> Result<Response, Error> {
        self.core.link()?.send_and_wait(request, timeout)
    }

    /// The time of a round trip.
    pub fn ping_server(&self, timeout: Duration) -> Result<Duration, Error> {
        self.core.link()?.ping(timeout)
    }

    /// Ends the connection, after what was sent, or the attempts to make one, and waits for that.
    /// Whether all was written in time. It can be connected again.
    pub fn disconnect(&self) -> bool {
        match self.core.disconnect() {
            Some(link) => link.wait_for_end(self.core.config.close_timeout),
            None => true,
        }
    }

    /// No further attempts.
    pub fn stop_retry(&self) {
        self.core.stop_retry();
    }

    /// Begins attempts where there is no connection, and changes how many there are.
    pub fn retry(&self, max: Option<u32>) {
        self.core.retry(max);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.core.disconnect();
    }
}

/// Sends for a [`Client`], from any thread. It outlives connections, and does not keep the client: once
/// that is dropped there is no connection. So callbacks may hold one.
#[derive(Clone)]
pub struct Sender(Weak<ClientCore>);

impl Sender {
    fn link(&self) -> Result<Arc<Link>, Error> {
        self.0.upgrade().ok_or(Error::NotConnected)?.link()
    }

    /// [`Client::send`].
    pub fn send(&self, request: &Request) -> Result<RequestId, Error> {
        self.link()?.send(request)
    }

    /// [`Client::send_within`].
    pub fn send_within(&self, request: &Request, timeout: Duration) -> Result<RequestId, Error> {
        self.link()?.send_within(request, timeout)
    }

    /// [`Client::send_and_wait`].
    pub fn send_and_wait(&self, request: &Request, timeout: Duration) -> Result<Response, Error> {
        self.link()?.send_and_wait(request, timeout)
    }
}
