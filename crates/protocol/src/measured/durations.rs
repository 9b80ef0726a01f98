//! Durations, counted in buckets.

use std::collections::BTreeMap;

use histogram::{Histogram, SparseHistogram};
use serde::{Deserialize, Serialize};

/// Eight buckets for each power of two: a bucket's bounds are at most 12.5 % apart.
pub const GROUPING_POWER: u8 = 3;
/// Durations up to 2^36 µs, which is 19 hours.
pub const MAX_VALUE_POWER: u8 = 36;

/// Durations as a histogram that merges exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(
    /// Counts by bucket: the bucketing of the `histogram` crate with [`GROUPING_POWER`] and
    /// [`MAX_VALUE_POWER`].
    pub BTreeMap<u32, u64>,
);

impl Durations {
    /// Adds others, exactly.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let own = self.0.entry(*bucket).or_default();
            *own = own.saturating_add(*count);
        }
    }

    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (bucket, count) in &earlier.0 {
            if let Some(own) = self.0.get_mut(bucket) {
                *own = own.saturating_sub(*count);
            }
        }
        self.0.retain(|_, count| *count > 0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The upper bound, in µs, of the bucket that holds a quantile from 0 to 1; `None` where there
    /// is no duration, or no such bucket.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let (index, count) = self.0.iter().filter(|(_, count)| **count > 0).unzip();
        let config = Histogram::new(GROUPING_POWER, MAX_VALUE_POWER)
            .ok()?
            .config();
        let histogram = SparseHistogram::from_parts(config, index, count).ok()?;
        let found = histogram.quantile(quantile).ok()??;
        let (_, bucket) = found.entries().iter().next()?;
        Some(bucket.end())
    }
}

impl From<&Histogram> for Durations {
    fn from(histogram: &Histogram) -> Self {
        let sparse = SparseHistogram::from(histogram);
        let counts = sparse
            .index()
            .iter()
            .copied()
            .zip(sparse.count().iter().copied());
        Self(counts.collect())
    }
}
