//! What creators and the session's thread share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use superstream_protocol::StartClient;

use super::bell::Bell;
use super::late::LateAdvice;
use super::line::{Backoff, Line};
use super::members::Members;
use super::queue::{Message, Queue};
use super::starting::Starting;
use super::troubles::Troubles;
use crate::boundary;
use crate::log::Lines;
use crate::report::record::Client;
use crate::report::slots::Pool;

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// The thread has something to do.
    pub(super) work: Bell,
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
    pub(super) line: Line,
    pub(super) queue: Queue,
    pub(super) starting: Starting,
    pub(super) members: Members,
    pub(super) late: LateAdvice,
    pub(super) troubles: Troubles,
    pub(super) thread_runs: bool,
    /// Of reports, whatever becomes of other messages.
    pub(super) reports: Backoff,
    /// A message has found the service away. When it is tried again, it is with reports: a message
    /// that it never answers would hold them up for ever.
    pub(super) is_turn_of_reports: bool,
    pub(super) published: Option<Instant>,
    /// Something has changed that was not published yet.
    pub(super) has_news: bool,
    /// When to look for what the service says unasked.
    pub(super) look_at: Option<Instant>,
    /// The last turn was a look: somebody else's comes first.
    pub(super) has_looked: bool,
    /// Of what the service advises, as often as it likes.
    pub(super) lines: Lines,
}

impl Shared {
    /// Nothing to do yet. `publish` shows what has changed.
    pub(super) fn new(response_timeout: Duration, publish: fn()) -> Self {
        Self {
            state: Mutex::default(),
            work: Bell::default(),
            news: Condvar::new(),
            response_timeout,
            slots: Pool::default(),
            has_new_topics: AtomicBool::new(false),
            publish,
        }
    }
}

impl State {
    /// The service was reached, on behalf of a client: it is told what went wrong before.
    pub(super) fn reached(&mut self, client: Option<&Arc<Client>>) {
        self.line.reached();
        self.troubles.reached();
        let client = client.filter(|client| client.hash().is_some());
        let Some(teller) = self.members.first_known().or(client).cloned() else {
            return;
        };
        for trouble in self.troubles.take_news(boundary::caught()) {
            self.queue
                .push(Message::Error(Arc::clone(&teller), trouble));
        }
    }

    /// The service was not reached. Gives the pause until the next try, of whatever message.
    pub(super) fn not_reached(&mut self, reason: &str) -> Duration {
        self.troubles.failed(reason);
        self.line.failed(reason)
    }

    /// Whether a creator may wait for an answer.
    pub(super) fn somebody_waits(&self) -> bool {
        self.line.down().is_none() && self.queue.has_urgent()
    }

    /// Reports that were under way were not sent, by an error of our own.
    pub(super) fn reports_broke_off(&mut self) {
        // A transport that is new knows none of them.
        self.members.all_report();
        self.reports.failed();
    }

    /// Words to start that nobody waits for any more: what was held back until then is told.
    pub(super) fn tidy_starting(&mut self) {
        for client in self.starting.tidy() {
            self.tell_held(&client);
        }
    }

    /// A client is being destroyed: nothing is held back any more.
    pub(super) fn closes(&mut self, client: &Arc<Client>) {
        if self.starting.give_up(client) {
            self.tell_held(client);
        }
    }

    fn tell_held(&mut self, client: &Arc<Client>) {
        self.members.has_name(client);
        if client.is_created() {
            self.queue.push(Message::Configure(Arc::clone(client)));
        }
    }

    /// Tells that these clients are gone.
    pub(super) fn say_goodbye(&mut self, gone: Vec<Arc<Client>>) {
        for client in &gone {
            self.starting.remove(client);
        }
        self.queue.say_goodbye(gone);
        let given_up = self.members.take_given_up();
        self.troubles.lost(given_up);
    }

    /// The service's advice for a client that runs already, and may have begun with another one.
    /// Whether it is news that applies at the next start.
    pub(super) fn advises(&mut self, client: &Client, advice: Option<&StartClient>) -> bool {
        let next = advice.filter(|advice| !client.began_with(advice));
        // As fresh as the service's last word on it.
        if let Some(next) = next {
            self.late.keep(client, next.clone());
        }
        if !client.set_next_advice(next) {
            return false;
        }
        if next.is_none() {
            self.late.forget(client);
        }
        self.has_news = true;
        next.is_some()
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
