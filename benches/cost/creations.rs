//! Creating clients: with advice, without, and the bare exchange with the service.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::compile_without_library;
use crate::copies::{Copies, LIBRARIES};
use crate::figure::Figure;
use crate::statistics::{lower_quartile, median, numbers, rounded};
use superstream_tests::fault_service::FaultService;
use superstream_tests::{Library, run, tool, unique};

/// Room for what is said to the service after a creation.
const PAUSE_US: &str = "10000";
const CREATIONS: usize = 200;
const FIRST_CREATIONS: usize = 20;
const CREATIONS_WHILE_DOWN: usize = 60;
const RECORDS_TO_DESTROY: usize = 100;

/// What is needed to create clients with advice, and to make the same exchanges without a
/// client.
struct Creations<'c> {
    copies: &'c Copies,
    program: PathBuf,
    service: FaultService,
    request: PathBuf,
}

/// What one round of create.c took, in nanoseconds.
pub struct Round {
    pub drop_in: f64,
    stock: f64,
    exchange: f64,
    drop_in_destroyed: f64,
    stock_destroyed: f64,
}

impl<'c> Creations<'c> {
    fn new(copies: &'c Copies) -> Self {
        let program = compile_without_library("benches/c/create.c");
        let service = FaultService::advising(json!({
            "linger.ms": 100,
            "batch.size": 500_000,
            "compression.type": "zstd",
        }));

        let mut command = create_command(copies, LIBRARIES, &program, &service.url(), [0, 0]);
        let (_, status) = read_rounds(&run(&mut command));
        assert_advised(&status);
        assert_ne!(status["changes"], json!([]), "{status}");
        let body = status["asked"].to_string();
        let request = unique(&copies.folder, "request");
        let head = format!(
            "POST /v1/clients HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n\
             user-agent: cost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        fs::write(&request, head + &body).unwrap();
        Self {
            copies,
            program,
            service,
            request,
        }
    }

    fn rounds(&self, count: usize) -> Vec<Round> {
        let mut command = self.command(LIBRARIES, [count, 0]);
        command
            .arg(self.service.port.to_string())
            .stdin(File::open(&self.request).unwrap());
        let (rounds, status) = read_rounds(&run(&mut command));
        assert_advised(&status);
        rounds
    }

    fn first_of_stock(&self) -> f64 {
        let [drop_in, stock] = LIBRARIES;
        let (rounds, _) = read_rounds(&run(&mut self.command([stock, drop_in], [1, 0])));
        // The column of the library that is named first.
        rounds[0].drop_in
    }

    fn command(&self, libraries: [Library; 2], rounds_and_records: [usize; 2]) -> Command {
        create_command(
            self.copies,
            libraries,
            &self.program,
            &self.service.url(),
            rounds_and_records,
        )
    }
}

pub fn create_command(
    copies: &Copies,
    libraries: [Library; 2],
    program: &Path,
    host: &str,
    [rounds, records]: [usize; 2],
) -> Command {
    let mut command = tool(program);
    command
        .args(libraries.map(|library| copies.file(library, 0)))
        .args([&rounds.to_string(), PAUSE_US, &records.to_string()])
        .env("SUPERSTREAM_HOST", host);
    command
}

pub fn read_rounds(output: &str) -> (Vec<Round>, Value) {
    let mut lines: Vec<&str> = output.lines().collect();
    let status = serde_json::from_str(lines.pop().unwrap()).unwrap();
    let rounds = lines.into_iter().map(|line| {
        let [drop_in, stock, exchange, drop_in_destroyed, stock_destroyed] =
            numbers(line).try_into().unwrap();
        Round {
            drop_in,
            stock,
            exchange,
            drop_in_destroyed,
            stock_destroyed,
        }
    });
    (rounds.collect(), status)
}

/// A figure of a client without advice would look good and mean nothing.
pub fn assert_advised(status: &Value) {
    assert_eq!(status["service"]["state"], "up", "{status}");
    assert_eq!(status["answered"]["start"], true, "{status}");
}

pub fn create(copies: &Copies) -> Figure {
    let creations = Creations::new(copies);
    let rounds = creations.rounds(CREATIONS);
    // The first one is another figure's.
    figure_of_creations("create", Some(1.0), &rounds[1..])
}

pub fn create_first(copies: &Copies) -> Figure {
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

/// Producers that still have records: these are counted as lost, and the service is told.
pub fn destroy(copies: &Copies) -> Figure {
    let creations = Creations::new(copies);
    let mut command = creations.command(LIBRARIES, [CREATIONS, RECORDS_TO_DESTROY]);
    let (rounds, status) = read_rounds(&run(&mut command));
    assert_advised(&status);
    // Of those the service was told in time: the process is over.
    let told = format!("client-{}", CREATIONS / 2);
    creations.service.wait_for_goodbye(&told);
    let accepted = &creations.service.measured(&told).unwrap()["topics"]["orders"]["accepted"];
    assert_eq!(accepted["records"], RECORDS_TO_DESTROY, "{accepted}");

    let column = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let drop_in = lower_quartile(column(|round| round.drop_in_destroyed));
    let stock = lower_quartile(column(|round| round.stock_destroyed));
    let beyond = median(column(|round| {
        round.drop_in_destroyed - round.stock_destroyed
    }));
    Figure {
        name: "destroy",
        cost: (drop_in - stock) / 1e6,
        unit: "ms",
        bound: Some(1.0),
        details: json!({
            "drop_in_us": rounded(drop_in / 1e3),
            "stock_us": rounded(stock / 1e3),
            "median_difference_us": rounded(beyond / 1e3),
        }),
    }
}

pub fn create_down(copies: &Copies) -> Figure {
    let program = compile_without_library("benches/c/create.c");
    // Nobody listens any more where this listener was.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = create_command(
        copies,
        LIBRARIES,
        &program,
        &host,
        [CREATIONS_WHILE_DOWN, 0],
    );
    let (rounds, status) = read_rounds(&run(&mut command));
    assert_eq!(status["service"]["state"], "down", "{status}");
    // The first client finds out; from the second one on it is known.
    figure_of_creations("create-down", None, &rounds[1..])
}
