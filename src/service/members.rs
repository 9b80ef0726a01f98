//! Who reports, and when.
//!
//! Reports carry totals ([`Measured`]), so nothing is kept for a service that is away but the last
//! figures of each client. Those of closed clients are merged once there are many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::measured::{Measured, TopicFigures};
use superstream_protocol::{ClientKind, ClientReport, TopicsPartitions};

use crate::report::identity;
use crate::report::record::Client;

/// Where the service names no interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
/// Whatever interval the service names.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
/// From a client's first record to its first report: its partitions are known then.
const FIRST_AFTER: Duration = Duration::from_secs(1);
/// How often a closed client is looked at until it counts nothing more: at first, and where that
/// takes longer than [`SETTLING`].
const SETTLING_STEPS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
const SETTLING: Duration = Duration::from_secs(2);
/// Closed clients whose figures are kept apart for a service that is away.
const MAX_CLOSED: usize = 256;
/// Topics that stay apart in merged figures.
const MAX_MERGED_TOPICS: usize = 256;
/// Closed clients that are kept at all. Merging keeps them far below, but where nobody knows
/// whether their reports came.
pub(super) const MAX_KEPT: usize = 1024;

/// The clients that report.
pub struct Members {
    members: Vec<Member>,
    interval: Duration,
    /// When everybody reports.
    all_at: Option<Instant>,
    /// When those report that have something new to say: a first topic, or the end.
    some_at: Option<Instant>,
    /// Nobody reports before this: the last reports did not get through.
    not_before: Option<Instant>,
    /// When closed clients are looked after.
    tidy_at: Option<Instant>,
    given_up: u64,
}

struct Member {
    client: Arc<Client>,
    /// Of the last report.
    sequence: u64,
    /// What the service has acknowledged.
    told: Option<Measured>,
    /// A report was sent, and nobody knows whether it came.
    is_open: bool,
    /// Everybody was to report, and this one has not yet.
    is_due: bool,
    /// The service could not take the last report, for whatever is in it.
    is_suspect: bool,
    /// No report before this: the service has refused the last one.
    rests_until: Option<Instant>,
    closed: Option<Instant>,
    settled: bool,
    said_goodbye: bool,
}

/// A report to be sent.
pub struct Draft {
    /// Of whom.
    pub client: Arc<Client>,
    /// What it says, but for the client's name at the service.
    pub report: ClientReport,
    /// The service could not take the last one: another report is not to suffer for this one.
    pub is_suspect: bool,
    /// Nobody knows whether an earlier one came.
    was_open: bool,
}

impl Default for Members {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            interval: DEFAULT_INTERVAL,
            all_at: None,
            some_at: None,
            not_before: None,
            tidy_at: None,
            given_up: 0,
        }
    }
}

impl Members {
    /// A client was created.
    pub fn join(&mut self, client: &Arc<Client>) {
        if self.place(client).is_some() {
            return;
        }
        self.members.push(Member {
            client: Arc::clone(client),
            sequence: 0,
            told: None,
            is_open: false,
            is_due: false,
            is_suspect: false,
            rests_until: None,
            closed: None,
            settled: false,
            said_goodbye: false,
        });
        self.all_at
            .get_or_insert_with(|| Instant::now() + with_chance(self.interval));
    }

    /// A client is being destroyed.
    pub fn close(&mut self, client: &Arc<Client>) {
        let now = Instant::now();
        if let Some(member) = self.of(client) {
            member.closed.get_or_insert(now);
            self.some_at = Some(now);
            self.tidy_at = Some(now);
        }
    }

    /// A client has its first record in a topic.
    pub fn have_news(&mut self) {
        let soon = Instant::now() + FIRST_AFTER;
        self.some_at = Some(self.some_at.map_or(soon, |at| at.min(soon)));
    }

    /// The service has given a client a name: what could not be told without one is told soon.
    pub fn has_name(&mut self, client: &Arc<Client>) {
        if self.place(client).is_some() {
            self.have_news();
        }
    }

    /// The service wants reports so often. What it says is kept within reason.
    pub fn report_every(&mut self, interval_ms: u64) {
        let interval = Duration::from_millis(interval_ms).clamp(INTERVALS.0, INTERVALS.1);
        if interval != self.interval {
            self.interval = interval;
            self.all_at = Some(Instant::now() + with_chance(interval));
        }
    }

    /// The one that has been here longest, of those that the service knows.
    pub fn first_known(&self) -> Option<&Arc<Client>> {
        let mut clients = self.members.iter().map(|member| &member.client);
        clients.find(|client| client.hash().is_some())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// When closed clients want to be looked after.
    pub fn tidy_at(&self) -> Option<Instant> {
        self.tidy_at
    }

    /// Looks after closed clients, whether the service is there or not: `settle` those that count
    /// nothing more, and keep few of them. Those that are members no more: everything was told of
    /// them, or is now told by another one.
    pub fn tidy(&mut self, settle: impl Fn(&Client) -> bool) -> Vec<Arc<Client>> {
        let now = Instant::now();
        if self.tidy_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.tidy_at = None;
        for member in &mut self.members {
            let Some(since) = member.closed.filter(|_| !member.settled) else {
                continue;
            };
            member.settled = settle(&member.client);
            if member.settled {
                self.some_at = Some(self.some_at.map_or(now, |at| at.min(now)));
                continue;
            }
            let step = match since.elapsed() < SETTLING {
                true => SETTLING_STEPS.0,
                false => SETTLING_STEPS.1,
            };
            let again = now + step;
            self.tidy_at = Some(self.tidy_at.map_or(again, |at| at.min(again)));
        }
        let mut gone = self.done();
        gone.extend(self.merge());
        gone.extend(self.give_up());
        gone
    }

    /// When there is something to report next.
    pub fn due(&self) -> Option<Instant> {
        let due = self.all_at.into_iter().chain(self.some_at).min()?;
        Some(self.not_before.map_or(due, |at| at.max(due)))
    }

    /// What is to be reported now.
    pub fn drafts(&mut self) -> Vec<Draft> {
        let now = Instant::now();
        let all = self.all_at.is_some_and(|at| at <= now);
        if all {
            self.all_at = Some(now + with_chance(self.interval));
        }
        self.some_at = self.some_at.filter(|at| *at > now);
        let members = self.members.iter_mut();
        members.filter_map(|member| member.draft(all)).collect()
    }

    /// A report is about to be sent.
    pub fn is_sent(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = true;
            member.is_due = false;
        }
    }

    /// Reports were put off for somebody who waits: they are next.
    pub fn put_off(&mut self) {
        self.some_at = Some(Instant::now());
    }

    /// The service does not know the client, so it has not taken the report.
    pub fn is_unknown(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = false;
        }
    }

    /// The service was not reached: nobody tries again before this.
    pub fn try_again_in(&mut self, pause: Duration) {
        let at = Instant::now() + pause;
        self.some_at = Some(at);
        self.not_before = Some(at);
    }

    /// The service has taken a report.
    pub fn taken(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client)
            && member.sequence == draft.report.sequence
        {
            member.told = draft.report.measured.clone();
            member.is_open = false;
            member.is_suspect = false;
        }
    }

    /// The service does not take a report. That may change, with another token or version, so
    /// nothing is lost; but the service is left in peace for an interval.
    pub fn refused(&mut self, draft: &Draft) {
        let rest = self.interval.mul_f64(0.9);
        if let Some(member) = self.of(&draft.client) {
            member.is_open = draft.was_open;
            member.is_suspect = true;
            member.rests_until = Some(Instant::now() + rest);
        }
    }

    /// The service could not take a report, or not say that it did.
    pub fn suspect(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_suspect = true;
        }
    }

    /// The closed clients of which everything was told. They are members no more.
    pub fn done(&mut self) -> Vec<Arc<Client>> {
        let is_done = |member: &mut Member| member.settled && !member.has_news();
        let done = self.members.extract_if(.., is_done);
        let silent = done.filter(|member| !member.said_goodbye);
        silent.map(|member| member.client).collect()
    }

    /// The closed clients of which nothing more is awaited, whether they are settled or not: their
    /// process may end at once.
    pub fn leaving(&mut self) -> Vec<Arc<Client>> {
        let is_leaving = |member: &&mut Member| {
            let awaits = member.client.look(awaits_something).unwrap_or(false);
            member.closed.is_some() && !member.said_goodbye && !awaits && !member.has_news()
        };
        let leaving = self.members.iter_mut().filter(is_leaving);
        leaving
            .map(|member| {
                member.said_goodbye = true;
                Arc::clone(&member.client)
            })
            .collect()
    }

    fn place(&self, client: &Arc<Client>) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|member| Arc::ptr_eq(&member.client, client))
    }

    fn of(&mut self, client: &Arc<Client>) -> Option<&mut Member> {
        let place = self.place(client)?;
        self.members.get_mut(place)
    }

    /// Beyond [`MAX_KEPT`], the oldest closed clients. What came of their last reports is not known,
    /// so their figures cannot go to another one.
    fn give_up(&mut self) -> Vec<Arc<Client>> {
        let settled = self.members.iter().filter(|member| member.settled).count();
        let mut left = settled.saturating_sub(MAX_KEPT);
        let is_beyond = |member: &mut Member| {
            let is_beyond = member.settled && left > 0;
            left -= usize::from(is_beyond);
            is_beyond
        };
        let beyond: Vec<Member> = self.members.extract_if(.., is_beyond).collect();
        self.given_up = self.given_up.saturating_add(beyond.len() as u64);
        beyond.into_iter().map(|member| member.client).collect()
    }

    /// Closed clients whose last figures may be lost, since this was asked last.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// Beyond [`MAX_CLOSED`], adds what was not told of the oldest closed client to the next one of
    /// its kind. Those that went.
    fn merge(&mut self) -> Vec<Arc<Client>> {
        let mut gone = Vec::new();
        loop {
            let members = self.members.iter().enumerate();
            let closed: Vec<(usize, ClientKind)> = members
                .filter(|(_, member)| member.settled && !member.is_open)
                .map(|(place, member)| (place, member.client.kind))
                .collect();
            let Some(((oldest, kind), others)) = closed.split_first() else {
                return gone;
            };
            let target = others.iter().find(|(_, other)| other == kind);
            let Some((target, _)) = target.filter(|_| closed.len() > MAX_CLOSED) else {
                return gone;
            };
            let from = self.members.remove(*oldest);
            // The one that went stood before it.
            if let (Some(target), Some(untold)) = (self.members.get(target - 1), from.untold()) {
                target.client.absorb(&untold, MAX_MERGED_TOPICS);
            }
            gone.push(from.client);
        }
    }
}

impl Member {
    /// What was measured and not told yet.
    fn untold(&self) -> Option<Measured> {
        let measured = self.client.measured()?;
        Some(match &self.told {
            Some(told) => measured.since(told),
            None => measured,
        })
    }

    /// Whether something was measured that was not told yet, in any topic or of any error.
    fn has_news(&self) -> bool {
        let told = self.told.as_ref().map_or(0, Measured::progress);
        let is_news =
            |measured: &Measured| is_worth_telling(measured) && measured.progress() != told;
        self.client.look(is_news).unwrap_or(false)
    }

    /// The report, where there is a reason for one: it is everybody's turn, nothing was told yet, or
    /// the client is closed.
    fn draft(&mut self, all: bool) -> Option<Draft> {
        if self.rests_until.is_some_and(|until| until > Instant::now()) {
            return None;
        }
        self.is_due |= all && self.closed.is_none();
        let is_new = self.told.is_none() || self.closed.is_some();
        if !(self.is_due || is_new && self.has_news()) {
            return None;
        }
        let measured = self.client.measured()?;
        self.sequence += 1;
        Some(Draft {
            client: Arc::clone(&self.client),
            is_suspect: self.is_suspect,
            was_open: self.is_open,
            report: ClientReport {
                producer_topics_partitions: partitions(&measured, |topic| {
                    &topic.produced_partitions
                }),
                consumer_group_topics_partitions: partitions(&measured, |topic| {
                    &topic.consumed_partitions
                }),
                sequence: self.sequence,
                measured: Some(measured),
                last: self.settled,
                ..ClientReport::default()
            },
        })
    }
}

/// Whether a closed client may still count: records are on their way.
fn awaits_something(measured: &Measured) -> bool {
    let topics = measured.all_topics();
    topics.consumed.records > 0 || topics.unacknowledged().records > 0
}

/// A client that did nothing but connect has nothing to tell before everybody does.
fn is_worth_telling(measured: &Measured) -> bool {
    !measured.topics.is_empty()
        || !measured.other_topics.is_empty()
        || !measured.transport_errors.is_empty()
}

fn partitions(measured: &Measured, used: impl Fn(&TopicFigures) -> &Vec<i32>) -> TopicsPartitions {
    let topics = measured.topics.iter();
    topics
        .map(|(name, figures)| (name.clone(), used(figures).clone()))
        .filter(|(_, partitions)| !partitions.is_empty())
        .collect()
}

/// A tenth more or less, so that processes which were started together do not report together.
fn with_chance(interval: Duration) -> Duration {
    let [chance, ..] = identity::random_bytes();
    interval.mul_f64(0.9 + 0.2 * f64::from(chance) / 255.0)
}

#[cfg(test)]
mod tests;
