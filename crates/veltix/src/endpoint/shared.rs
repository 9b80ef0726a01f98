//! What the endpoint's thread is told by others.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mio::net::TcpListener;

use super::client_core::ClientCore;
use super::lock;
use super::pool::{Job, Owner, Pool};
use super::server_core::ServerCore;
use crate::error::CloseReason;

pub(super) enum Command {
    Listen(Arc<ServerCore>, TcpListener, usize),
    /// Closes the listener and all of its connections.
    CloseServer(usize),
    Dial(Arc<ClientCore>, u64, Vec<SocketAddr>),
    /// Dials after a while.
    Retry(Arc<ClientCore>, u64, Duration),
    /// Attempts that nobody wants any more end.
    Sweep,
    /// Writes what waits, and closes.
    Close(usize),
    /// Cannot be written to.
    Broken(usize, CloseReason),
    /// Callbacks have caught up.
    Resume(usize),
    /// Something waits to be written, or has a deadline.
    Look(usize),
    /// Closes everything, and ends with the last connection.
    Stop,
}

#[derive(Default)]
pub(super) struct Inbox {
    pub(super) commands: Vec<Command>,
    pub(super) marked: Vec<usize>,
    /// Nothing new is begun: the thread ends.
    stopping: bool,
}

pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    asleep: AtomicBool,
    waker: mio::Waker,
    next_token: AtomicUsize,
    pub(super) pool: Arc<Pool>,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    pub(super) fn new(waker: mio::Waker, first_token: usize, max_workers: usize) -> Arc<Self> {
        Arc::new(Self {
            inbox: Mutex::default(),
            asleep: AtomicBool::new(false),
            waker,
            next_token: AtomicUsize::new(first_token),
            pool: Pool::new(max_workers),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        })
    }

    pub(super) fn token(&self) -> usize {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// A look that may be old a moment later.
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    pub(super) fn command(&self, command: Command) {
        lock(&self.inbox).commands.push(command);
        self.wake();
    }

    /// A command that begins something. `false`: the thread ends, and will not do it.
    pub(super) fn begin(&self, command: Command) -> bool {
        let mut inbox = lock(&self.inbox);
        if inbox.stopping {
            return false;
        }
        inbox.commands.push(command);
        drop(inbox);
        self.wake();
        true
    }

    /// What was begun before is ended, and nothing begins after.
    pub(super) fn stop(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.stopping = true;
        inbox.commands.push(Command::Stop);
        drop(inbox);
        self.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.inbox).stopping
    }

    pub(super) fn mark(&self, token: usize) {
        lock(&self.inbox).marked.push(token);
        self.wake();
    }

    fn wake(&self) {
        // After it the thread looks into the inbox before it sleeps.
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            log::error!("the endpoint's thread cannot be woken: {error}");
        }
    }

    /// Has callbacks run. Where there is no thread for them, ours sees to it that there will be one.
    pub(super) fn submit(&self, owner: Arc<dyn Owner>, jobs: impl IntoIterator<Item = Job>) {
        self.pool.submit(owner, jobs);
        if self.pool.is_starved() {
            self.wake();
        }
    }

    /// Whether the thread may sleep: nothing is there for it.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let inbox = lock(&self.inbox);
        let empty = inbox.commands.is_empty() && inbox.marked.is_empty();
        drop(inbox);
        if !empty {
            self.asleep.store(false, Ordering::SeqCst);
        }
        empty
    }

    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(super) fn take(&self, into: &mut Inbox) {
        let mut inbox = lock(&self.inbox);
        std::mem::swap(&mut inbox.commands, &mut into.commands);
        std::mem::swap(&mut inbox.marked, &mut into.marked);
    }

    pub(super) fn has_stopped(&self) {
        *lock(&self.stopped) = true;
        self.stopping.notify_all();
    }

    /// Whether the thread has ended before the deadline.
    pub(super) fn wait_for_stop(&self, deadline: Instant) -> bool {
        let guard = lock(&self.stopped);
        let left = deadline.saturating_duration_since(Instant::now());
        *self
            .stopping
            .wait_timeout_while(guard, left, |stopped| !*stopped)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0
    }
}

/// A listener for mio, bound and listening.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}
