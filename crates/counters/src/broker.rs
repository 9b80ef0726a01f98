//! What a client exchanges with one broker.

use superstream_protocol::measured::BrokerFigures;

use crate::durations::Histogram;
use crate::label::Label;
use crate::lines::Pair;
use crate::sync::{AtomicU64, Ordering};
use crate::table::Item;

/// The figures of one broker. Its own thread alone adds to them, as a rule.
#[derive(Default)]
pub struct Broker {
    label: Label,
    /// All requests.
    pub sent: Pair,
    /// Produce requests.
    pub produce: Pair,
    /// Fetch requests.
    pub fetch: Pair,
    fetched_bytes: AtomicU64,
    round_trip_us: Histogram,
}

impl Broker {
    /// Adds the answer to a fetch request.
    pub fn fetched(&self, bytes: usize) {
        self.fetched_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Adds a round trip. What the engine does not know is negative.
    pub fn round_trip(&self, microseconds: i64) {
        self.round_trip_us.add(microseconds);
    }

    pub(crate) fn figures(&self) -> BrokerFigures {
        BrokerFigures {
            id: id_of(self.label.key()),
            name: self.label.name(),
            sent: self.sent.requests(),
            produce: self.produce.requests(),
            fetch: self.fetch.requests(),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
            round_trip_us: self.round_trip_us.get(),
        }
    }
}

impl Item for Broker {
    fn label(&self) -> &Label {
        &self.label
    }

    fn reset(&self) {
        self.sent.reset();
        self.produce.reset();
        self.fetch.reset();
        self.fetched_bytes.store(0, Ordering::Relaxed);
        self.round_trip_us.reset();
    }
}

/// That of id -1, which is none, is 0.
pub(crate) fn key(id: i32) -> usize {
    (id.cast_unsigned().wrapping_add(1) as usize) << 6
}

fn id_of(key: usize) -> i32 {
    ((key >> 6) as u32).wrapping_sub(1).cast_signed()
}
