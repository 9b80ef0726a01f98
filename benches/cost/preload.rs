//! What the preloaded library costs while it has nothing to do.

use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::COUNTS;
use crate::copies::Copies;
use crate::figure::Figure;
use crate::records::callgrind;
use crate::statistics::{lower_quartile, median, numbers, percent_over, rounded};
use superstream_tests::{compile, engine, preload, run, tool, unique, with_library_in};

const CREATIONS_AT_ONCE: &str = "10";
const CREATION_ROUNDS: usize = 30;
const STARTS: usize = 300;

/// A command without and with the library.
fn alone_and_preloaded(command: impl Fn() -> Command) -> [Command; 2] {
    let mut preloaded = command();
    preloaded.env("LD_PRELOAD", preload());
    [command(), preloaded]
}

fn with_engine(program: &str) -> impl Fn() -> Command {
    let program = program.to_owned();
    move || with_library_in(&engine("debian"), &program)
}

pub fn record(copies: &Copies) -> Figure {
    let program = compile("benches/c/produce.c");
    let mut counts = [Vec::new(), Vec::new()];
    for _ in 0..COUNTS {
        for (counts, mut command) in counts
            .iter_mut()
            .zip(alone_and_preloaded(with_engine("valgrind")))
        {
            let file = unique(&copies.folder, "callgrind");
            counts.push(callgrind(&mut command, &program, &file).0);
        }
    }
    let [alone, preloaded] = counts.map(median);
    Figure {
        name: "preload-record",
        cost: percent_over(preloaded, alone),
        unit: "%",
        bound: Some(1.0),
        details: json!({ "preloaded_instructions": preloaded, "alone_instructions": alone }),
    }
}

pub fn create(_copies: &Copies) -> Figure {
    let program = compile("benches/c/new.c");
    let program = program.to_str().unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..CREATION_ROUNDS {
        for (times, mut command) in times
            .iter_mut()
            .zip(alone_and_preloaded(with_engine(program)))
        {
            let said = run(command.arg(CREATIONS_AT_ONCE));
            // The first one of a process pays for more than its own work.
            times.extend(numbers(&said).into_iter().skip(1));
        }
    }
    figure("preload-create", times.map(lower_quartile), 0.3)
}

pub fn start(_copies: &Copies) -> Figure {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        for (times, mut command) in times.iter_mut().zip(alone_and_preloaded(|| tool("true"))) {
            let begin = Instant::now();
            run(&mut command);
            times.push(begin.elapsed().as_secs_f64() * 1e9);
        }
    }
    figure("preload-start", times.map(lower_quartile), 3.0)
}

/// From nanoseconds without and with the library.
fn figure(name: &'static str, [alone, preloaded]: [f64; 2], bound_ms: f64) -> Figure {
    Figure {
        name,
        cost: (preloaded - alone) / 1e6,
        unit: "ms",
        bound: Some(bound_ms),
        details: json!({
            "preloaded_us": rounded(preloaded / 1e3),
            "alone_us": rounded(alone / 1e3),
        }),
    }
}
