//! Superstream for librdkafka: tunes unmodified Kafka clients.
//!
//! One source makes two libraries. The drop-in `librdkafka.so.1` has the real librdkafka inside, the
//! *engine*, and exports every public function of it; the preload library, without the feature
//! `embedded-engine`, finds the engine that the application has. Both take the functions that create
//! clients and topics. At `rd_kafka_new` it asks the Superstream *service* for *advice*,
//! applies what the rules allow to the application's own configuration, lets the engine create
//! the client, and tells the service what became of it. Without `SUPERSTREAM_HOST` it is plain
//! librdkafka.
//!
//! The modules, in the order in which a client meets them; arrows point one way, to the right:
//! `entry → client → {engine, tuning, service, report}`.
//!
//! - `entry`: the C functions.
//! - [`settings`]: the environment, whose rules the command line shares (`crates/settings`).
//! - [`client`]: the life of a client, the main story; [`consult`]: asking and planning; `topic`:
//!   the guard of its topics; `plugin`: the way in without a call of ours; `cluster`: which Kafka
//!   cluster it uses.
//! - [`engine`]: the real librdkafka, as a table of functions.
//! - [`tuning`]: the rules, pure.
//! - [`service`]: the session with the service and its transports.
//! - [`report`]: what is known of each client, and how it is told.
//! - `process`: what a process has one of. `boundary`, `lock`, `log`: the ground.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod advise;
mod boundary;
pub mod client;
mod cluster;
pub mod consult;
pub mod engine;
mod entry;
mod lock;
pub mod log;
#[cfg(not(feature = "embedded-engine"))]
mod plugin;
mod process;
pub mod report;
pub mod service;
pub mod settings;
mod topic;
pub mod tuning;
