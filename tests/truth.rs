//! What is reported, against the truth: what the application did, what lies in the broker's own
//! log, what a consumer without us reads there, and what went over the wire. The cluster is Apache
//! Kafka; the applications are a C program, Debian's kcat and the confluent-kafka wheel, by every
//! way in.
//!
//! All figures are equal, none is about right. `SUPERSTREAM_PROOF=1` takes a million records in all.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use superstream_tests::capture::FETCH;
use superstream_tests::measuring::{assert_about, assert_agrees, run_and_parse, run_to_goodbye};
use superstream_tests::python::{TODAY, python};
use superstream_tests::watched::{Run, payload, records_of, said, scene, script};
use superstream_tests::{Library, compile, preload, run, scratch, tool, unique, with_library_in};

/// The wheel that is built against the system's librdkafka.
const ON_THE_SYSTEMS: &str = "1.9.2";

/// In each of nine cases.
fn records() -> u64 {
    match std::env::var_os("SUPERSTREAM_PROOF") {
        Some(value) if value == "1" => 112_000,
        _ => 50_000,
    }
}

/// How Superstream comes to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    DropIn,
    Preload,
}

impl Way {
    fn command(self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        match self {
            Self::DropIn => with_library_in(&Library::DropIn.folder(), program),
            Self::Preload => {
                let mut command = tool(program);
                command.env("LD_PRELOAD", preload());
                command
            }
        }
    }
}

/// An application produces, and knows what. Its topic, what it says, and what is reported.
fn produces(
    mut command: Command,
    how: &str,
    name: &str,
    properties: &[&str],
) -> (String, Value, Value) {
    let (scene, topic) = (scene(), scene().topic(name));
    command
        .args([
            how,
            &scene.capture.address(),
            &topic,
            &records().to_string(),
        ])
        .arg(format!("client.id={name}"))
        .args(properties);
    let (did, measured) = run_and_parse(&mut command);
    Run::new(name, &topic, &measured).assert_did(&did);
    assert_about(&did["statistics"], &measured);
    (topic, did, measured)
}

/// The C program.
fn c_produces(how: &str, codec: &str, properties: &[&str], transactional_id: &str) {
    let name = format!("c-{how}-{codec}");
    let command = Way::DropIn.command(compile("tests/c/counting.c"));
    let codec_property = format!("compression.type={codec}");
    let properties = [&[&*codec_property], properties].concat();
    let (topic, did, measured) = produces(command, how, &name, &properties);
    let run = Run::new(&name, &topic, &measured);
    let refused = &run.figures()["refused"]["records"];
    assert_eq!(*refused, did["refused"], "{name}");
    assert_agrees(&did);
    let account = run.assert_in_the_log(codec, transactional_id);
    // rd_kafka_produce_batch takes none.
    let has_headers = account["all"]["headers"].as_u64() > Some(0);
    assert_eq!(has_headers, how != "batches", "{account}");
    if !transactional_id.is_empty() {
        let committed = records_of(&account["committed"]);
        assert_eq!(committed, said(&did, "committed"), "{name}");
        assert!(did["failed"].as_u64() > Some(0), "{did}");
    }
}

#[test]
fn what_a_c_program_produces() {
    c_produces("produce", "none", &[], "");
    c_produces("produce", "snappy", &["linger.ms=20"], "");
}

#[test]
fn what_a_c_program_produces_in_batches() {
    c_produces("batches", "gzip", &[], "");
}

#[test]
fn what_an_idempotent_c_program_produces() {
    c_produces("produce", "lz4", &["enable.idempotence=true"], "");
}

#[test]
fn what_a_transactional_c_program_produces() {
    // What is aborted at once is still in the queue; commits and flushes do not linger.
    let properties = ["transactional.id=truth", "linger.ms=10000"];
    c_produces("transact", "zstd", &properties, "truth");
}

fn wheel(way: Way, version: &str) -> Command {
    let mut command = way.command(python(version));
    command.arg("-B").arg(script());
    command
}

fn wheel_produces(way: Way, version: &str, codec: &str) {
    let name = format!("wheel-{version}");
    let codec_property = format!("compression.type={codec}");
    let properties = [&*codec_property, "statistics.interval.ms=100"];
    let (topic, _, measured) = produces(wheel(way, version), "produce", &name, &properties);
    let account = Run::new(&name, &topic, &measured).assert_in_the_log(codec, "");
    assert!(account["all"]["headers"].as_u64() > Some(0), "{account}");
}

#[test]
fn what_a_wheel_with_its_own_engine_produces() {
    wheel_produces(Way::Preload, TODAY, "gzip");
}

#[test]
fn what_a_wheel_on_the_systems_engine_produces() {
    wheel_produces(Way::DropIn, ON_THE_SYSTEMS, "snappy");
}

/// Lines of all sizes for kcat, and the payload in them: what is before a line's first colon is the
/// key. None of either is null.
fn lines(count: u64) -> (String, Value) {
    let (mut text, mut bytes) = (String::new(), 0);
    for number in 0..count {
        let key = number % 23 * u64::from(number % 5 != 0);
        let value = number * 7919 % 700 * u64::from(number % 17 != 0);
        bytes += key + value;
        let [key, value] =
            [("k", key), ("v", value)].map(|(letter, size)| letter.repeat(size as usize));
        text += &format!("{key}:{value}\n");
    }
    (text, payload(count, bytes))
}

fn kcat(way: Way, name: &str, topic: &str) -> Command {
    let mut command = way.command("kcat");
    command
        .args(["-q", "-b", &scene().capture.address(), "-t", topic])
        .args(["-X", &format!("client.id={name}")]);
    command
}

fn kcat_produces(way: Way, codec: &str) {
    let name = format!("kcat-{way:?}-produces");
    let topic = scene().topic(&name);
    let (text, produced) = lines(records());
    let file = unique(scratch(), &name);
    fs::write(&file, text).unwrap();
    let mut command = kcat(way, &name, &topic);
    command
        .args([
            "-P",
            "-K:",
            "-Z",
            "-z",
            codec,
            "-H",
            "trace=0123456789abcdef",
        ])
        .stdin(fs::File::open(&file).unwrap());
    let (_, measured) = run_to_goodbye(&mut command);
    fs::remove_file(file).unwrap();
    let run = Run::new(&name, &topic, &measured);
    assert_eq!(run.figures()["accepted"], produced, "{name}");
    assert_eq!(run.figures()["delivered"], produced, "{name}");
    let account = run.assert_in_the_log(codec, "");
    assert_eq!(account["all"]["headers"], records(), "{account}");
}

#[test]
fn what_kcat_produces() {
    kcat_produces(Way::Preload, "lz4");
    kcat_produces(Way::DropIn, "zstd");
}

/// A topic that was filled without us.
fn filled() -> &'static (String, Value) {
    static FILLED: OnceLock<(String, Value)> = OnceLock::new();
    FILLED.get_or_init(|| {
        let topic = scene().topic("filled");
        let mut command = with_library_in(&Library::Stock.folder(), compile("tests/c/counting.c"));
        let count = records().to_string();
        command.args([
            "produce",
            &scene().kafka.brokers,
            &topic,
            &count,
            "compression.type=lz4",
        ]);
        let did: Value = serde_json::from_str(&run(&mut command)).unwrap();
        let there = said(&did, "delivered");
        assert_eq!(records_of(&scene().account(&topic)["all"]), there);
        (topic, there)
    })
}

/// Everything was consumed once, and is reported so.
fn assert_consumed(name: &str, consumed: &Value, measured: &Value) {
    let (topic, there) = filled();
    let run = Run::new(name, topic, measured);
    assert_eq!(consumed, there, "{name}");
    assert_eq!(run.figures()["consumed"], *there, "{name}");
    assert_eq!(
        run.figures()["consumed_partitions"],
        json!([0, 1, 2, 3, 4, 5])
    );
    assert_eq!(run.figures()["accepted"]["records"], 0);
    let captured = run.assert_on_the_wire();
    // The last answer may be on its way still when the client is closed.
    let fetched = &measured["brokers"].as_array().unwrap();
    let fetched: u64 = fetched
        .iter()
        .map(|broker| broker["fetched_bytes"].as_u64().unwrap())
        .sum();
    let answers = captured.answers(FETCH);
    let all: u64 = answers.iter().sum();
    let last = answers.last().expect("nothing was fetched");
    assert!(
        [all, all - last].contains(&fetched),
        "{name}: {fetched} of {answers:?}"
    );
}

fn consumes(mut command: Command, how: &str, name: &str, properties: &[&str]) -> Value {
    let (topic, there) = filled();
    command
        .args([
            how,
            &scene().capture.address(),
            topic,
            &there["records"].to_string(),
        ])
        .arg(format!("client.id={name}"))
        .args(properties);
    let (did, measured) = run_and_parse(&mut command);
    assert_consumed(name, &said(&did, "consumed"), &measured);
    did
}

#[test]
fn what_a_c_program_consumes() {
    let program = compile("tests/c/counting.c");
    for (how, properties) in [
        ("consume", &["group.id=c", "auto.offset.reset=earliest"][..]),
        ("fetch", &[]),
    ] {
        let command = Way::DropIn.command(&program);
        let did = consumes(command, how, &format!("c-{how}"), properties);
        assert_agrees(&did);
    }
}

#[test]
fn what_a_wheel_consumes() {
    for (way, version) in [(Way::Preload, TODAY), (Way::DropIn, ON_THE_SYSTEMS)] {
        let name = format!("wheel-{version}-consumes");
        let group = format!("group.id={name}");
        consumes(wheel(way, version), "consume", &name, &[&group]);
    }
}

#[test]
fn what_kcat_consumes() {
    for way in [Way::Preload, Way::DropIn] {
        let name = format!("kcat-{way:?}-consumes");
        let mut command = kcat(way, &name, &filled().0);
        command.args(["-C", "-e", "-o", "beginning", "-f", "%S %K\n"]);
        let (sizes, measured) = run_to_goodbye(&mut command);
        // What is null has a size of -1.
        let sizes = sizes
            .split_whitespace()
            .map(|size| size.parse::<i64>().unwrap());
        let bytes = sizes.map(|size| size.max(0) as u64).sum();
        let count = filled().1["records"].as_u64().unwrap();
        assert_consumed(&name, &payload(count, bytes), &measured);
    }
}
