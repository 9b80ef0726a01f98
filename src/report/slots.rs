//! Where the hooks of each client count.
//!
//! A topic is known by its address in the engine: the engine frees a topic with its client and not
//! before, because a topic and its unassigned partition hold each other (`rd_kafka_topic_new0`,
//! rdkafka_topic.c, and `rd_kafka_topic_partitions_remove`, called by `rd_kafka_destroy_internal`
//! alone).

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use superstream_counters::{Counters, Counts, Topic};

use crate::boundary;
use crate::engine::Engine;
use crate::engine::ffi::{Message, rd_kafka_s, rd_kafka_topic_s};
use crate::lock::lock;
use crate::process;

/// A thread runs so long after it was made. Not longer: a process may end soon after its client.
const THREADS_BEGIN_WITHIN: Duration = Duration::from_millis(20);
/// The threads of an old engine are gone so long after a client's end.
const THREADS_END_WITHIN: Duration = Duration::from_secs(60);

/// What the hooks of a client are given. It lives as long as the process, for a hook may come after
/// its client's end, and serves one client after another.
#[derive(Default)]
pub struct Slot {
    counters: Counters,
    engine: AtomicPtr<Engine>,
}

/// Slots that serve nobody now.
#[derive(Default)]
pub struct Pool(Mutex<Vec<&'static Slot>>);

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// A slot that counts for a client from now on.
    pub fn take(&self, engine: &'static Engine, handle: *mut rd_kafka_s) -> &'static Slot {
        let free = lock(&self.0).pop();
        let slot = free.unwrap_or_else(|| Box::leak(Box::default()));
        slot.engine
            .store(ptr::from_ref(engine).cast_mut(), Ordering::Release);
        slot.counters.begin(handle.addr());
        slot
    }

    /// Takes a slot back.
    ///
    /// # Safety
    /// No hook of its client counts any more: see [`Slot::is_final`].
    pub unsafe fn give_back(&self, slot: &'static Slot) {
        // SAFETY: the caller's contract.
        unsafe { slot.counters.clear() };
        lock(&self.0).push(slot);
    }
}

impl Slot {
    /// What is counted for a client, while it is this slot's.
    pub fn counts(&self, handle: usize) -> Option<&Counts> {
        self.counters.of(handle)
    }

    /// Whether the client is closed and its hooks count nothing more. A thread that was just made
    /// has told nothing of itself yet, and an engine may tell nothing of its threads at all; it
    /// joins them before `rd_kafka_destroy` returns. So both are given time.
    pub fn is_final(&self, handle: usize) -> bool {
        let Some(counts) = self.counts(handle) else {
            return false;
        };
        let time = match self.tells_threads() {
            true => THREADS_BEGIN_WITHIN,
            false => THREADS_END_WITHIN,
        };
        counts.are_final_since(time)
    }

    /// Whether the engine tells of its threads.
    pub fn tells_threads(&self) -> bool {
        self.engine()
            .is_some_and(|engine| engine.add_on_thread_start.is_some())
    }

    /// Whether the engine tells latencies.
    pub fn tells_latency(&self) -> bool {
        self.engine()
            .is_some_and(|engine| engine.message_latency.is_some())
    }

    /// The engine that made the client.
    pub fn engine(&self) -> Option<&'static Engine> {
        // SAFETY: null, or an engine, which is never freed.
        unsafe { self.engine.load(Ordering::Acquire).as_ref() }
    }

    /// A topic of the client's. What it is called is asked once, and that alone may allocate: there
    /// may be more topics than are told apart, with as many records.
    pub fn topic<'c>(&self, counts: &'c Counts, topic: *mut rd_kafka_topic_s) -> &'c Topic {
        let mut is_new = false;
        let found = counts.topic(topic.addr(), || {
            is_new = true;
            boundary::catch_keeping_errno(|| self.name_of(topic)).unwrap_or_default()
        });
        if is_new {
            boundary::catch_keeping_errno(tell_of_new_topics);
        }
        found
    }

    fn name_of(&self, topic: *mut rd_kafka_topic_s) -> String {
        let Some(engine) = self.engine() else {
            return String::new();
        };
        // SAFETY: the engine's topic, of a message that it hands out.
        let name = unsafe { (engine.topic_name)(topic) };
        // SAFETY: the engine gives a C string that lives as long as the topic.
        unsafe { text(name) }
    }
}

/// Once the topic is among the counts: the thread that is woken looks there at once.
#[cold]
fn tell_of_new_topics() {
    if let Some(process) = process::current() {
        process.session.has_new_topics();
    }
}

/// What the engine gives a hook, if it is for the client that the slot serves.
///
/// # Safety
/// `opaque` is a slot.
pub unsafe fn slot_of(
    handle: *mut rd_kafka_s,
    opaque: *mut c_void,
) -> Option<(&'static Slot, &'static Counts)> {
    // SAFETY: a slot, which is never freed.
    let slot = unsafe { &*opaque.cast::<Slot>() };
    Some((slot, slot.counters.of(handle.addr())?))
}

/// The topic of a message, where it is found at once.
///
/// # Safety
/// As for [`slot_of`].
#[inline(always)]
pub unsafe fn topic_of(message: &Message, opaque: *mut c_void) -> Option<&'static Topic> {
    // SAFETY: a slot, which is never freed.
    let slot = unsafe { &*opaque.cast::<Slot>() };
    slot.counters.of_anybody().topic_at_once(message.rkt.addr())
}

/// # Safety
/// Null, or a C string.
pub unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
