//! What a client does with one topic.

use superstream_protocol::measured::TopicFigures;

use crate::lines::{Lines, Pair};
use crate::sync::{AtomicI32, AtomicU64, Ordering};
use crate::table::Keyed;

/// Partitions that are told apart. Those beyond are counted, and not named.
pub const MAX_PARTITIONS: usize = 1024;
const WORDS: usize = MAX_PARTITIONS / 64;

/// The figures of one topic.
pub struct Topic {
    key: usize,
    name: String,
    /// Taken by `produce`.
    pub accepted: Lines,
    /// Acknowledged.
    pub delivered: Lines,
    /// Handed to the application.
    pub consumed: Lines,
    /// Given up.
    pub failed: Pair,
    /// Given back by `produce`.
    pub refused: Pair,
    last_partition: AtomicI32,
    partitions: [AtomicU64; WORDS],
}

impl Topic {
    pub(crate) fn new(key: usize, name: String) -> Self {
        Self {
            key,
            name,
            accepted: Lines::default(),
            delivered: Lines::default(),
            consumed: Lines::default(),
            failed: Pair::default(),
            refused: Pair::default(),
            last_partition: AtomicI32::new(-1),
            partitions: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a partition is the one that was used last, as most are: records come in batches.
    #[inline(always)]
    pub fn was_used(&self, partition: i32) -> bool {
        self.last_partition.load(Ordering::Relaxed) == partition
    }

    /// Notes that a partition was used.
    pub fn used(&self, partition: i32) {
        self.last_partition.store(partition, Ordering::Relaxed);
        let Ok(place) = usize::try_from(partition) else {
            return;
        };
        if let Some(word) = self.partitions.get(place / 64) {
            word.fetch_or(1 << (place % 64), Ordering::Relaxed);
        }
    }

    pub(crate) fn figures(&self) -> TopicFigures {
        // What is acknowledged was accepted before: read in this order, no record is acknowledged
        // and not accepted.
        let (delivered, failed) = (self.delivered.records(), self.failed.records());
        let (refused, consumed) = (self.refused.records(), self.consumed.records());
        let accepted = self.accepted.records();
        let used = self.partitions();
        let (produced_partitions, consumed_partitions) = match consumed.records {
            0 => (used, Vec::new()),
            _ => (Vec::new(), used),
        };
        TopicFigures {
            accepted,
            delivered,
            failed,
            refused,
            consumed,
            produced_partitions,
            consumed_partitions,
        }
    }

    fn partitions(&self) -> Vec<i32> {
        let used = |partition: &i32| {
            let place = usize::try_from(*partition).unwrap_or(usize::MAX);
            let word = self.partitions.get(place / 64);
            word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (place % 64)) != 0)
        };
        (0..MAX_PARTITIONS as i32).filter(used).collect()
    }
}

impl Keyed for Topic {
    #[inline(always)]
    fn key(&self) -> usize {
        self.key
    }
}
