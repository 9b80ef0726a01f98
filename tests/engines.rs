//! Libraries that come and go, and two engines in one process: each handle stays with the
//! engine that made it.
//!
//! The second engine is the distribution's (Debian: `librdkafka1`; `make setup` installs it).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use superstream_tests::fault_service::FaultService;
use superstream_tests::{Cluster, Library, run, tool};

/// The distribution's librdkafka.
fn distribution() -> PathBuf {
    let cache = run(Command::new("/sbin/ldconfig").arg("-p"));
    let found = cache
        .lines()
        .filter(|line| line.trim_start().starts_with("librdkafka.so.1 "))
        .find_map(|line| Some(line.rsplit_once(" => ")?.1));
    PathBuf::from(found.expect("the distribution's librdkafka is missing (see `make setup`)"))
}

fn ours() -> PathBuf {
    Library::DropIn.folder().join("librdkafka.so.1")
}

/// A program that is linked to nothing.
fn loader() -> PathBuf {
    let program = superstream_tests::unique(superstream_tests::scratch(), "loader");
    run(tool("cc")
        .args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg("-isystem")
        .arg(superstream_tests::include())
        .arg("-o")
        .arg(&program)
        .arg(superstream_tests::root().join("tests/c/loader.c"))
        .arg("-ldl"));
    program
}

/// Runs the loader in front of a service and a cluster; its lines.
fn load(arguments: &[&Path], again: bool) -> Vec<String> {
    let cluster = Cluster::start(&["orders:1"]);
    let service = FaultService::advising(json!({"linger.ms": 50}));
    let mut command = tool(loader());
    command
        .args(arguments)
        .env("BROKERS", &cluster.brokers)
        .env("SUPERSTREAM_HOST", service.url())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    if again {
        command.env("AGAIN", ours());
    }
    let said = run(&mut command);
    cluster.stop();
    said.lines().map(str::to_owned).collect()
}

const OURS: &str = "2.12.1: linger.ms 50, produced 0, flushed 0, left 0, status on";

#[track_caller]
fn is_of_the_distribution(line: &str) {
    assert!(
        !line.starts_with("2.12.1"),
        "the handle went to our engine: {line}"
    );
    let rest = line.split_once(": ").unwrap().1;
    assert_eq!(
        rest,
        "linger.ms 5, produced 0, flushed 0, left 0, status none"
    );
}

#[test]
fn it_is_loaded_and_closed_and_loaded_again() {
    let said = load(&[&ours()], true);
    assert_eq!(said, [OURS, "closed: 0", OURS, "closed: 0"]);
}

/// The distribution's engine is global. Ours keeps to itself.
#[test]
fn ours_after_a_global_one() {
    let said = load(&["-g".as_ref(), &distribution(), &ours()], false);
    is_of_the_distribution(&said[0]);
    assert_eq!(said[1], OURS);
    assert_eq!(said[2..], ["closed: 0", "closed: 0"]);
}

#[test]
fn both_loaded_locally() {
    for ours_first in [true, false] {
        let (ours, other) = (ours(), distribution());
        let order = if ours_first {
            [&*ours, &*other]
        } else {
            [&*other, &*ours]
        };
        let mut said = load(&order, true);
        if !ours_first {
            said.swap(0, 1);
        }
        assert_eq!(said[0], OURS);
        is_of_the_distribution(&said[1]);
        assert_eq!(said[4], OURS);
    }
}

/// Ours is global. Another engine calls its own functions by name, and would find any global
/// librdkafka in their place, ours or the stock one: it has to be loaded with RTLD_DEEPBIND.
#[test]
fn another_one_after_ours_is_global() {
    let said = load(
        &["-g".as_ref(), &ours(), "-d".as_ref(), &distribution()],
        false,
    );
    assert_eq!(said[0], OURS);
    is_of_the_distribution(&said[1]);
}
