//! What the session's thread has to do, and what it does next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use superstream_protocol::{ClientKind, StartClient};

use super::members::Members;
use super::troubles::Troubles;
use crate::boundary;
use crate::lock::lock;
use crate::report::identity;
use crate::report::record::Client;
use crate::report::slots::Pool;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Messages kept for a service that is away. The oldest go first.
const MAX_WAITING: usize = 256;
/// An answer that came too late is of use for so long.
const LATE_LIFE: Duration = Duration::from_secs(600);
/// Kinds of clients whose late advice is kept.
const MAX_LATE: usize = 256;
/// How old the figures are that others may read of this process.
const PUBLISHED_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// The thread has something to do.
    pub(super) work: Condvar,
    /// A creator that waits may have its answer.
    pub(super) news: Condvar,
    pub(super) response_timeout: Duration,
    /// What the hooks of clients count on.
    pub(super) slots: Pool,
    /// A client has a topic that nobody was told of. A hook says so, and takes no lock for it.
    pub(super) has_new_topics: AtomicBool,
    /// Shows what has changed.
    pub(super) publish: fn(),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: VecDeque<Waiting>,
    /// Clients that are gone, and for which there was no room yet.
    goodbyes: VecDeque<Arc<Client>>,
    pub(super) health: Health,
    /// The last registration took longer than a creator waits.
    pub(super) slow: bool,
    /// A creator has waited in vain since the last registration.
    pub(super) gave_up: bool,
    pub(super) late: BTreeMap<Profile, (StartClient, Instant)>,
    pub(super) thread_runs: bool,
    pub(super) members: Members,
    /// Requests with reports in a row that did not get through.
    pub(super) failed_rounds: u32,
    pub(super) troubles: Troubles,
    pub(super) published: Option<Instant>,
    /// Something has changed that was not published yet.
    pub(super) has_news: bool,
}

pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) tries: u32,
    pub(super) not_before: Instant,
}

/// Clients alike enough to share an advice: their kind, and what [`PROFILE`] says of them.
pub(super) type Profile = (ClientKind, Vec<Option<String>>);

const PROFILE: &[&str] = &[
    "client.id",
    "metadata.broker.list",
    "transactional.id",
    "group.id",
];

pub(super) enum Message {
    Register(Arc<Client>),
    Configure(Arc<Client>),
    Error(Arc<Client>, String),
    Goodbye(Arc<Client>),
}

/// Whether the service answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered last time.
    Up,
    /// It did not.
    Down {
        /// What happened.
        reason: String,
        /// How often in a row.
        failures: u32,
        /// When the thread tries again.
        retry_at: Instant,
    },
}

/// What asking gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// The service answered in time.
    Answered(StartClient),
    /// An answer that came too late for an earlier client of this kind.
    Late(StartClient),
    /// Nothing, and why.
    Nothing(String),
}

impl Shared {
    /// Nothing to do yet. `publish` shows what has changed.
    pub(super) fn new(response_timeout: Duration, publish: fn()) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
            response_timeout,
            slots: Pool::default(),
            has_new_topics: AtomicBool::new(false),
            publish,
        }
    }
}

impl State {
    pub(super) fn push(&mut self, message: Message) {
        let told_already = |waiting: &Waiting| match (&waiting.message, &message) {
            (Message::Configure(one), Message::Configure(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        if self.waiting.iter().any(told_already) {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.drop_one();
        }
        self.waiting.push_back(Waiting {
            message,
            tries: 0,
            not_before: Instant::now(),
        });
    }

    /// The service was reached, on behalf of a client: it is told what went wrong before.
    pub(super) fn reached(&mut self, client: Option<&Arc<Client>>) {
        self.troubles.reached();
        let Some(teller) = self.members.first_known().or(client).cloned() else {
            return;
        };
        for trouble in self.troubles.take_news(boundary::caught()) {
            self.push(Message::Error(Arc::clone(&teller), trouble));
        }
    }

    /// Somebody waits for the answer to a registration.
    pub(super) fn somebody_waits(&self) -> bool {
        self.waiting.iter().any(Waiting::is_first)
    }

    /// Tells that these clients are gone, as many at a time as leave room for other messages. Of very
    /// many the service hears no more, and finds out.
    pub(super) fn say_goodbye(&mut self, gone: Vec<Arc<Client>>) {
        self.goodbyes.extend(gone);
        while self.waiting.len() < MAX_WAITING / 2
            && let Some(client) = self.goodbyes.pop_front()
        {
            self.push(Message::Goodbye(client));
        }
        let beyond = self.goodbyes.len().saturating_sub(MAX_WAITING);
        self.goodbyes.drain(..beyond);
        let given_up = self.members.take_given_up();
        self.troubles.lost(given_up);
    }

    /// A client that reports is to be known to the service.
    pub(super) fn register(&mut self, client: &Arc<Client>) {
        let is_its = |waiting: &Waiting| waiting.message.registers(client);
        if !self.waiting.iter().any(is_its) {
            self.push(Message::Register(Arc::clone(client)));
        }
    }

    /// Makes room: the oldest message goes, registrations last, because somebody may wait for
    /// one.
    pub(super) fn drop_one(&mut self) {
        let oldest = self.waiting.iter().position(|waiting| !waiting.is_first());
        if let Some(dropped) = self.waiting.remove(oldest.unwrap_or(0)) {
            dropped.give_up("too many messages wait for the service");
        }
    }

    /// The answer that came too late for an earlier client of this kind.
    pub(super) fn late(&self, client: &Client) -> Option<StartClient> {
        let (advice, since) = self.late.get(&profile(client))?;
        (since.elapsed() < LATE_LIFE).then(|| advice.clone())
    }

    pub(super) fn late_or(&self, client: &Client, reason: String) -> Asked {
        match self.late(client) {
            Some(advice) => Asked::Late(advice),
            None => Asked::Nothing(reason),
        }
    }

    /// Keeps an advice if it came too late. One in time is the service's word from now on.
    pub(super) fn keep_late(&mut self, client: &Client, advice: StartClient) {
        if self.slow || matches!(self.health, Health::Down { .. }) {
            self.keep(client, advice);
        } else {
            self.late.remove(&profile(client));
        }
    }

    /// The service's advice for a client that runs already, and may have begun with another one.
    /// Whether it is news that applies at the next start.
    pub(super) fn advises(&mut self, client: &Client, advice: Option<&StartClient>) -> bool {
        let outcome = client.outcome();
        let next = advice.filter(|advice| outcome.advice.as_ref() != Some(advice));
        // As fresh as the service's last word on it.
        if let Some(next) = next {
            self.keep(client, next.clone());
        }
        if outcome.next_advice.as_ref() == next {
            return false;
        }
        if next.is_none() {
            self.late.remove(&profile(client));
        }
        client.update(|outcome| outcome.next_advice = next.cloned());
        self.has_news = true;
        next.is_some()
    }

    /// Keeps an advice for the next client like this one.
    pub(super) fn keep(&mut self, client: &Client, advice: StartClient) {
        let profile = profile(client);
        if self.late.len() >= MAX_LATE {
            self.late
                .retain(|_, (_, since)| since.elapsed() < LATE_LIFE);
        }
        if self.late.len() < MAX_LATE || self.late.contains_key(&profile) {
            self.late.insert(profile, (advice, Instant::now()));
        }
    }

    /// A creator has waited in vain: the next ones do not. The thread may still have an answer,
    /// so when it tries again is left to it.
    pub(super) fn gave_up(&mut self, reason: String) {
        self.gave_up = true;
        if !matches!(self.health, Health::Down { .. }) {
            self.health = Health::Down {
                reason,
                failures: 0,
                retry_at: Instant::now(),
            };
        }
    }

    /// A registration did not get through. Gives the pause before the next try.
    pub(super) fn failed(&mut self, reason: String) -> Duration {
        let failures = match &self.health {
            Health::Down { failures, .. } => failures.saturating_add(1),
            _ => 1,
        };
        let pause = pause_after(failures);
        self.health = Health::Down {
            reason,
            failures,
            retry_at: Instant::now() + pause,
        };
        pause
    }

    /// The next message to send, or how long there is nothing to do (`None`: for ever).
    /// First registrations go first: somebody may wait for them.
    pub(super) fn next(&mut self) -> Result<Waiting, Option<Duration>> {
        let now = Instant::now();
        if let Health::Down { retry_at, .. } = &self.health
            && *retry_at > now
        {
            let pause = *retry_at - now;
            return Err((!self.waiting.is_empty()).then_some(pause));
        }
        let is_due = |waiting: &Waiting| waiting.not_before <= now;
        let first = self
            .waiting
            .iter()
            .position(Waiting::is_first)
            .or_else(|| self.waiting.iter().position(is_due));
        match first {
            Some(first) => self.waiting.remove(first).ok_or(None),
            None => {
                let soonest = self.waiting.iter().map(|waiting| waiting.not_before).min();
                Err(soonest.map(|due| due.saturating_duration_since(now)))
            }
        }
    }
}

impl Message {
    /// Whether it is the registration of this client.
    pub(super) fn registers(&self, client: &Arc<Client>) -> bool {
        matches!(self, Self::Register(other) if Arc::ptr_eq(other, client))
    }

    /// The client that it is about, if the service knows that one afterwards.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Register(client) | Self::Configure(client) | Self::Error(client, _) => {
                Some(client)
            }
            Self::Goodbye(_) => None,
        }
    }
}

impl Waiting {
    /// Whether it is the registration of a client that has no answer yet.
    fn is_first(&self) -> bool {
        matches!(&self.message, Message::Register(client) if client.answer().is_none())
    }

    /// Nobody is to wait for this message any more.
    pub(super) fn give_up(self, reason: &str) {
        if let Message::Register(client) = self.message {
            client.answered(Err(reason.to_owned()));
        }
    }
}

pub(super) fn profile(client: &Client) -> Profile {
    let config = &client.registration.config;
    let said = |name: &&str| Some(config.get(*name)?.as_str()?.to_owned());
    (client.kind, PROFILE.iter().map(said).collect())
}

/// Grows from one second to a minute; a quarter of it is chance, so that a thousand processes
/// do not come back at once.
pub(super) fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    let [chance, ..] = identity::random_bytes();
    pause.mul_f64(0.75 + 0.25 * f64::from(chance) / 255.0)
}

/// What the thread does next.
pub(super) enum Work {
    /// Show what has changed.
    Publish,
    /// Send a message.
    Send(Waiting),
    /// Report what clients did.
    Report,
}

/// Waits for work. A creator that waits for an answer waits for nothing else.
pub(super) fn next_work(shared: &Shared) -> Work {
    let mut state = lock(&shared.state);
    loop {
        if shared.has_new_topics.swap(false, Ordering::Relaxed) {
            state.members.have_news();
        }
        let settle = |client: &Client| client.settle(&shared.slots);
        let gone = state.members.tidy(settle);
        state.say_goodbye(gone);
        let now = Instant::now();
        let next = state.next();
        if let Ok(waiting) = &next
            && waiting.is_first()
        {
            return next.map_or(Work::Publish, Work::Send);
        }
        let stale = state.published.map(|at| at + PUBLISHED_EVERY);
        let stale = stale.filter(|_| !state.members.is_empty());
        if state.has_news || stale.is_some_and(|at| at <= now) {
            state.has_news = false;
            state.published = Some(now);
            if let Ok(waiting) = next {
                state.waiting.push_front(waiting);
            }
            return Work::Publish;
        }
        let idle = match next {
            Ok(message) => return Work::Send(message),
            Err(idle) => idle.map(|idle| now + idle),
        };
        let report = state.members.due().map(|due| match &state.health {
            Health::Down { retry_at, .. } => due.max(*retry_at),
            _ => due,
        });
        if report.is_some_and(|at| at <= now) {
            return Work::Report;
        }
        let tidy = state.members.tidy_at();
        let next = idle.into_iter().chain(report).chain(stale).chain(tidy);
        state = match next.min() {
            Some(at) => wait(&shared.work, state, at.saturating_duration_since(now)),
            None => shared
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        };
    }
}

pub(super) fn wait<'s>(
    condition: &Condvar,
    state: MutexGuard<'s, State>,
    limit: Duration,
) -> MutexGuard<'s, State> {
    let (state, _) = condition
        .wait_timeout(state, limit)
        .unwrap_or_else(PoisonError::into_inner);
    state
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
}
