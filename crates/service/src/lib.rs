//! The reference Superstream service: Kafka clients register here, are given tuning advice from
//! rules, and report what they did with it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`directory`] | the service itself, without a transport: register, configure, report, … |
//! | [`rules`] | the rules file, and advice from it |
//! | [`store`] | clients, advice, reports and errors in SQLite |
//! | `bounds` | what is kept of the figures that clients send |
//! | `registration` | the limits of what a client says of itself |
//! | `metrics`, `tally` | the sums, and the service's own counts, as OpenMetrics text |
//! | [`mask`] | what hides secrets before anything is stored |
//! | [`api`] | HTTP and JSON over the directory; `docs/openapi.yaml` describes it |
//! | `operate` | what operators have sent to clients, over HTTP |
//! | [`nats`] | the same over NATS, and the messages of the deployed SDKs |
//! | [`veltix`] | the same over a connection that a process keeps, where the service speaks first too |
//! | `quiet` | what clients leave out that say nothing while they run, as those SDKs |
//! | [`server`] | sockets, TLS, limits, start and stop |
//! | [`reload`] | takes changed rules while the service runs |
//! | [`view`] | what the service shows of a client to its operator |
//!
//! A transport is a module beside [`api`], [`nats`] and [`veltix`] that calls the same [`directory::Directory`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
mod ask;
mod auth;
mod body;
mod bounds;
pub mod directory;
mod glob;
mod in_process;
pub mod mask;
mod metrics;
pub mod nats;
mod operate;
mod problem;
mod quiet;
mod registration;
pub mod reload;
pub mod rules;
pub mod server;
mod shape;
pub mod store;
mod tally;
mod tls;
pub mod veltix;
pub mod view;

pub use in_process::InProcess;
pub use server::{Options, Running, StartError, start};
