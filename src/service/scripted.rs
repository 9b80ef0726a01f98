//! A service by a script, for tests.

use std::time::Duration;

use superstream_nats_server::wait_until;
use superstream_protocol::{
    ClientConfigUpdate, ClientError, RegisterClient, Registered, Reports, ReportsTaken,
};

use super::{Failure, Heard, Registration, Said, Transport};

/// Answers reports by a script, and knows what it was told.
pub(super) struct Scripted<A> {
    answer: A,
    /// The clients of each request with reports.
    pub(super) told: Vec<Vec<String>>,
    /// What becomes of all other messages.
    pub(super) others: Result<Said, Failure>,
    /// How many there were.
    pub(super) other_messages: usize,
    /// How many of them told what a client runs with.
    pub(super) configurations: usize,
    /// What registering brings.
    pub(super) registration: Registration,
    /// What it says unasked.
    pub(super) unasked: Vec<Heard>,
    /// Clients that it is to forget.
    pub(super) forgotten: Vec<String>,
}

impl<A> Scripted<A> {
    pub(super) fn new(answer: A) -> Self {
        Self {
            answer,
            told: Vec::new(),
            others: Ok(Said::Yes),
            other_messages: 0,
            configurations: 0,
            registration: Registration::Answered(Registered::default()),
            unasked: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    fn other(&mut self) -> Result<Said, Failure> {
        self.other_messages += 1;
        self.others.clone()
    }
}

impl<A: FnMut(&Reports) -> Result<ReportsTaken, Failure> + Send> Transport for Scripted<A> {
    fn register(&mut self, _: &RegisterClient, _: Duration) -> Result<Registration, Failure> {
        self.other()?;
        Ok(self.registration.clone())
    }

    fn configure(&mut self, _: &ClientConfigUpdate) -> Result<Said, Failure> {
        self.configurations += 1;
        self.other()
    }

    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure> {
        let names = reports.reports.iter().map(|one| one.client_hash.clone());
        self.told.push(names.collect());
        (self.answer)(reports)
    }

    fn error(&mut self, _: &ClientError) -> Result<Said, Failure> {
        self.other()
    }

    fn goodbye(&mut self, _: &str, _: &str) -> Result<Said, Failure> {
        self.other()
    }

    fn forget(&mut self, client_hash: &str) {
        self.forgotten.push(client_hash.to_owned());
    }

    fn look(&mut self) -> Result<Vec<Heard>, Failure> {
        Ok(std::mem::take(&mut self.unasked))
    }
}

/// Looks until something is heard that is meant.
pub(super) fn hear(
    transport: &mut impl Transport,
    what: &str,
    is_meant: impl Fn(&Heard) -> bool,
) -> Heard {
    let mut found = None;
    wait_until(what, || {
        let heard = transport.look().unwrap_or_default();
        found = heard.into_iter().find(&is_meant);
        found.is_some()
    });
    found.unwrap()
}

/// What a client runs with: nothing of its own.
pub(super) fn config(client_hash: &str) -> ClientConfigUpdate {
    ClientConfigUpdate {
        client_hash: client_hash.to_owned(),
        ..ClientConfigUpdate::default()
    }
}
