//! What a client does with one topic.

use superstream_protocol::measured::TopicFigures;

use crate::lines::{Lines, Pair};
use crate::sync::{AtomicU64, Ordering, fence};
use crate::table::Keyed;

/// Partitions that are told apart. Those beyond are counted, and not named.
const MAX_PARTITIONS: usize = 1024;
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
            partitions: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a partition is known to be used, or cannot be noted. Reads only: the line is shared by
    /// all threads that count.
    #[inline(always)]
    pub fn was_used(&self, partition: i32) -> bool {
        let (word, bit) = place_of(partition);
        let word = self.partitions.get(word);
        word.is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Notes that a partition was used.
    pub fn note_used(&self, partition: i32) {
        let (word, bit) = place_of(partition);
        if let Some(word) = self.partitions.get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn figures(&self) -> TopicFigures {
        // What is acknowledged was accepted before: read in this order, no record is acknowledged
        // and not accepted.
        let (delivered, failed) = (self.delivered.records(), self.failed.records());
        let (refused, consumed) = (self.refused.records(), self.consumed.records());
        fence(Ordering::Acquire);
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
            let (word, bit) = place_of(*partition);
            let word = self.partitions.get(word);
            word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
        };
        (0..MAX_PARTITIONS as i32).filter(used).collect()
    }
}

/// The word and the bit of a partition. That of none is beyond all words.
#[inline(always)]
fn place_of(partition: i32) -> (usize, u64) {
    let place = partition as u32 as usize;
    (place / 64, 1 << (place % 64))
}

impl Keyed for Topic {
    #[inline(always)]
    fn key(&self) -> usize {
        self.key
    }
}
