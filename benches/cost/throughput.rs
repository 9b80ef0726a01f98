//! How many records a second the demo's producer gets through, unthrottled.
//!
//! The machine may do other things meanwhile. So the work is done in bursts that are shorter than
//! what the kernel lets a thread run at once, by two producers in turns, and many pairs of them:
//! how a process lies in memory is worth a percent too.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::copies::{COPIES, Copies, LIBRARIES};
use crate::figure::Figure;
use crate::statistics::{lower_decile, lower_quartile, median, numbers, percent_over, rounded};
use superstream_tests::fault_service::FaultService;
use superstream_tests::{Cluster, Library, compile, with_library_in};

const PAIRS: usize = 240;
const PAIRS_TUNED: usize = 12;
/// Each producer has two bursts in a round.
const ROUNDS: usize = 8;
const RECORDS_OF_A_BURST: u32 = 2000;

/// Nanoseconds per record, with the drop-in and with the stock engine.
struct Took {
    clock: [Vec<f64>; 2],
    /// One for each pair.
    processor: [Vec<f64>; 2],
}

pub fn by_clock(copies: &Copies) -> Figure {
    figure_by_clock("throughput", Some(2.0), active(copies))
}

pub fn tuned(copies: &Copies) -> Figure {
    let advice = json!({"compression.type": "zstd", "linger.ms": 100});
    figure_by_clock(
        "throughput-tuned",
        None,
        &measure(copies, PAIRS_TUNED, advice),
    )
}

/// A burst that was interrupted tells of the machine. The best tenth was not.
fn figure_by_clock(name: &'static str, bound: Option<f64>, took: &Took) -> Figure {
    let [drop_in, stock] = took.clock.clone().map(lower_decile);
    Figure {
        name,
        cost: -percent_over(stock, drop_in),
        unit: "%",
        bound,
        details: json!({
            "drop_in_records_per_second": (1e9 / drop_in).round(),
            "stock_records_per_second": (1e9 / stock).round(),
            "ratio": (stock / drop_in * 1e4).round() / 1e4,
        }),
    }
}

pub fn by_processor(copies: &Copies) -> Figure {
    let [drop_in, stock] = &active(copies).processor;
    let costs = drop_in.iter().zip(stock);
    let costs = costs.map(|(drop_in, stock)| percent_over(*drop_in, *stock));
    Figure {
        name: "processor",
        cost: median(costs.collect()),
        unit: "%",
        bound: Some(2.0),
        details: json!({
            "drop_in_ns_per_record": rounded(median(drop_in.clone())),
            "stock_ns_per_record": rounded(median(stock.clone())),
        }),
    }
}

/// Without changes, for those would change the work.
fn active(copies: &Copies) -> &'static Took {
    static TOOK: OnceLock<Took> = OnceLock::new();
    TOOK.get_or_init(|| measure(copies, PAIRS, json!({})))
}

fn measure(copies: &Copies, pairs: usize, advice: Value) -> Took {
    let program = compile("benches/c/throughput.c");
    let cluster = Cluster::start(&["orders:6"]);
    let service = FaultService::advising(advice);
    let mut took = Took {
        clock: Default::default(),
        processor: Default::default(),
    };
    for pair in 0..pairs {
        let start = |which: usize| {
            let folder = copies.folder(LIBRARIES[which], pair % COPIES);
            Producer::start(&program, &folder, LIBRARIES[which], &cluster, &service)
        };
        // Either is the one that was there first as often as the other.
        let mut producers = match pair % 2 {
            0 => [0, 1].map(start),
            _ => {
                let [stock, drop_in] = [1, 0].map(start);
                [drop_in, stock]
            }
        };
        service.wait_for_report(&format!("client-{pair}"));
        let mut processor = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            let first = (pair + round) % 2;
            for which in [first, 1 - first, 1 - first, first] {
                let [clock, of_processor] = producers[which].burst();
                // The first round finds the cluster and its topic.
                if round > 0 {
                    took.clock[which].push(clock);
                    processor[which].push(of_processor);
                }
            }
        }
        for producer in producers {
            producer.end();
        }
        for (all, of_pair) in took.processor.iter_mut().zip(processor) {
            all.push(lower_quartile(of_pair));
        }
    }
    took
}

struct Producer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Producer {
    fn start(
        program: &Path,
        folder: &Path,
        library: Library,
        cluster: &Cluster,
        service: &FaultService,
    ) -> Self {
        let mut command = with_library_in(folder, program);
        if library == Library::DropIn {
            command.env("SUPERSTREAM_HOST", service.url());
        }
        command.arg(&cluster.brokers);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// What a record took by the clock and of processor time, in nanoseconds.
    fn burst(&mut self) -> [f64; 2] {
        writeln!(self.stdin, "{RECORDS_OF_A_BURST}").unwrap();
        let took: [f64; 2] = numbers(&self.lines.next().unwrap().unwrap())
            .try_into()
            .unwrap();
        took.map(|nanoseconds| nanoseconds / f64::from(RECORDS_OF_A_BURST))
    }

    fn end(self) {
        let Self {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}
