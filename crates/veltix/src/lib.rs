#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod candidates;
mod connection;
mod endpoint;
mod error;
pub mod frames;
#[cfg(feature = "logger")]
pub mod logger;
mod message;
mod room;
pub mod session;
mod stream;

pub use address::{Address, DEFAULT_PORT};
pub use connection::{Connection, ConnectionOptions, Next, Waits, Waker};
pub use endpoint::{
    Broadcast, BufferSize, Client, ClientConfig, ClientInfo, DisconnectReason, DisconnectState,
    Endpoint, EndpointConfig, PerformanceMode, Sender, Server, ServerConfig, Tags,
};
pub use error::{CloseReason, Error};
pub use message::{MessageType, Request, RequestId, Response, TypeRange};
/// What [`ClientConfig::with_tls`] and [`ServerConfig::with_tls`] take is of this version.
#[cfg(feature = "tls")]
pub use rustls;
