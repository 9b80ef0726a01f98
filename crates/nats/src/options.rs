//! Where a server is, and how a connection to it is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where a NATS server is: `nats://host[:port]`, `tls://host[:port]` or a bare `host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// 4222 where none is said.
    pub port: u16,
    /// `tls://`: no word goes out unencrypted but what the server's INFO asks for.
    pub tls: bool,
}

impl Address {
    /// Understands a URL or a bare `host[:port]`. The error completes the sentence "the address …" and
    /// repeats nothing that could be a password. Credentials, paths, queries and fragments are refused.
    pub fn parse(_text: &str) -> Result<Self, String> {
        todo!()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// How connections are made.
#[derive(Clone)]
pub struct Options {
    /// The server that is named by the user. Others of its cluster are learnt from it.
    pub server: Address,
    /// Sent in CONNECT.
    pub user: Option<String>,
    /// Sent in CONNECT, and in nothing else: neither `Debug` nor an error shows it.
    pub password: Option<String>,
    /// The `name` in CONNECT: what an operator of the server sees.
    pub name: String,
    /// For `tls://`, and where the server's INFO asks for it.
    pub tls: Arc<rustls::ClientConfig>,
    /// A server that says nothing for so long is asked (PING); for twice as long it is gone.
    pub ping_every: Duration,
    /// Messages that arrive while the caller waits for something else are kept, up to so many bytes;
    /// beyond, the oldest are dropped and counted.
    pub max_kept_bytes: usize,
}
