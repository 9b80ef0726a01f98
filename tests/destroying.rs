//! Clients that are destroyed while they work. The engine's hooks go on after `on_destroy`, and the
//! last report has what they saw: as much as the application's own interceptors.

use std::process::Command;

use serde_json::{Value, json};
use superstream_tests::measuring::run_to_goodbyes;
use superstream_tests::{Cluster, Library, compile, with_library};

const TOPIC: &str = "orders";
const RECORDS: u64 = 40_000;
/// Valgrind is fifty times slower.
const RECORDS_UNDER_VALGRIND: u64 = 4_000;

/// What the application runs under.
#[derive(Clone, Copy)]
enum Under {
    Nothing,
    Valgrind,
}

impl Under {
    fn command(self) -> Command {
        let program = compile("tests/c/destroying.c");
        match self {
            Self::Nothing => with_library(Library::DropIn, program),
            Self::Valgrind => {
                let mut command = with_library(Library::DropIn, "valgrind");
                command
                    .args(["--quiet", "--leak-check=full", "--fair-sched=yes"])
                    .args(["--errors-for-leak-kinds=definite,indirect"])
                    .args(["--show-leak-kinds=definite,indirect"])
                    .args(["--num-callers=40", "--error-exitcode=99"])
                    .arg(program);
                command
            }
        }
    }

    fn records(self) -> u64 {
        match self {
            Self::Nothing => RECORDS,
            Self::Valgrind => RECORDS_UNDER_VALGRIND,
        }
    }
}

/// Runs the application. What it knows, and the last report of each client.
fn run(
    under: Under,
    how: &str,
    cluster: &Cluster,
    records: u64,
    clients: usize,
) -> (Value, Vec<Value>) {
    let mut command = under.command();
    command.args([how, &cluster.brokers, TOPIC, &records.to_string()]);
    let (knows, reported) = run_to_goodbyes(&mut command, clients);
    (serde_json::from_str(&knows).unwrap(), reported)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The sum of some figures.
fn sum<'a>(of: impl IntoIterator<Item = &'a Value>) -> Value {
    let (mut records, mut bytes) = (0, 0);
    for figure in of {
        records += number(&figure["records"]);
        bytes += number(&figure["bytes"]);
    }
    json!({ "records": records, "bytes": bytes })
}

/// Everything that the interceptors of the application saw is reported, and nothing else.
#[track_caller]
fn assert_reported(knows: &Value, reported: &[Value]) {
    let all = |which: &str| {
        sum(reported
            .iter()
            .map(|report| &report["topics"][TOPIC][which]))
    };
    let [accepted, delivered, failed, refused] =
        ["accepted", "delivered", "failed", "refused"].map(all);
    assert_eq!(accepted, knows["seen_sent"]);
    assert_eq!(accepted, knows["accepted"]);
    assert_eq!(delivered, knows["seen_delivered"]);
    assert_eq!(failed, knows["seen_failed"]);
    assert_eq!(refused["records"], 0);
    let acknowledged = number(&delivered["records"]) + number(&failed["records"]);
    assert!(acknowledged <= number(&accepted["records"]), "{reported:?}");
    // The application was told of some of it, before the end.
    assert!(number(&knows["told_delivered"]["records"]) <= number(&delivered["records"]));
    assert!(number(&knows["told_failed"]["records"]) <= number(&failed["records"]));
}

/// The producer was in the middle of its work.
#[track_caller]
fn assert_was_busy(knows: &Value) {
    let delivered = number(&knows["seen_delivered"]["records"]);
    assert!(delivered > 0, "{knows}");
    assert!(delivered < number(&knows["accepted"]["records"]), "{knows}");
}

fn a_busy_producer(under: Under, how: &str, clients: usize) -> (Value, Vec<Value>) {
    let cluster = Cluster::start(&["orders:6"]);
    let (knows, reported) = run(under, how, &cluster, under.records(), clients);
    assert_was_busy(&knows);
    assert_reported(&knows, &reported[..1]);
    (knows, reported)
}

fn under_load(under: Under) {
    a_busy_producer(under, "loaded", 1);
}

fn immediately(under: Under) {
    a_busy_producer(under, "immediate", 1);
}

fn on_an_engines_thread(under: Under) {
    let (_, reported) = a_busy_producer(under, "elsewhere", 2);
    let other = &reported[1]["topics"][TOPIC];
    assert_eq!(other["delivered"], json!({"records": 1, "bytes": 5}));
}

fn after_a_purge(under: Under) {
    let (knows, _) = a_busy_producer(under, "purge", 1);
    let told = [&knows["told_delivered"], &knows["told_failed"]];
    assert_eq!(
        sum(told),
        knows["accepted"],
        "the application is told of all of it"
    );
}

fn one_after_the_other(under: Under, clients: u64) {
    let cluster = Cluster::start(&["orders:6"]);
    let (knows, reported) = run(under, "churn", &cluster, clients, clients as usize);
    assert_reported(&knows, &reported);
    assert_eq!(knows["accepted"]["records"], 7 * clients);
}

fn a_busy_consumer(under: Under) {
    let cluster = Cluster::start(&["orders:6"]);
    let (there, _) = run(Under::Nothing, "loaded", &cluster, RECORDS, 1);
    // What the producer was told of is there; some of it stays unread.
    let wanted = number(&there["seen_delivered"]["records"]).div_ceil(2);
    let (knows, reported) = run(under, "consume", &cluster, wanted, 1);
    assert_eq!(reported[0]["topics"][TOPIC]["consumed"], knows["consumed"]);
    assert_eq!(knows["consumed"]["records"], wanted);
}

#[test]
fn a_producer_under_load() {
    under_load(Under::Nothing);
}

#[test]
fn a_producer_that_is_not_waited_for() {
    immediately(Under::Nothing);
}

#[test]
fn a_producer_on_a_thread_of_anothers_engine() {
    on_an_engines_thread(Under::Nothing);
}

#[test]
fn a_producer_whose_records_are_purged() {
    after_a_purge(Under::Nothing);
}

#[test]
fn producers_one_after_the_other() {
    one_after_the_other(Under::Nothing, 200);
}

#[test]
fn a_consumer_with_more_to_give() {
    a_busy_consumer(Under::Nothing);
}

#[test]
fn valgrind_watches_producers() {
    under_load(Under::Valgrind);
    immediately(Under::Valgrind);
    on_an_engines_thread(Under::Valgrind);
    after_a_purge(Under::Valgrind);
}

#[test]
fn valgrind_watches_the_others() {
    one_after_the_other(Under::Valgrind, 10);
    a_busy_consumer(Under::Valgrind);
}
