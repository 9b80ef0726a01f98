//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Shows what Superstream does to an unmodified librdkafka program. The same producer sends the same
records three times to a mock cluster on this machine: stock, then through our librdkafka.so.1, first
only observed, then tuned. What it saves is what the clients' reports told the service, checked
against librdkafka's own statistics in the producer.

Usage: superstream-demo [OPTIONS]   (or: make demo)

Options:
  --dist DIR       the tree that `make dist` fills [default: dist]
  --stock FILE     stock librdkafka, built the same way
                   [default: target/release/libsuperstream_stock_engine.so]
  --examples DIR   the C sources of the programs [default: examples/c]
  --records N      records to send in each run [default: 12000]
  --rate N         records a second [default: 2000]
  --json           print one JSON document and nothing else
  --check          fail where less than 80 % of bytes or 85 % of requests are saved, or where
                   reports and statistics differ by more than 0.1 %
  --help           print this
";

/// What to do.
pub struct Arguments {
    pub dist: PathBuf,
    pub stock: PathBuf,
    pub examples: PathBuf,
    pub records: u32,
    pub rate: u32,
    pub json: bool,
    pub check: bool,
}

/// Why nothing is to be done.
pub enum Stop {
    Help,
    Wrong(String),
}

impl Stop {
    /// Prints what there is to say, and gives the exit code of it.
    pub fn say(self) -> ExitCode {
        match self {
            Self::Help => {
                print!("{HELP}");
                ExitCode::SUCCESS
            }
            Self::Wrong(what) => {
                eprintln!("superstream-demo: {what}; see --help");
                ExitCode::from(2)
            }
        }
    }
}

impl Arguments {
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Stop> {
        let mut arguments = Self {
            dist: "dist".into(),
            stock: "target/release/libsuperstream_stock_engine.so".into(),
            examples: "examples/c".into(),
            records: 12_000,
            rate: 2000,
            json: false,
            check: false,
        };
        while let Some(option) = given.next() {
            let mut value = || {
                given
                    .next()
                    .ok_or_else(|| Stop::Wrong(format!("{option} needs a value")))
            };
            match option.as_str() {
                "--dist" => arguments.dist = value()?.into(),
                "--stock" => arguments.stock = value()?.into(),
                "--examples" => arguments.examples = value()?.into(),
                "--records" => arguments.records = positive(&option, &value()?)?,
                "--rate" => arguments.rate = positive(&option, &value()?)?,
                "--json" => arguments.json = true,
                "--check" => arguments.check = true,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Wrong(format!("{option:?} is no option"))),
            }
        }
        Ok(arguments)
    }
}

fn positive(option: &str, text: &str) -> Result<u32, Stop> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Stop::Wrong(format!(
            "{option} {text:?} is no positive number"
        ))),
    }
}
