//! Histograms that threads add to.

use histogram::AtomicHistogram;
use superstream_protocol::measured::{Durations, GROUPING_POWER, MAX_VALUE_POWER};

/// Durations in microseconds. `None` cannot be: the powers are good ones.
pub(crate) struct Histogram(Option<AtomicHistogram>);

impl Default for Histogram {
    fn default() -> Self {
        Self(AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).ok())
    }
}

impl Histogram {
    /// Adds a duration; one that is too long counts as the longest, a negative one not at all.
    pub(crate) fn add(&self, microseconds: i64) {
        const LONGEST: u64 = (1 << MAX_VALUE_POWER) - 1;
        if let (Some(histogram), Ok(duration)) = (&self.0, u64::try_from(microseconds)) {
            // It fails for what is too long alone.
            let _ = histogram.increment(duration.min(LONGEST));
        }
    }

    pub(crate) fn get(&self) -> Durations {
        let loaded = self.0.as_ref().map(AtomicHistogram::load);
        loaded.as_ref().map(Durations::from).unwrap_or_default()
    }

    pub(crate) fn reset(&self) {
        if let Some(histogram) = &self.0 {
            histogram.drain();
        }
    }
}
