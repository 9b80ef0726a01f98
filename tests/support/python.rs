//! Pythons with confluent-kafka.

use std::path::PathBuf;

use crate::{root, run, tool};

/// The newest wheel.
pub const TODAY: &str = "2.16.1";

/// A Python with this version of the client.
pub fn python(version: &str) -> PathBuf {
    let line = run(tool(root().join("tests/python/venv")).arg(version));
    PathBuf::from(line.trim_end())
}
