//! What a process pays once: opening the library, threads, memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::compile_without_library;
use crate::copies::{COPIES, Copies, LIBRARIES};
use crate::figure::Figure;
use crate::statistics::{lower_quartile, median, numbers, percent_over, rounded};
use superstream_tests::fault_service::FaultService;
use superstream_tests::{Cluster, Library, compile, run, tool, with_library_in};

/// Of each copy.
const OPENINGS: usize = 80;
/// Beside the first one.
const FURTHER_CLIENTS: usize = 10;
const RECORDS: &str = "200";

pub fn open(copies: &Copies) -> Figure {
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

pub fn threads(copies: &Copies) -> Figure {
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

pub fn memory(copies: &Copies) -> Figure {
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

/// What idle.c prints, over the copies.
fn idle(copies: &Copies, library: Library, program: &Path) -> [f64; 3] {
    let rows = (0..COPIES).map(|copy| {
        let mut command = with_library_in(&copies.folder(library, copy), program);
        numbers(&run(&mut command))
    });
    columns(rows.collect())
}

/// Of each column the median.
fn columns<const COUNT: usize>(rows: Vec<Vec<f64>>) -> [f64; COUNT] {
    std::array::from_fn(|column| median(rows.iter().map(|row| row[column]).collect()))
}

/// As [`memory`], of producers that have delivered and, where Superstream is on, reported.
pub fn memory_active(copies: &Copies) -> Figure {
    let program = compile("benches/c/deliver.c");
    let cluster = Cluster::start(&["orders:6"]);
    let kib = |clients: usize| -> [[f64; 2]; 2] {
        LIBRARIES.map(|library| {
            let rows = (0..COPIES).map(|copy| {
                let mut command = with_library_in(&copies.folder(library, copy), &program);
                command.args([&cluster.brokers, &clients.to_string(), RECORDS]);
                after_delivery(command, library, clients)
            });
            columns(rows.collect())
        })
    };
    let [[drop_in, drop_in_anon], [stock, stock_anon]] = kib(1);
    let [[_, more_drop_in], [_, more_stock]] = kib(1 + FURTHER_CLIENTS);
    let further = (more_drop_in - drop_in_anon) - (more_stock - stock_anon);
    Figure {
        name: "memory-active",
        cost: (drop_in - stock) / 1024.0,
        unit: "MiB",
        bound: Some(3.0),
        details: json!({
            "drop_in_kib": drop_in,
            "stock_kib": stock,
            "drop_in_kib_without_files": drop_in_anon,
            "stock_kib_without_files": stock_anon,
            "bytes_for_each_further_client": rounded(further * 1024.0 / FURTHER_CLIENTS as f64),
        }),
    }
}

/// What deliver.c prints, once each of its clients has reported.
fn after_delivery(mut command: Command, library: Library, clients: usize) -> Vec<f64> {
    let service = FaultService::advising(json!({}));
    if library == Library::DropIn {
        command.env("SUPERSTREAM_HOST", service.url());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "delivered");
    if library == Library::DropIn {
        service.wait_until("all clients report", || {
            (0..clients).all(|client| service.measured(&format!("client-{client}")).is_some())
        });
    }
    child.stdin.take();
    let row = numbers(&lines.next().unwrap().unwrap());
    assert!(child.wait().unwrap().success());
    row
}
