//! What the session's thread does next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bell::Watch;
use super::queue::Waiting;
use super::state::{Shared, State};
use crate::lock::lock;
use crate::report::record::Client;

/// How old the figures are that others may read of this process.
const PUBLISHED_EVERY: Duration = Duration::from_secs(10);

pub(super) enum Work {
    /// Show what has changed.
    Publish,
    /// Send a message.
    Send(Waiting),
    /// Report what clients did.
    Report,
    /// Look for what the service says unasked.
    Look,
    /// Forget clients that are gone, and of which that is never said.
    Forget(Vec<Arc<Client>>),
}

/// Waits for work. A creator that waits for an answer waits for nothing else. At `look_at` the service
/// may have said something unasked, and it has where `watch` shows it.
pub(super) fn next_work(
    shared: &Shared,
    look_at: Option<Instant>,
    watch: Option<&Watch<'_>>,
) -> Work {
    let mut state = lock(&shared.state);
    state.look_at = look_at;
    loop {
        // Before anything is looked at: what changes later rings where it is heard.
        shared.work.listen(watch);
        if shared.has_new_topics.swap(false, Ordering::SeqCst) {
            state.members.have_news();
        }
        let settle = |client: &Client| client.settle(&shared.slots);
        let gone = state.members.tidy(settle);
        state.say_goodbye(gone);
        state.tidy_starting();
        let now = Instant::now();
        if let Some(work) = state.next_work(now) {
            shared.work.is_busy();
            return work;
        }
        let until = state.next_at();
        let (waited, shows) = shared.work.wait(&shared.state, state, until, watch);
        state = waited;
        if shows {
            state.look_at = Some(Instant::now());
        }
    }
}

impl State {
    /// While the word to start of a client is awaited, looks and other work take turns.
    pub(super) fn next_work(&mut self, now: Instant) -> Option<Work> {
        let unsaid = self.queue.take_unsaid();
        if !unsaid.is_empty() {
            return Some(Work::Forget(unsaid));
        }
        if !self.queue.has_first_registration() && !self.starting.somebody_waits() {
            self.line.nobody_waits();
        }
        let is_time_to_look = self.look_at.is_some_and(|at| at <= now);
        if is_time_to_look && !self.has_looked && !self.somebody_waits() {
            self.has_looked = true;
            return Some(Work::Look);
        }
        self.has_looked = false;
        let other = self.other_work(now);
        other.or_else(|| is_time_to_look.then_some(Work::Look))
    }

    fn other_work(&mut self, now: Instant) -> Option<Work> {
        // While creators do not wait, their registrations must not take every turn.
        let has_reports = self.reports_due().is_some_and(|at| at <= now);
        let is_turn_of_reports = has_reports && self.is_turn_of_reports && self.line.is_open(now);
        let nobody_waits = self.line.down().is_some();
        if self.line.is_open_for_creators(now)
            && !(nobody_waits && is_turn_of_reports)
            && let Some(waiting) = self.queue.take_urgent()
        {
            return Some(Work::Send(waiting));
        }
        if self.has_news || self.stale_at().is_some_and(|at| at <= now) {
            self.has_news = false;
            self.published = Some(now);
            return Some(Work::Publish);
        }
        if !self.line.is_open(now) {
            return None;
        }
        if is_turn_of_reports {
            self.is_turn_of_reports = false;
            return Some(Work::Report);
        }
        if let Some(waiting) = self.queue.take_due(now) {
            return Some(Work::Send(waiting));
        }
        has_reports.then_some(Work::Report)
    }

    /// When there is work next, if nothing happens before.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let sending = [self.queue.due(), self.reports_due()];
        let sending = sending.into_iter().flatten();
        sending
            .map(|due| self.line.not_before(due))
            .chain(self.stale_at())
            .chain(self.members.tidy_at())
            .chain(self.starting.tidy_at())
            .chain(self.look_at)
            .min()
    }

    /// When there is something to report.
    fn reports_due(&self) -> Option<Instant> {
        let due = self.members.due()?;
        Some(self.reports.not_before(due))
    }

    /// When what was published is too old.
    fn stale_at(&self) -> Option<Instant> {
        let published = self.published.filter(|_| !self.members.is_empty());
        published.map(|at| at + PUBLISHED_EVERY)
    }
}
