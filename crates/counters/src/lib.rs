//! What a Kafka client does, counted: by topic, by broker, by error.
//!
//! The engine's hooks call in here for each record, on the threads of the application and of the
//! engine. So nothing here takes a lock, waits, or allocates, but for the first record of a topic
//! and the first request to a broker; and threads that add at the same time write to different
//! cache lines.
//!
//! [`Counters`] live as long as the process, because a hook may come late. Those of a closed client
//! serve another one, but not at once. The owner is taken away first, so only a hook that had already
//! begun can still hold the counts, and it runs for microseconds.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod broker;
mod durations;
mod lines;
mod sync;
mod table;
mod topic;

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use histogram::AtomicHistogram;
use superstream_protocol::measured::{Durations, Measured, TopicFigures};

pub use broker::Broker;
use sync::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use table::Table;
pub use topic::Topic;

/// Twice the topics of one client that are counted apart.
#[cfg(not(loom))]
const TOPIC_SLOTS: usize = 256;
#[cfg(loom)]
const TOPIC_SLOTS: usize = 2;
/// Twice the brokers.
#[cfg(not(loom))]
const BROKER_SLOTS: usize = 128;
#[cfg(loom)]
const BROKER_SLOTS: usize = 2;
/// Codes of errors that are counted apart; librdkafka has about 200, of which a client meets a few.
const MAX_ERRORS: usize = 32;
/// In place of a code where there are more: none of librdkafka's.
const OTHER_ERRORS: i32 = i32::MIN;

/// The counters of one client at a time.
#[derive(Default)]
pub struct Counters {
    /// 0: nobody.
    owner: AtomicUsize,
    counts: UnsafeCell<Counts>,
}

// SAFETY: `Counts` may be shared between threads, and what is replaced in them is replaced under the
// contract of `Counters::clear` alone.
unsafe impl Sync for Counters {}

/// What is counted for one client.
#[derive(Default)]
pub struct Counts {
    topics: Table<Topic, TOPIC_SLOTS>,
    rest: Rest,
}

/// What is not looked up by a topic's address.
struct Rest {
    /// Beyond the limit, and where the topic is not known.
    other_topics: Topic,
    brokers: Table<Broker, BROKER_SLOTS>,
    /// Beyond the limit, and what has no id of its own.
    other_brokers: Broker,
    latency_us: Option<AtomicHistogram>,
    errors: [ErrorCount; MAX_ERRORS],
    other_errors: AtomicU64,
    /// The engine's threads that run for the client.
    threads: AtomicI32,
    closed: OnceLock<Instant>,
}

struct ErrorCount {
    /// 0: free.
    code: AtomicI32,
    count: AtomicU64,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            other_topics: Topic::new(0, String::new()),
            brokers: Table::default(),
            other_brokers: Broker::new(-1, String::new()),
            latency_us: durations::new(),
            errors: std::array::from_fn(|_| ErrorCount {
                code: AtomicI32::new(0),
                count: AtomicU64::new(0),
            }),
            other_errors: AtomicU64::new(0),
            threads: AtomicI32::new(0),
            closed: OnceLock::new(),
        }
    }
}

impl Counters {
    /// Begins to count for an owner. An owner is an address, and never 0.
    pub fn begin(&self, owner: usize) {
        self.owner.store(owner, Ordering::Release);
    }

    /// The counts, where they are this owner's: a hook of another one is late, and counts for
    /// nobody.
    #[inline(always)]
    pub fn of(&self, owner: usize) -> Option<&Counts> {
        let is_owner = self.owner.load(Ordering::Acquire) == owner;
        // SAFETY: nothing is replaced while a hook of the owner holds it, by `clear`'s contract.
        is_owner.then(|| unsafe { &*self.counts.get() })
    }

    /// A topic that was seen before, where it is found at once. Its key is its address in the
    /// engine, which holds for the client's life.
    ///
    /// Nobody asks for the owner, and yet it is the owner's: `end` hides the topics, and while an
    /// earlier owner has hooks, its topics are in memory, and those of the next at other addresses.
    #[inline(always)]
    pub fn topic_at_once(&self, key: usize) -> Option<&Topic> {
        // SAFETY: this table is never replaced, and what is found in it stays, as in `of`.
        let topics = unsafe { &(*self.counts.get()).topics };
        topics.first(key)
    }

    /// Ends counting for the owner: a hook that begins from here on counts for nobody. One that has
    /// begun may still hold the counts.
    pub fn end(&self) {
        self.owner.store(0, Ordering::Release);
        // SAFETY: as in `topic_at_once`.
        let topics = unsafe { &(*self.counts.get()).topics };
        topics.hide();
    }

    /// Forgets everything: the next owner begins at nothing.
    ///
    /// # Safety
    /// Counting has ended, the hooks that had begun by then have ended too, and nobody else holds
    /// anything of the counts.
    pub unsafe fn clear(&self) {
        let counts = self.counts.get();
        // SAFETY: the caller's contract. A hook that is late may look for a topic meanwhile.
        unsafe {
            (*counts).topics.clear();
            (*counts).rest = Rest::default();
        }
    }
}

impl Counts {
    /// A topic that was seen before, or else what is counted for all others.
    pub fn topic_if_known(&self, key: usize) -> &Topic {
        self.topics.find(key).unwrap_or(&self.rest.other_topics)
    }

    /// A topic, whose `name` is asked for once. Beyond the limit, what is counted for all others.
    pub fn topic(&self, key: usize, name: impl FnOnce() -> String) -> &Topic {
        let make = || Topic::new(key, name());
        let found = self.topics.find_or_insert(key, make);
        found.unwrap_or(&self.rest.other_topics)
    }

    /// A broker, whose `name` is asked for once. All that have no id share one place with those
    /// beyond the limit: two rows of one id could not be told apart in the next report.
    pub fn broker(&self, id: i32, name: impl FnOnce() -> String) -> &Broker {
        if id < 0 {
            return &self.rest.other_brokers;
        }
        self.rest
            .brokers
            .find_or_insert(broker::key(id), || Broker::new(id, name()))
            .unwrap_or(&self.rest.other_brokers)
    }

    /// Adds a record's time from `produce` to its acknowledgement.
    pub fn latency(&self, microseconds: i64) {
        durations::add(self.rest.latency_us.as_ref(), microseconds);
    }

    /// Adds a request that failed.
    pub fn error(&self, code: i32) {
        for place in &self.rest.errors {
            let (new, old) = (Ordering::Relaxed, Ordering::Relaxed);
            match place.code.compare_exchange(0, code, new, old) {
                Ok(_) => return place.add(),
                Err(theirs) if theirs == code => return place.add(),
                Err(_) => {}
            }
        }
        self.rest.other_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread of the engine begins to run for the client.
    pub fn thread_began(&self) {
        self.rest.threads.fetch_add(1, Ordering::AcqRel);
    }

    /// A thread of the engine ends. The main one has yet to destroy the client.
    pub fn thread_ended(&self) {
        self.rest.threads.fetch_sub(1, Ordering::AcqRel);
    }

    /// The client is being destroyed. Its threads may still count.
    pub fn close(&self) {
        self.rest.closed.get_or_init(Instant::now);
    }

    /// Whether the client is closed for so long, and none of its threads is left.
    pub fn are_final_since(&self, time: Duration) -> bool {
        let closed = self.rest.closed.get();
        closed.is_some_and(|since| since.elapsed() >= time)
            && self.rest.threads.load(Ordering::Acquire) <= 0
    }

    /// The figures up to now. They are exact once they are final; before, what is counted meanwhile
    /// may be in some and not yet in others.
    pub fn measured(&self) -> Measured {
        let mut topics = BTreeMap::<_, TopicFigures>::new();
        for topic in self.topics.iter() {
            let named = topics.entry(topic.name().to_owned()).or_default();
            named.add(&topic.figures());
        }
        let others = self.rest.other_brokers.figures();
        let others = (others.sent.requests > 0).then_some(others);
        let mut brokers: Vec<_> = self.rest.brokers.iter().map(Broker::figures).collect();
        brokers.extend(others);
        brokers.sort_by_key(|broker| broker.id);
        let errors = self.rest.errors.iter().map(|error| {
            let code = error.code.load(Ordering::Relaxed);
            (code, error.count.load(Ordering::Relaxed))
        });
        let other_errors = self.rest.other_errors.load(Ordering::Relaxed);
        let errors = errors.chain([(OTHER_ERRORS, other_errors)]);
        let latency = self.rest.latency_us.as_ref();
        Measured {
            topics,
            other_topics: self.rest.other_topics.figures(),
            brokers,
            delivery_latency_us: latency
                .map(|histogram| Durations::from(&histogram.load()))
                .unwrap_or_default(),
            transport_errors: errors.filter(|(_, count)| *count > 0).collect(),
            ..Measured::default()
        }
    }
}

impl ErrorCount {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}
