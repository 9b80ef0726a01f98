//! Where the hooks of each client count.
//!
//! A topic is known by its address in the engine: the engine frees a topic with its client and not
//! before, because a topic and its unassigned partition hold each other (`rd_kafka_topic_new0`,
//! rdkafka_topic.c, and `rd_kafka_topic_partitions_remove`, called by `rd_kafka_destroy_internal`
//! alone).

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use superstream_counters::{Counters, Counts, Topic};

use crate::boundary;
use crate::engine::Engine;
use crate::engine::ffi::{rd_kafka_s, rd_kafka_topic_s};
use crate::lock::lock;
use crate::process;

/// We wait this long for a thread that was just made to report itself. Not longer: a process may end
/// soon after its client.
const THREADS_BEGIN_WITHIN: Duration = Duration::from_millis(20);
/// The threads of an old engine are gone so long after a client's end.
const THREADS_END_WITHIN: Duration = Duration::from_secs(60);
/// A slot lies so long before it serves another client.
const QUARANTINE: Duration = Duration::from_secs(60);
/// Where more lie there, so long: what many clients leave behind must not grow.
const SHORT_QUARANTINE: Duration = Duration::from_secs(1);
const QUARANTINED: usize = 16;

/// What the hooks of a client are given. It lives as long as the process, for a hook may come after
/// its client's end, and serves one client after another.
#[derive(Default)]
pub struct Slot {
    counters: Counters,
    engine: AtomicPtr<Engine>,
}

/// Slots that serve nobody now, and since when: the oldest come first. Figures are final when the
/// client's threads have said that they end, and that is no proof: the main thread says so before it
/// destroys the client, and the application's own purges queues after that. So no memory is freed
/// then. A slot's owner is taken away first, which leaves only hooks that had begun.
#[derive(Default)]
pub struct Pool(Mutex<VecDeque<(Instant, &'static Slot)>>);

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
        let slot = self.empty(Instant::now());
        slot.engine
            .store(ptr::from_ref(engine).cast_mut(), Ordering::Release);
        slot.counters.begin(handle.addr());
        slot
    }

    /// Takes back a slot of which the last figures were taken.
    pub fn give_back(&self, slot: &'static Slot) {
        slot.counters.end();
        lock(&self.0).push_back((Instant::now(), slot));
    }

    /// A slot on which nothing is counted: one that has lain for long, or else a new one.
    fn empty(&self, now: Instant) -> &'static Slot {
        let mut quarantined = lock(&self.0);
        let time = match quarantined.len() > QUARANTINED {
            true => SHORT_QUARANTINE,
            false => QUARANTINE,
        };
        let has_lain = |since: Instant| now.saturating_duration_since(since) >= time;
        let oldest = match quarantined.front() {
            Some((since, _)) if has_lain(*since) => quarantined.pop_front(),
            _ => None,
        };
        drop(quarantined);
        let Some((_, slot)) = oldest else {
            return Box::leak(Box::default());
        };
        // SAFETY: nobody holds anything of it but a hook that had begun when it was given back. That
        // ran for microseconds, and a second at least has gone since.
        unsafe { slot.counters.clear() };
        slot
    }
}

impl Slot {
    /// What is counted for a client, while it is this slot's.
    pub fn counts(&self, handle: usize) -> Option<&Counts> {
        self.counters.of(handle)
    }

    /// A topic of the client's that was seen before, where it is found at once.
    #[inline(always)]
    pub fn topic_at_once(&self, topic: *mut rd_kafka_topic_s) -> Option<&Topic> {
        self.counters.topic_at_once(topic.addr())
    }

    /// Whether the client is closed and its figures are final, as far as can be told. A thread that was
    /// just made has told nothing of itself yet, and an engine may tell nothing of its threads at all;
    /// it joins them before `rd_kafka_destroy` returns. So both are given time.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TOPIC: usize = 0x7f00_0000_0000;

    /// A client that counts a record, and ends.
    fn serve(pool: &Pool, now: Instant, client: usize) -> &'static Slot {
        let slot = pool.empty(now);
        slot.counters.begin(client);
        let counts = slot.counts(client).unwrap();
        assert_eq!(counts.measured().progress(), 0);
        counts.topic(TOPIC, String::new).accepted.add(1);
        pool.give_back(slot);
        slot
    }

    #[test]
    fn a_slot_lies_before_it_serves_another_client() {
        let pool = Pool::default();
        let slot = pool.empty(Instant::now());
        slot.counters.begin(1);
        let counts = slot.counts(1).unwrap();
        // A hook that has begun goes on.
        let held = counts.topic(TOPIC, || "orders".to_owned());
        pool.give_back(slot);
        assert!(slot.counts(1).is_none(), "a late hook counts for nobody");
        let given_back = Instant::now();
        let other = pool.empty(given_back);
        assert!(!ptr::eq(other, slot), "and not for the next client");
        held.accepted.add(1);

        let next = pool.empty(given_back + QUARANTINE);
        assert!(ptr::eq(next, slot));
        next.counters.begin(2);
        assert_eq!(next.counts(2).unwrap().measured().progress(), 0);
    }

    #[test]
    fn many_clients_share_a_few_slots() {
        let pool = Pool::default();
        let later = || Instant::now() + SHORT_QUARANTINE;
        let slots = (1..10_000).map(|client| ptr::from_ref(serve(&pool, later(), client)));
        let slots: HashSet<_> = slots.collect();
        assert_eq!(slots.len(), QUARANTINED + 1);
    }
}
