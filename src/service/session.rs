//! The session with the service: one background thread for all clients of the process.
//!
//! A client's creator asks and waits, no longer than its deadline. Everything else is told by
//! the thread alone, when the service can be reached. While it cannot, nobody waits: the thread
//! tries again with growing pauses, and an answer that comes late serves the next client.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use superstream_protocol::StartClient;

pub use super::line::Health;
use super::queue::Message;
use super::state::{Shared, State, wait};
use super::thread;
pub use super::troubles::Shown;
use crate::boundary;
use crate::lock::lock;
use crate::report::record::Client;
use crate::report::slots::Pool;
use crate::settings::Settings;

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

/// The session of one process.
pub struct Session {
    settings: Settings,
    shared: Arc<Shared>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

impl State {
    /// The creator of a client waits no longer. Why.
    pub(super) fn gives_up(&mut self, client: &Arc<Client>) -> String {
        let limit = "within SUPERSTREAM_RESPONSE_TIMEOUT";
        let named = self.starting.word_on(client);
        let reason = match &named {
            Some(Some(said)) => format!("registered, and not to start {limit}: {said}"),
            Some(None) => format!("registered, and no word to start came {limit}"),
            None => format!("no answer {limit}"),
        };
        if !client.registration.dry_run {
            match named {
                Some(_) => self.line.misses_start(&reason),
                None => self.line.creator_leaves(&reason),
            }
        }
        reason
    }

    fn late_or(&self, client: &Client, reason: String) -> Asked {
        match self.late.of(client) {
            Some(advice) => Asked::Late(advice),
            None => Asked::Nothing(reason),
        }
    }
}

impl Session {
    /// A session that has not begun: no thread, no connection.
    /// `publish` is called on its thread after something has changed.
    pub fn new(settings: &Settings, publish: fn()) -> Self {
        Self {
            settings: settings.clone(),
            shared: Arc::new(Shared::new(settings.response_timeout, publish)),
        }
    }

    /// Where the service is.
    pub fn host(&self) -> String {
        self.settings.endpoint.to_string()
    }

    /// Whether the service answers.
    pub fn health(&self) -> Health {
        lock(&self.shared.state).line.health()
    }

    /// What goes or went wrong with the service, in words.
    pub fn troubles(&self) -> Shown {
        lock(&self.shared.state).troubles.shown()
    }

    /// Registers a client and waits for its advice, until `deadline` at the latest. While the
    /// service is down nobody waits.
    pub fn ask(&self, client: &Arc<Client>, deadline: Instant) -> Asked {
        let mut state = lock(&self.shared.state);
        state.queue.push(Message::Register(Arc::clone(client)));
        if let Err(error) = self.start_thread(&mut state) {
            return Asked::Nothing(format!("no thread for it can be started: {error}"));
        }
        self.shared.work.ring();
        // An earlier registration may have made room for this one.
        self.shared.news.notify_all();

        if state.line.is_slow()
            && let Some(advice) = state.late.of(client)
        {
            return Asked::Late(advice);
        }
        loop {
            match client.answer() {
                Some(Ok(registered)) => return Asked::Answered(registered.start.clone()),
                Some(Err(reason)) => return Asked::Nothing(reason.clone()),
                None => {}
            }
            if let Some(reason) = state.line.down() {
                let reason = reason.to_owned();
                return state.late_or(client, reason);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = state.gives_up(client);
                return state.late_or(client, reason);
            }
            state = wait(&self.shared.news, state, left);
        }
    }

    /// Nobody waits for a client's registration any more.
    pub fn forget(&self, client: &Arc<Client>) {
        lock(&self.shared.state).queue.forget(client);
    }

    /// Tells the service how the creation of a client ended, and from now on what the client does.
    pub fn created(&self, client: &Arc<Client>) {
        lock(&self.shared.state).members.join(client);
        self.tell(Message::Configure(Arc::clone(client)));
    }

    /// Tells the service that something went wrong.
    pub fn error(&self, client: &Arc<Client>, error: String) {
        self.tell(Message::Error(Arc::clone(client), error));
    }

    /// Tells the service that a client is gone, after the last of what it did.
    pub fn goodbye(&self, client: &Arc<Client>) {
        let mut state = lock(&self.shared.state);
        state.closes(client);
        if client.was_hooked() {
            state.members.join(client);
            state.members.close(client);
        } else {
            state.say_goodbye(vec![Arc::clone(client)]);
        }
        drop(state);
        self.shared.work.ring();
    }

    /// A client has its first record in a topic. For hooks: takes no lock. Where the thread misses
    /// it, the topic is told a moment later.
    pub fn has_new_topics(&self) {
        self.shared.has_new_topics.store(true, Ordering::SeqCst);
        self.shared.work.ring();
    }

    /// What the hooks of clients count on.
    pub fn slots(&self) -> &Pool {
        &self.shared.slots
    }

    fn tell(&self, message: Message) {
        let mut state = lock(&self.shared.state);
        state.queue.push(message);
        state.has_news = true;
        drop(state);
        self.shared.work.ring();
        self.shared.news.notify_all();
    }

    fn start_thread(&self, state: &mut State) -> std::io::Result<()> {
        if state.thread_runs {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let settings = self.settings.clone();
        boundary::without_signals(|| {
            std::thread::Builder::new()
                .name("superstream".to_owned())
                .stack_size(512 * 1024)
                .spawn(move || thread::run(&shared, &settings))
        })?;
        state.thread_runs = true;
        Ok(())
    }
}
