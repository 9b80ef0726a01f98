//! Who reports, and when.
//!
//! Reports carry totals ([`Measured`]), so nothing is kept for a service that is away but the last
//! figures of each client.

pub(super) mod closed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::measured::{Measured, TopicFigures};
use superstream_protocol::{ClientReport, TopicsPartitions};

use crate::report::identity;
use crate::report::record::Client;

/// Where the service names no interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
/// Whatever interval the service names.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
/// From a client's first record to its first report: its partitions are known then.
const FIRST_AFTER: Duration = Duration::from_secs(1);

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
    /// Everybody was to report, or the service asked this one to, and it has not got through yet.
    is_due: bool,
    /// The service did not know the client when it reported last.
    was_unknown: bool,
    /// The service could not take the last report, for whatever is in it.
    is_suspect: bool,
    /// No report before this: the service has refused the last one, or the client.
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
    pub was_open: bool,
}

/// Somebody who may have something to report.
pub struct Candidate {
    /// Who.
    pub client: Arc<Client>,
    /// Whatever there is to say.
    is_due: bool,
    is_closed: bool,
    /// Nothing more is counted.
    settled: bool,
    /// The progress and the number of topics that the service knows of.
    told: (u64, usize),
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
            was_unknown: false,
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

    /// When there is something to report next.
    pub fn due(&self) -> Option<Instant> {
        let due = self.all_at.into_iter().chain(self.some_at).min()?;
        Some(self.not_before.map_or(due, |at| at.max(due)))
    }

    /// Who may have something to report now. What each has measured is looked at without a lock that
    /// a creator may wait for.
    pub fn candidates(&mut self) -> Vec<Candidate> {
        let now = Instant::now();
        let all = self.all_at.is_some_and(|at| at <= now);
        if all {
            self.all_at = Some(now + with_chance(self.interval));
        }
        self.some_at = self.some_at.filter(|at| *at > now);
        for member in &mut self.members {
            member.is_due |= all && member.closed.is_none();
        }
        let awake = self.members.iter().filter(|member| !member.rests(now));
        awake.map(Member::candidate).collect()
    }

    /// The report of a candidate on what it has `measured`, where it is a member still.
    pub fn draft(&mut self, candidate: &Candidate, measured: Measured) -> Option<Draft> {
        let member = self.of(&candidate.client)?;
        member.sequence += 1;
        Some(Draft {
            client: Arc::clone(&member.client),
            is_suspect: member.is_suspect,
            was_open: member.is_open,
            report: ClientReport {
                producer_topics_partitions: partitions(&measured, |topic| {
                    &topic.produced_partitions
                }),
                consumer_group_topics_partitions: partitions(&measured, |topic| {
                    &topic.consumed_partitions
                }),
                sequence: member.sequence,
                measured: Some(measured),
                last: candidate.settled,
                ..ClientReport::default()
            },
        })
    }

    /// A report is about to be sent.
    pub fn is_sent(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = true;
        }
    }

    /// Reports were put off for somebody who waits: they are next.
    pub fn put_off(&mut self) {
        self.some_at = Some(Instant::now());
    }

    /// The service does not know the client, so it has not taken the report, which comes again once
    /// the client is registered. Where that does not help, the client rests.
    pub fn is_unknown(&mut self, draft: &Draft) {
        let rest = self.rest();
        if let Some(member) = self.of(&draft.client) {
            member.is_open = draft.was_open;
            member.is_due = true;
            if std::mem::replace(&mut member.was_unknown, true) {
                member.rests_until = Some(rest);
            }
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
            member.is_due = false;
            member.is_suspect = false;
            member.was_unknown = false;
        }
    }

    /// The service does not take a report. That may change, with another token or version, so
    /// nothing is lost; but the service is left in peace for an interval.
    pub fn refused(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = draft.was_open;
            member.is_suspect = true;
        }
        self.let_rest(&draft.client);
    }

    /// The service does not take the client, or its reports: it is left in peace for an interval.
    pub fn let_rest(&mut self, client: &Arc<Client>) {
        let rest = self.rest();
        if let Some(member) = self.of(client) {
            member.rests_until = Some(rest);
        }
    }

    fn rest(&self) -> Instant {
        Instant::now() + self.interval.mul_f64(0.9).max(INTERVALS.0)
    }

    /// The service could not take a report, or not say that it did.
    pub fn suspect(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_suspect = true;
        }
    }

    fn place(&self, client: &Arc<Client>) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|member| Arc::ptr_eq(&member.client, client))
    }

    fn of(&mut self, client: &Arc<Client>) -> Option<&mut Member> {
        let place = self.place(client)?;
        self.members.get_mut(place)
    }
}

impl Member {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    fn candidate(&self) -> Candidate {
        let told = self.told.as_ref();
        Candidate {
            client: Arc::clone(&self.client),
            is_due: self.is_due,
            is_closed: self.closed.is_some(),
            settled: self.settled,
            told: told.map_or((0, 0), |told| (told.progress(), told.topics.len())),
        }
    }
}

impl Candidate {
    /// What it has measured, where there is a reason to report it: it is everybody's turn, there are
    /// topics that were not told yet, or the client is closed and was not told whole.
    pub fn news(&self) -> Option<Measured> {
        let (progress, topics) = self.told;
        let measured = self.client.measured()?;
        let is_new = match self.is_closed {
            true => measured.progress() != progress,
            false => measured.topics.len() > topics || progress == 0,
        };
        (self.is_due || is_new && is_worth_telling(&measured)).then_some(measured)
    }
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
    let with_chance = interval.mul_f64(0.9 + 0.2 * f64::from(chance) / 255.0);
    with_chance.max(INTERVALS.0)
}

#[cfg(test)]
mod tests;
