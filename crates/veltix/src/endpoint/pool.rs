//! The threads that run callbacks, and the order in which they do.
//!
//! What belongs to one connection runs in order, on one thread at a time. Threads are started when
//! there is work for them, and end when there has been none for a while.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::guarded::guarded;
use super::lock;
use crate::message::Response;
use crate::room;

const IDLE: Duration = Duration::from_secs(if cfg!(test) { 3600 } else { 10 });
/// How much of one connection runs before the next one's turn.
const BATCH: usize = 256;
/// So much is kept of a connection, and nothing more is read until its callbacks have caught up; twice
/// as much while a callback waits for a reply over it.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Something for an owner to do.
pub(crate) enum Job {
    Connected,
    Message(Response),
    Disconnected(super::client::DisconnectState),
    Left(crate::error::CloseReason),
    Call(Box<dyn FnOnce() + Send>),
}

impl Job {
    fn cost(&self) -> usize {
        match self {
            Self::Message(response) => room::cost::<Self>(response.content.capacity()),
            _ => room::cost::<Self>(0),
        }
    }
}

/// Whoever has callbacks.
pub(crate) trait Owner: Send + Sync {
    fn mailbox(&self) -> &Mailbox;
    fn run(&self, job: Job);
    /// There is room again.
    fn caught_up(&self);
}

#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    jobs: VecDeque<Job>,
    bytes: usize,
    running: bool,
    /// There was no room beyond so many bytes.
    refused: Option<usize>,
}

impl Mailbox {
    /// Whether more may be read for this owner, who may have less than others. If not, it is told when
    /// that changes.
    pub(crate) fn has_room(&self, most: Option<usize>, awaited: bool) -> bool {
        let mut contents = lock(&self.0);
        let most = most.map_or(MAX_BYTES, |most| most.min(MAX_BYTES));
        contents.refused = room::is_full(contents.bytes, most, awaited).then_some(most);
        contents.refused.is_none()
    }
}

pub(crate) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    max_workers: usize,
    /// There is work, and the system has refused a thread for it.
    starved: AtomicBool,
    start: fn(Arc<Self>) -> io::Result<()>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<dyn Owner>>,
    workers: usize,
    idle: usize,
    stopped: bool,
}

impl Pool {
    pub(crate) fn new(max_workers: usize) -> Arc<Self> {
        Self::with(max_workers, |pool| {
            thread::Builder::new()
                .name("veltix-worker".to_owned())
                .spawn(move || pool.work())
                .map(|_| ())
        })
    }

    fn with(max_workers: usize, start: fn(Arc<Self>) -> io::Result<()>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_workers: max_workers.max(1),
            starved: AtomicBool::new(false),
            start,
        })
    }

    /// Adds work for an owner, in order.
    pub(crate) fn submit(
        self: &Arc<Self>,
        owner: Arc<dyn Owner>,
        jobs: impl IntoIterator<Item = Job>,
    ) {
        {
            let mut contents = lock(&owner.mailbox().0);
            for job in jobs {
                contents.bytes += job.cost();
                contents.jobs.push_back(job);
            }
            if contents.running || contents.jobs.is_empty() {
                return;
            }
            contents.running = true;
        }
        self.queue(owner);
    }

    fn queue(self: &Arc<Self>, owner: Arc<dyn Owner>) {
        let mut state = lock(&self.state);
        state.queue.push_back(owner);
        if state.idle > 0 {
            self.changed.notify_one();
        }
        self.hire(state);
    }

    /// Starts a thread, where there is more to do than those that rest can take.
    fn hire(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let starved = if state.queue.len() <= state.idle || state.workers >= self.max_workers {
            false
        } else {
            match (self.start)(Arc::clone(self)) {
                Ok(()) => {
                    state.workers += 1;
                    false
                }
                Err(error) => {
                    log::error!("no thread for callbacks: {error}");
                    // Those that there are come to it.
                    state.workers == 0
                }
            }
        };
        self.starved.store(starved, Ordering::SeqCst);
    }

    /// Whether work waits for a thread that the system has refused. Then [`Pool::try_again`] has to be
    /// called after a while.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::SeqCst)
    }

    pub(crate) fn try_again(self: &Arc<Self>) {
        if self.is_starved() {
            self.hire(lock(&self.state));
        }
    }

    fn work(self: Arc<Self>) {
        let mut state = lock(&self.state);
        loop {
            if let Some(owner) = state.queue.pop_front() {
                drop(state);
                if run_batch(&owner) {
                    self.queue_again(owner);
                } else {
                    guarded("the end of a connection", || drop(owner));
                }
                state = lock(&self.state);
                continue;
            }
            if state.stopped {
                break;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .changed
                .wait_timeout(state, IDLE)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.workers -= 1;
        drop(state);
        self.changed.notify_all();
    }

    fn queue_again(&self, owner: Arc<dyn Owner>) {
        lock(&self.state).queue.push_back(owner);
    }

    /// No more work will come.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Waits for the callbacks that are left. Whether they have ended.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.workers > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
        true
    }
}

/// Whether there is more to do.
fn run_batch(owner: &Arc<dyn Owner>) -> bool {
    let mailbox = &owner.mailbox().0;
    let (batch, cost) = {
        let mut contents = lock(mailbox);
        let count = contents.jobs.len().min(BATCH);
        let batch = if count == contents.jobs.len() {
            std::mem::take(&mut contents.jobs)
        } else {
            contents.jobs.drain(..count).collect()
        };
        let cost: usize = batch.iter().map(Job::cost).sum();
        (batch, cost)
    };
    for job in batch {
        // Whatever becomes of it, the next message is delivered.
        guarded("a callback", || owner.run(job));
    }
    let (more, caught_up) = {
        let mut contents = lock(mailbox);
        contents.bytes -= cost;
        contents.running = !contents.jobs.is_empty();
        let bytes = contents.bytes;
        let caught_up = contents.refused.take_if(|most| bytes <= *most / 2);
        let caught_up = caught_up.is_some();
        (contents.running, caught_up)
    };
    if caught_up {
        owner.caught_up();
    }
    more
}
