//! What a record costs, in instructions: no other program has a part in them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::COUNTS;
use crate::copies::Copies;
use crate::creations::assert_advised;
use crate::figure::Figure;
use crate::statistics::{median, percent_over, rounded};
use superstream_tests::fault_service::FaultService;
use superstream_tests::{Cluster, Library, compile, run, unique, with_library_in};

const RECORDS: u32 = 20_000;
/// What of the engine does nothing but call hooks, for each record or each request.
const HOOK_CALLS: [&str; 4] = [
    "rd_kafka_interceptors_on_send",
    "rd_kafka_interceptors_on_acknowledgement_queue",
    "rd_kafka_interceptors_on_request_sent",
    "rd_kafka_interceptors_on_response_received",
];
/// All threads of a producer, but for the start of the program and the creation of the client.
const ALL_THREADS: [&str; 3] = [
    "deliver",
    "rd_kafka_thread_main",
    "rd_kafka_broker_thread_main",
];

pub fn off(copies: &Copies) -> Figure {
    let program = compile("benches/c/produce.c");
    let count = |library| {
        let counts = (0..COUNTS).map(|_| {
            let (instructions, status) = on_calling_thread(copies, library, &program, None);
            let on = &status["superstream"]["on"];
            assert!(on.is_null() || on == false, "{status}");
            instructions
        });
        median(counts.collect())
    };
    let [drop_in, stock] = [count(Library::DropIn), count(Library::Stock)];
    figure("record-off", 1.0, drop_in, stock)
}

pub fn active(copies: &Copies) -> Figure {
    let program = compile("benches/c/produce.c");
    let service = FaultService::advising(json!({}));
    let active = (0..COUNTS).map(|_| {
        let host = Some(service.url());
        let (instructions, status) = on_calling_thread(copies, Library::DropIn, &program, host);
        assert_advised(&status);
        assert_eq!(status["changes"], json!([]), "{status}");
        instructions
    });
    let active = median(active.collect());
    let stock = (0..COUNTS).map(|_| on_calling_thread(copies, Library::Stock, &program, None).0);
    figure("record-active", 4.0, active, median(stock.collect()))
}

fn figure(name: &'static str, bound: f64, drop_in: f64, stock: f64) -> Figure {
    Figure {
        name,
        cost: percent_over(drop_in, stock),
        unit: "%",
        bound: Some(bound),
        details: json!({ "drop_in_instructions": drop_in, "stock_instructions": stock }),
    }
}

/// From `produce` to the acknowledgement. How often a thread of the engine wakes up is chance, so
/// what hooks add is counted inside the engine's calls of them.
pub fn on_all_threads(copies: &Copies) -> Figure {
    let program = compile("benches/c/deliver.c");
    let cluster = Cluster::start(&["orders:6"]);
    let service = FaultService::advising(json!({}));
    let count = |library, inside: &[&str]| {
        let counts = (0..COUNTS).map(|_| {
            let host = (library == Library::DropIn).then(|| service.url());
            let mut command = under_valgrind(copies, library, host);
            command
                .args(["--tool=callgrind", "--quiet"])
                .args(inside.iter().map(|name| format!("--toggle-collect={name}")));
            let counts = unique(&copies.folder, "callgrind");
            command
                .arg(format!("--callgrind-out-file={}", counts.display()))
                .arg(&program)
                .args([&cluster.brokers, "1", &RECORDS.to_string()])
                .stdin(Stdio::null());
            run(&mut command);
            per_record(&counts)
        });
        rounded(median(counts.collect()))
    };
    let [drop_in, stock] = [Library::DropIn, Library::Stock].map(|it| count(it, &HOOK_CALLS));
    let all = count(Library::Stock, &ALL_THREADS);
    Figure {
        name: "record-all-threads",
        cost: (drop_in - stock) / all * 100.0,
        unit: "%",
        bound: Some(4.0),
        details: json!({
            "drop_in_instructions_in_hook_calls": drop_in,
            "stock_instructions_in_hook_calls": stock,
            "stock_instructions": all,
        }),
    }
}

/// The instructions that `rd_kafka_producev` and the loop around it take on the calling thread,
/// and the producer's status.
fn on_calling_thread(
    copies: &Copies,
    library: Library,
    program: &Path,
    host: Option<String>,
) -> (f64, Value) {
    let mut command = under_valgrind(copies, library, host);
    let counts = unique(&copies.folder, "callgrind");
    let (instructions, said) = callgrind(&mut command, program, &counts);
    (instructions, serde_json::from_str(&said).unwrap())
}

fn under_valgrind(copies: &Copies, library: Library, host: Option<String>) -> Command {
    let mut command = with_library_in(&copies.folder(library, 0), "valgrind");
    if let Some(host) = host {
        command
            .env("SUPERSTREAM_HOST", host)
            // Under valgrind nothing is fast.
            .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    }
    command
}

/// Runs a command that is valgrind with callgrind's arguments. Gives the instructions per record
/// and what the program has printed.
pub fn callgrind(command: &mut Command, program: &Path, counts: &Path) -> (f64, String) {
    command
        .args([
            "--tool=callgrind",
            "--quiet",
            "--separate-threads=yes",
            "--toggle-collect=produce_all",
        ])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .arg(RECORDS.to_string());
    let said = run(command);
    // callgrind numbers the files by thread; the first is the one of main().
    let first_thread = format!("{}-01", counts.display());
    (per_record(Path::new(&first_thread)), said)
}

fn per_record(counts: &Path) -> f64 {
    let counts = fs::read_to_string(counts).unwrap();
    let mut totals = counts
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    let total: f64 = totals.next().unwrap().parse().unwrap();
    assert!(total > 0.0, "callgrind counted nothing");
    total / f64::from(RECORDS)
}
