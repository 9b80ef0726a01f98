//! What comes unasked, and what keeps it coming: the connection is made again, and the service is told
//! who is on it.

use std::time::{Duration, Instant};

use superstream_protocol::link::{GOODBYE, Goodbye, RESUME, Resume, Resumed};

use super::{Veltix, json};
use crate::debug;
use crate::log;
use crate::service::line::Backoff;
use crate::service::reopening::PROOF_LIMIT;
use crate::service::{Failure, Heard, answer};

/// Looks that may follow upon each other; beyond, one comes after each pause. A service that says
/// something all the time must not keep the thread busy.
pub(super) const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(50);
/// Messages that a look takes, and their bytes, however many there are; and clients that it finds to be
/// unknown.
const MAX_MESSAGES: usize = 64;
const MAX_BYTES: usize = 256 * 1024;
const MAX_UNKNOWN: usize = 64;
/// The service has so long to say that it knows the clients of a new connection: a creator may wait.
const RESUME_LIMIT: Duration = Duration::from_secs(1);
/// A connection that serves nobody is kept for so long: the next client does not wait for another.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// What is kept of it between looks.
#[derive(Default)]
pub(super) struct Unasked {
    /// When all looks are made up for, with a pause for each.
    made_up_at: Option<Instant>,
    /// The connection serves nobody since then.
    pub(super) idle_since: Option<Instant>,
    /// The connection whose service knows who is on it; they are counted from 1.
    resumed: u64,
    /// Of telling it.
    resuming: Backoff,
    /// What became of telling it.
    pub(super) heard: Vec<Heard>,
}

impl Unasked {
    pub(super) fn looks(&mut self, now: Instant) {
        let made_up = self.made_up_at.map_or(now, |at| at.max(now));
        // Whatever was looked at before the time makes nobody deaf afterwards.
        self.made_up_at = Some(made_up.min(now + PAUSE * BURST) + PAUSE);
    }

    /// The service is to be told who is on the connection, once more.
    pub(super) fn resumes(&mut self) {
        self.resumed = 0;
    }

    /// When the next look may follow.
    pub(super) fn rested_at(&self) -> Option<Instant> {
        self.made_up_at?.checked_sub(PAUSE * BURST)
    }
}

impl Veltix {
    /// Sees to it that there is a connection, whose service knows the clients that were on the last one.
    /// Whether it has just been told of them.
    pub(super) fn open(&mut self, deadline: Instant) -> Result<bool, Failure> {
        let on = self.link.open(deadline)?;
        if self.unasked.resumed != on
            && (self.names.is_empty() || self.unasked.resuming.is_over(Instant::now()))
        {
            return Ok(self.resume(on, deadline));
        }
        Ok(false)
    }

    /// Whether the service has answered. What fails is tried again later: nobody waits for it.
    fn resume(&mut self, on: u64, deadline: Instant) -> bool {
        if self.names.is_empty() {
            self.unasked.resumed = on;
            return false;
        }
        let limit = RESUME_LIMIT.min(self.quiet_limit);
        match self.resumed(deadline.min(Instant::now() + limit)) {
            Ok(unknown) => {
                self.unasked.resumed = on;
                self.unasked.resuming = Backoff::default();
                for client_hash in unknown {
                    if self.names.remove(&client_hash) {
                        self.unasked.heard.push(Heard::Unknown { client_hash });
                    }
                }
                true
            }
            Err(Failure::Refused(reason)) => {
                debug!("the service is not told who is on the new connection: {reason}");
                self.unasked.resumed = on;
                true
            }
            Err(failure) => {
                let pause = self.unasked.resuming.failed();
                debug!("{failure}; the new connection is told in {pause:.1?}");
                false
            }
        }
    }

    fn resumed(&mut self, deadline: Instant) -> Result<Vec<String>, Failure> {
        let client_hashes = self.names.all();
        // Each of them may be unknown.
        let longest = answer::longest(client_hashes.len());
        let content = json(&Resume { client_hashes })?;
        let body = self.link.request(RESUME, &content, deadline)?;
        let document = answer::accepted(&body, self.token.as_ref(), longest)?;
        let resumed: Resumed = answer::message(document)?;
        Ok(resumed.unknown)
    }

    /// When to look; not at all where nobody is served and nothing is open.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        let rested = self.unasked.rested_at();
        if self.has_heard() {
            return Some(rested.map_or(now, |at| at.max(now)));
        }
        if !self.link.is_open() {
            return (!self.names.is_empty()).then(|| self.link.open_at());
        }
        let ending = match (self.names.is_empty(), self.unasked.idle_since) {
            (false, _) => None,
            (true, Some(since)) => Some(since + IDLE),
            (true, None) => Some(now),
        };
        let is_told = self.link.current() == Some(self.unasked.resumed);
        let resuming = !self.names.is_empty() && !is_told;
        let resuming = resuming.then(|| self.unasked.resuming.not_before(now));
        let due = [self.link.look_at(), ending, resuming];
        let due = due.into_iter().flatten().min()?;
        Some(rested.map_or(due, |at| at.max(due)))
    }

    /// Something is left for the next look.
    fn has_heard(&self) -> bool {
        !self.unasked.heard.is_empty() || !self.link.inbox.is_empty()
    }

    /// One look, with a bounded part of what is to be done.
    pub(super) fn look_once(&mut self) -> Result<Vec<Heard>, Failure> {
        let begin = Instant::now();
        self.unasked.looks(begin);
        let has_heard = self.has_heard();
        if self.names.is_empty() {
            self.idle(begin);
        } else {
            self.unasked.idle_since = None;
            if self.link.is_open() || self.link.may_open(begin) {
                match self.open(begin + self.quiet_limit) {
                    // Whoever asks has the answer to that; here nobody does.
                    Ok(true) => self.unasked.heard.insert(0, Heard::Reached),
                    Ok(false) => {}
                    // Nothing of what was heard is lost.
                    Err(_) if has_heard => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        self.link.take(MAX_MESSAGES, MAX_BYTES);
        let mut heard = self.link.inbox.take(&self.names);
        let unknown = self.unasked.heard.len().min(MAX_UNKNOWN);
        heard.extend(self.unasked.heard.drain(..unknown));
        heard.extend(self.link.inbox.take_asked());
        self.send_orphan_away();
        log::lines(self.link.inbox.lines.take());
        Ok(heard)
    }

    /// The service has registered a client too late, and it may be gone. One that is not registers again.
    fn send_orphan_away(&mut self) {
        let orphan = self.link.inbox.take_orphan();
        // With its connection it is gone anyway.
        if let Some(client_hash) = orphan.filter(|name| !self.names.has(name))
            && self.link.is_open()
        {
            let idle_since = self.unasked.idle_since;
            let deadline = Instant::now() + PROOF_LIMIT.min(self.quiet_limit);
            let told = self.tell(GOODBYE, &Goodbye { client_hash }, deadline);
            if let Err(failure) = told {
                if !matches!(failure, Failure::Refused(_)) {
                    self.link.inbox.give_orphans_up();
                }
                let line = || format!("a client that came too late: {failure}");
                self.link.inbox.lines.say(line);
            }
            self.unasked.idle_since = idle_since;
        }
    }

    /// The process has no client that the service knows.
    fn idle(&mut self, now: Instant) {
        let since = *self.unasked.idle_since.get_or_insert(now);
        if now.duration_since(since) >= IDLE {
            self.link.close();
            self.unasked.idle_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many come, and whenever: a flood that is over keeps nobody from hearing.
    #[test]
    fn after_a_burst_a_pause_and_never_a_long_one() {
        let now = Instant::now();
        let mut unasked = Unasked::default();
        for _ in 0..BURST {
            unasked.looks(now);
            assert!(unasked.rested_at().is_none_or(|at| at <= now));
        }
        for _ in 0..10_000 {
            unasked.looks(now);
            assert_eq!(unasked.rested_at(), Some(now + PAUSE));
        }
    }
}
