//! Memory: nothing is read or written where it must not be, nothing is freed twice, nothing is
//! lost. Valgrind and AddressSanitizer watch the driver through the life of a client.
//!
//! `SUPERSTREAM_PROOF=1` runs the examples and every failure under valgrind too.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use superstream_tests::driver;

use serde_json::json;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::FaultService;
use superstream_tests::{
    Cluster, Library, compile, engine_has, other_engine, root, run, tool, with_library,
    with_library_in,
};

/// No exit status of the driver's own.
const FOUND: &str = "99";

/// What fails late, after `on_new` has run: the case that the engine was mended for.
const LATE: &[&str] = &["set security.protocol sasl_ssl", "set sasl.mechanism NOPE"];
const LATE_IN_TLS: &[&str] = &[
    "set security.protocol ssl",
    "set ssl.ca.location /no/such/file",
];
const EARLY: &[&str] = &["set enable.idempotence true", "set acks 1"];

fn is_proof() -> bool {
    env::var_os("SUPERSTREAM_PROOF").is_some_and(|value| value == "1")
}

/// Losses are counted at the end, when our thread still runs: what it holds is reachable, but
/// its thread-local block is only "possibly" so. Definite losses are errors.
fn valgrind(library: Library, program: &Path) -> Command {
    let mut command = with_library(library, "valgrind");
    command
        .args([
            "--quiet",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect",
        ])
        .args([
            "--show-leak-kinds=definite,indirect",
            "--num-callers=30",
            "--fair-sched=yes",
        ])
        .arg(format!("--suppressions={}", suppressions("valgrind")))
        .arg(format!("--error-exitcode={FOUND}"))
        .arg(program);
    command
}

/// The driver, compiled with the sanitizers. The library itself is not; what it allocates and
/// frees goes through the sanitizer's allocator all the same.
fn sanitized() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = superstream_tests::unique(superstream_tests::scratch(), "driver.sanitized");
        run(tool("cc")
            .args([
                "-std=gnu11",
                "-O1",
                "-g",
                "-pthread",
                "-fno-omit-frame-pointer",
            ])
            .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
            .arg("-isystem")
            .arg(superstream_tests::include())
            .arg("-o")
            .arg(&program)
            .arg(root().join("tests/c/driver.c"))
            .arg("-L")
            .arg(Library::Stock.folder())
            .arg("-lrdkafka"));
        program
    })
}

/// Leaks of a stock engine, where it is not our own.
fn suppressions(tool: &str) -> String {
    let name = match other_engine() {
        Some(_) => format!("tests/engines/{tool}.supp"),
        None => "/dev/null".to_owned(),
    };
    root().join(name).display().to_string()
}

fn asan() -> Command {
    let mut command = with_library(Library::DropIn, sanitized());
    command.env(
        "ASAN_OPTIONS",
        // With us preloaded, the sanitizer's library does not come first.
        "detect_leaks=1:exitcode=99:abort_on_error=0:verify_asan_link_order=0",
    );
    let leaks = format!("suppressions={}:print_suppressions=0", suppressions("lsan"));
    command.env("LSAN_OPTIONS", leaks);
    command.env("UBSAN_OPTIONS", "print_stacktrace=1");
    command
}

type Watch = fn() -> Command;

fn under_valgrind() -> Command {
    valgrind(Library::DropIn, driver::program())
}

/// A driver under a watch, in front of a service with advice.
fn start(watch: Watch) -> (FaultService, Driver) {
    let service = FaultService::advising(json!({
        "linger.ms": 50,
        "compression.type": "lz4",
        "fetch.min.bytes": 1000,
        "acks": "1",
    }));
    let mut command = watch();
    command
        .env("SUPERSTREAM_HOST", service.url())
        .env("SUPERSTREAM_TAGS", r#"{"a":1}"#)
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    let driver = Driver::spawn(&mut command);
    (service, driver)
}

/// Runs commands, of which those with a `!` in front must fail.
#[track_caller]
fn watched(watch: Watch, scripts: &[&[&str]]) {
    let (_service, mut driver) = start(watch);
    for command in scripts.concat() {
        if command == "count-new" && !engine_has([2, 13]) {
            // An application with interceptors of its own crashes there without us too.
            continue;
        }
        let (command, fails) = match command.strip_prefix('!') {
            Some(command) => (command, true),
            None => (command, false),
        };
        let answer = driver.say(command);
        assert_eq!(answer.starts_with("failed"), fails, "{command}: {answer}");
    }
    let ended = driver.end();
    // A client without a configuration has no place for its log but stderr.
    let others: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| !line.contains("|CONFWARN|"))
        .collect();
    assert!(ended.status.success(), "{}\n{}", ended.status, ended.stderr);
    assert_eq!(others, [""; 0]);
}

const LIFE: &[&[&str]] = &[
    &[
        "set client.id a",
        "new producer",
        "status 0",
        "topic 0 t message.timeout.ms 20",
    ],
    &[
        "set group.id g",
        "new consumer",
        "status 1",
        "new-default producer",
        "status 2",
    ],
    &["destroy 0", "destroy 1", "destroy 2"],
    &[
        "count-new",
        "swallow linger.ms",
        "new producer",
        "status 3",
        "destroy 3",
    ],
    &[
        "tie",
        "new producer",
        "status 4",
        "destroy 4",
        "conf-destroy",
    ],
];

const AFTER_A_FAILURE: &[&[&str]] = &[
    &["count-new", "!new producer", "conf-destroy"],
    &["set client.id next", "new producer", "destroy 0"],
];

const TWICE: &[&str] = &[
    "count-new",
    "!new producer",
    "!new producer",
    "!new consumer 1",
];
const CORRECTED: &[&str] = &[
    "set security.protocol plaintext",
    "new producer",
    "status 0",
    "destroy 0",
    "conf-destroy",
];
const COPIED: &[&str] = &[
    "count-new",
    "!new producer",
    "conf-dup",
    "!new producer",
    "conf-destroy",
];

fn failures(watch: Watch, properties: &[&str]) {
    watched(
        watch,
        &[
            properties,
            AFTER_A_FAILURE[0],
            AFTER_A_FAILURE[1],
            &["conf-destroy"],
        ],
    );
    watched(watch, &[properties, COPIED]);
    if properties == LATE || properties == LATE_IN_TLS {
        watched(watch, &[properties, TWICE, CORRECTED]);
    }
}

#[test]
fn valgrind_watches_a_life() {
    watched(under_valgrind, LIFE);
}

#[test]
fn valgrind_watches_a_late_failure() {
    failures(under_valgrind, LATE);
}

/// The watch sees what it is there for: the fault that is mended in ours, in the stock engine.
#[test]
fn valgrind_sees_the_fault_of_the_stock_engine() {
    if other_engine().is_some() && engine_has([2, 13]) {
        return;
    }
    let mut driver = Driver::spawn(&mut valgrind(Library::Stock, driver::program()));
    for command in [LATE, &["count-new", "new producer"]].concat() {
        driver.say(command);
    }
    driver.begin("conf-destroy");
    let ended = driver.end();
    assert!(!ended.status.success(), "{ended:?}");
    assert!(
        ended.stderr.contains("rd_kafka_conf_destroy"),
        "{}",
        ended.stderr
    );
}

#[test]
fn valgrind_watches_records() {
    let cluster = Cluster::start(&["orders:1"]);
    let brokers = format!("set bootstrap.servers {}", cluster.brokers);
    let records = [
        &*brokers,
        "new producer",
        "produce 0 orders",
        "produce 0 orders",
        "flush 0",
    ];
    watched(under_valgrind, &[&records, &["destroy 0", "conf-destroy"]]);
    cluster.stop();
}

#[test]
fn valgrind_watches_more() {
    if !is_proof() {
        return;
    }
    failures(under_valgrind, LATE_IN_TLS);
    failures(under_valgrind, EARLY);
    watched(under_valgrind, &[&["swarm 20 50", "churn 20 50"]]);
    examples();
}

fn examples() {
    for (source, count) in [("producer", "1000"), ("consumer", "1000")] {
        let cluster = Cluster::start(&["orders:2"]);
        let service = FaultService::advising(json!({"linger.ms": 50, "fetch.min.bytes": 1000}));
        let arguments = ["-b", &cluster.brokers, "-t", "orders", "-n", count];
        if source == "consumer" {
            let producer = compile("examples/c/producer.c");
            run(with_library_in(&Library::Stock.folder(), producer).args(arguments));
        }
        let program = compile(&format!("examples/c/{source}.c"));
        let mut command = valgrind(Library::DropIn, &program);
        command
            .args(arguments)
            .env("SUPERSTREAM_HOST", service.url());
        run(&mut command);
        cluster.stop();
    }
}

#[test]
fn the_sanitizers_watch_a_life() {
    watched(asan, LIFE);
}

#[test]
fn the_sanitizers_watch_failures() {
    for properties in [LATE, LATE_IN_TLS, EARLY] {
        failures(asan, properties);
    }
}

#[test]
fn the_sanitizers_watch_records_and_crowds() {
    let cluster = Cluster::start(&["orders:1"]);
    let brokers = format!("set bootstrap.servers {}", cluster.brokers);
    let records = [
        &*brokers,
        "new producer",
        "produce 0 orders",
        "flush 0",
        "destroy 0",
    ];
    watched(
        asan,
        &[&records, &["swarm 20 50", "churn 20 50", "conf-destroy"]],
    );
    cluster.stop();
}
