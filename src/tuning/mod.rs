//! The rules: what to change in a client's configuration, and why.
//!
//! Pure code, with no FFI and no I/O. It takes what the application configured and what the
//! service advises, and gives an ordered list of changes and of refusals, each with its reason.
//! Every rule names the place in librdkafka's source (2.12.1) that it follows from.
//!
//! The service is not trusted: advice may be wrong, hostile or huge. Only properties on the
//! allow-list can change, each within limits that keep an application alive that stock
//! librdkafka would keep alive. Where a fact is not known, nothing is changed.

mod compression;
mod consumer;
mod linger;
mod planner;
mod producer;
mod properties;
mod state;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use superstream_protocol::{Change, ClientKind, Configuration, Refusal};

pub use linger::topic_timeout_for_linger;
pub use properties::{GLOBAL_TO_READ, TOPIC_TO_READ, canonical};

/// The configuration that a client would have without us.
///
/// A property that is missing from a map is unknown: the engine does not tell it, or does not
/// have it. What is unknown is not changed, and what depends on it is not changed either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// Properties of the client, by canonical name: those of [`GLOBAL_TO_READ`] that
    /// `rd_kafka_conf_get` answers.
    pub global: BTreeMap<String, String>,
    /// Properties of the default topic configuration, those of [`TOPIC_TO_READ`]; or `None` where
    /// the application made none: the engine's defaults apply then, and none may be created.
    pub topic: Option<BTreeMap<String, String>>,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Producer or consumer.
    pub kind: ClientKind,
    /// The application's configuration.
    pub effective: &'a Effective,
    /// `SUPERSTREAM_LATENCY_SENSITIVE`: nothing is changed that makes a message wait longer, so
    /// neither `linger.ms` nor a consumer's `fetch.min.bytes` and `fetch.wait.max.ms` are raised.
    pub latency_sensitive: bool,
    /// The application may still set more. Only properties are changed that any producer can have,
    /// whatever else it has: codec, batch and queue. `rd_kafka_conf_finalize` (rdkafka_conf.c) asks
    /// of none of them whether it was set.
    pub unfinished: bool,
}

/// What to do with an advice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be set in this order, each with `rd_kafka_conf_set` on the client's configuration.
    /// `compression.level` falls through to the default topic configuration and is here only
    /// where there is one.
    pub changes: Vec<Change>,
    /// Left alone. At most 65 of them, however long the advice is.
    pub refusals: Vec<Refusal>,
}

/// Decides what of `advice` is done, and says why for everything that is not.
///
/// Advice that equals the present value is neither a change nor a refusal. A plan made for the
/// configuration that a plan gave, with the same advice, has no changes.
pub fn plan(situation: &Situation, advice: &Configuration) -> Plan {
    planner::plan(situation, advice)
}
