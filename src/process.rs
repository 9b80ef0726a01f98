//! What a process has one of: the session with the service, and the list of its clients.
//!
//! All of it hangs off one atomic pointer. A forked child has other threads than its parent (none
//! of ours), so it leaks the parent's state, touching neither its locks nor its descriptors, and
//! starts anew when it creates a client itself.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::ffi::rd_kafka_s;
use crate::lock::lock;
use crate::report::record::Client;
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
    /// Clients by the address of their handle.
    clients: Mutex<BTreeMap<usize, Arc<Client>>>,
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
        session: Session::new(settings),
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
    pub fn add(&self, handle: *mut rd_kafka_s, client: Arc<Client>) {
        lock(&self.clients).insert(handle.addr(), client);
    }

    /// The client of a handle, if it is one of ours.
    pub fn client(&self, handle: *const rd_kafka_s) -> Option<Arc<Client>> {
        lock(&self.clients).get(&handle.addr()).cloned()
    }

    /// Forgets the client of a handle.
    pub fn remove(&self, handle: *mut rd_kafka_s) -> Option<Arc<Client>> {
        lock(&self.clients).remove(&handle.addr())
    }
}
