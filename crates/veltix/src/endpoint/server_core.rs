//! A server, as the endpoint's thread knows it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::client_info::ClientInfo;
use super::config::ServerConfig;
use super::handlers::Handlers;
use super::link::GRACE;
use super::lock;
use super::pool::{Job, Mailbox, Owner};
use super::shared::{Command, Shared};
use crate::error::CloseReason;
use crate::message::Response;
use crate::session::Options;

type Callbacks = Handlers<
    dyn Fn(&ClientInfo, Response) + Send + Sync,
    dyn Fn(&ClientInfo) + Send + Sync,
    dyn Fn(&ClientInfo, &CloseReason) + Send + Sync,
>;

pub(super) struct ServerCore {
    pub(super) config: ServerConfig,
    pub(super) options: Arc<Options>,
    pub(super) shared: Arc<Shared>,
    pub(super) handlers: Callbacks,
    clients: Mutex<HashMap<u64, ClientInfo>>,
    /// Connections that have a socket, greeted or not.
    open: AtomicUsize,
    pub(super) state: Mutex<ServerState>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct ServerState {
    /// Where it listens, and as what the endpoint's thread knows the listener.
    pub(super) listening: Option<(SocketAddr, usize)>,
    /// By the listener: itself, and those who came by it and have greeted, until what was sent to them
    /// is written or cannot be.
    open: BTreeMap<usize, usize>,
    /// Clients to whom not all was written, by the listener by which they came.
    lost: BTreeMap<usize, usize>,
}

impl ServerState {
    fn lost_by(&self, last: usize) -> usize {
        self.lost.range(..=last).map(|(_, count)| count).sum()
    }

    pub(super) fn begins(&mut self, listener: usize) {
        *self.open.entry(listener).or_default() += 1;
    }

    fn ends(&mut self, listener: usize) {
        if let Some(count) = self.open.get_mut(&listener) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&listener);
            }
        }
    }
}

impl ServerCore {
    pub(super) fn new(config: ServerConfig, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            options: super::config::shared_options(&config.session),
            config,
            shared: Arc::clone(shared),
            handlers: Callbacks::default(),
            clients: Mutex::default(),
            open: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    pub(super) fn clients(&self) -> Vec<ClientInfo> {
        lock(&self.clients).values().cloned().collect()
    }

    pub(super) fn is_full(&self) -> bool {
        let max = self.config.max_connection;
        max > 0 && self.open.load(Ordering::Relaxed) >= max
    }

    pub(super) fn joined(&self, listener: usize) {
        self.open.fetch_add(1, Ordering::Relaxed);
        lock(&self.state).begins(listener);
    }

    /// A connection is at its end: all is written, or it is cut. Once for each that has joined.
    pub(super) fn ended(&self, listener: usize, lost: bool) {
        let mut state = lock(&self.state);
        if lost {
            *state.lost.entry(listener).or_default() += 1;
        }
        state.ends(listener);
        self.changed.notify_all();
    }

    /// The listener is closed, and its connections are on their way out.
    pub(super) fn has_closed(&self, token: usize) {
        let mut state = lock(&self.state);
        // Where the endpoint ends nobody has asked for it.
        state
            .listening
            .take_if(|(_, listening)| *listening == token);
        state.ends(token);
        self.changed.notify_all();
    }

    /// Waits until all that were there have ended, which the endpoint's thread sees to by itself when
    /// their time is over. Whether all was written.
    pub(super) fn wait_for_close(&self, state: MutexGuard<'_, ServerState>) -> bool {
        // Whoever starts it again has a later one.
        let Some(last) = state.open.last_key_value().map(|(last, _)| *last) else {
            return true;
        };
        let lost = state.lost_by(last);
        let timeout = self.config.close_timeout.saturating_add(GRACE);
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                let first = state.open.first_key_value();
                first.is_some_and(|(first, _)| *first <= last)
            })
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        !waited.timed_out() && state.lost_by(last) == lost
    }
}

/// A client's connection to a server.
pub(super) struct ServerPeer {
    pub(super) core: Arc<ServerCore>,
    pub(super) client: ClientInfo,
    pub(super) listener: usize,
    pub(super) mailbox: Mailbox,
}

impl ServerPeer {
    pub(super) fn connected(&self) -> bool {
        lock(&self.core.clients).insert(self.client.id(), self.client.clone());
        true
    }

    /// Its conversation is over. Clients that never greeted were never there.
    pub(super) fn leaves(&self) -> bool {
        let greeted = lock(&self.core.clients).remove(&self.client.id()).is_some();
        if !greeted {
            self.core.ended(self.listener, false);
        }
        greeted
    }

    /// And what was sent to it is written, or cannot be.
    pub(super) fn left(self: &Arc<Self>, shared: &Shared, reason: CloseReason, lost: bool) {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        shared.submit(owner, [Job::Left(reason)]);
        self.core.ended(self.listener, lost);
    }

    /// Its socket is closed. Gives the listener that may have waited for it.
    pub(super) fn gone(&self) -> usize {
        self.core.open.fetch_sub(1, Ordering::Relaxed);
        self.listener
    }
}

impl Owner for ServerPeer {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn run(&self, job: Job) {
        let handlers = &self.core.handlers;
        match job {
            Job::Connected => {
                if let Some(handler) = handlers.connect() {
                    handler(&self.client);
                }
            }
            Job::Message(response) => {
                let peer = || self.client.addr().to_string();
                if let Some(handler) = handlers.taker(response.message_type, peer) {
                    handler(&self.client, response);
                }
            }
            Job::Left(reason) => {
                if let Some(handler) = handlers.disconnect() {
                    handler(&self.client, &reason);
                }
            }
            Job::Call(call) => call(),
            Job::Disconnected(_) => {}
        }
    }

    fn caught_up(&self) {
        self.core
            .shared
            .command(Command::Resume(self.client.link().token));
    }
}
