//! What a person sees.

use std::error::Error;
use std::io::{IsTerminal, Write, stderr};

use serde_json::Value;

use crate::number;

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

/// What was saved, in percent of stock.
pub struct Saved {
    pub bytes: f64,
    pub requests: f64,
}

impl Saved {
    pub fn between(stock: &Value, tuned: &Value) -> Result<Self, Box<dyn Error>> {
        let saved = |name| -> Result<f64, Box<dyn Error>> {
            let before = number(stock, name)?;
            Ok((1.0 - number(tuned, name)? / before) * 100.0)
        };
        for name in ["messages", "message_bytes"] {
            if number(stock, name)? != number(tuned, name)? {
                return Err(format!("the two runs differ in their {name}").into());
            }
        }
        Ok(Self {
            bytes: saved("tx_bytes")?,
            requests: saved("tx_requests")?,
        })
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

/// The two runs beside each other.
pub fn side_by_side(stock: &Value, tuned: &Value, saved: &Saved) {
    let row = |name: &str, key: &str| {
        println!(
            "  {name:<20} {:>14} {:>14}",
            count(stock, key),
            count(tuned, key)
        );
    };
    println!("\nMeasured by librdkafka's own statistics in the producer");
    println!("  {:<20} {:>14} {:>14}", "", "stock", "superstream");
    row("records", "messages");
    row("payload bytes", "message_bytes");
    row("bytes on the wire", "tx_bytes");
    row("requests", "tx_requests");
    for (name, key, saved) in [
        ("bytes on the wire", "tx_bytes", saved.bytes),
        ("requests", "tx_requests", saved.requests),
    ] {
        let most = stock[key].as_f64().unwrap_or(0.0);
        println!("\n  {name}: {saved:.1} % less");
        for (who, run) in [("stock", stock), ("superstream", tuned)] {
            println!(
                "  {who:>12} {}",
                bar(run[key].as_f64().unwrap_or(0.0), most)
            );
        }
    }
    println!();
}

fn rows<'v>(document: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    document[name].as_array().into_iter().flatten()
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or("unknown")
}

/// A number with its thousands apart.
fn count(document: &Value, name: &str) -> String {
    let digits = document[name].as_u64().unwrap_or(0).to_string();
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
