//! What peers of the endpoint notice: its own kind, sockets that speak raw bytes, and the Python
//! library.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod back_pressure;
mod broken;
mod callbacks;
mod closing;
mod connection;
mod examples;
mod fragments;
mod handshakes;
mod limits;
mod malformed;
mod python;
mod reconnecting;
mod refusals;
mod replies;
mod serving;
mod silence;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod vectors;
