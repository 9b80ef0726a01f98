//! Apache Kafka itself, started by `tests/kafka/kafka`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::{root, tool};

/// A node with nothing in it. It ends with its stdin, so it does not outlive the test program,
/// however that ends.
pub struct Kafka {
    /// The value for `bootstrap.servers`.
    pub brokers: String,
    /// The same for who logs in.
    pub sasl: String,
    /// Where a capture passes on what it is sent.
    pub captured: String,
    /// The folder of the logs.
    pub data: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Kafka {
    /// The one node of a test program.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A node of one's own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A node that sends who comes by `captured` to a port where somebody passes it on.
    pub fn start_behind(port: u16) -> Self {
        Self::start_with(&["--advertise", &port.to_string()])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut command = tool(root().join("tests/kafka/kafka"));
        command
            .arg("run")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make setup`): {error}"));
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("Kafka did not start ({error}): {line:?}"));
        let address = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            brokers: address("brokers"),
            sasl: address("sasl"),
            captured: address("captured"),
            data: PathBuf::from(address("data")),
            child,
            stdin,
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.wait();
    }
}

/// The name of a topic that no other test uses. The node makes it when it is written to.
pub fn topic(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{number}")
}
