//! A small synchronous NATS client that its caller drives.
//!
//! No thread and no runtime: everything happens inside the calls, each of which has a deadline. It
//! lives in programs that are not ours: no call raises SIGPIPE, no socket outlives an exec, and a
//! forked child may drop its copy of a connection without the parent's noticing. Only the look-up of
//! a name takes what the system's resolver takes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod connection;
mod denials;
mod error;
mod inbox;
mod info;
mod kept;
mod open;
mod options;
mod protocol;
mod pulse;
mod random;
mod session;
mod subject;
mod wire;

pub use connection::{Connection, Message, ServerInfo, Subscription};
pub use error::Error;
pub use options::{Address, Options};
