//! What a client measured, at its engine's own hooks.
//!
//! All figures are totals since the client's creation: a report that is lost loses nothing, and one
//! that comes twice counts once.

mod durations;

use std::collections::BTreeMap;
use std::ffi::CStr;

use serde::{Deserialize, Serialize};

use crate::{Baseline, is_false, is_zero};
pub use durations::{Durations, GROUPING_POWER, MAX_VALUE_POWER};

/// The header of a record that another client of Superstream's has rewritten: its value is the id
/// of the schema.
pub const SCHEMA_HEADER: &CStr = c"superstream_schema";

/// The totals of one client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// From the creation of the client to these figures.
    pub duration_ms: u64,
    /// Closed clients whose figures were added to these, because the service was away for long.
    #[serde(skip_serializing_if = "is_zero")]
    pub merged_clients: u64,
    /// By topic, up to a limit.
    pub topics: BTreeMap<String, TopicFigures>,
    /// All topics beyond the limit, and what no topic is known of.
    #[serde(skip_serializing_if = "TopicFigures::is_empty")]
    pub other_topics: TopicFigures,
    /// By broker.
    pub brokers: Vec<BrokerFigures>,
    /// From `produce` to the acknowledgement, in µs, of one in [`Self::latency_sampled`] records.
    pub delivery_latency_us: Durations,
    /// 0 where the engine does not tell latencies.
    pub latency_sampled: u32,
    /// Requests that failed, by librdkafka's error code.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub transport_errors: BTreeMap<i32, u64>,
    /// The engine does not show headers: nothing is known of
    /// [`TopicFigures::consumed_with_schema`].
    #[serde(skip_serializing_if = "is_false")]
    pub headers_unseen: bool,
}

/// Records and their bytes: value and key, as librdkafka's own statistics count them; neither
/// headers nor framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Records {
    /// How many.
    pub records: u64,
    /// Their values and keys.
    pub bytes: u64,
}

/// Requests and their bytes on the wire, framing included and before TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// How many were sent. A retry is one more.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a client did with one topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicFigures {
    /// Taken by `produce`, for better or worse.
    pub accepted: Records,
    /// Acknowledged by the broker.
    pub delivered: Records,
    /// Given up: time-outs, refusals by the broker, purges.
    pub failed: Records,
    /// Given back by `produce` at once: no such partition or topic. A full queue and a record that
    /// is too large are refused before any hook, and not counted.
    pub refused: Records,
    /// Handed to the application.
    pub consumed: Records,
    /// Those of them that were seen to have the header [`SCHEMA_HEADER`]. At least so many have it:
    /// until the first one is met, one in a few is looked at.
    #[serde(skip_serializing_if = "is_zero")]
    pub consumed_with_schema: u64,
    /// Partitions that records were produced to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub produced_partitions: Vec<i32>,
    /// Partitions that records were consumed from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumed_partitions: Vec<i32>,
}

/// What a client exchanged with one broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerFigures {
    /// The broker's id; -1 for all connections to brokers that have none yet, with recent engines to
    /// coordinators, and to brokers beyond a limit.
    pub id: i32,
    /// `host:port/id`, as the engine names it; empty for those.
    pub name: String,
    /// All requests.
    pub sent: Requests,
    /// Produce requests: bytes after compression.
    pub produce: Requests,
    /// Fetch requests.
    pub fetch: Requests,
    /// Bytes of the answers to fetch requests.
    pub fetched_bytes: u64,
    /// From request to answer, in µs, of produce and fetch requests.
    pub round_trip_us: Durations,
}

impl Measured {
    /// The sums over all topics.
    pub fn all_topics(&self) -> TopicFigures {
        let mut sum = self.other_topics.clone();
        for topic in self.topics.values() {
            sum.add_records(topic);
        }
        sum
    }

    /// The produce requests to all brokers.
    pub fn produce(&self) -> Requests {
        self.requests(|broker| broker.produce)
    }

    /// The sum of some requests over all brokers.
    pub fn requests(&self, of: impl Fn(&BrokerFigures) -> Requests) -> Requests {
        let mut sum = Requests::default();
        for broker in &self.brokers {
            sum.add(of(broker));
        }
        sum
    }

    /// Bytes on the wire for each byte of payload, where anything was delivered. Measured, with
    /// retries and protocol overhead.
    pub fn wire_ratio(&self) -> Option<f64> {
        ratio(self.produce().bytes, self.all_topics().delivered.bytes)
    }

    /// Delivered records for each produce request, where there was one.
    pub fn records_per_request(&self) -> Option<f64> {
        ratio(self.all_topics().delivered.records, self.produce().requests)
    }

    /// The topic that all produced records went to, where there is one alone: only then the wire
    /// bytes are that topic's.
    pub fn only_topic(&self) -> Option<&str> {
        let mut produced = self
            .topics
            .iter()
            .filter(|(_, figures)| figures.accepted.records > 0);
        let (name, _) = produced.next()?;
        let alone = produced.next().is_none() && self.other_topics.accepted.records == 0;
        alone.then_some(name)
    }

    /// A number that grows with everything that is counted, and stays the same where nothing is.
    pub fn progress(&self) -> u64 {
        let topics = self.all_topics();
        let records = [
            topics.accepted,
            topics.delivered,
            topics.failed,
            topics.refused,
            topics.consumed,
        ];
        let records = records.iter().map(|records| records.records);
        let requests = self.requests(|broker| broker.sent).requests;
        let answers = self
            .brokers
            .iter()
            .map(|broker| broker.round_trip_us.count());
        let errors = self.transport_errors.values().copied();
        let all = records.chain([requests]).chain(answers).chain(errors);
        all.fold(0, u64::wrapping_add)
    }

    /// What came after earlier figures of the same client.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        later.merged_clients = self.merged_clients.saturating_sub(earlier.merged_clients);
        for (name, figures) in &earlier.topics {
            if let Some(own) = later.topics.get_mut(name) {
                own.subtract(figures);
            }
        }
        later.other_topics.subtract(&earlier.other_topics);
        for broker in &earlier.brokers {
            if let Some(own) = later.brokers.iter_mut().find(|own| own.is(broker)) {
                own.subtract(broker);
            }
        }
        later
            .delivery_latency_us
            .subtract(&earlier.delivery_latency_us);
        for (code, count) in &earlier.transport_errors {
            if let Some(own) = later.transport_errors.get_mut(code) {
                *own = own.saturating_sub(*count);
            }
        }
        later
    }

    /// Adds the figures of another client. At most `most_topics` stay apart.
    pub fn merge(&mut self, other: &Self, most_topics: usize) {
        self.duration_ms = self.duration_ms.max(other.duration_ms);
        self.merged_clients += 1 + other.merged_clients;
        for (name, figures) in &other.topics {
            let is_known = self.topics.contains_key(name);
            if is_known || self.topics.len() < most_topics {
                self.topics.entry(name.clone()).or_default().add(figures);
            } else {
                self.other_topics.add_records(figures);
            }
        }
        self.other_topics.add_records(&other.other_topics);
        for broker in &other.brokers {
            match self.brokers.iter_mut().find(|own| own.is(broker)) {
                Some(own) => own.add(broker),
                None => self.brokers.push(broker.clone()),
            }
        }
        self.delivery_latency_us.add(&other.delivery_latency_us);
        self.latency_sampled = self.latency_sampled.max(other.latency_sampled);
        self.headers_unseen |= other.headers_unseen;
        for (code, count) in &other.transport_errors {
            *self.transport_errors.entry(*code).or_default() += count;
        }
    }
}

impl Baseline {
    /// As [`Measured::wire_ratio`].
    pub fn wire_ratio(&self) -> Option<f64> {
        ratio(self.produce.bytes, self.delivered.bytes)
    }

    /// As [`Measured::records_per_request`].
    pub fn records_per_request(&self) -> Option<f64> {
        ratio(self.delivered.records, self.produce.requests)
    }
}

fn ratio(counted: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| counted as f64 / of as f64)
}

impl Records {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn less(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Requests {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn less(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl TopicFigures {
    /// Accepted and neither acknowledged nor given up: still on their way, or, of a closed client,
    /// lost in its queue.
    pub fn unacknowledged(&self) -> Records {
        let acknowledged = self.accepted.less(self.delivered);
        acknowledged.less(self.failed).less(self.refused)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        let Self {
            accepted,
            delivered,
            failed,
            refused,
            consumed,
            ..
        } = self;
        [accepted, delivered, failed, refused, consumed]
            .iter()
            .all(|records| records.records == 0)
    }

    /// Adds the records of another topic.
    fn add_records(&mut self, other: &Self) {
        self.accepted.add(other.accepted);
        self.delivered.add(other.delivered);
        self.failed.add(other.failed);
        self.refused.add(other.refused);
        self.consumed.add(other.consumed);
        self.consumed_with_schema = self
            .consumed_with_schema
            .saturating_add(other.consumed_with_schema);
    }

    fn subtract(&mut self, earlier: &Self) {
        self.accepted = self.accepted.less(earlier.accepted);
        self.delivered = self.delivered.less(earlier.delivered);
        self.failed = self.failed.less(earlier.failed);
        self.refused = self.refused.less(earlier.refused);
        self.consumed = self.consumed.less(earlier.consumed);
        self.consumed_with_schema = self
            .consumed_with_schema
            .saturating_sub(earlier.consumed_with_schema);
    }

    /// Adds figures of the same topic.
    pub fn add(&mut self, other: &Self) {
        self.add_records(other);
        for (own, others) in [
            (&mut self.produced_partitions, &other.produced_partitions),
            (&mut self.consumed_partitions, &other.consumed_partitions),
        ] {
            own.extend(others);
            own.sort_unstable();
            own.dedup();
        }
    }
}

impl BrokerFigures {
    /// Whether both are of one broker. Those without an id are told by their names.
    fn is(&self, other: &Self) -> bool {
        self.id == other.id && (self.id >= 0 || self.name == other.name)
    }

    fn subtract(&mut self, earlier: &Self) {
        self.sent = self.sent.less(earlier.sent);
        self.produce = self.produce.less(earlier.produce);
        self.fetch = self.fetch.less(earlier.fetch);
        self.fetched_bytes = self.fetched_bytes.saturating_sub(earlier.fetched_bytes);
        self.round_trip_us.subtract(&earlier.round_trip_us);
    }

    fn add(&mut self, other: &Self) {
        self.sent.add(other.sent);
        self.produce.add(other.produce);
        self.fetch.add(other.fetch);
        self.fetched_bytes = self.fetched_bytes.saturating_add(other.fetched_bytes);
        self.round_trip_us.add(&other.round_trip_us);
    }
}
