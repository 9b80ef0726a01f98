//! Creating clients: with advice, without, and the bare exchange with the service.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::advisor::Advisor;
use crate::compile_without_library;
use crate::copies::{Copies, LIBRARIES};
use crate::statistics::numbers;
use crate::support::{Library, run, tool, unique};

/// Room for what is said to the service after a creation.
const PAUSE_US: &str = "10000";

/// What is needed to create clients with advice, and to make the same exchanges without a
/// client.
pub struct Creations<'c> {
    copies: &'c Copies,
    program: PathBuf,
    /// It answers one connection at a time, so the bare exchanges have one of their own.
    for_clients: Advisor,
    for_exchanges: Advisor,
    request: PathBuf,
}

/// What one round of create.c took, in nanoseconds.
pub struct Round {
    pub drop_in: f64,
    pub stock: f64,
    pub exchange: f64,
}

impl<'c> Creations<'c> {
    pub fn new(copies: &'c Copies) -> Self {
        let program = compile_without_library("benches/c/create.c");
        let [for_clients, for_exchanges] = [(); 2].map(|()| Advisor::start());
        for advisor in [&for_clients, &for_exchanges] {
            advisor.advise(json!({
                "linger.ms": 100,
                "batch.size": 500_000,
                "compression.type": "zstd",
            }));
        }

        let mut command = create_command(copies, LIBRARIES, &program, &for_clients.host, 0);
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
            for_clients,
            for_exchanges,
            request,
        }
    }

    pub fn rounds(&self, count: usize) -> Vec<Round> {
        let (_, port) = self.for_exchanges.host.rsplit_once(':').unwrap();
        let mut command = self.command(LIBRARIES, count);
        command.arg(port).stdin(File::open(&self.request).unwrap());
        let (rounds, status) = read_rounds(&run(&mut command));
        assert_advised(&status);
        rounds
    }

    pub fn first_of_stock(&self) -> f64 {
        let [drop_in, stock] = LIBRARIES;
        let (rounds, _) = read_rounds(&run(&mut self.command([stock, drop_in], 1)));
        // The column of the library that is named first.
        rounds[0].drop_in
    }

    pub fn command(&self, libraries: [Library; 2], rounds: usize) -> Command {
        let host = &self.for_clients.host;
        create_command(self.copies, libraries, &self.program, host, rounds)
    }
}

pub fn create_command(
    copies: &Copies,
    libraries: [Library; 2],
    program: &Path,
    host: &str,
    rounds: usize,
) -> Command {
    let mut command = tool(program);
    command
        .args(libraries.map(|library| copies.file(library, 0)))
        .args([rounds.to_string().as_str(), PAUSE_US])
        .env("SUPERSTREAM_HOST", host);
    command
}

pub fn read_rounds(output: &str) -> (Vec<Round>, Value) {
    let mut lines: Vec<&str> = output.lines().collect();
    let status = serde_json::from_str(lines.pop().unwrap()).unwrap();
    let rounds = lines.into_iter().map(|line| {
        let [drop_in, stock, exchange] = numbers(line).try_into().unwrap();
        Round {
            drop_in,
            stock,
            exchange,
        }
    });
    (rounds.collect(), status)
}

/// A figure of a client without advice would look good and mean nothing.
pub fn assert_advised(status: &Value) {
    assert_eq!(status["service"]["state"], "up", "{status}");
    assert_eq!(status["answered"]["start"], true, "{status}");
}
