//! The distribution's kcat, an application that nobody built for us, on the drop-in.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use superstream_tests::{Cluster, Library, assert_success, scratch, with_library_in};

const RECORDS: usize = 100_000;

fn kcat() -> Command {
    with_library_in(&Library::DropIn.folder(), "kcat")
}

/// Which librdkafka the loader took, as it says itself under `LD_DEBUG=libs`.
fn loaded(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.split_once("calling init: "))
        .map(|(_, file)| file.trim())
        .filter(|file| file.contains("librdkafka.so"))
        .collect()
}

#[test]
fn kcat_loads_the_drop_in() {
    let output = kcat().arg("-V").env("LD_DEBUG", "libs").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ours = Library::DropIn.folder().join("librdkafka.so.1");
    assert_eq!(loaded(&said), [ours.to_str().unwrap()]);

    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("librdkafka 2.12.1"), "{printed}");
}

/// `key:value` lines; each line differs.
fn records() -> String {
    (0..RECORDS)
        .map(|number| {
            format!(
                "customer-{:04}:order {number} of the day\n",
                number * 7919 % 5000
            )
        })
        .collect()
}

fn consume(cluster: &Cluster, into: &Path) {
    let mut command = kcat();
    command
        .args([
            "-C",
            "-q",
            "-b",
            &cluster.brokers,
            "-t",
            "orders",
            "-K:",
            "-o",
            "beginning",
        ])
        .args(["-c", &RECORDS.to_string()])
        .stdout(fs::File::create(into).unwrap());
    let output = command.output().unwrap();
    assert_success(&command, &output);
}

#[test]
fn what_kcat_produces_it_consumes() {
    let cluster = Cluster::start(&["orders:4"]);
    let sent = superstream_tests::unique(scratch(), "kcat-sent");
    let received = superstream_tests::unique(scratch(), "kcat-received");
    fs::write(&sent, records()).unwrap();

    let mut produce = kcat();
    produce.args(["-P", "-b", &cluster.brokers, "-t", "orders", "-K:"]);
    produce.stdin(Stdio::from(fs::File::open(&sent).unwrap()));
    let output = produce.output().unwrap();
    assert_success(&produce, &output);
    consume(&cluster, &received);

    let sorted = |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // Not assert_eq!: a hundred thousand lines are no message.
    assert!(
        sorted(&sent) == sorted(&received),
        "{sent:?} and {received:?} differ"
    );
    fs::remove_file(sent).unwrap();
    fs::remove_file(received).unwrap();
}
