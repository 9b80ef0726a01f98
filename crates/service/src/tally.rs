//! What the service has done since it was started: counts for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Receipt;

/// Classes of statuses, by their first digit.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    answers: [AtomicU64; CLASSES.len()],
    taken: AtomicU64,
    repeated: AtomicU64,
    unknown: AtomicU64,
}

impl Tally {
    /// Counts the answer to a request by its status.
    pub fn answer(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a report.
    pub fn report(&self, receipt: Receipt) {
        let count = match receipt {
            Receipt::Taken { again: false, .. } => &self.taken,
            Receipt::Taken { again: true, .. } => &self.repeated,
            Receipt::Unknown => &self.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers by the class of their status.
    pub fn answers(&self) -> [(&'static str, u64); CLASSES.len()] {
        let mut classes = CLASSES.iter().zip(&self.answers);
        std::array::from_fn(|_| match classes.next() {
            Some((class, count)) => (*class, count.load(Ordering::Relaxed)),
            None => ("", 0),
        })
    }

    /// Reports by what became of them.
    pub fn reports(&self) -> [(&'static str, u64); 3] {
        [
            ("taken", &self.taken),
            ("repeated", &self.repeated),
            ("unknown", &self.unknown),
        ]
        .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}
