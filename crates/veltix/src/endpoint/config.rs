//! Settings, by the Python library's names.

use std::sync::Arc;
use std::time::Duration;

use crate::address::{Address, DEFAULT_PORT};
use crate::error::Error;
use crate::session::Options;
use crate::stream::{ClientSecurity, ServerSecurity};

/// What the threads of an endpoint are held to.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The threads that run callbacks, at most. They start when there is work.
    pub max_workers: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self { max_workers: 4 }
    }
}

/// How messages leave, and whether sockets are looked at without a pause. (In Python it is how long the
/// pauses are; ours tell by themselves.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerformanceMode {
    /// The endpoint's thread writes everything, many messages at a time: the least processor time.
    Low,
    /// What is asked, and what is sent while the endpoint's thread rests, is written by the caller;
    /// under load the thread writes many messages at a time.
    #[default]
    Balanced,
    /// The caller writes everything at once; and for 50 microseconds after something has come the
    /// endpoint's thread looks for the next without a pause, and so does whoever waits for a reply: the
    /// shortest round trip, for processor time. It costs none while nothing is said. With TLS it is the
    /// endpoint's thread that writes, as with `Low`: only one thread can encrypt.
    High,
    /// As `Balanced`.
    Auto,
}

/// How many bytes are read at a time. One buffer serves all connections of an endpoint, so that a
/// large one costs a client nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferSize {
    /// 1 KiB.
    Small,
    /// 8 KiB.
    Medium,
    /// 64 KiB.
    #[default]
    Large,
    /// 1 MiB.
    Huge,
    /// As many as said.
    Bytes(usize),
}

impl BufferSize {
    /// In bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Small => 1024,
            Self::Medium => 8192,
            Self::Large => 65_536,
            Self::Huge => 1_048_576,
            Self::Bytes(bytes) => bytes.clamp(64, 64 * 1_048_576),
        }
    }
}

/// What a server is.
#[derive(Clone)]
pub struct ServerConfig {
    /// The address to listen on: a name, an IPv4 or an IPv6 address.
    pub host: String,
    /// 0: the system picks one.
    pub port: u16,
    /// Bytes that are read at a time.
    pub buffer_size: BufferSize,
    /// Connections at a time; 0 means any number. Further peers wait in the system's queue, and are
    /// greeted when there is room, as in Python.
    pub max_connection: usize,
    /// How messages leave.
    pub performance_mode: PerformanceMode,
    /// The limits of each conversation.
    pub session: Options,
    /// The longest frame in bytes, header included, that is taken from a client for which
    /// [`ClientInfo::trust`](crate::ClientInfo::trust) was not called; about as much is kept of what
    /// its callbacks have not taken, and then nothing more is read. A longer frame ends the connection
    /// with [`CloseReason::TooLarge`](crate::CloseReason::TooLarge). `None`: all are trusted.
    pub max_untrusted_message_size: Option<usize>,
    /// How long what was sent may take to be written once a connection is closed, by
    /// [`Server::close_all`](crate::Server::close_all) or otherwise; what is left then is cut off, and
    /// told by [`ClientInfo::unsent_bytes`](crate::ClientInfo::unsent_bytes).
    pub close_timeout: Duration,
    pub(crate) security: ServerSecurity,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: DEFAULT_PORT,
            buffer_size: BufferSize::default(),
            max_connection: 0,
            performance_mode: PerformanceMode::default(),
            session: Options::default(),
            max_untrusted_message_size: None,
            close_timeout: Duration::from_secs(5),
            security: ServerSecurity::default(),
        }
    }
}

impl ServerConfig {
    /// On this address, and otherwise as the default.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            ..Self::default()
        }
    }

    /// Speaks TLS alone.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.security.tls = Some(config);
        self
    }
}

/// What a client is.
#[derive(Clone)]
pub struct ClientConfig {
    /// Where the server is.
    pub address: Address,
    /// Bytes that are read at a time.
    pub buffer_size: BufferSize,
    /// How often a connection is tried again, once it could not be made or was lost; 0 means never.
    pub retry: u32,
    /// Before the first of these attempts; twice as long before each further one.
    pub retry_delay: Duration,
    /// Never longer than this. Each pause is shortened by up to a half, at random, so that the
    /// clients of a server that was away do not come at once.
    pub retry_delay_max: Duration,
    /// From an attempt's beginning to the connection, for all addresses that the host has. Of several each
    /// has its part of it, within which it has to greet; the last one has
    /// [`Options::handshake_timeout`] for that.
    pub connect_timeout: Duration,
    /// How messages leave.
    pub performance_mode: PerformanceMode,
    /// The limits of the conversation.
    pub session: Options,
    /// How long what was sent may take to be written once the connection is closed, by
    /// [`Client::disconnect`](crate::Client::disconnect) or otherwise; what is left then is cut off, and
    /// told by [`DisconnectState::unsent_bytes`](crate::DisconnectState::unsent_bytes).
    pub close_timeout: Duration,
    pub(crate) security: ClientSecurity,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            address: Address::new("127.0.0.1", DEFAULT_PORT),
            buffer_size: BufferSize::default(),
            retry: 0,
            retry_delay: Duration::from_secs(1),
            retry_delay_max: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            performance_mode: PerformanceMode::default(),
            session: Options::default(),
            close_timeout: Duration::from_secs(5),
            security: ClientSecurity::default(),
        }
    }
}

impl ClientConfig {
    /// To this server, and otherwise as the default.
    pub fn new(server_addr: impl Into<String>, port: u16) -> Self {
        Self {
            address: Address::new(server_addr, port),
            ..Self::default()
        }
    }

    /// To the server of a `veltix://` or `veltixs://` URL.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        Ok(Self {
            address: Address::parse(url)?,
            ..Self::default()
        })
    }

    /// Speaks TLS, and believes whom this configuration believes.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.address.tls = true;
        self.security.tls = Some(config);
        self
    }
}

/// Limits that several conversations share.
pub(crate) fn shared_options(options: &Options) -> Arc<Options> {
    Arc::new(options.clone())
}
