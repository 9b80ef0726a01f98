//! Whether the server is still there, and how much of what was asked it has answered.

use std::time::{Duration, Instant};

/// Less would be a flood of our own.
const MIN_EVERY: Duration = Duration::from_millis(1);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Beat {
    Fine,
    /// It has been silent for long: ask.
    Ask,
    /// It did not answer.
    Gone,
}

/// PINGs and PONGs of one connection.
pub struct Pulse {
    every: Duration,
    heard: Instant,
    /// When it was asked because it was silent. Only a silence after this means that it is gone: before,
    /// it may have been our caller who did not listen.
    asked: Option<Instant>,
    pings: u64,
    pongs: u64,
}

impl Pulse {
    pub fn new(every: Duration, now: Instant) -> Self {
        Self {
            every: every.max(MIN_EVERY),
            heard: now,
            asked: None,
            pings: 0,
            pongs: 0,
        }
    }

    /// Bytes came.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// Nothing lies there to be read: what now?
    pub fn check(&mut self, now: Instant) -> Beat {
        let since = self.asked.unwrap_or(self.heard);
        if now.saturating_duration_since(since) < self.every {
            return Beat::Fine;
        }
        match self.asked {
            Some(_) => Beat::Gone,
            None => {
                self.asked = Some(now);
                Beat::Ask
            }
        }
    }

    /// When to check again; never, for a time beyond the clock's.
    pub fn next(&self) -> Option<Instant> {
        self.asked.unwrap_or(self.heard).checked_add(self.every)
    }

    /// A PING goes out. Returns its number, for [`Pulse::is_answered`].
    pub fn ping(&mut self) -> u64 {
        self.pings += 1;
        self.pings
    }

    /// The last PING did not go out after all.
    pub fn take_back(&mut self) {
        self.pings -= 1;
    }

    /// A PONG came. More than there were PINGs mean nothing.
    pub fn pong(&mut self) {
        self.pongs = self.pings.min(self.pongs + 1);
    }

    pub fn is_answered(&self, ping: u64) -> bool {
        self.pongs >= ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn a_silent_server_is_asked_once_and_gone_after_as_long_again() {
        let begin = Instant::now();
        let mut pulse = Pulse::new(EVERY, begin);
        assert_eq!(pulse.check(begin + EVERY / 2), Beat::Fine);
        assert_eq!(pulse.next(), Some(begin + EVERY));
        // Its caller was away for an hour: nobody is gone yet.
        let later = begin + Duration::from_secs(3600);
        assert_eq!(pulse.check(later), Beat::Ask);
        assert_eq!(pulse.check(later), Beat::Fine);
        assert_eq!(pulse.next(), Some(later + EVERY));
        assert_eq!(pulse.check(later + EVERY), Beat::Gone);
        pulse.heard(later + EVERY);
        assert_eq!(pulse.check(later + EVERY), Beat::Fine);
    }

    #[test]
    fn an_endless_patience_is_no_overflow() {
        let mut pulse = Pulse::new(Duration::MAX, Instant::now());
        assert_eq!(pulse.next(), None);
        assert_eq!(pulse.check(Instant::now()), Beat::Fine);
    }

    #[test]
    fn pongs_that_nobody_asked_for_answer_nothing() {
        let mut pulse = Pulse::new(EVERY, Instant::now());
        pulse.pong();
        pulse.pong();
        let first = pulse.ping();
        assert!(!pulse.is_answered(first));
        let second = pulse.ping();
        pulse.pong();
        assert!(pulse.is_answered(first) && !pulse.is_answered(second));
    }
}
