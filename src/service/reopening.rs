//! When a connection that broke is made again.

use std::time::{Duration, Instant};

use super::line::Backoff;

/// A connection that ends earlier has shown nothing: the pauses before the next ones go on growing.
const PROVEN_AFTER: Duration = Duration::from_secs(10);
/// How long a peer that kept us waiting may take to show that it is there.
pub(super) const PROOF_LIMIT: Duration = Duration::from_secs(1);

/// The connections of one transport, and the pauses between those that nobody waits for.
pub(super) struct Reopening {
    /// How many connections there were.
    count: u64,
    /// When the last one was made.
    opened: Instant,
    backoff: Backoff,
}

impl Default for Reopening {
    fn default() -> Self {
        Self {
            count: 0,
            opened: Instant::now(),
            backoff: Backoff::default(),
        }
    }
}

impl Reopening {
    /// The number of the last connection; the first one is 1.
    pub(super) fn last(&self) -> u64 {
        self.count
    }

    /// There is a new one.
    pub(super) fn opened(&mut self) {
        self.count += 1;
        self.opened = Instant::now();
    }

    /// There could be none.
    pub(super) fn failed(&mut self) {
        self.backoff.failed();
    }

    /// The last one broke. Those who lost it together do not come back together.
    pub(super) fn broke(&mut self) {
        if self.opened.elapsed() >= PROVEN_AFTER {
            self.backoff = Backoff::default();
        }
        self.backoff.failed();
    }

    /// When one that nobody waits for may be made.
    pub(super) fn at(&self) -> Instant {
        self.backoff.not_before(Instant::now())
    }

    /// Whether that is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.backoff.is_over(now)
    }
}
