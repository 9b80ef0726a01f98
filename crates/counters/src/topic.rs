//! What a client does with one topic.

use superstream_protocol::measured::TopicFigures;

use crate::label::Label;
use crate::lines::{Lines, Pair};
use crate::sync::{AtomicU64, Ordering, fence};
use crate::table::Item;

/// Partitions that are told apart. Those beyond are counted, and not named.
const MAX_PARTITIONS: usize = 1024;
const WORDS: usize = MAX_PARTITIONS / 64;

/// The figures of one topic.
#[derive(Default)]
pub struct Topic {
    label: Label,
    /// Taken by `produce`.
    pub accepted: Lines,
    /// Acknowledged.
    pub delivered: Lines,
    /// Handed to the application.
    pub consumed: Lines,
    with_schema: AtomicU64,
    /// Given up.
    pub failed: Pair,
    /// Given back by `produce`.
    pub refused: Pair,
    partitions: [AtomicU64; WORDS],
}

impl Topic {
    pub(crate) fn name(&self) -> String {
        self.label.name()
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

    /// Whether a record that is consumed was met to have a schema. Reads only, as
    /// [`Self::was_used`].
    #[inline(always)]
    pub fn has_schema(&self) -> bool {
        self.with_schema.load(Ordering::Relaxed) > 0
    }

    /// Adds a record with a schema. It was added to [`Self::consumed`] before.
    pub fn met_schema(&self) {
        // What was added before can be seen by who sees this, as in `Pair::add`.
        self.with_schema.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn figures(&self) -> TopicFigures {
        let mut figures = self.sums();
        let used = match figures.consumed.records {
            0 => &mut figures.produced_partitions,
            _ => &mut figures.consumed_partitions,
        };
        *used = self.partitions();
        figures
    }

    fn sums(&self) -> TopicFigures {
        let mut figures = TopicFigures {
            delivered: self.delivered.records(),
            failed: self.failed.records(),
            refused: self.refused.records(),
            consumed_with_schema: self.with_schema.load(Ordering::Relaxed),
            ..TopicFigures::default()
        };
        // What is acknowledged was accepted before. `Pair::add` releases its count: no record that
        // was found to be acknowledged is missing among the accepted, and none with a schema among
        // the consumed.
        fence(Ordering::Acquire);
        figures.accepted = self.accepted.records();
        figures.consumed = self.consumed.records();
        figures
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

impl Item for Topic {
    #[inline(always)]
    fn label(&self) -> &Label {
        &self.label
    }

    fn reset(&self) {
        self.accepted.reset();
        self.delivered.reset();
        self.consumed.reset();
        self.with_schema.store(0, Ordering::Relaxed);
        self.failed.reset();
        self.refused.reset();
        for word in &self.partitions {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Every interleaving of two threads: `RUSTFLAGS='--cfg loom' cargo test -p superstream-counters`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn no_record_is_acknowledged_and_not_accepted() {
        loom::model(|| {
            let topic = Arc::new(Topic::default());
            let other = Arc::clone(&topic);
            let client = thread::spawn(move || {
                other.accepted.add(10);
                other.delivered.add(10);
                other.accepted.add(10);
                other.failed.add(10);
            });
            let sums = topic.sums();
            let acknowledged = sums.delivered.records + sums.failed.records;
            assert!(acknowledged <= sums.accepted.records);
            client.join().unwrap();
        });
    }

    #[test]
    fn no_record_has_a_schema_and_is_not_consumed() {
        loom::model(|| {
            let topic = Arc::new(Topic::default());
            let other = Arc::clone(&topic);
            let client = thread::spawn(move || {
                for _ in 0..2 {
                    other.consumed.add(10);
                    other.met_schema();
                }
            });
            let sums = topic.sums();
            assert!(sums.consumed_with_schema <= sums.consumed.records);
            client.join().unwrap();
            assert_eq!(topic.sums().consumed_with_schema, 2);
        });
    }
}
