//! The line to the service: whether it answers, and when it is tried again.

use std::time::{Duration, Instant};

use crate::report::identity;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether the service answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered last time.
    Up,
    /// It did not, or not in time for a creator.
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
    /// Nothing is tried before this is over, but the registration of a client that was never tried.
    backoff: Backoff,
    /// Why the last try failed.
    failure: String,
    /// Why creators need not wait.
    down: Option<String>,
    /// A creator has waited in vain since the last answer to a registration.
    creator_left: bool,
    /// The last registration had its answer too late for a creator.
    is_slow: bool,
    /// Words to start in a row that creators have waited for in vain.
    missed_starts: u32,
}

/// One word to start may be lost on its way: it is said before anybody can be known to listen. The
/// service is well all the same.
const MAY_BE_LOST: u32 = 1;

/// Pauses that grow with each failure in a row, from a second to a minute.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Line {
    /// The service has answered.
    pub(super) fn reached(&mut self) {
        self.was_reached = true;
        self.backoff = Backoff::default();
        // It may answer others and still be too slow for creators.
        if !self.creator_left {
            self.down = None;
        }
    }

    /// The service has answered a registration. Whether that was too late for whoever asked, or
    /// nobody waited.
    pub(super) fn registered(&mut self, is_late: bool) -> bool {
        // The creator's time began before the thread's.
        self.is_slow = std::mem::take(&mut self.creator_left) || is_late;
        self.missed_starts = 0;
        let is_in_vain = self.is_slow || self.down.is_some();
        self.reached();
        is_in_vain
    }

    /// The service was not reached. Gives the pause until the next try.
    pub(super) fn failed(&mut self, reason: &str) -> Duration {
        reason.clone_into(&mut self.failure);
        self.backoff.failed()
    }

    /// A creator had no answer: the next ones need not wait.
    pub(super) fn goes_down(&mut self, reason: &str) {
        self.down = Some(reason.to_owned());
    }

    /// A creator has waited in vain: the next ones do not. The thread may still have an answer,
    /// so when it tries again is left to it.
    pub(super) fn creator_leaves(&mut self, reason: &str) {
        self.creator_left = true;
        self.goes_down(reason);
    }

    /// A creator has waited in vain for the word to start; its client is registered.
    pub(super) fn misses_start(&mut self, reason: &str) {
        self.missed_starts = self.missed_starts.saturating_add(1);
        if self.missed_starts > MAY_BE_LOST {
            self.creator_leaves(reason);
        }
    }

    /// No client waits for its first answer any more, so none will show that creators have it in time.
    pub(super) fn nobody_waits(&mut self) {
        // Where no word to start ever comes, the next registration shows no more than the last one.
        if self.missed_starts <= MAY_BE_LOST {
            self.creator_left = false;
        }
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
        self.backoff.is_over(now)
    }

    /// Whether it may be tried with the registration of a client that was never tried.
    pub(super) fn is_open_for_creators(&self, now: Instant) -> bool {
        self.down.is_none() || self.is_open(now)
    }

    /// When something that is due at `due` may be sent.
    pub(super) fn not_before(&self, due: Instant) -> Instant {
        self.backoff.not_before(due)
    }

    pub(super) fn health(&self) -> Health {
        let failures = self.backoff.failures;
        let failure = (failures > 0).then_some(&self.failure);
        match self.down.as_ref().or(failure) {
            Some(reason) => Health::Down {
                reason: reason.clone(),
                failures,
                retry_at: self.not_before(Instant::now()),
            },
            None if self.was_reached => Health::Up,
            None => Health::Unknown,
        }
    }
}

impl Backoff {
    /// Gives the pause until the next try.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = pause_after(self.failures);
        self.until = Some(Instant::now() + pause);
        pause
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When something that is due at `due` may be tried.
    pub(super) fn not_before(&self, due: Instant) -> Instant {
        self.until.map_or(due, |until| until.max(due))
    }
}

/// A quarter of it is chance, so that a thousand processes do not come back at once.
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

    /// Nobody waited for the answer, however quick it was.
    #[test]
    fn an_answer_after_an_outage_is_one_in_vain() {
        let mut line = Line::default();
        line.goes_down("connection refused");
        assert!(line.registered(false));
        assert_eq!((line.is_slow(), line.health()), (false, Health::Up));
    }

    /// What would have shown that creators have their answers in time was given up.
    #[test]
    fn a_service_that_answers_is_up_once_nobody_waits() {
        let mut line = Line::default();
        line.creator_leaves("no answer in time");
        line.nobody_waits();
        line.reached();
        assert_eq!(line.health(), Health::Up);
    }

    #[test]
    fn a_report_that_fails_keeps_no_creator_from_asking() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.failed("no answer");
        assert!(!line.is_open(now) && line.is_open_for_creators(now));
        let shown = line.health();
        assert!(
            matches!(shown, Health::Down { failures: 1, .. }),
            "{shown:?}"
        );
        line.goes_down("connection refused");
        assert!(!line.is_open_for_creators(now));
        line.reached();
        assert!(line.is_open(now) && line.is_open_for_creators(now));
        assert_eq!(line.health(), Health::Up);
    }

    #[test]
    fn one_word_to_start_may_be_lost_and_two_keep_creators_from_waiting() {
        let mut line = Line::default();
        line.misses_start("no word to start");
        line.reached();
        assert_eq!(line.health(), Health::Up);
        line.misses_start("no word to start");
        line.nobody_waits();
        line.reached();
        assert_eq!(line.down(), Some("no word to start"));
        assert!(line.registered(false), "nobody waited for it");
        assert_eq!(line.health(), Health::Up);
        line.misses_start("no word to start");
        assert_eq!(line.down(), None, "the first one of a row");
    }

    /// It answers others, and a creator in vain: only a registration shows that it does well again.
    #[test]
    fn a_service_that_is_slow_for_creators_is_down_for_them() {
        let mut line = Line::default();
        line.creator_leaves("no answer in time");
        line.reached();
        assert_eq!(line.down(), Some("no answer in time"));
        assert!(line.registered(false), "in vain");
        assert_eq!((line.down(), line.is_slow()), (None, true));
        assert!(!line.registered(false), "in time");
        assert!(!line.is_slow());
    }
}
