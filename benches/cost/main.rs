//! What the drop-in costs over the stock engine, and whether that is within its bounds.
//!
//! It is made for a machine that does other things meanwhile: work per record is counted in
//! instructions, not in time; what can only be timed is timed in turns with its counterpart, and
//! the lower quartiles are compared.

mod advice;
mod copies;
mod creations;
mod figure;
mod preload;
mod process;
mod records;
mod statistics;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use copies::Copies;
use figure::Figure;
use serde_json::{Value, json};
use superstream_tests::{include, root, run, scratch, tool, unique};

const HELP: &str = "\
Measures what the drop-in costs over the stock engine.

Usage: cargo bench --package superstream-tests --bench cost -- [OPTIONS] [FIGURE...]

Figures (all of them where none is named), without SUPERSTREAM_HOST:
  record-off          instructions per record: at most 1 % over stock
  open                time to open the library: at most 5 % over stock
  threads             threads after one producer: as many as stock
  memory              resident memory then: at most 1 MiB over stock
and of clients that report what they do:
  create              creating one, beyond stock and the service's answer: at most 1 ms
  create-first        the same for the first client of a process: no bound
  create-down         creating one while the service is down, beyond stock: no bound
  destroy             destroying one that still has records, beyond stock: at most 1 ms
  advice-http         the first client of a process, with advice: at most 5 % of what
                      superstream-confluent-kafka 2.4.0.4 takes over NATS
  advice-nats         the same over NATS
  memory-active       resident memory after reports: at most 3 MiB over stock
  record-active       instructions per record on the calling thread: at most 4 % over stock
  record-all-threads  instructions per record in all threads: at most 4 % over stock
  throughput          the demo's producer, unthrottled: at least 0.98 of stock's records per second
  processor           processor time of its threads: at most 2 % over stock
  throughput-tuned    its records per second with compression and linger: no bound
and of the library that is preloaded, without SUPERSTREAM_HOST, on the distribution's librdkafka:
  preload-record      instructions per record: at most 1 % over the program alone
  preload-create      creating a client: meant to be 0.1 ms, at most 0.3 ms
  preload-start       the start of a process that never calls Kafka: meant to be 1 ms, at most 3 ms

Options:
  --json   print a JSON document instead of lines
  --help   print this

The exit code is 1 if a bound is exceeded. Needs valgrind.
";

/// A median of so many runs stands for what is counted and not timed.
const COUNTS: usize = 3;

type Measure = fn(&Copies) -> Figure;

const FIGURES: &[(&str, Measure)] = &[
    ("record-off", records::off),
    ("open", process::open),
    ("threads", process::threads),
    ("memory", process::memory),
    ("create", creations::create),
    ("create-first", creations::create_first),
    ("create-down", creations::create_down),
    ("destroy", creations::destroy),
    ("advice-http", advice::over_http),
    ("advice-nats", advice::over_nats),
    ("memory-active", process::memory_active),
    ("record-active", records::active),
    ("record-all-threads", records::on_all_threads),
    ("throughput", throughput::by_clock),
    ("processor", throughput::by_processor),
    ("throughput-tuned", throughput::tuned),
    ("preload-record", preload::record),
    ("preload-create", preload::create),
    ("preload-start", preload::start),
];

fn main() -> ExitCode {
    let mut json = false;
    let mut chosen = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // cargo says it to every bench.
            "--bench" => {}
            "--json" => json = true,
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            name if FIGURES.iter().any(|(figure, _)| *figure == name) => chosen.push(argument),
            _ => {
                eprint!("cost: {argument} is neither an option nor a figure\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }

    let copies = Copies::make();
    let mut figures = Vec::new();
    for (name, measure) in FIGURES {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        let figure = measure(&copies);
        if !json {
            println!("{}", figure.line());
        }
        figures.push(figure);
    }
    let good = figures.iter().all(Figure::is_good);
    if json {
        let figures: Vec<Value> = figures.iter().map(Figure::document).collect();
        println!("{:#}", json!({ "good": good, "figures": figures }));
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// As [`compile`], for programs that open the library themselves.
fn compile_without_library(source: &str) -> PathBuf {
    let source = root().join(source);
    let name = source.file_stem().unwrap().to_str().unwrap();
    let program = unique(scratch(), name);
    run(tool("cc")
        .args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg("-isystem")
        .arg(include())
        .arg("-o")
        .args([&program, &source]));
    program
}
