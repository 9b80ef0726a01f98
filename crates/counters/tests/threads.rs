//! Many threads count at once, and nothing is lost or counted twice.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::ptr;
use std::thread;
use std::time::Duration;

use superstream_counters::Counters;

const OWNER: usize = 0x5000;
const THREADS: usize = 8;
const RECORDS: usize = 20_000;
/// As `docs/reports.md` says.
const MAX_TOPICS: usize = 128;
const MAX_BROKERS: i32 = 64;

/// Addresses as an allocator gives them.
fn key(topic: usize) -> usize {
    0x7f00_0000_0000 + topic * 1104 / 16 * 16
}

#[test]
fn sums_are_exact_whoever_adds() {
    let counters = Counters::default();
    counters.begin(OWNER);
    thread::scope(|scope| {
        let counters = &counters;
        let count = |thread| {
            move || {
                for record in 0..RECORDS {
                    let counts = counters.of(OWNER).unwrap();
                    let number = (record + thread) % 3;
                    let topic = counts.topic(key(number), || number.to_string());
                    topic.accepted.add(10);
                    topic.note_used((record % 70) as i32);
                    topic.delivered.add(10);
                    counts.broker(7, || "kafka:9092/7".to_owned()).sent.add(100);
                    counts.error(-195);
                }
            }
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(count(thread)))
            .collect();
        // ThreadSanitizer sees a join, and not how a scope waits.
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let measured = counters.of(OWNER).unwrap().measured();
    let all = measured.all_topics();
    let expected = (THREADS * RECORDS) as u64;
    assert_eq!(measured.topics.len(), 3);
    assert_eq!(
        (all.accepted.records, all.accepted.bytes),
        (expected, expected * 10)
    );
    assert_eq!(all.delivered, all.accepted);
    assert_eq!(measured.topics["0"].produced_partitions.len(), 70);
    let sent = measured.requests(|broker| broker.sent);
    assert_eq!((sent.requests, sent.bytes), (expected, expected * 100));
    assert_eq!(measured.brokers.len(), 1);
    assert_eq!(measured.transport_errors[&-195], expected);
}

#[test]
fn topics_beyond_the_limit_are_summed() {
    let counters = Counters::default();
    counters.begin(OWNER);
    let counts = counters.of(OWNER).unwrap();
    for topic in 0..MAX_TOPICS + 40 {
        counts
            .topic(key(topic), || topic.to_string())
            .accepted
            .add(1);
    }
    let measured = counts.measured();
    assert_eq!(measured.topics.len(), MAX_TOPICS);
    assert_eq!(measured.other_topics.accepted.records, 40);
    // An address that was never seen is not looked into: there may be nothing.
    for topic in 0..MAX_TOPICS + 1 {
        counts.topic_if_known(key(topic)).accepted.add(1);
    }
    let measured = counts.measured();
    let known = measured.topics.values();
    assert!(
        known
            .map(|topic| topic.accepted.records)
            .all(|sum| sum == 2)
    );
    assert_eq!(measured.other_topics.accepted.records, 41);
    // Nor is it asked for its name again.
    let others = counts.topic(key(MAX_TOPICS), || panic!("there is no room for it"));
    assert_eq!(
        ptr::from_ref(others),
        ptr::from_ref(counts.topic_if_known(0))
    );
}

#[test]
fn topics_of_one_name_are_one() {
    let counters = Counters::default();
    counters.begin(OWNER);
    let counts = counters.of(OWNER).unwrap();
    for partition in 0..3 {
        let topic = counts.topic(key(partition), || "orders".to_owned());
        topic.accepted.add(10);
        topic.note_used(partition as i32);
    }
    let measured = counts.measured();
    assert_eq!(measured.topics.len(), 1);
    let orders = &measured.topics["orders"];
    assert_eq!((orders.accepted.records, orders.accepted.bytes), (3, 30));
    assert_eq!(orders.produced_partitions, [0, 1, 2]);
}

/// Connections to bootstrap servers and coordinators have no id.
#[test]
fn brokers_beyond_the_limit_and_those_without_an_id_are_one() {
    let counters = Counters::default();
    counters.begin(OWNER);
    let counts = counters.of(OWNER).unwrap();
    let requests = || {
        for id in [-1, -1].into_iter().chain(0..MAX_BROKERS + 40) {
            let broker = counts.broker(id, || format!("kafka-{id}:9092/{id}"));
            broker.sent.add(100);
            broker.round_trip(1500);
        }
    };
    requests();
    let earlier = counts.measured();
    let (others, known): (Vec<_>, Vec<_>) =
        earlier.brokers.iter().partition(|broker| broker.id < 0);
    assert_eq!(known.len(), MAX_BROKERS as usize);
    assert_eq!((others.len(), &*others[0].name), (1, ""));
    assert_eq!(others[0].sent.requests, 42);

    // What came later is as much, of each.
    requests();
    let later = counts.measured().since(&earlier);
    assert_eq!(later.brokers, earlier.brokers);
}

#[test]
fn errors_beyond_the_limit_are_summed() {
    let counters = Counters::default();
    counters.begin(OWNER);
    let counts = counters.of(OWNER).unwrap();
    for code in 1..=40 {
        counts.error(code);
    }
    let errors = counts.measured().transport_errors;
    assert_eq!(errors.values().sum::<u64>(), 40);
    // None of librdkafka's codes.
    assert_eq!(errors[&i32::MIN], 8);
}

#[test]
fn another_client_begins_at_nothing() {
    let counters = Counters::default();
    counters.begin(OWNER);
    let counts = counters.of(OWNER).unwrap();
    counts.thread_began();
    counts.topic(key(0), || "orders".to_owned()).accepted.add(1);
    counts.latency(1500);
    counts.close();
    assert!(!counts.are_final_since(Duration::ZERO), "a thread is left");
    counts.thread_ended();
    assert!(counts.are_final_since(Duration::ZERO));
    assert!(!counts.are_final_since(Duration::from_secs(3600)));

    // A late hook counts for nobody, and one that had begun can still add.
    let held = counters.topic_at_once(key(0)).unwrap();
    counters.end();
    assert!(counters.of(OWNER).is_none());
    assert!(counters.topic_at_once(key(0)).is_none());
    held.accepted.add(1);

    counters.reset();
    counters.begin(OWNER + 16);
    let counts = counters.of(OWNER + 16).unwrap();
    assert_eq!(
        counts.measured(),
        superstream_protocol::measured::Measured::default()
    );
    assert!(!counts.are_final_since(Duration::ZERO));
    assert!(counters.topic_at_once(key(0)).is_none());
}
