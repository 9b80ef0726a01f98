//! What a process has one of: the session with the service, and the list of its clients.
//!
//! All of it hangs off one atomic pointer. A forked child has other threads than its parent (none
//! of ours), so it leaks the parent's state, touching neither its locks nor its descriptors, and
//! starts anew when it creates a client itself.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use once_cell::sync::OnceCell;
use superstream_protocol::Mode;

use crate::cluster::Clusters;
use crate::engine::Engine;
use crate::engine::ffi::rd_kafka_s;
use crate::lock::lock;
use crate::report::board::Board;
use crate::report::record::Client;
use crate::report::status;
use crate::service::session::Session;
use crate::settings::Settings;

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
/// How many forks lie between the process that started us and this one. A process id alone may
/// come again: each pid namespace has its own.
static GENERATION: AtomicU32 = AtomicU32::new(0);
static COUNTS_FORKS: AtomicBool = AtomicBool::new(false);

/// The state of one process, from its first client with Superstream on.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    /// The session with the service.
    pub session: Session,
    /// The Kafka clusters of its clients.
    pub clusters: Clusters,
    /// What others may read of this process.
    board: Board,
    mode: Mode,
    /// What stands for all configurations that the plugin sees.
    of_plugin: OnceCell<Arc<Client>>,
    /// Clients by the address of their handle.
    clients: Mutex<BTreeMap<usize, Handled>>,
}

/// A client that has a handle.
#[derive(Clone, Debug)]
pub struct Handled {
    /// What is known of it.
    pub client: Arc<Client>,
    /// The engine that made the handle, and the only one that may see it.
    pub engine: &'static Engine,
}

/// This process's state, if it has any.
pub fn current() -> Option<&'static Process> {
    of_this_process(CURRENT.load(Ordering::Acquire))
}

/// This process's state. The first client's host and token hold for the process's life.
pub fn current_or_start(settings: &Settings) -> &'static Process {
    let seen = CURRENT.load(Ordering::Acquire);
    if let Some(process) = of_this_process(seen) {
        return process;
    }
    count_forks();
    let fresh = Box::into_raw(Box::new(Process {
        identity: Identity::own(),
        session: Session::new(settings, publish),
        clusters: Clusters::default(),
        board: Board::default(),
        of_plugin: OnceCell::new(),
        mode: match settings.observe {
            true => Mode::Observe,
            false => Mode::Active,
        },
        clients: Mutex::default(),
    }));
    match CURRENT.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just made, and never freed from here on.
        Ok(_) => unsafe { &*fresh },
        Err(theirs) => {
            // SAFETY: nobody else has seen ours; another thread's, of this same process, is
            // never freed.
            unsafe {
                drop(Box::from_raw(fresh));
                &*theirs
            }
        }
    }
}

/// Shows the state of this process to whoever may look.
fn publish() {
    if let Some(process) = current() {
        process.board.show(&status::of_process(process).to_string());
    }
}

/// The state at `pointer`, unless it is that of the process that this one was forked from.
fn of_this_process(pointer: *mut Process) -> Option<&'static Process> {
    // SAFETY: null, or from Box::into_raw in `current_or_start` and then never freed.
    let process = unsafe { pointer.as_ref() }?;
    (process.identity == Identity::own()).then_some(process)
}

/// What tells a process from the one that it was forked from.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    pid: u32,
    generation: u32,
}

impl Identity {
    fn own() -> Self {
        Self {
            pid: std::process::id(),
            generation: GENERATION.load(Ordering::Relaxed),
        }
    }
}

fn count_forks() {
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    if !COUNTS_FORKS.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler is async-signal-safe, and this library is never unloaded. Without
        // memory for it the process id tells alone.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

impl Process {
    /// Remembers a client under its handle. A handle at the address of an earlier one takes
    /// its place.
    pub fn add(&self, handle: *mut rd_kafka_s, client: Arc<Client>, engine: &'static Engine) {
        lock(&self.clients).insert(handle.addr(), Handled { client, engine });
    }

    /// The client of a handle, if it is one of ours.
    pub fn client(&self, handle: *const rd_kafka_s) -> Option<Handled> {
        lock(&self.clients).get(&handle.addr()).cloned()
    }

    /// The one client that stands for what the plugin sees, and whether it was made just now.
    pub fn of_plugin(&self, fresh: impl FnOnce() -> Client) -> (Arc<Client>, bool) {
        if let Some(client) = self.of_plugin.get() {
            return (Arc::clone(client), false);
        }
        match self.of_plugin.try_insert(Arc::new(fresh())) {
            Ok(client) => (Arc::clone(client), true),
            Err((theirs, _)) => (Arc::clone(theirs), false),
        }
    }

    /// All clients that have a handle, and the plugin's.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        let clients = lock(&self.clients);
        let with_handle = clients.values().map(|known| &known.client);
        with_handle.chain(self.of_plugin.get()).cloned().collect()
    }

    /// The engines that those clients belong to.
    pub fn engines(&self) -> Vec<&'static Engine> {
        let clients = lock(&self.clients);
        let mut engines: Vec<&'static Engine> = Vec::new();
        for known in clients.values() {
            if !engines.iter().any(|engine| ptr::eq(*engine, known.engine)) {
                engines.push(known.engine);
            }
        }
        engines
    }

    /// What the environment lets us do with advice.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Forgets the client of a handle. Where it was the last one of its engine, nothing of ours is
    /// left there either.
    pub fn remove(&self, handle: *mut rd_kafka_s) -> Option<Arc<Client>> {
        let known = lock(&self.clients).remove(&handle.addr())?;
        let is_last = !self
            .engines()
            .iter()
            .any(|other| ptr::eq(*other, known.engine));
        if is_last && known.client.is_created() {
            self.clusters.give_up(known.engine);
        }
        Some(known.client)
    }
}
