//! Drives `tests/peers/application.py`, with whichever client of Kafka it finds.

use std::path::Path;
use std::time::Duration;

use superstream_tests::driver::Driver;
use superstream_tests::{root, tool};

/// The application while it runs. It is quiet: whoever is in it says nothing on stderr.
pub struct Application(Driver);

impl Application {
    pub fn start(
        python: &Path,
        brokers: &str,
        topic: &str,
        properties: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = tool(python);
        command
            .arg("-B")
            .arg(root().join("tests/peers/application.py"))
            .args([brokers, topic])
            .args(properties)
            .envs(environment.iter().copied());
        let mut application = Self(Driver::spawn(&mut command));
        assert_eq!(application.0.answer(), "ready");
        application
    }

    #[track_caller]
    pub fn create(&mut self, kind: &str, name: &str) {
        self.0.expect(&format!("{kind} {name}"), "created");
    }

    /// The same, without waiting.
    #[track_caller]
    pub fn begin_to_create(&mut self, kind: &str, name: &str) {
        self.0.begin(&format!("{kind} {name}"));
    }

    #[track_caller]
    pub fn wait_for_creation(&mut self) {
        assert_eq!(self.0.answer(), "created");
    }

    /// How long the last constructor took.
    #[track_caller]
    pub fn took(&mut self) -> Duration {
        self.0.took()
    }

    #[track_caller]
    pub fn produce(&mut self, name: &str, records: usize) {
        let delivered = format!("delivered {records}");
        self.0
            .expect(&format!("produce {name} {records}"), &delivered);
    }

    #[track_caller]
    pub fn consume(&mut self, name: &str, records: usize) {
        let consumed = format!("consumed {records}");
        self.0
            .expect(&format!("consume {name} {records}"), &consumed);
    }

    #[track_caller]
    pub fn close(&mut self, name: &str) {
        self.0.expect(&format!("close {name}"), "closed");
    }

    #[track_caller]
    pub fn end(self) {
        self.0.end_quietly();
    }
}
