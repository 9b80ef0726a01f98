//! A client, as a server sees it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::tags::Tags;
use crate::error::Error;
use crate::frames::Wire;
use crate::message::{Request, RequestId, Response};

/// A client of a [`Server`](crate::Server). Copies are the same client; one that is gone can be kept,
/// and sending to it fails.
#[derive(Clone)]
pub struct ClientInfo(Arc<Inner>);

struct Inner {
    addr: SocketAddr,
    tags: Tags,
    link: Arc<Link>,
}

impl ClientInfo {
    pub(super) fn new(addr: SocketAddr, link: Arc<Link>) -> Self {
        Self(Arc::new(Inner {
            addr,
            tags: Tags::default(),
            link,
        }))
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    /// Different for each connection of an [`Endpoint`](crate::Endpoint), for ever. Those of two
    /// endpoints may be the same.
    pub fn id(&self) -> u64 {
        self.0.link.token as u64
    }

    /// Where it connects from.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// The address of it.
    pub fn ip(&self) -> IpAddr {
        self.0.addr.ip()
    }

    /// The port of it.
    pub fn port(&self) -> u16 {
        self.0.addr.port()
    }

    /// What the server remembers of it.
    pub fn tags(&self) -> &Tags {
        &self.0.tags
    }

    /// The framing that it speaks.
    pub fn wire(&self) -> Wire {
        self.0.link.wire()
    }

    /// Whether it is connected, and has greeted.
    pub fn handshake_done(&self) -> bool {
        self.0.link.state().session.is_ready()
    }

    /// Takes messages of any length that the server takes from now on. To be called before the client
    /// is told that it is known, or its next message may still be too long:
    /// [`ServerConfig::max_untrusted_message_size`](crate::ServerConfig::max_untrusted_message_size).
    pub fn trust(&self) {
        self.0.link.state().session.set_receive_limit(None);
    }

    /// Bytes of messages that were accepted, and that the system has not taken yet; in `on_disconnect`:
    /// those that it did not take any more.
    pub fn unsent_bytes(&self) -> usize {
        self.0.link.unsent()
    }

    /// Sends. That it succeeds means that the message is written in order, not that it was read, unless
    /// the connection ends before: then [`ClientInfo::unsent_bytes`] tells. A client that does not keep
    /// up gives [`Error::Stalled`].
    pub fn send(&self, request: &Request) -> Result<RequestId, Error> {
        self.0.link.send(request)
    }

    /// Sends, and waits for room where the client does not keep up.
    pub fn send_within(&self, request: &Request, timeout: Duration) -> Result<RequestId, Error> {
        self.0.link.send_within(request, timeout)
    }

    /// Sends, and waits for this client's reply.
    pub fn send_and_wait(&self, request: &Request, timeout: Duration) -> Result<Response, Error> {
        self.0.link.send_and_wait(request, timeout)
    }

    /// The time of a round trip.
    pub fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        self.0.link.ping(timeout)
    }

    /// The same for a caller that does not wait: `then` runs among the client's callbacks.
    pub fn ping_async(
        &self,
        timeout: Duration,
        then: impl FnOnce(Result<Duration, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.0.link.ping_then(timeout, then)
    }

    /// Ends the connection, after what was sent.
    pub fn close(&self) {
        self.0.link.ask_to_close();
    }
}

impl PartialEq for ClientInfo {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientInfo {}

impl Hash for ClientInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for ClientInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientInfo({}, {})", self.id(), self.0.addr)
    }
}
