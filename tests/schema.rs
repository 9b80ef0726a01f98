//! Records that another client of Superstream's has rewritten: ours delivers them as they are, and
//! says how many there are at least.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use superstream_tests::measuring::run_and_parse;
use superstream_tests::{
    Cluster, Library, compile, engine, preload, run, scratch, unique, with_library, with_library_in,
};

const RECORDS: u64 = 2_000;
/// How a topic is filled: as it is called.
const TOPICS: [&str; 3] = ["all", "late", "other"];
const WAYS: [&str; 3] = ["poll", "batch", "old"];
/// One record in so many is looked at until the first is met; a thread may count on two lines.
const UNSEEN: u64 = 2 * 61;

/// A cluster with all topics, filled without us.
fn filled() -> (Cluster, PathBuf) {
    let program = compile("tests/c/schema.c");
    let cluster = Cluster::start(
        &TOPICS
            .map(|topic| format!("{topic}:1"))
            .each_ref()
            .map(|t| &**t),
    );
    for topic in TOPICS {
        let mut command = with_library(Library::Stock, &program);
        run(command.args([
            "produce",
            &cluster.brokers,
            topic,
            &RECORDS.to_string(),
            topic,
        ]));
    }
    (cluster, program)
}

fn arguments(cluster: &Cluster, topic: &str, how: &str) -> [String; 5] {
    [
        "consume",
        &cluster.brokers,
        topic,
        &RECORDS.to_string(),
        how,
    ]
    .map(str::to_owned)
}

/// What an application sees without us.
fn stock(program: &Path, arguments: &[String]) -> Value {
    let said = run(with_library(Library::Stock, program).args(arguments));
    serde_json::from_str(&said).unwrap()
}

#[test]
fn records_with_a_schema_are_delivered_as_they_are_and_counted() {
    let (cluster, program) = filled();
    for topic in TOPICS {
        for how in WAYS {
            let arguments = arguments(&cluster, topic, how);
            let (said, reported) =
                run_and_parse(with_library(Library::DropIn, &program).args(&arguments));
            let without = stock(&program, &arguments);
            assert_eq!(said["consumed"], RECORDS);
            assert_eq!(said["seen"], without["seen"], "{topic}, {how}");
            assert_eq!(without["status"], Value::Null, "it is stock");

            for measured in [&said["status"]["measured"], &reported] {
                let figures = &measured["topics"][topic];
                assert_eq!(figures["consumed"]["records"], RECORDS, "{topic}, {how}");
                let counted = &figures["consumed_with_schema"];
                match topic {
                    // The first is met at once.
                    "all" => assert_eq!(*counted, RECORDS, "{how}"),
                    "late" => {
                        let there = RECORDS / 2;
                        let counted = counted.as_u64().unwrap();
                        assert!(counted <= there, "{how}: more than there are: {counted}");
                        assert!(counted > there - UNSEEN, "{how}: {counted}");
                    }
                    _ => assert_eq!(*counted, Value::Null, "{how}: they only look like it"),
                }
                assert_eq!(measured["headers_unseen"], Value::Null);
            }
        }
    }
}

/// The distribution's librdkafka, without the function that finds a header by its name.
fn engine_without_headers() -> PathBuf {
    let folder = unique(scratch(), "no-headers");
    fs::create_dir(&folder).unwrap();
    let mut library = fs::read(engine("debian").join("librdkafka.so.1")).unwrap();
    let name = b"\0rd_kafka_header_get_last\0";
    let places: Vec<_> = (0..library.len() - name.len())
        .filter(|at| library[*at..].starts_with(name))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        library[at + 1] = b'x';
    }
    fs::write(folder.join("librdkafka.so.1"), library).unwrap();
    folder
}

#[test]
fn an_engine_that_shows_no_headers_is_said_to() {
    let (cluster, program) = filled();
    let folder = engine_without_headers();
    let arguments = arguments(&cluster, "all", "poll");
    let mut command = with_library_in(&folder, &program);
    command.env("LD_PRELOAD", preload()).args(&arguments);
    let (said, reported) = run_and_parse(&mut command);
    assert_eq!(said["seen"], stock(&program, &arguments)["seen"]);
    for measured in [&said["status"]["measured"], &reported] {
        let figures = &measured["topics"]["all"];
        assert_eq!(figures["consumed"]["records"], RECORDS);
        assert_eq!(figures["consumed_with_schema"], Value::Null);
        assert_eq!(measured["headers_unseen"], true);
    }
    fs::remove_dir_all(folder).unwrap();
}
