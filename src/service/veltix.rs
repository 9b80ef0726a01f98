//! The service over Veltix, by the conversation of `docs/link.md`.
//!
//! There is one connection for all clients of the process, and the service says over it what it has to
//! say as soon as it has it. Nothing that comes is trusted.

mod inbox;
mod link;
mod names;
mod unasked;

use std::time::{Duration, Instant};

use serde::Serialize;
use superstream_protocol::link::{CONFIGURE, ERROR, GOODBYE, Goodbye, REGISTER, REPORT};
use superstream_protocol::{
    ClientConfigUpdate, ClientError, RegisterClient, Registered, ReportTaken, Reports, ReportsTaken,
};
use superstream_veltix::Address;

use super::answer::{self, never_sent};
use super::{Failure, Heard, Registration, Said, Transport, Watch};
use crate::log;
use crate::settings::Token;
use link::Link;
use names::Names;
use unasked::Unasked;

/// The service at one address.
pub struct Veltix {
    link: Link,
    token: Option<Token>,
    quiet_limit: Duration,
    names: Names,
    unasked: Unasked,
}

impl Veltix {
    /// `patience` is what a creator waits.
    pub fn new(server: &Address, token: Option<Token>, patience: Duration) -> Self {
        Self {
            link: Link::new(server, token.clone()),
            token,
            quiet_limit: answer::quiet_limit(patience),
            names: Names::default(),
            unasked: Unasked::default(),
        }
    }

    /// Asks, and waits for the answer. A connection that has just broken is no failure: what was said is
    /// said once more, over a new one. All of it may be repeated.
    fn ask(
        &mut self,
        kind: u16,
        message: &impl Serialize,
        longest: usize,
        deadline: Instant,
    ) -> Result<serde_json::Value, Failure> {
        let content = json(message)?;
        self.unasked.idle_since = None;
        let is_new = !self.link.is_open();
        self.open(deadline)?;
        let body = match self.link.request(kind, &content, deadline) {
            Err(_) if !self.link.is_open() && !is_new && Instant::now() < deadline => {
                self.open(deadline)?;
                self.link.request(kind, &content, deadline)
            }
            other => other,
        };
        log::lines(self.link.inbox.lines.take());
        answer::accepted(&body?, self.token.as_ref(), longest)
    }

    /// Says something that is answered with nothing of interest.
    fn tell(
        &mut self,
        kind: u16,
        message: &impl Serialize,
        deadline: Instant,
    ) -> Result<Said, Failure> {
        let answered = self.ask(kind, message, answer::longest(0), deadline);
        answered.map(|_| Said::Yes)
    }

    /// After an error of our own the service knows clients that this transport has never heard of: it
    /// is told that they are here.
    fn find_again(&mut self, reports: &Reports, taken: &ReportsTaken) {
        let goes_on = reports.reports.iter().filter(|report| !report.last);
        for name in goes_on.map(|report| &report.client_hash) {
            let is_known = |taken: &ReportTaken| taken.client_hash == *name && !taken.unknown;
            if taken.reports.iter().any(is_known) && self.names.find(name) {
                self.unasked.resumes();
            }
        }
    }

    /// The last report of a client is not that of its name where another one goes on by it.
    fn of_names(&self, reports: &Reports) -> Reports {
        let mut reports = reports.clone();
        for report in &mut reports.reports {
            report.last &= !self.names.outlives_one(&report.client_hash);
        }
        reports
    }

    fn quiet_deadline(&self) -> Instant {
        Instant::now() + self.quiet_limit
    }
}

impl Transport for Veltix {
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registration, Failure> {
        let deadline = Instant::now() + limit;
        let document = self.ask(REGISTER, message, answer::longest(0), deadline)?;
        let registered: Registered = answer::message(document)?;
        if !message.dry_run {
            answer::usable_hash(&registered.client_hash)?;
            self.names.add(&registered.client_hash);
        }
        Ok(Registration::Answered(registered))
    }

    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<Said, Failure> {
        self.tell(CONFIGURE, message, self.quiet_deadline())
    }

    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure> {
        let longest = answer::longest(reports.reports.len());
        let reports = &self.of_names(reports);
        let document = self.ask(REPORT, reports, longest, self.quiet_deadline())?;
        let taken: ReportsTaken = answer::message(document)?;
        for report in taken.reports.iter().filter(|report| report.unknown) {
            self.names.remove(&report.client_hash);
        }
        self.find_again(reports, &taken);
        Ok(taken)
    }

    fn error(&mut self, message: &ClientError) -> Result<Said, Failure> {
        self.tell(ERROR, message, self.quiet_deadline())
    }

    fn goodbye(&mut self, client_hash: &str, _: &str) -> Result<Said, Failure> {
        if self.names.is_shared(client_hash) {
            // The other one goes on by it.
            self.names.leave(client_hash);
            return Ok(Said::Nothing);
        }
        let goodbye = Goodbye {
            client_hash: client_hash.to_owned(),
        };
        let said = self.tell(GOODBYE, &goodbye, self.quiet_deadline());
        // What is refused is not said again.
        if matches!(said, Ok(_) | Err(Failure::Refused(_))) {
            self.names.leave(client_hash);
        }
        said
    }

    fn forget(&mut self, client_hash: &str) {
        self.names.leave(client_hash);
    }

    fn look_at(&self) -> Option<Instant> {
        self.next_look()
    }

    fn watch(&self) -> Option<Watch<'_>> {
        let mut watch = self.link.watch()?;
        watch.from = self.unasked.rested_at();
        Some(watch)
    }

    fn look(&mut self) -> Result<Vec<Heard>, Failure> {
        self.look_once()
    }
}

fn json(message: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(message).map_err(never_sent)
}

#[cfg(test)]
mod tests;
