//! What a Kafka client does, counted: by topic, by broker, by error.
//!
//! The engine's hooks call in here for each record, on the threads of the application and of the
//! engine. So nothing here takes a lock, waits, or allocates, but for the first record of a topic
//! and the first request to a broker; and threads that add at the same time write to different
//! cache lines.
//!
//! [`Counters`] live as long as the process, and so does all that is found in them: a hook may come
//! late. Those of a closed client serve another one later. The owner is taken away first, so only a
//! hook that had already begun can still count. What it adds before they are reset is forgotten.
//! One that was kept from running for longer may spoil a figure of the other client; no memory is
//! at stake.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod broker;
mod durations;
mod label;
mod lines;
mod lock;
mod sync;
mod table;
mod topic;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use superstream_protocol::measured::{Measured, TopicFigures};

pub use broker::Broker;
use durations::Histogram;
pub use lock::lock;
use sync::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use table::{Item, Table};
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
    counts: Counts,
}

/// What is counted for one client.
#[derive(Default)]
pub struct Counts {
    topics: Table<Topic, TOPIC_SLOTS>,
    /// Beyond the limit, and where the topic is not known.
    other_topics: Topic,
    brokers: Table<Broker, BROKER_SLOTS>,
    /// Beyond the limit, and what has no id of its own.
    other_brokers: Broker,
    latency_us: Histogram,
    errors: [ErrorCount; MAX_ERRORS],
    other_errors: AtomicU64,
    /// The engine's threads that run for the client.
    threads: AtomicI32,
    closed: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct ErrorCount {
    /// 0: free.
    code: AtomicI32,
    count: AtomicU64,
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
        is_owner.then_some(&self.counts)
    }

    /// A topic that was seen before, where it is found at once. Its key is its address in the
    /// engine, which holds for the client's life.
    ///
    /// Nobody asks for the owner, and yet it is the owner's: `end` hides the topics, and while an
    /// earlier owner has hooks, its topics are in memory, and those of the next at other addresses.
    #[inline(always)]
    pub fn topic_at_once(&self, key: usize) -> Option<&Topic> {
        self.counts.topics.first(key)
    }

    /// Ends counting for the owner: a hook that begins from here on counts for nobody. One that has
    /// begun may still hold the counts.
    pub fn end(&self) {
        self.owner.store(0, Ordering::Release);
        self.counts.topics.hide();
    }

    /// Forgets everything, once counting has ended: the next owner begins at nothing.
    pub fn reset(&self) {
        self.counts.reset();
    }
}

impl Counts {
    /// A topic that was seen before, or else what is counted for all others.
    pub fn topic_if_known(&self, key: usize) -> &Topic {
        self.topics.find(key).unwrap_or(&self.other_topics)
    }

    /// A topic, whose `name` is asked for once. Beyond the limit, what is counted for all others.
    pub fn topic(&self, key: usize, name: impl FnOnce() -> String) -> &Topic {
        let found = self.topics.find_or_insert(key, name);
        found.unwrap_or(&self.other_topics)
    }

    /// A broker, whose `name` is asked for once. All that have no id share one place with those
    /// beyond the limit: two rows of one id could not be told apart in the next report.
    pub fn broker(&self, id: i32, name: impl FnOnce() -> String) -> &Broker {
        if id < 0 {
            return &self.other_brokers;
        }
        self.brokers
            .find_or_insert(broker::key(id), name)
            .unwrap_or(&self.other_brokers)
    }

    /// Adds a record's time from `produce` to its acknowledgement.
    pub fn latency(&self, microseconds: i64) {
        self.latency_us.add(microseconds);
    }

    /// Adds a request that failed.
    pub fn error(&self, code: i32) {
        for place in &self.errors {
            let (new, old) = (Ordering::Relaxed, Ordering::Relaxed);
            match place.code.compare_exchange(0, code, new, old) {
                Ok(_) => return place.add(),
                Err(theirs) if theirs == code => return place.add(),
                Err(_) => {}
            }
        }
        self.other_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread of the engine begins to run for the client.
    pub fn thread_began(&self) {
        self.threads.fetch_add(1, Ordering::AcqRel);
    }

    /// A thread of the engine ends. The main one has yet to destroy the client.
    pub fn thread_ended(&self) {
        self.threads.fetch_sub(1, Ordering::AcqRel);
    }

    /// The client is being destroyed. Its threads may still count.
    pub fn close(&self) {
        lock(&self.closed).get_or_insert_with(Instant::now);
    }

    /// Whether the client is closed for so long, and none of its threads is left.
    pub fn are_final_since(&self, time: Duration) -> bool {
        let closed = *lock(&self.closed);
        closed.is_some_and(|since| since.elapsed() >= time)
            && self.threads.load(Ordering::Acquire) <= 0
    }

    /// The figures up to now. They are exact once they are final; before, what is counted meanwhile
    /// may be in some and not yet in others.
    pub fn measured(&self) -> Measured {
        let mut topics = BTreeMap::<_, TopicFigures>::new();
        for topic in self.topics.iter() {
            let named = topics.entry(topic.name()).or_default();
            named.add(&topic.figures());
        }
        let others = self.other_brokers.figures();
        let others = (others.sent.requests > 0).then_some(others);
        let mut brokers: Vec<_> = self.brokers.iter().map(Broker::figures).collect();
        brokers.extend(others);
        brokers.sort_by_key(|broker| broker.id);
        let errors = self.errors.iter().map(ErrorCount::get);
        let other_errors = self.other_errors.load(Ordering::Relaxed);
        let errors = errors.chain([(OTHER_ERRORS, other_errors)]);
        Measured {
            topics,
            other_topics: self.other_topics.figures(),
            brokers,
            delivery_latency_us: self.latency_us.get(),
            transport_errors: errors.filter(|(_, count)| *count > 0).collect(),
            ..Measured::default()
        }
    }

    fn reset(&self) {
        self.topics.reset();
        self.other_topics.reset();
        self.brokers.reset();
        self.other_brokers.reset();
        self.latency_us.reset();
        self.errors.iter().for_each(ErrorCount::reset);
        self.other_errors.store(0, Ordering::Relaxed);
        self.threads.store(0, Ordering::Release);
        *lock(&self.closed) = None;
    }
}

impl ErrorCount {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    /// The code and how often it was met. What was counted was counted under a code.
    fn get(&self) -> (i32, u64) {
        let count = self.count.load(Ordering::Acquire);
        (self.code.load(Ordering::Relaxed), count)
    }

    fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.code.store(0, Ordering::Release);
    }
}

/// Every interleaving of two threads: `RUSTFLAGS='--cfg loom' cargo test -p superstream-counters`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn no_error_is_told_without_its_code() {
        loom::model(|| {
            let error = Arc::new(ErrorCount::default());
            let other = Arc::clone(&error);
            let client = thread::spawn(move || {
                other.code.store(-195, Ordering::Relaxed);
                other.add();
            });
            assert!(matches!(error.get(), (_, 0) | (-195, 1)));
            client.join().unwrap();
        });
    }
}
