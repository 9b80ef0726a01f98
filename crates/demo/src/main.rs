//! Shows the main job: an ordinary C producer sends the same records twice, once with stock
//! librdkafka and once with the drop-in in its place, and the two are shown side by side.
//!
//! Everything runs on this machine: a cluster (librdkafka's own mock cluster), the reference
//! service, and the producer, which knows nothing of Superstream.

mod arguments;
mod programs;
mod show;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;
use programs::{Cluster, Service, Workshop};
use serde_json::{Value, json};

/// What the demo workload has to save at least, in percent.
const LEAST_BYTES_SAVED: f64 = 80.0;
const LEAST_REQUESTS_SAVED: f64 = 85.0;

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

/// False where `--check` finds the saving too small.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let progress = show::Progress::new(arguments.json);
    progress.step("compiling the producer and the mock cluster");
    let workshop = Workshop::open(arguments)?;
    let cluster = Cluster::start(&workshop)?;
    let service = Service::start(&workshop)?;
    progress.done(&format!("mock cluster at {}", cluster.brokers));
    progress.done(&format!("reference service at {}", service.host));

    let stock = workshop.produce(arguments, &cluster, None, &progress)?;
    let tuned = workshop.produce(arguments, &cluster, Some(&service), &progress)?;
    let client = service.only_client()?;

    let saved = show::Saved::between(&stock, &tuned)?;
    if arguments.json {
        let document = json!({
            "records": stock["messages"],
            "stock": stock,
            "superstream": tuned,
            "saved_percent": { "bytes": saved.bytes, "requests": saved.requests },
            "changes": client["changes"],
            "refusals": client["refusals"],
        });
        println!("{document:#}");
    } else {
        show::configuration(&client);
        show::side_by_side(&stock, &tuned, &saved);
    }
    let enough = saved.bytes >= LEAST_BYTES_SAVED && saved.requests >= LEAST_REQUESTS_SAVED;
    if arguments.check && !enough {
        eprintln!(
            "superstream-demo: the saving is too small: at least {LEAST_BYTES_SAVED} % of bytes \
             and {LEAST_REQUESTS_SAVED} % of requests are expected"
        );
    }
    Ok(enough || !arguments.check)
}

/// A number of a document, or an error that names it.
fn number(document: &Value, name: &str) -> Result<f64, Box<dyn Error>> {
    document[name]
        .as_f64()
        .ok_or_else(|| format!("the producer did not tell its {name}").into())
}
