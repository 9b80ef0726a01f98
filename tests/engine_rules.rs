//! The tuning rules against the engine itself: applications with random configurations and
//! services with random advice, hostile ones too. Each application runs on the stock engine and
//! on the drop-in with the advice, and the two are compared:
//!
//! (a) a client that stock creates is created, and one that it refuses is refused the same way;
//! (b) a topic that stock makes is made;
//! (c) no property outside the allow-list is different;
//! (d) batch and queue are never smaller;
//! (e) acks, idempotence, transactions and everything else that guarantees rest on is as it was.
//!
//! `SUPERSTREAM_PROOF=1` runs many more cases.

use std::collections::BTreeMap;
use superstream_tests::random_applications;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use superstream_tests::advisor::Advisor;
use superstream_tests::engine::{Application, Loaded, Outcome};
use superstream_tests::{Library, engine_has, other_engine, preload};

/// What may be different: the allow-list by all its names, and what the engine itself derives
/// from it.
const MAY_DIFFER: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "sticky.partitioning.linger.ms",
];

const NEVER_SMALLER: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "linger.ms",
    "queue.buffering.max.kbytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
];

#[test]
fn whatever_the_service_advises_the_application_lives() {
    let stock = Loaded::open(&Library::Stock.folder().join("librdkafka.so.1"));
    let ours = match other_engine() {
        Some(folder) => Loaded::open_behind(&preload(), &folder.join("librdkafka.so.1")),
        None => Loaded::open(&Library::DropIn.folder().join("librdkafka.so.1")),
    };
    let advisor = Advisor::start();
    // SAFETY: this test is the only one of its process, and no other thread reads the
    // environment yet.
    unsafe {
        std::env::set_var("SUPERSTREAM_HOST", &advisor.host);
        std::env::set_var("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    }
    let cases = if std::env::var_os("SUPERSTREAM_PROOF").is_some() {
        4000
    } else {
        400
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    // `make test` asks the same each time; the proof asks what nobody has asked before.
    let mut runner = match std::env::var_os("SUPERSTREAM_PROOF") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let strategy = (
        random_applications::application(),
        random_applications::advice(),
    );
    let mut changed = 0_u32;
    let mut created = 0_u32;
    let counters = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    runner
        .run(&strategy, |(application, advice)| {
            advisor.advise(advice.clone());
            let expected = stock.run(&application);
            let actual = ours.run(&application);
            if let (Ok(one), Ok(other)) = (&expected.created, &actual.created) {
                counters.0.set(counters.0.get() + 1);
                counters
                    .1
                    .set(counters.1.get() + u32::from(one.effective != other.effective));
            }
            compare(&application, &advice, &expected, &actual);
            Ok(())
        })
        .unwrap();
    created += counters.0.get();
    changed += counters.1.get();
    // The comparison means something only if clients came to be, and were tuned.
    assert!(
        created > cases / 5,
        "only {created} of {cases} applications were created"
    );
    assert!(
        changed > cases / 20 || !engine_has([1, 5]),
        "only {changed} of {created} clients were tuned"
    );
}

fn compare(application: &Application, advice: &Value, expected: &Outcome, actual: &Outcome) {
    let context = || format!("{application:#?}\nadvice {advice:#}");
    assert_eq!(expected.taken, actual.taken, "{}", context());
    match (&expected.created, &actual.created) {
        (Err(expected), Err(actual)) => assert_eq!(expected, actual, "{}", context()),
        (Ok(expected), Ok(actual)) => {
            assert_eq!(expected.last_error, actual.last_error, "{}", context());
            // An application that sets linger.ms to its default looks like one that does not: a
            // topic that stock refuses it may come to be.
            let lost = expected
                .topics
                .iter()
                .zip(&actual.topics)
                .any(|(stock, ours)| *stock && !ours);
            assert!(!lost, "{}", context());
            compare_effective(&expected.effective, &actual.effective, &context);
        }
        _ => panic!("stock {expected:#?}\nours {actual:#?}\n{}", context()),
    }
}

fn compare_effective(
    expected: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
    context: &dyn Fn() -> String,
) {
    for name in expected.keys().chain(actual.keys()) {
        let (before, after) = (expected.get(name), actual.get(name));
        // Callbacks are told as addresses, and each engine has its own.
        let address = |value: Option<&String>| value.is_some_and(|value| value.starts_with("0x"));
        if before == after || (address(before) && address(after)) {
            continue;
        }
        assert!(
            MAY_DIFFER.contains(&name.as_str()),
            "{name} was {before:?} and is {after:?}\n{}",
            context()
        );
        if NEVER_SMALLER.contains(&name.as_str()) {
            let number = |value: Option<&String>| value.unwrap().parse::<f64>().unwrap();
            assert!(
                number(before) < number(after),
                "{name} was {before:?} and is {after:?}\n{}",
                context()
            );
        }
        // 0 means that there is no limit.
        if name == "queue.buffering.max.messages" {
            let number = |value: Option<&String>| value.unwrap().parse::<f64>().unwrap();
            assert!(
                number(before) != 0.0 && number(before) < number(after),
                "{}",
                context()
            );
        }
    }
}
