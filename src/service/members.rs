//! Who reports, and when.
//!
//! Reports carry totals ([`Measured`]), so nothing is kept for a service that is away but the last
//! figures of each client.

pub(super) mod closed;
mod drafts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use drafts::Draft;
use superstream_protocol::measured::Measured;

use crate::report::identity;
use crate::report::record::Client;

/// Where the service names no interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
/// Whatever interval the service names.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// From a client's first record to its first report: its partitions are known then.
const FIRST_AFTER: Duration = Duration::from_secs(1);

/// Reports that are asked for before they are due are sent this often, however often that is asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// The clients that report.
pub struct Members {
    members: Vec<Member>,
    interval: Duration,
    /// When everybody reports.
    all_at: Option<Instant>,
    /// When those report that have something new to say: a first topic, or the end.
    some_at: Option<Instant>,
    /// When those report that were asked to, or did so last.
    asked_at: Option<Instant>,
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
    life: Life,
    said_goodbye: bool,
}

/// How far a client is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// It is being destroyed, and may still count.
    Closing {
        since: Instant,
    },
    /// Its figures are final.
    Settled,
}

impl Default for Members {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            interval: DEFAULT_INTERVAL,
            all_at: None,
            some_at: None,
            asked_at: None,
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
            life: Life::Open,
            said_goodbye: false,
        });
        self.all_at
            .get_or_insert_with(|| Instant::now() + with_chance(self.interval));
    }

    /// A client is being destroyed.
    pub fn close(&mut self, client: &Arc<Client>) {
        let now = Instant::now();
        if let Some(member) = self.of(client) {
            if member.life == Life::Open {
                member.life = Life::Closing { since: now };
            }
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
        let interval =
            Duration::from_millis(interval_ms).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        if interval != self.interval {
            self.interval = interval;
            self.all_at = Some(Instant::now() + with_chance(interval));
        }
    }

    /// The service asks clients to report before they are due: those of these names, or all.
    pub fn report_now(&mut self, names: Option<&[String]>) {
        let names = names.map(|names| names.iter().map(String::as_str).collect::<BTreeSet<_>>());
        let is_asked = |member: &Member| {
            let hash = member.client.hash();
            let is_named = |hash: String| match &names {
                Some(names) => names.contains(hash.as_str()),
                None => true,
            };
            hash.is_some_and(is_named)
        };
        let mut is_anybody = false;
        let open = |member: &&mut Member| member.life == Life::Open;
        for member in self.members.iter_mut().filter(open) {
            if is_asked(member) {
                member.is_due = true;
                is_anybody = true;
            }
        }
        if is_anybody {
            let now = Instant::now();
            let at = match self.asked_at {
                Some(waits) if waits > now => waits,
                Some(last) => now.max(last + ASKED_EVERY),
                None => now,
            };
            self.asked_at = Some(at);
            self.some_at = Some(self.some_at.map_or(at, |some| some.min(at)));
        }
    }

    /// The one that has been here longest, of those that the service knows.
    pub fn first_known(&self) -> Option<&Arc<Client>> {
        let mut clients = self.members.iter().map(|member| &member.client);
        clients.find(|client| client.hash().is_some())
    }

    /// All that the service knows by this name.
    pub fn named(&self, client_hash: &str) -> Vec<Arc<Client>> {
        let clients = self.members.iter().map(|member| &member.client);
        let named = clients.filter(|client| client.is_known_as(client_hash));
        named.cloned().collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// When there is something to report next.
    pub fn due(&self) -> Option<Instant> {
        self.all_at.into_iter().chain(self.some_at).min()
    }

    /// A report is about to be sent.
    pub fn sent(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = true;
        }
    }

    /// Reports that are due were not sent, or not taken: they come as soon as may be.
    pub fn put_off(&mut self) {
        self.some_at = Some(Instant::now());
    }

    /// Everybody reports, as soon as may be.
    pub fn all_report(&mut self) {
        let now = Instant::now();
        self.some_at = Some(now);
        self.all_at = self.all_at.map(|_| now);
    }

    /// The service does not know the client, so it has not taken the report, which comes again once
    /// the client is registered. Where that does not help, the client rests.
    pub fn unknown(&mut self, draft: &Draft) {
        let rest = self.rest();
        if let Some(member) = self.of(&draft.client) {
            member.is_open = draft.was_open;
            member.is_due = true;
            if std::mem::replace(&mut member.was_unknown, true) {
                member.rests_until = Some(rest);
            }
        }
    }

    /// The service does not know the client any more: it knows nothing of what the client has told.
    pub fn forgotten(&mut self, client: &Arc<Client>) {
        if let Some(member) = self.of(client) {
            member.told = None;
            member.is_due = true;
        }
    }

    /// Whether the service was told that the client is gone.
    pub fn said_goodbye(&mut self, client: &Arc<Client>) -> bool {
        self.of(client).is_some_and(|member| member.said_goodbye)
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
        self.declined(draft);
        self.let_rest(&draft.client);
    }

    /// The service has not taken a report, because of this or another one.
    pub fn declined(&mut self, draft: &Draft) {
        if let Some(member) = self.of(&draft.client) {
            member.is_open = draft.was_open;
            member.is_suspect = true;
        }
    }

    /// The service does not take the client, or its reports: it is left in peace for an interval.
    pub fn let_rest(&mut self, client: &Arc<Client>) {
        let rest = self.rest();
        if let Some(member) = self.of(client) {
            member.rests_until = Some(rest);
        }
    }

    fn rest(&self) -> Instant {
        Instant::now() + self.interval.mul_f64(0.9).max(SHORTEST_INTERVAL)
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
}

/// A tenth more or less, so that processes which were started together do not report together.
fn with_chance(interval: Duration) -> Duration {
    let with_chance = interval.mul_f64(0.9 + 0.2 * identity::chance());
    with_chance.max(SHORTEST_INTERVAL)
}

#[cfg(test)]
mod tests;
