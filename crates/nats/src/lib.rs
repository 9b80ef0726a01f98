//! A small synchronous NATS client that its caller drives.
//!
//! No thread and no runtime: everything happens inside the calls, each of which has a deadline.

mod connection;
mod error;
mod options;

pub use connection::{Connection, Message, ServerInfo, Subscription};
pub use error::Error;
pub use options::{Address, Options};
