//! The contract of the drop-in while Superstream is not set up: it is the engine.
//!
//! - Each C program runs twice, with the stock engine and with ours; nobody sets `SUPERSTREAM_*`.
//! - The exit status must be the same.
//! - Stdout must be the same, byte for byte: the programs print nothing that depends on time.
//! - Stderr is not compared: the engine's own log lines carry times and addresses.

use std::path::Path;
use std::process::Output;
use superstream_tests::{Cluster, Library, compile, root, with_library_in};

/// Runs the program with the library, against a cluster of its own: what one run leaves behind
/// must not be seen by the other.
fn once(library: Library, program: &Path, topic: &str, arguments: &[&str]) -> Output {
    let cluster = Cluster::start(&[topic]);
    let name = topic.split(':').next().unwrap();
    let output = with_library_in(&library.folder(), program)
        .args(["-b", &cluster.brokers, "-t", name])
        .args(arguments)
        .output()
        .unwrap();
    cluster.stop();
    output
}

/// Runs the program with both libraries; what it printed and its exit status.
#[track_caller]
fn same(source: &str, topic: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let program = compile(source);
    let stock = once(Library::Stock, &program, topic, arguments);
    let ours = once(Library::DropIn, &program, topic, arguments);
    let printed = String::from_utf8(stock.stdout).unwrap();
    assert_eq!(
        printed,
        String::from_utf8(ours.stdout).unwrap(),
        "stdout differs"
    );
    assert_eq!(stock.status, ours.status, "the exit status differs");
    (printed, stock.status.code())
}

#[test]
fn a_producer_of_generated_orders() {
    let (printed, status) = same("examples/c/producer.c", "orders:4", &["-n", "20000"]);
    assert!(printed.contains("delivered 20000, failed 0"), "{printed}");
    assert_eq!(status, Some(0));
}

#[test]
fn a_producer_of_the_lines_of_a_file() {
    let file = root().join("Cargo.toml");
    let arguments = ["-f", file.to_str().unwrap(), "-X", "compression.codec=lz4"];
    let (_, status) = same("examples/c/producer.c", "lines:2", &arguments);
    assert_eq!(status, Some(0));
}

#[test]
fn a_producer_with_a_configuration_that_is_refused() {
    let refused = [
        "-n",
        "1",
        "-X",
        "linger.ms=1000",
        "-X",
        "message.timeout.ms=500",
    ];
    let (printed, status) = same("examples/c/producer.c", "orders:1", &refused);
    assert_eq!((printed.as_str(), status), ("", Some(2)));
}

#[test]
fn a_consumer() {
    let producer = compile("examples/c/producer.c");
    let consumer = compile("examples/c/consumer.c");
    let mut printed = Vec::new();
    for library in [Library::Stock, Library::DropIn] {
        let cluster = Cluster::start(&["orders:4"]);
        let mut outputs = Vec::new();
        for program in [&producer, &consumer] {
            let mut command = with_library_in(&library.folder(), program);
            command.args(["-b", &cluster.brokers, "-t", "orders", "-n", "20000"]);
            outputs.push(superstream_tests::run(&mut command));
        }
        cluster.stop();
        printed.push(outputs);
    }
    assert_eq!(printed[0], printed[1]);
    assert!(
        printed[0][1].contains("consumed 20000 records"),
        "{printed:?}"
    );
}

/// The mock cluster has no controller and no CreateTopics: these answers are errors, and the
/// same ones.
#[test]
fn an_administrator() {
    let (printed, _) = same("examples/c/admin.c", "orders:4", &["-w", "500"]);
    assert!(printed.contains("orders has 4 partitions"), "{printed}");
}

#[test]
fn transactions() {
    let (printed, status) = same("examples/c/transactions.c", "transfers:2", &[]);
    assert!(
        printed.contains("commit: done") && printed.contains("abort: done"),
        "{printed}"
    );
    assert_eq!(status, Some(0));
}
