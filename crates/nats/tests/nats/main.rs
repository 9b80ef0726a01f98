//! The client against the real nats-server, as its callers use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod requests;
