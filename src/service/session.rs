//! The session with the service: one background thread for all clients of the process.
//!
//! A client's creator asks and waits, no longer than its deadline. Everything else is told by
//! the thread alone, when the service can be reached. While it cannot, nobody waits: the thread
//! tries again with growing pauses, and an answer that comes late serves the next client.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use superstream_protocol::{ClientError, ClientKind, StartClient};

use super::{Failure, Transport};
use crate::boundary;
use crate::debug;
use crate::lock::lock;
use crate::report::identity;
use crate::report::record::Client;
use crate::settings::Settings;

/// Nobody waits so long, but a late answer is worth having.
const LATE_LIMIT: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Messages kept for a service that is away. The oldest go first.
const MAX_WAITING: usize = 256;
/// Tries for a message that the service answers, but cannot digest. It must not hold up the
/// others for ever.
const MAX_TRIES: u32 = 8;
/// An answer that came too late is of use for so long.
const LATE_LIFE: Duration = Duration::from_secs(600);
/// Kinds of clients whose late advice is kept.
const MAX_LATE: usize = 256;

/// The session of one process.
pub struct Session {
    settings: Settings,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// The thread has something to do.
    work: Condvar,
    /// A creator that waits may have its answer.
    news: Condvar,
    response_timeout: Duration,
    /// Shows what has changed.
    publish: fn(),
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    health: Health,
    /// The last registration took longer than a creator waits.
    slow: bool,
    /// A creator has waited in vain since the last registration.
    gave_up: bool,
    late: BTreeMap<Profile, (StartClient, Instant)>,
    thread_runs: bool,
    /// Something has changed that was not published yet.
    has_news: bool,
}

struct Waiting {
    message: Message,
    tries: u32,
    not_before: Instant,
}

/// Clients alike enough to share an advice: their kind, and what [`PROFILE`] says of them.
type Profile = (ClientKind, Vec<Option<String>>);

const PROFILE: &[&str] = &[
    "client.id",
    "metadata.broker.list",
    "transactional.id",
    "group.id",
];

enum Message {
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

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// A session that has not begun: no thread, no connection.
    /// `publish` is called on its thread after something has changed.
    pub fn new(settings: &Settings, publish: fn()) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
            response_timeout: settings.response_timeout,
            publish,
        };
        Self {
            settings: settings.clone(),
            shared: Arc::new(shared),
        }
    }

    /// Where the service is.
    pub fn host(&self) -> String {
        self.settings.endpoint.to_string()
    }

    /// Whether the service answers.
    pub fn health(&self) -> Health {
        lock(&self.shared.state).health.clone()
    }

    /// Registers a client and waits for its advice, until `deadline` at the latest. While the
    /// service is down nobody waits.
    pub fn ask(&self, client: &Arc<Client>, deadline: Instant) -> Asked {
        let mut state = lock(&self.shared.state);
        state.push(Message::Register(Arc::clone(client)));
        if let Err(error) = self.start_thread(&mut state) {
            return Asked::Nothing(format!("no thread for it can be started: {error}"));
        }
        self.shared.work.notify_one();

        if state.slow
            && let Some(advice) = state.late(client)
        {
            return Asked::Late(advice);
        }
        loop {
            match client.answer() {
                Some(Ok(registered)) => return Asked::Answered(registered.start.clone()),
                Some(Err(reason)) => return Asked::Nothing(reason.clone()),
                None => {}
            }
            if let Health::Down { reason, .. } = &state.health {
                return state.late_or(client, reason.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = "no answer within SUPERSTREAM_RESPONSE_TIMEOUT".to_owned();
                if !client.registration.dry_run {
                    state.gave_up(reason.clone());
                }
                return state.late_or(client, reason);
            }
            state = wait(&self.shared.news, state, left);
        }
    }

    /// Nobody waits for a client's registration any more.
    pub fn forget(&self, client: &Arc<Client>) {
        let is_its = |waiting: &Waiting| match &waiting.message {
            Message::Register(other) => Arc::ptr_eq(other, client),
            _ => false,
        };
        lock(&self.shared.state)
            .waiting
            .retain(|waiting| !is_its(waiting));
    }

    /// Tells the service how the creation of a client ended.
    pub fn created(&self, client: &Arc<Client>) {
        self.tell(Message::Configure(Arc::clone(client)));
    }

    /// Tells the service that something went wrong.
    pub fn error(&self, client: &Arc<Client>, error: String) {
        self.tell(Message::Error(Arc::clone(client), error));
    }

    /// Tells the service that a client is gone.
    pub fn goodbye(&self, client: &Arc<Client>) {
        self.tell(Message::Goodbye(Arc::clone(client)));
    }

    fn tell(&self, message: Message) {
        let mut state = lock(&self.shared.state);
        state.push(message);
        state.has_news = true;
        drop(state);
        self.shared.work.notify_one();
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
                .spawn(move || run(&shared, &settings))
        })?;
        state.thread_runs = true;
        Ok(())
    }
}

impl State {
    fn push(&mut self, message: Message) {
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

    /// Makes room: the oldest message goes, registrations last, because somebody may wait for
    /// one.
    fn drop_one(&mut self) {
        let oldest = self
            .waiting
            .iter()
            .position(|waiting| !matches!(waiting.message, Message::Register(_)));
        if let Some(dropped) = self.waiting.remove(oldest.unwrap_or(0)) {
            dropped.give_up("too many messages wait for the service");
        }
    }

    /// The answer that came too late for an earlier client of this kind.
    fn late(&self, client: &Client) -> Option<StartClient> {
        let (advice, since) = self.late.get(&profile(client))?;
        (since.elapsed() < LATE_LIFE).then(|| advice.clone())
    }

    fn late_or(&self, client: &Client, reason: String) -> Asked {
        match self.late(client) {
            Some(advice) => Asked::Late(advice),
            None => Asked::Nothing(reason),
        }
    }

    /// Keeps an advice if it came too late. One in time is the service's word from now on.
    fn keep_late(&mut self, client: &Client, advice: StartClient) {
        let profile = profile(client);
        let is_late = self.slow || matches!(self.health, Health::Down { .. });
        if is_late && (self.late.len() < MAX_LATE || self.late.contains_key(&profile)) {
            self.late.insert(profile, (advice, Instant::now()));
        } else {
            self.late.remove(&profile);
        }
    }

    /// A creator has waited in vain: the next ones do not. The thread may still have an answer,
    /// so when it tries again is left to it.
    fn gave_up(&mut self, reason: String) {
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
    fn failed(&mut self, reason: String) -> Duration {
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
    /// Registrations go first: somebody may wait for them.
    fn next(&mut self) -> Result<Waiting, Option<Duration>> {
        let now = Instant::now();
        if let Health::Down { retry_at, .. } = &self.health
            && *retry_at > now
        {
            let pause = *retry_at - now;
            return Err((!self.waiting.is_empty()).then_some(pause));
        }
        let registers = |waiting: &Waiting| matches!(waiting.message, Message::Register(_));
        let is_due = |waiting: &Waiting| waiting.not_before <= now;
        let first = self
            .waiting
            .iter()
            .position(registers)
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

impl Waiting {
    /// Nobody is to wait for this message any more.
    fn give_up(self, reason: &str) {
        if let Message::Register(client) = self.message {
            client.answered(Err(reason.to_owned()));
        }
    }
}

fn profile(client: &Client) -> Profile {
    let config = &client.registration.config;
    let said = |name: &&str| Some(config.get(*name)?.as_str()?.to_owned());
    (client.kind, PROFILE.iter().map(said).collect())
}

/// Grows from one second to a minute; a quarter of it is chance, so that a thousand processes
/// do not come back at once.
fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    let [chance, ..] = identity::random_bytes();
    pause.mul_f64(0.75 + 0.25 * f64::from(chance) / 255.0)
}

/// The thread's life. It ends with the process, or with a panic: the next creator starts
/// another thread then, with another transport.
fn run(shared: &Shared, settings: &Settings) {
    boundary::catch(|| serve(shared, super::transport(settings)));
    lock(&shared.state).thread_runs = false;
    shared.news.notify_all();
}

fn serve(shared: &Shared, mut transport: Box<dyn Transport>) {
    loop {
        let Some(waiting) = next_message(shared) else {
            boundary::catch(|| (shared.publish)());
            continue;
        };
        let result = boundary::catch(|| send(shared, transport.as_mut(), &waiting.message));
        let mut state = lock(&shared.state);
        let news = settle(&mut state, waiting, result);
        state.has_news = true;
        drop(state);
        shared.news.notify_all();
        // Not under the lock: whoever reads the log may be slow.
        match news {
            Ok(None) => {}
            Ok(Some(news)) => debug!("{news}"),
            Err(Panicked) => return,
        }
    }
}

/// An error of our own: what it left of the transport is not used again.
struct Panicked;

/// Draws the conclusions from a message that was sent, or was not; something for the log.
fn settle(
    state: &mut State,
    mut waiting: Waiting,
    result: Option<Result<Spoke, Failure>>,
) -> Result<Option<String>, Panicked> {
    let Some(result) = result else {
        waiting.give_up("an error of our own");
        return Err(Panicked);
    };
    let failure = match result {
        Ok(spoke) => {
            if spoke == Spoke::Yes {
                state.health = Health::Up;
            }
            return Ok(None);
        }
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    let is_refused = matches!(failure, Failure::Refused(_));
    let registers = matches!(waiting.message, Message::Register(_));
    if let Message::Register(client) = &waiting.message
        && is_refused
    {
        state.late.remove(&profile(client));
        state.health = Health::Up;
    }
    if matches!(failure, Failure::Failed(_)) {
        waiting.tries += 1;
    }
    if is_refused || waiting.tries >= MAX_TRIES {
        waiting.give_up(&reason);
        return Ok(Some(format!("a message is given up: {reason}")));
    }
    // Only a registration tells whether the service is there for creators.
    let pause = if registers {
        state.failed(reason.clone())
    } else {
        pause_after(waiting.tries.max(1))
    };
    waiting.not_before = Instant::now() + pause;
    state.waiting.push_back(waiting);
    Ok(Some(format!("{reason}; next try in {pause:.1?}")))
}

/// Whether a message was exchanged with the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoke {
    Yes,
    /// There was nothing to say, to a service that does not know the client.
    No,
}

/// The next message; `None` where something is to be published first. A creator that waits for an
/// answer waits for nothing else.
fn next_message(shared: &Shared) -> Option<Waiting> {
    let mut state = lock(&shared.state);
    loop {
        let next = state.next();
        let registers =
            matches!(&next, Ok(waiting) if matches!(waiting.message, Message::Register(_)));
        if state.has_news && !registers {
            state.has_news = false;
            if let Ok(waiting) = next {
                state.waiting.push_front(waiting);
            }
            return None;
        }
        match next {
            Ok(message) => return Some(message),
            Err(Some(left)) => state = wait(&shared.work, state, left),
            Err(None) => {
                state = shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn send(
    shared: &Shared,
    transport: &mut dyn Transport,
    message: &Message,
) -> Result<Spoke, Failure> {
    let said = match message {
        Message::Register(client) => {
            return register(shared, transport, client).map(|()| Spoke::Yes);
        }
        Message::Configure(client) => client
            .config_update()
            .map(|update| transport.configure(&update)),
        Message::Error(client, error) => client.hash().map(|hash| {
            transport.error(&ClientError {
                client_hash: hash.to_owned(),
                error: error.clone(),
            })
        }),
        Message::Goodbye(client) => client.hash().map(|hash| transport.goodbye(hash)),
    };
    match said {
        Some(result) => result.map(|()| Spoke::Yes),
        None => Ok(Spoke::No),
    }
}

fn register(
    shared: &Shared,
    transport: &mut dyn Transport,
    client: &Arc<Client>,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let limit = LATE_LIMIT.max(shared.response_timeout);
    let registered = transport.register(&client.registration, limit)?;
    let advice = registered.start.clone();
    let mut state = lock(&shared.state);
    // The creator's time began before this thread's.
    let in_vain = std::mem::take(&mut state.gave_up);
    state.slow = in_vain || begin.elapsed() >= shared.response_timeout;
    client.answered(Ok(registered));
    if !client.registration.dry_run {
        state.keep_late(client, advice);
    }
    Ok(())
}

fn wait<'s>(
    condition: &Condvar,
    state: MutexGuard<'s, State>,
    limit: Duration,
) -> MutexGuard<'s, State> {
    let (state, _) = condition
        .wait_timeout(state, limit)
        .unwrap_or_else(PoisonError::into_inner);
    state
}
