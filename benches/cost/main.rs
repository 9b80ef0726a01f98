//! What the drop-in costs over the stock engine, and whether that is within its bounds.
//!
//! It is made for a machine that does other things meanwhile: work per record is counted in
//! instructions, not in time; what can only be timed is timed in turns with its counterpart, and
//! the lower quartiles are compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "the bench uses a part of the support")]

#[path = "../../tests/support/advisor.rs"]
mod advisor;
mod copies;
mod creations;
mod preload;
mod statistics;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use advisor::Advisor;
use copies::{COPIES, Copies, LIBRARIES};
use creations::{Creations, Round, assert_advised, create_command, read_rounds};
use serde_json::{Value, json};
use statistics::{lower_quartile, median, numbers, percent_over, rounded};
use support::{Library, compile, include, root, run, scratch, tool, unique, with_library_in};

const HELP: &str = "\
Measures what the drop-in costs over the stock engine.

Usage: cargo bench --workspace --bench cost -- [OPTIONS] [FIGURE...]

Figures (all of them where none is named):
  record-off     instructions per record, without SUPERSTREAM_HOST: at most 1 % over stock
  open           time to open the library: at most 5 % over stock
  threads        threads after one producer, without SUPERSTREAM_HOST: as many as stock
  memory         resident memory then: at most 1 MiB over stock
  create         creating a client, beyond stock and the service's answer: at most 1 ms
  create-first   the same for the first client of a process: no bound
  record-active  instructions per record, with an advice that is empty: at most 1 % over stock
  create-down    creating a client while the service is down, beyond stock: no bound
and of the library that is preloaded, without SUPERSTREAM_HOST, on the distribution's librdkafka:
  preload-record instructions per record: at most 1 % over the program alone
  preload-create creating a client: meant to be 0.1 ms, at most 0.3 ms
  preload-start  the start of a process that never calls Kafka: meant to be 1 ms, at most 3 ms

Options:
  --json   print a JSON document instead of lines
  --help   print this

The exit code is 1 if a bound is exceeded. Needs valgrind.
";

/// Of each copy.
const OPENINGS: usize = 80;
const RECORDS: u32 = 20_000;
const COUNTS: usize = 3;
const CREATIONS: usize = 200;
const FIRST_CREATIONS: usize = 20;
const CREATIONS_WHILE_DOWN: usize = 60;

/// One result, and what it must not exceed.
struct Figure {
    name: &'static str,
    /// What the drop-in costs beyond the stock engine.
    cost: f64,
    unit: &'static str,
    bound: Option<f64>,
    /// The numbers that the cost was made of.
    details: Value,
}

impl Figure {
    fn is_good(&self) -> bool {
        self.bound.is_none_or(|bound| self.cost <= bound)
    }

    fn line(&self) -> String {
        let verdict = match self.bound {
            None => "    ",
            Some(_) if self.is_good() => "pass",
            Some(_) => "FAIL",
        };
        let bound = match self.bound {
            None => "no bound".to_owned(),
            Some(bound) => format!("bound {bound} {}", self.unit),
        };
        let cost = format!("{:+.2} {}", self.cost, self.unit);
        format!(
            "{verdict}  {:13}  {cost:>13}   {bound:15}  {}",
            self.name, self.details
        )
    }

    fn document(&self) -> Value {
        json!({
            "name": self.name,
            "cost": self.cost,
            "unit": self.unit,
            "bound": self.bound,
            "good": self.is_good(),
            "details": self.details,
        })
    }
}

type Measure = fn(&Copies) -> Figure;

const FIGURES: &[(&str, Measure)] = &[
    ("record-off", record_off),
    ("open", open),
    ("threads", threads),
    ("memory", memory),
    ("create", create),
    ("create-first", create_first),
    ("record-active", record_active),
    ("create-down", create_down),
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

fn record_off(copies: &Copies) -> Figure {
    let program = compile("benches/c/produce.c");
    let count = |library| {
        let mut counts = Vec::new();
        for _ in 0..COUNTS {
            let (instructions, status) = instructions_per_record(copies, library, &program, None);
            let on = &status["superstream"]["on"];
            assert!(on.is_null() || on == false, "{status}");
            counts.push(instructions);
        }
        median(counts)
    };
    instructions("record-off", count(Library::DropIn), count(Library::Stock))
}

fn record_active(copies: &Copies) -> Figure {
    let program = compile("benches/c/produce.c");
    let advisor = Advisor::start();
    let active = (0..COUNTS).map(|_| {
        let (instructions, status) =
            instructions_per_record(copies, Library::DropIn, &program, Some(&advisor.host));
        assert_advised(&status);
        assert_eq!(status["changes"], json!([]), "{status}");
        instructions
    });
    let stock =
        (0..COUNTS).map(|_| instructions_per_record(copies, Library::Stock, &program, None).0);
    instructions(
        "record-active",
        median(active.collect()),
        median(stock.collect()),
    )
}

fn instructions(name: &'static str, drop_in: f64, stock: f64) -> Figure {
    Figure {
        name,
        cost: percent_over(drop_in, stock),
        unit: "%",
        bound: Some(1.0),
        details: json!({ "drop_in_instructions": drop_in, "stock_instructions": stock }),
    }
}

/// The instructions that `rd_kafka_producev` and the loop around it take on the calling thread,
/// and the producer's status.
fn instructions_per_record(
    copies: &Copies,
    library: Library,
    program: &Path,
    host: Option<&str>,
) -> (f64, Value) {
    let mut command = with_library_in(&copies.folder(library, 0), "valgrind");
    if let Some(host) = host {
        command
            .env("SUPERSTREAM_HOST", host)
            // Under valgrind nothing is fast.
            .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    }
    let counts = unique(&copies.folder, "callgrind");
    let (instructions, said) = callgrind(&mut command, program, &counts);
    (instructions, serde_json::from_str(&said).unwrap())
}

/// Runs a command that is valgrind with callgrind's arguments. Gives the instructions per record
/// and what the program has printed.
fn callgrind(command: &mut Command, program: &Path, counts: &Path) -> (f64, String) {
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
    let first_thread = fs::read_to_string(format!("{}-01", counts.display())).unwrap();
    let total: f64 = first_thread
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .unwrap()
        .parse()
        .unwrap();
    assert!(total > 0.0, "callgrind counted nothing");
    (total / f64::from(RECORDS), said)
}

fn open(copies: &Copies) -> Figure {
    let program = compile_without_library("benches/c/open.c");
    let mut clock = [Vec::new(), Vec::new()];
    let mut processor = [Vec::new(), Vec::new()];
    for round in 0..OPENINGS {
        for copy in 0..COPIES {
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let file = copies.file(LIBRARIES[which], copy);
                let took = numbers(&run(tool(&program).arg(file)));
                clock[which].push(took[0] / 1e3);
                processor[which].push(took[1] / 1e3);
            }
        }
    }
    // Other programs make it take longer by the clock more than in processor time, and never
    // make it take less.
    let [drop_in_clock, stock_clock] = clock.map(lower_quartile);
    let [drop_in, stock] = processor.map(lower_quartile);
    Figure {
        name: "open",
        cost: percent_over(drop_in, stock),
        unit: "%",
        bound: Some(5.0),
        details: json!({
            "drop_in_processor_us": rounded(drop_in),
            "stock_processor_us": rounded(stock),
            "drop_in_clock_us": rounded(drop_in_clock),
            "stock_clock_us": rounded(stock_clock),
        }),
    }
}

fn threads(copies: &Copies) -> Figure {
    let program = compile("benches/c/idle.c");
    let [drop_in, stock] = LIBRARIES.map(|library| idle(copies, library, &program)[0]);
    Figure {
        name: "threads",
        cost: (drop_in - stock).abs(),
        unit: "threads",
        bound: Some(0.0),
        details: json!({ "drop_in": drop_in, "stock": stock }),
    }
}

fn memory(copies: &Copies) -> Figure {
    let program = compile("benches/c/idle.c");
    let [
        [_, drop_in, drop_in_without_files],
        [_, stock, stock_without_files],
    ] = LIBRARIES.map(|library| idle(copies, library, &program));
    Figure {
        name: "memory",
        cost: (drop_in - stock) / 1024.0,
        unit: "MiB",
        bound: Some(1.0),
        details: json!({
            "drop_in_kib": drop_in,
            "stock_kib": stock,
            "drop_in_kib_without_files": drop_in_without_files,
            "stock_kib_without_files": stock_without_files,
        }),
    }
}

/// What idle.c prints: of each column the median over the copies.
fn idle(copies: &Copies, library: Library, program: &Path) -> [f64; 3] {
    let rows: Vec<Vec<f64>> = (0..COPIES)
        .map(|copy| {
            let mut command = with_library_in(&copies.folder(library, copy), program);
            numbers(&run(&mut command))
        })
        .collect();
    [0, 1, 2].map(|column| median(rows.iter().map(|row| row[column]).collect()))
}

fn create(copies: &Copies) -> Figure {
    let creations = Creations::new(copies);
    let rounds = creations.rounds(CREATIONS);
    // The first one is another figure's.
    figure_of_creations("create", Some(1.0), &rounds[1..])
}

fn create_first(copies: &Copies) -> Figure {
    let creations = Creations::new(copies);
    // Whichever library goes first in a process pays for more than its own work, so the stock
    // engine's time is that of a process in which it goes first.
    let rounds: Vec<Round> = (0..FIRST_CREATIONS)
        .map(|_| Round {
            stock: creations.first_of_stock(),
            ..creations.rounds(1).remove(0)
        })
        .collect();
    figure_of_creations("create-first", None, &rounds)
}

/// A creation with advice wakes several threads, and each may wait for a processor that another
/// program has. That only ever adds, so the cost is made of the lower quartiles; the median of
/// the differences is told beside it.
fn figure_of_creations(name: &'static str, bound: Option<f64>, rounds: &[Round]) -> Figure {
    let column = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let drop_in = lower_quartile(column(|round| round.drop_in));
    let stock = lower_quartile(column(|round| round.stock));
    let exchange = lower_quartile(column(|round| round.exchange));
    let beyond = median(column(|round| round.drop_in - round.stock - round.exchange));
    Figure {
        name,
        cost: (drop_in - stock - exchange) / 1e6,
        unit: "ms",
        bound,
        details: json!({
            "drop_in_us": rounded(drop_in / 1e3),
            "stock_us": rounded(stock / 1e3),
            "exchange_us": rounded(exchange / 1e3),
            "median_difference_us": rounded(beyond / 1e3),
        }),
    }
}

fn create_down(copies: &Copies) -> Figure {
    let program = compile_without_library("benches/c/create.c");
    // Nobody listens any more where this listener was.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = create_command(copies, LIBRARIES, &program, &host, CREATIONS_WHILE_DOWN);
    let (rounds, status) = read_rounds(&run(&mut command));
    assert_eq!(status["service"]["state"], "down", "{status}");
    // The first client finds out; from the second one on it is known.
    figure_of_creations("create-down", None, &rounds[1..])
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
