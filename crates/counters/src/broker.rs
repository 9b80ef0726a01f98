//! What a client exchanges with one broker.

use histogram::AtomicHistogram;
use superstream_protocol::measured::{BrokerFigures, Durations};

use crate::durations;
use crate::lines::Pair;
use crate::sync::{AtomicU64, Ordering};
use crate::table::Keyed;

/// The figures of one broker. Its own thread alone adds to them, as a rule.
pub struct Broker {
    id: i32,
    name: String,
    /// All requests.
    pub sent: Pair,
    /// Produce requests.
    pub produce: Pair,
    /// Fetch requests.
    pub fetch: Pair,
    fetched_bytes: AtomicU64,
    round_trip_us: Option<AtomicHistogram>,
}

impl Broker {
    pub(crate) fn new(id: i32, name: String) -> Self {
        Self {
            id,
            name,
            sent: Pair::default(),
            produce: Pair::default(),
            fetch: Pair::default(),
            fetched_bytes: AtomicU64::new(0),
            round_trip_us: durations::new(),
        }
    }

    /// Adds the answer to a fetch request.
    pub fn fetched(&self, bytes: usize) {
        self.fetched_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Adds a round trip. What the engine does not know is negative.
    pub fn round_trip(&self, microseconds: i64) {
        durations::add(self.round_trip_us.as_ref(), microseconds);
    }

    pub(crate) fn figures(&self) -> BrokerFigures {
        BrokerFigures {
            id: self.id,
            name: self.name.clone(),
            sent: self.sent.requests(),
            produce: self.produce.requests(),
            fetch: self.fetch.requests(),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
            round_trip_us: self
                .round_trip_us
                .as_ref()
                .map(|histogram| Durations::from(&histogram.load()))
                .unwrap_or_default(),
        }
    }
}

impl Keyed for Broker {
    fn key(&self) -> usize {
        key(self.id)
    }
}

/// No key is 0.
pub(crate) fn key(id: i32) -> usize {
    (id.cast_unsigned() as usize + 1) << 6
}
