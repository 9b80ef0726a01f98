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
use std::time::Duration;

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
/// Where more than so many slots lie unused, the oldest serves another client. So there are as many
/// as the most clients that were open or not yet settled at once, and these; each is as large as
/// the largest client that it has served.
const MOST_LYING: usize = 16;

/// What the hooks of a client are given. It lives as long as the process, for a hook may come after
/// its client's end, and serves one client after another.
#[derive(Default)]
pub struct Slot {
    counters: Counters,
    engine: AtomicPtr<Engine>,
}

/// A client that a slot serves.
pub struct Served<'s> {
    /// The engine that made the client.
    pub engine: &'static Engine,
    /// What is counted for it.
    pub counts: &'s Counts,
}

/// Slots that serve nobody now, the oldest first. Figures are final when the client's threads have
/// said that they end, and that is no proof: the main thread says so before it destroys the client,
/// and the application's own purges queues after that. A slot's owner is taken away first, which
/// leaves only hooks that had begun, nearly always on a purged record. They have until the slot
/// serves another client: what they add later is told of that one.
#[derive(Default)]
pub struct Pool(Mutex<VecDeque<&'static Slot>>);

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
        let slot = self.unused();
        slot.engine
            .store(ptr::from_ref(engine).cast_mut(), Ordering::Release);
        slot.counters.begin(handle.addr());
        slot
    }

    /// Takes back a slot of which the last figures were taken.
    pub fn give_back(&self, slot: &'static Slot) {
        slot.counters.end();
        lock(&self.0).push_back(slot);
    }

    /// A slot on which nothing is counted.
    fn unused(&self) -> &'static Slot {
        let Some(oldest) = self.oldest() else {
            return Box::leak(Box::default());
        };
        oldest.counters.reset();
        oldest
    }

    /// The oldest one, where enough lie.
    fn oldest(&self) -> Option<&'static Slot> {
        let mut lying = lock(&self.0);
        match lying.len() > MOST_LYING {
            true => lying.pop_front(),
            false => None,
        }
    }
}

impl Slot {
    /// The client of this handle, while the slot is its own.
    pub fn of(&self, handle: usize) -> Option<Served<'_>> {
        // Before the owner is asked for: an engine that came with a later owner is not used.
        let engine = self.engine.load(Ordering::Acquire);
        let counts = self.counters.of(handle)?;
        // SAFETY: null, or an engine, which is never freed.
        let engine = unsafe { engine.as_ref() }?;
        Some(Served { engine, counts })
    }

    /// A topic of the client's that was seen before, where it is found at once.
    #[inline(always)]
    pub fn topic_at_once(&self, topic: *mut rd_kafka_topic_s) -> Option<&Topic> {
        self.counters.topic_at_once(topic.addr())
    }
}

impl<'s> Served<'s> {
    /// Whether the client is closed and its figures are final, as far as can be told. A thread that was
    /// just made has told nothing of itself yet, and an engine may tell nothing of its threads at all;
    /// it joins them before `rd_kafka_destroy` returns. So both are given time.
    pub fn is_final(&self) -> bool {
        let time = match self.tells_threads() {
            true => THREADS_BEGIN_WITHIN,
            false => THREADS_END_WITHIN,
        };
        self.counts.are_final_since(time)
    }

    /// Whether the engine tells of its threads.
    pub fn tells_threads(&self) -> bool {
        self.engine.add_on_thread_start.is_some()
    }

    /// A topic of the client's. What it is called is asked once, and that alone may allocate: there
    /// may be more topics than are told apart, with as many records.
    pub fn topic(&self, topic: *mut rd_kafka_topic_s) -> &'s Topic {
        let mut is_new = false;
        let found = self.counts.topic(topic.addr(), || {
            is_new = true;
            boundary::catch_keeping_errno(|| self.name_of(topic)).unwrap_or_default()
        });
        if is_new {
            boundary::catch_keeping_errno(tell_of_new_topics);
        }
        found
    }

    fn name_of(&self, topic: *mut rd_kafka_topic_s) -> String {
        // SAFETY: the engine's topic, of a message that it hands out.
        let name = unsafe { (self.engine.topic_name)(topic) };
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
    fn serve(pool: &Pool, client: usize) -> &'static Slot {
        let slot = pool.unused();
        slot.counters.begin(client);
        let counts = slot.counters.of(client).unwrap();
        assert_eq!(counts.measured().progress(), 0);
        counts.topic(TOPIC, String::new).accepted.add(1);
        pool.give_back(slot);
        slot
    }

    #[test]
    fn a_slot_lies_before_it_serves_another_client() {
        let pool = Pool::default();
        let slot = pool.unused();
        slot.counters.begin(1);
        let counts = slot.counters.of(1).unwrap();
        // A hook that has begun goes on.
        let held = counts.topic(TOPIC, || "orders".to_owned());
        pool.give_back(slot);
        assert!(
            slot.counters.of(1).is_none(),
            "a late hook counts for nobody"
        );
        held.accepted.add(1);

        let others: Vec<_> = (2..)
            .map(|client| serve(&pool, client))
            .take(MOST_LYING)
            .collect();
        let is_slot = |other: &&Slot| ptr::eq(*other, slot);
        assert!(!others.iter().any(is_slot), "and not for the next clients");
        // What it adds until then is nobody's either.
        held.accepted.add(1);
        assert!(is_slot(&serve(&pool, 100)));
    }

    #[test]
    fn what_is_given_back_at_once_serves_others_at_nothing() {
        let pool = Pool::default();
        let slots: Vec<_> = (0..3 * MOST_LYING).map(|_| pool.unused()).collect();
        for (client, slot) in (1..).zip(&slots) {
            slot.counters.begin(client);
            let counts = slot.counters.of(client).unwrap();
            counts.topic(TOPIC, String::new).accepted.add(1);
        }
        slots.iter().for_each(|slot| pool.give_back(slot));
        let given: HashSet<_> = slots.into_iter().map(ptr::from_ref).collect();
        let used = (1000..1100).map(|client| ptr::from_ref(serve(&pool, client)));
        assert_eq!(used.collect::<HashSet<_>>(), given);
    }

    #[test]
    fn many_clients_share_a_few_slots() {
        let pool = Pool::default();
        let slots = (1..10_000).map(|client| ptr::from_ref(serve(&pool, client)));
        let slots: HashSet<_> = slots.collect();
        assert_eq!(slots.len(), MOST_LYING + 1);
    }
}
