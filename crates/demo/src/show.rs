//! What a person sees.

use std::error::Error;
use std::io::{IsTerminal, Write, stderr};

use serde_json::Value;

use crate::measured::Runs;

const BAR: usize = 40;

/// Progress on standard error: one line that moves on a terminal, lines elsewhere.
pub struct Progress {
    silent: bool,
    moves: bool,
}

impl Progress {
    pub fn new(silent: bool) -> Self {
        Self {
            silent,
            moves: stderr().is_terminal(),
        }
    }

    /// Something begins.
    pub fn step(&self, what: &str) {
        if self.moves && !self.silent {
            eprint!("\r\x1b[K  {what} …");
        }
    }

    /// A part of something is done.
    pub fn part(&self, what: &str, part: f64) {
        if self.moves && !self.silent {
            let part = part.clamp(0.0, 1.0);
            eprint!(
                "\r\x1b[K  {what:<34} {} {:3.0} %",
                bar(part, 1.0),
                part * 100.0
            );
            // A line that comes late is no failure.
            let _ = stderr().flush();
        }
    }

    /// Something is done.
    pub fn done(&self, what: &str) {
        if !self.silent {
            eprintln!("{}  {what}", if self.moves { "\r\x1b[K" } else { "" });
        }
    }
}

/// The configuration before and after, with the reason for each change.
pub fn configuration(client: &Value) {
    println!("\nConfiguration");
    println!(
        "  {:<20} {:>10} {:>10}   why",
        "property", "before", "after"
    );
    for change in rows(client, "changes") {
        println!(
            "  {:<20} {:>10} {:>10}   {}",
            text(change, "key"),
            text(change, "old"),
            text(change, "new"),
            text(change, "reason")
        );
    }
    for refusal in rows(client, "refusals") {
        println!(
            "  {:<20} {:>10} {:>10}   left alone: {}",
            text(refusal, "key"),
            "",
            text(refusal, "asked"),
            text(refusal, "reason")
        );
    }
}

/// The runs beside each other: what each producer's own statistics say, and what the service was
/// told.
pub fn accounts(runs: &Runs) {
    let (observing, tuned) = (&runs.observing, &runs.tuned);
    println!("\nMeasured, by librdkafka's own statistics in the producer and by the reports");
    println!(
        "  {:<18} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "", "stock", "observing", "", "tuned", ""
    );
    println!(
        "  {:<18} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "", "statistics", "statistics", "reports", "statistics", "reports"
    );
    let accounts = [
        runs.stock,
        observing.statistics,
        observing.reports,
        tuned.statistics,
        tuned.reports,
    ]
    .map(|account| account.rows());
    for (row, (name, _)) in accounts[0].iter().enumerate() {
        let [stock, one, two, three, four] = accounts.map(|account| count(account[row].1));
        println!("  {name:<18} {stock:>11} {one:>11} {two:>11} {three:>11} {four:>11}");
    }
    let [two, four] = [observing, tuned].map(|run| count(run.produce_bytes()));
    println!(
        "  {:<18} {:>11} {:>11} {two:>11} {:>11} {four:>11}",
        "produce bytes", "", "", ""
    );
    println!(
        "  Reports and statistics differ by at most {:.2} %. The first connection, to an address of\n  \
         bootstrap.servers, is left out: librdkafka's statistics forget it.",
        runs.difference()
    );
}

/// What the tuned producer saves, in the service's words.
pub fn saving(runs: &Runs) -> Result<(), Box<dyn Error>> {
    let (saved, own) = (runs.saved()?, runs.saved_by_statistics());
    println!("\nSaved, as the service tells it: tuned against observing");
    for (name, saved, own) in [
        ("bytes on the wire", saved.bytes, own.bytes),
        ("produce requests", saved.requests, own.requests),
    ] {
        println!("\n  {name}: {saved:.1} % less ({own:.1} % by statistics, against stock)");
        println!("  {:>12} {}", "observing", bar(1.0, 1.0));
        println!("  {:>12} {}", "tuned", bar(1.0 - saved / 100.0, 1.0));
    }
    println!(
        "\nThe same of your own programs: `superstream top --host URL` for all clients of a \
         service,\n`superstream status` for the processes of this machine.\n"
    );
    Ok(())
}

fn rows<'v>(document: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    document[name].as_array().into_iter().flatten()
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or("unknown")
}

/// A number with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            apart.push(' ');
        }
        apart.push(digit);
    }
    apart
}

fn bar(part: f64, whole: f64) -> String {
    let filled = if whole > 0.0 {
        (part / whole * BAR as f64).round() as usize
    } else {
        0
    };
    let filled = filled.min(BAR);
    format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled))
}
