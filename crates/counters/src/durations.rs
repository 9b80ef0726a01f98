//! Histograms that threads add to.

use histogram::AtomicHistogram;
use superstream_protocol::measured::{Durations, GROUPING_POWER, MAX_VALUE_POWER};

use crate::sync::{AtomicBool, Ordering};

/// Durations in microseconds.
pub(crate) struct Histogram {
    /// `None` cannot be: the powers are good ones.
    buckets: Option<AtomicHistogram>,
    /// Memory that nothing was ever written to takes no room.
    is_used: AtomicBool,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).ok(),
            is_used: AtomicBool::new(false),
        }
    }
}

impl Histogram {
    /// Adds a duration; one that is too long counts as the longest, a negative one not at all.
    pub(crate) fn add(&self, microseconds: i64) {
        const LONGEST: u64 = (1 << MAX_VALUE_POWER) - 1;
        if let (Some(buckets), Ok(duration)) = (&self.buckets, u64::try_from(microseconds)) {
            self.is_used.store(true, Ordering::Relaxed);
            // It fails for what is too long alone.
            let _ = buckets.increment(duration.min(LONGEST));
        }
    }

    pub(crate) fn get(&self) -> Durations {
        let loaded = self.buckets.as_ref().map(AtomicHistogram::load);
        loaded.as_ref().map(Durations::from).unwrap_or_default()
    }

    pub(crate) fn reset(&self) {
        if self.is_used.swap(false, Ordering::Relaxed)
            && let Some(buckets) = &self.buckets
        {
            buckets.drain();
        }
    }
}
