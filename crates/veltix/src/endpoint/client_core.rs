//! A client's way from one connection to the next, whoever takes a step of it.
//!
//! Steps that belong to an attempt name its epoch: what a user has ended since is ignored.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::backoff;
use super::client::{DisconnectReason, DisconnectState};
use super::config::ClientConfig;
use super::handlers::Handlers;
use super::link::Link;
use super::lock;
use super::pool::{Job, Mailbox, Owner};
use super::shared::{Command, Shared};
use crate::error::{CloseReason, Error};
use crate::message::Response;
use crate::session::Options;

type Callbacks = Handlers<
    dyn Fn(Response) + Send + Sync,
    dyn Fn() + Send + Sync,
    dyn Fn(DisconnectState) + Send + Sync,
>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Idle,
    /// An attempt is under way.
    Connecting,
    /// Until the next attempt.
    Waiting,
    Connected,
    /// The conversation is over; what waits is still written.
    Closing,
}

#[derive(Default)]
struct State {
    phase: Phase,
    epoch: u64,
    attempt: u32,
    retry_max: u32,
    /// No further attempts are wanted.
    stop: bool,
    link: Option<Arc<Link>>,
    /// Why there is no connection.
    last: Option<CloseReason>,
}

pub(super) struct ClientCore {
    pub(super) config: ClientConfig,
    pub(super) options: Arc<Options>,
    pub(super) shared: Arc<Shared>,
    pub(super) handlers: Callbacks,
    mailbox: Mailbox,
    state: Mutex<State>,
    changed: Condvar,
}

impl ClientCore {
    pub(super) fn new(config: ClientConfig, shared: &Arc<Shared>) -> Arc<Self> {
        let state = State {
            retry_max: config.retry,
            ..State::default()
        };
        Arc::new(Self {
            options: super::config::shared_options(&config.session),
            config,
            shared: Arc::clone(shared),
            handlers: Callbacks::default(),
            mailbox: Mailbox::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    pub(super) fn link(&self) -> Result<Arc<Link>, Error> {
        let state = lock(&self.state);
        match &state.link {
            Some(link) if state.phase == Phase::Connected => Ok(Arc::clone(link)),
            _ => Err(Error::NotConnected),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        lock(&self.state).phase
    }

    /// Whether this attempt is still wanted.
    pub(super) fn wants(&self, epoch: u64) -> bool {
        lock(&self.state).epoch == epoch
    }

    /// Connects, and tries again as often as is set.
    pub(super) fn connect(self: &Arc<Self>) -> Result<(), Error> {
        let epoch = {
            let mut state = lock(&self.state);
            if state.phase != Phase::Idle {
                return Err(Error::WrongState("the client was connected before"));
            }
            state.phase = Phase::Connecting;
            state.epoch += 1;
            state.attempt = 0;
            state.stop = false;
            state.retry_max = self.config.retry;
            state.epoch
        };
        self.find(epoch);
        let mut state = lock(&self.state);
        loop {
            if state.epoch != epoch || state.phase == Phase::Idle {
                let reason = state.last.clone().unwrap_or(CloseReason::Manual);
                return Err(Error::Closed(reason));
            }
            if state.phase == Phase::Connected {
                return Ok(());
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// The next attempt. Runs on the endpoint's thread, which must not wait for a name service.
    pub(super) fn attempt(self: Arc<Self>, epoch: u64) {
        {
            let mut state = lock(&self.state);
            if state.epoch != epoch || state.phase != Phase::Waiting {
                return;
            }
            state.phase = Phase::Connecting;
        }
        if self.config.address.literal().is_some() {
            return self.find(epoch);
        }
        let core = Arc::clone(&self);
        let started = thread::Builder::new()
            .name("veltix-resolve".to_owned())
            .spawn(move || core.find(epoch));
        if let Err(error) = started {
            self.failed(epoch, CloseReason::Network(error.kind()));
        }
    }

    fn find(self: &Arc<Self>, epoch: u64) {
        match self.config.address.resolve() {
            Ok(addresses) => {
                let dial = Command::Dial(Arc::clone(self), epoch, addresses);
                if !self.shared.begin(dial) {
                    self.stop();
                }
            }
            Err(error) => self.failed(epoch, error.into()),
        }
    }

    /// An attempt came to nothing.
    pub(super) fn failed(self: &Arc<Self>, epoch: u64, reason: CloseReason) {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return;
        }
        let mut told = Vec::new();
        if state.attempt > 0 {
            told.push(say(&state, false, DisconnectReason::Error, &reason));
        }
        self.go_on(&mut state, DisconnectReason::Error, reason, &mut told);
        drop(state);
        self.tell(told);
    }

    /// The handshake is done. Whether the connection is still wanted.
    pub(super) fn established(&self, epoch: u64, link: &Arc<Link>) -> bool {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return false;
        }
        state.phase = Phase::Connected;
        state.attempt = 0;
        state.link = Some(Arc::clone(link));
        state.last = None;
        self.changed.notify_all();
        true
    }

    /// The conversation is over. Whether it had begun.
    pub(super) fn leaves(&self, token: usize) -> bool {
        let mut state = lock(&self.state);
        let ours = state.link.as_ref().is_some_and(|link| link.token == token);
        if ours {
            state.phase = Phase::Closing;
        }
        ours
    }

    /// A connection has ended, or an attempt that got as far as a socket.
    pub(super) fn lost(
        self: &Arc<Self>,
        epoch: u64,
        token: usize,
        reason: CloseReason,
        unsent: usize,
    ) {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return;
        }
        if state.link.as_ref().is_none_or(|link| link.token != token) {
            drop(state);
            return self.failed(epoch, reason);
        }
        state.link = None;
        let kind = match reason {
            CloseReason::PeerClosed | CloseReason::CutShort => DisconnectReason::ServerClosed,
            CloseReason::Manual => DisconnectReason::Manual,
            _ => DisconnectReason::Error,
        };
        let mut told = Vec::new();
        if state.retry_max > 0 && !state.stop {
            told.push(say(&state, false, kind, &reason));
        }
        self.go_on(&mut state, kind, reason, &mut told);
        drop(state);
        if let Some(first) = told.first_mut() {
            first.unsent_bytes = unsent;
        }
        self.tell(told);
    }

    /// Waits for the next attempt, or gives up.
    fn go_on(
        self: &Arc<Self>,
        state: &mut State,
        kind: DisconnectReason,
        reason: CloseReason,
        told: &mut Vec<DisconnectState>,
    ) {
        let over = state.stop || reason.is_final() || state.attempt >= state.retry_max;
        if over || !self.try_again(state) {
            told.push(say(state, true, kind, &reason));
            state.phase = Phase::Idle;
        }
        state.last = Some(reason);
        self.changed.notify_all();
    }

    /// Whether there is an endpoint for it.
    fn try_again(self: &Arc<Self>, state: &mut State) -> bool {
        let config = &self.config;
        let attempt = state.attempt + 1;
        let pause = backoff::pause(config.retry_delay, config.retry_delay_max, attempt);
        let retry = Command::Retry(Arc::clone(self), state.epoch, pause);
        if !self.shared.begin(retry) {
            return false;
        }
        state.attempt = attempt;
        state.phase = Phase::Waiting;
        true
    }

    /// The user has had enough. Gives the connection that is to be closed.
    pub(super) fn disconnect(self: &Arc<Self>) -> Option<Arc<Link>> {
        let mut state = lock(&self.state);
        state.stop = true;
        match state.phase {
            Phase::Idle => return None,
            // The endpoint's thread tells of the end, after all messages.
            Phase::Connected | Phase::Closing => {
                state.phase = Phase::Closing;
                let link = state.link.clone()?;
                drop(state);
                link.ask_to_close();
                return Some(link);
            }
            Phase::Connecting | Phase::Waiting => {}
        }
        self.end_attempts(state);
        self.shared.command(Command::Sweep);
        None
    }

    /// There is no connection, and there will be none.
    fn end_attempts(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.epoch += 1;
        let told = say(&state, true, DisconnectReason::Manual, &CloseReason::Manual);
        state.phase = Phase::Idle;
        state.last = Some(CloseReason::Manual);
        self.changed.notify_all();
        drop(state);
        self.tell(vec![told]);
    }

    /// No further attempts: the one that is under way is the last, and a pause ends now.
    pub(super) fn stop_retry(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.stop = true;
        if state.phase == Phase::Waiting {
            state.epoch += 1;
            let reason = state.last.clone().unwrap_or(CloseReason::Manual);
            let told = say(&state, true, DisconnectReason::Error, &reason);
            state.phase = Phase::Idle;
            self.changed.notify_all();
            drop(state);
            self.tell(vec![told]);
            self.shared.command(Command::Sweep);
        }
    }

    /// Sets how many attempts there are, and begins them where there is no connection.
    pub(super) fn retry(self: &Arc<Self>, max: Option<u32>) {
        let mut state = lock(&self.state);
        state.stop = false;
        if let Some(max) = max {
            state.retry_max = max;
        }
        if state.phase == Phase::Idle && state.retry_max > 0 {
            state.epoch += 1;
            state.attempt = 1;
            state.phase = Phase::Waiting;
            let retry = Command::Retry(Arc::clone(self), state.epoch, Duration::ZERO);
            if !self.shared.begin(retry) {
                self.end_attempts(state);
            }
        }
    }

    /// The endpoint ends.
    pub(super) fn stop(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.stop = true;
        if matches!(state.phase, Phase::Connecting | Phase::Waiting) {
            self.end_attempts(state);
        }
    }

    fn tell(self: &Arc<Self>, told: Vec<DisconnectState>) {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        self.shared
            .submit(owner, told.into_iter().map(Job::Disconnected));
    }
}

fn say(
    state: &State,
    permanent: bool,
    reason: DisconnectReason,
    cause: &CloseReason,
) -> DisconnectState {
    DisconnectState {
        permanent,
        attempt: state.attempt,
        retry_max: state.retry_max,
        reason,
        cause: cause.clone(),
        unsent_bytes: 0,
    }
}

impl Owner for ClientCore {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn run(&self, job: Job) {
        match job {
            Job::Connected => {
                if let Some(handler) = self.handlers.connect() {
                    handler();
                }
            }
            Job::Message(response) => {
                let peer = || "the server".to_owned();
                if let Some(handler) = self.handlers.taker(response.message_type, peer) {
                    handler(response);
                }
            }
            Job::Disconnected(state) => {
                if let Some(handler) = self.handlers.disconnect() {
                    handler(state);
                }
            }
            Job::Call(call) => call(),
            Job::Left(_) => {}
        }
    }

    fn caught_up(&self) {
        if let Ok(link) = self.link() {
            self.shared.command(Command::Resume(link.token));
        }
    }
}
