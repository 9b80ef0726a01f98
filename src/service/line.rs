//! The line to the service: whether it answers, and when it is tried again.

use std::time::{Duration, Instant};

use crate::report::identity;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether the service answers, as creators see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered last time.
    Up,
    /// It did not: creators need not wait.
    Down {
        /// What happened.
        reason: String,
        /// How often in a row.
        failures: u32,
        /// When the thread tries again.
        retry_at: Instant,
    },
}

/// All messages share one line, so what one of them finds out holds for the others.
#[derive(Default)]
pub(super) struct Line {
    was_reached: bool,
    /// Why creators need not wait.
    down: Option<String>,
    /// Tries in a row that did not get through.
    failures: u32,
    /// Nothing is tried before this, but the registration of a creator that waits.
    retry_at: Option<Instant>,
    /// A creator has waited in vain since the last answer to a registration.
    creator_left: bool,
    /// The last registration took longer than a creator waits.
    is_slow: bool,
}

impl Line {
    /// The service has answered.
    pub(super) fn reached(&mut self) {
        self.was_reached = true;
        self.failures = 0;
        self.retry_at = None;
        // It may answer others and still be too slow for creators.
        if !self.creator_left {
            self.down = None;
        }
    }

    /// The service has answered a registration, too late for whoever waited, or in time.
    pub(super) fn registered(&mut self, is_late: bool) {
        // The creator's time began before the thread's.
        self.is_slow = std::mem::take(&mut self.creator_left) || is_late;
        self.reached();
    }

    /// The service was not reached. Gives the pause until the next try.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = pause_after(self.failures);
        self.retry_at = Some(Instant::now() + pause);
        pause
    }

    /// A registration did not get through: creators need not wait.
    pub(super) fn goes_down(&mut self, reason: &str) {
        self.down = Some(reason.to_owned());
    }

    /// A creator has waited in vain: the next ones do not. The thread may still have an answer,
    /// so when it tries again is left to it.
    pub(super) fn creator_leaves(&mut self, reason: &str) {
        self.creator_left = true;
        self.down.get_or_insert_with(|| reason.to_owned());
    }

    /// Why creators need not wait.
    pub(super) fn down(&self) -> Option<&str> {
        self.down.as_deref()
    }

    /// Whether an earlier answer is better for a creator than waiting for its own.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Whether the service may be tried now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// Whether it may be tried for a creator that waits.
    pub(super) fn is_open_for_creators(&self, now: Instant) -> bool {
        self.down.is_none() || self.is_open(now)
    }

    /// When something that is due at `due` may be sent.
    pub(super) fn not_before(&self, due: Instant) -> Instant {
        self.retry_at.map_or(due, |at| at.max(due))
    }

    pub(super) fn health(&self) -> Health {
        match &self.down {
            Some(reason) => Health::Down {
                reason: reason.clone(),
                failures: self.failures,
                retry_at: self.retry_at.unwrap_or_else(Instant::now),
            },
            None if self.was_reached => Health::Up,
            None => Health::Unknown,
        }
    }
}

/// Grows from one second to a minute; a quarter of it is chance, so that a thousand processes
/// do not come back at once.
pub(super) fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    pause.mul_f64(0.75 + 0.25 * identity::chance())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand processes that lost the service at once do not come back at once.
    #[test]
    fn pauses_grow_to_a_minute_and_are_spread() {
        const DRAWS: usize = 10_000;
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            let longest = Duration::from_secs(longest);
            let mut tenths = [0; 10];
            for _ in 0..DRAWS {
                let part = pause_after(failures).div_duration_f64(longest);
                assert!((0.75..=1.0).contains(&part), "{part} of {longest:?}");
                let tenth = (part - 0.75) * 40.0;
                tenths[(tenth as usize).min(9)] += 1;
            }
            for count in tenths {
                // A tenth of all draws, or the generator is no good.
                assert!((700..1300).contains(&count), "{failures}: {tenths:?}");
            }
        }
    }

    #[test]
    fn a_report_that_fails_keeps_no_creator_from_asking() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.failed();
        assert!(!line.is_open(now) && line.is_open_for_creators(now));
        line.goes_down("connection refused");
        assert!(!line.is_open_for_creators(now));
        line.reached();
        assert!(line.is_open(now) && line.is_open_for_creators(now));
        assert_eq!(line.health(), Health::Up);
    }

    /// It answers others, and a creator in vain: only a registration shows that it does well again.
    #[test]
    fn a_service_that_is_slow_for_creators_is_down_for_them() {
        let mut line = Line::default();
        line.creator_leaves("no answer in time");
        line.reached();
        assert_eq!(line.down(), Some("no answer in time"));
        line.registered(false);
        assert_eq!((line.down(), line.is_slow()), (None, true));
        line.registered(false);
        assert!(!line.is_slow());
    }
}
