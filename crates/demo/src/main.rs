//! Shows the main job: an ordinary C producer sends the same records with stock librdkafka, and with
//! the drop-in in its place, first observed and then tuned. What the tuned one saves is what the
//! reports of the two told the service; librdkafka's own statistics in the producer check them.
//!
//! Everything runs on this machine: a cluster (librdkafka's own mock cluster), the reference
//! service, and the producer, which knows nothing of Superstream.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod measured;
mod programs;
mod show;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;
use measured::Runs;
use programs::{Cluster, Service, Workshop};
use serde_json::json;

/// What the demo workload has to save at least, in percent.
const LEAST_BYTES_SAVED: f64 = 80.0;
const LEAST_REQUESTS_SAVED: f64 = 85.0;
/// How far the reports and the producer's own statistics may be apart, in percent.
const MOST_APART: f64 = 0.1;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(stop) => return stop.say(),
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("superstream-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False where `--check` finds the saving too small, or told wrong.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let progress = show::Progress::new(arguments.json);
    progress.step("compiling the producer and the mock cluster");
    let workshop = Workshop::open(arguments)?;
    let cluster = Cluster::start(&workshop)?;
    let service = Service::start(&workshop)?;
    progress.done(&format!("mock cluster at {}", cluster.brokers));
    progress.done(&format!("reference service at {}", service.host));

    let stock = workshop.produce_stock(arguments, &cluster, &progress)?;
    let through_ours =
        |name, mode| workshop.produce(name, mode, arguments, &cluster, &service, &progress);
    let runs = Runs {
        stock: measured::Account::of_statistics(&stock)?,
        observing: through_ours("2/3 our librdkafka.so.1, observing", "observe")?,
        tuned: through_ours("3/3 our librdkafka.so.1, tuning", "active")?,
    };
    if arguments.json {
        println!("{:#}", document(&runs)?);
    } else {
        show::configuration(&runs.tuned.client);
        show::accounts(&runs);
        show::saving(&runs)?;
    }
    if !arguments.check {
        return Ok(true);
    }
    let complaints = complaints(&runs)?;
    for complaint in &complaints {
        eprintln!("superstream-demo: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn document(runs: &Runs) -> Result<serde_json::Value, Box<dyn Error>> {
    let told = |run: &measured::Told| {
        json!({
            "statistics": run.statistics.as_json(),
            "reports": run.reports.as_json(),
            "figures": run.client["figures"],
        })
    };
    let percent =
        |saved: measured::Saved| json!({ "bytes": saved.bytes, "requests": saved.requests });
    Ok(json!({
        "stock": { "statistics": runs.stock.as_json() },
        "observing": told(&runs.observing),
        "tuned": told(&runs.tuned),
        "saved_percent": percent(runs.saved()?),
        "saved_percent_by_statistics": percent(runs.saved_by_statistics()),
        "difference_percent": runs.difference(),
        "changes": runs.tuned.client["changes"],
        "refusals": runs.tuned.client["refusals"],
    }))
}

/// What `--check` does not take.
fn complaints(runs: &Runs) -> Result<Vec<String>, Box<dyn Error>> {
    let (saved, difference) = (runs.saved()?, runs.difference());
    let mut complaints = Vec::new();
    if saved.bytes < LEAST_BYTES_SAVED || saved.requests < LEAST_REQUESTS_SAVED {
        complaints.push(format!(
            "the saving is too small: at least {LEAST_BYTES_SAVED} % of bytes and \
             {LEAST_REQUESTS_SAVED} % of requests are expected"
        ));
    }
    if difference > MOST_APART {
        complaints.push(format!(
            "reports and statistics are {difference:.3} % apart: at most {MOST_APART} % is expected"
        ));
    }
    Ok(complaints)
}
