//! The client against the real nats-server, as its callers use it, and against servers that are
//! nothing of the sort.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod cluster;
mod common;
mod encrypted;
mod hostile;
mod limits;
mod process;
mod requests;
