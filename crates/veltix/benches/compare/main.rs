//! The rows of the Python library's own benchmark, with the same work in the same shape: the server
//! and its clients in one process, over loopback, all settings as they come.
//!
//! Prints JSON in the form of the original's, with what it does not measure beside it. `compare.py`
//! runs both in one go.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measure;
mod paced;
mod quick;
mod round_trip;
mod stress;

use serde_json::{Map, Value, json};

type Row = fn() -> Value;

fn main() {
    // `cargo bench` adds an argument of its own; a name picks one row.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let rows: [(&str, Row); 7] = [
        // First, as in the original: memory that others have used would hide what it costs.
        ("memory", quick::memory),
        ("latency", round_trip::latency),
        ("fps_64", || paced::fps(64, 64)),
        ("fps_128", || paced::fps(128, 20)),
        ("burst", quick::burst),
        ("stress", stress::stress),
        ("round_trip", round_trip::round_trip),
    ];
    let mut results = Map::new();
    for (name, row) in rows {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            eprintln!("{name} …");
            results.insert(name.to_owned(), row());
        }
    }
    let report = json!({
        "veltix_version": format!("superstream-veltix {}", env!("CARGO_PKG_VERSION")),
        "system": measure::system(),
        "results": results,
    });
    println!("{report:#}");
}
