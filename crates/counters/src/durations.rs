//! Histograms that threads add to.

use histogram::AtomicHistogram;
use superstream_protocol::measured::{GROUPING_POWER, MAX_VALUE_POWER};

/// `None` cannot be: the powers are good ones.
pub(crate) fn new() -> Option<AtomicHistogram> {
    AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).ok()
}

/// Adds a duration; one that is too long counts as the longest, a negative one not at all.
pub(crate) fn add(histogram: Option<&AtomicHistogram>, microseconds: i64) {
    const LONGEST: u64 = (1 << MAX_VALUE_POWER) - 1;
    if let (Some(histogram), Ok(duration)) = (histogram, u64::try_from(microseconds)) {
        // It fails for what is too long alone.
        let _ = histogram.increment(duration.min(LONGEST));
    }
}
