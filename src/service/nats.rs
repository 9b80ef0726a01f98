//! The service over NATS: the subjects that the deployed Superstream has, and those that ours has
//! beside them.
//!
//! There is one connection for all clients of the process. Whose service it is shows the answer to a
//! registration: ours has the word to start in it, and answers everything; the deployed one sends that
//! word by itself, and is told the rest without an answer. Nothing that comes is trusted.

mod known;
mod link;
mod replies;
mod unasked;

use std::time::{Duration, Instant};

use serde::Serialize;
use superstream_nats::Address;
use superstream_protocol::{
    ClientConfigUpdate, ClientError, ClientReport, Configuration, RegisterClient, ReportTaken,
    Reports, ReportsTaken,
};

use super::answer::{self, never_sent};
use super::starting::LIFE;
use super::{Failure, Heard, Registration, Said, Transport};
use crate::settings::Token;
use crate::tuning;
use known::Known;
use link::Link;
use unasked::Unasked;

const REGISTER: &str = "internal.registerClient";
const CONFIG: &str = "internal.clientConfigUpdate";
const KIND: &str = "internal.clientTypeUpdate";
const ERRORS: &str = "internal.clientErrors";
const REPORTS: &str = "internal_tasks.clientsUpdate.reports";
const TOPICS: &str = "internal_tasks.clientsUpdate.config.";
const GOODBYE: &str = "internal_tasks.clientsUpdate.goodbye.";

/// How often the deployed service is told of topics, unless there are new ones.
const REPORT_INTERVAL_MS: u64 = 600_000;
/// An error text is a sentence, and what tells whose it is.
const MAX_ERROR_BYTES: usize = 4096;

/// The service at one server of NATS, or at another one of its cluster.
pub struct Nats {
    link: Link,
    token: Option<Token>,
    quiet_limit: Duration,
    known: Known,
    unasked: Unasked,
    /// The service is our own, as far as a registration has shown.
    is_ours: bool,
}

impl Nats {
    /// `patience` is what a creator waits.
    pub fn new(server: &Address, token: Option<Token>, patience: Duration) -> Self {
        Self {
            link: Link::new(server, token.clone()),
            token,
            quiet_limit: answer::quiet_limit(patience),
            known: Known::default(),
            unasked: Unasked::default(),
            is_ours: false,
        }
    }

    fn quiet_deadline(&self) -> Instant {
        Instant::now() + self.quiet_limit
    }

    /// Tells our service something that is answered with nothing of interest.
    fn ask(&mut self, subject: &str, payload: &[u8]) -> Result<Said, Failure> {
        let deadline = self.quiet_deadline();
        let body = self.link.request(subject, deadline, |_| payload.to_vec())?;
        let longest = answer::longest(0);
        answer::accepted(&body, self.token.as_ref(), longest).map(|_| Said::Yes)
    }

    /// Reports to our service.
    fn report_to_ours(&mut self, reports: Vec<ClientReport>) -> Result<ReportsTaken, Failure> {
        let (count, reports) = (reports.len(), Reports { reports });
        let payload = json(&reports)?;
        let deadline = self.quiet_deadline();
        let body = self.link.request(REPORTS, deadline, |_| payload.clone())?;
        let longest = answer::longest(count);
        answer::message(answer::accepted(&body, self.token.as_ref(), longest)?)
    }

    /// Tells the deployed service what there is new of topics in reports. It takes all of them.
    fn report_to_deployed(&mut self, reports: &[ClientReport]) -> Result<ReportsTaken, Failure> {
        let mut messages = Vec::new();
        for report in reports {
            if let Some(named) = self.known.get(&report.client_hash)
                && let Some(topics) = named.topics(Some(report))
            {
                messages.push((format!("{TOPICS}{}", report.client_hash), topics));
            }
        }
        // Without any the server is asked all the same whether it is there.
        let published = self.link.publish(&messages, self.quiet_deadline());
        for (subject, _) in &messages {
            let client_hash = subject.strip_prefix(TOPICS).unwrap_or_default();
            if let Some(named) = self.known.get(client_hash) {
                match published {
                    Ok(()) => named.topics_are_told(),
                    Err(_) => named.topics_are_not_told(),
                }
            }
        }
        published?;
        Ok(ReportsTaken {
            reports: reports.iter().map(taken).collect(),
            report_interval_ms: Some(REPORT_INTERVAL_MS),
        })
    }

    /// Whose service knows a client; nobody's, where the client is gone, or after an error of our own:
    /// then its next report has it registered again.
    fn is_ours(&mut self, client_hash: &str) -> Option<bool> {
        self.known.get(client_hash).map(|named| named.is_ours)
    }
}

impl Transport for Nats {
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registration, Failure> {
        let deadline = Instant::now() + limit;
        let config = match self.is_ours {
            true => message.config.clone(),
            false => with_both_names(&message.config),
        };
        let body = self.link.request(REGISTER, deadline, |id| {
            let over_this = RegisterClient {
                nats_connection_id: Some(id.to_owned()),
                config: config.clone(),
                ..message.clone()
            };
            serde_json::to_vec(&over_this).unwrap_or_default()
        })?;
        let document = answer::accepted(&body, self.token.as_ref(), answer::longest(0))?;
        let registration = replies::registration(document, message.dry_run)?;
        let (is_ours, client_hash) = match &registration {
            Registration::Answered(registered) => (true, &registered.client_hash),
            Registration::Named(registered) => (false, &registered.client_hash),
        };
        self.is_ours = is_ours;
        if !message.dry_run {
            let on = self.link.current().unwrap_or_default();
            for (name, updates) in self.known.registered(client_hash, message, is_ours, on) {
                self.left(&name, updates);
            }
        }
        if !is_ours {
            // Nobody hears a late word of one that only asks.
            let life = if message.dry_run { limit } else { LIFE };
            self.await_start(client_hash, life, deadline);
        }
        Ok(registration)
    }

    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<Said, Failure> {
        let client_hash = &message.client_hash;
        match self.is_ours(client_hash) {
            Some(true) => return self.ask(CONFIG, &json(message)?),
            Some(false) => {}
            // It is told when the client is registered again.
            None => return Ok(Said::Nothing),
        }
        let payload = json(&ClientConfigUpdate {
            config: with_both_names(&message.config),
            ..message.clone()
        })?;
        let mut messages = Vec::new();
        let mut topics = None;
        if let Some(named) = self.known.get(client_hash) {
            messages.extend(named.kind(client_hash).map(|kind| (KIND.to_owned(), kind)));
            topics = named.topics(None);
        }
        messages.push((CONFIG.to_owned(), payload));
        let has_topics = topics.is_some();
        messages.extend(topics.map(|topics| (format!("{TOPICS}{client_hash}"), topics)));
        self.link.publish(&messages, self.quiet_deadline())?;
        if let Some(named) = self.known.get(client_hash) {
            named.kind_is_told = true;
            if has_topics {
                named.topics_are_told();
            }
        }
        Ok(Said::Yes)
    }

    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure> {
        let (mut ours, mut deployed) = (Vec::new(), Vec::new());
        let mut taken = ReportsTaken::default();
        for report in &reports.reports {
            match self.is_ours(&report.client_hash) {
                Some(true) => ours.push(report.clone()),
                Some(false) => deployed.push(report.clone()),
                None => taken.reports.push(unknown(report)),
            }
        }
        if deployed.is_empty() && ours.is_empty() {
            // There is nothing to say, but whether the server is there shows.
            self.link.publish(&[], self.quiet_deadline())?;
        }
        if !deployed.is_empty() {
            let more = self.report_to_deployed(&deployed)?;
            taken.reports.extend(more.reports);
            taken.report_interval_ms = more.report_interval_ms;
        }
        if !ours.is_empty() {
            let more = self.report_to_ours(ours)?;
            taken.reports.extend(more.reports);
            taken.report_interval_ms = more.report_interval_ms;
        }
        for report in taken.reports.iter().filter(|report| report.unknown) {
            self.forget(&report.client_hash);
        }
        Ok(taken)
    }

    fn error(&mut self, message: &ClientError) -> Result<Said, Failure> {
        let Some(named) = self.known.get(&message.client_hash) else {
            return Ok(Said::Nothing);
        };
        let text = named.error(&message.error, MAX_ERROR_BYTES);
        let (is_ours, payload) = (named.is_ours, text.into_bytes());
        match is_ours {
            true => self.ask(ERRORS, &payload),
            false => self
                .link
                .publish(&[(ERRORS.to_owned(), payload)], self.quiet_deadline())
                .map(|()| Said::Yes),
        }
    }

    fn goodbye(&mut self, client_hash: &str, registration_id: &str) -> Result<Said, Failure> {
        // Nobody knows it any more.
        let Some(is_ours) = self.is_ours(client_hash) else {
            return Ok(Said::Nothing);
        };
        // The deployed service has no word for it: it sees the connection go with the last client.
        let said = match is_ours {
            true => self.ask(&format!("{GOODBYE}{client_hash}"), b""),
            false => Ok(Said::Nothing),
        };
        // What is refused is not said again.
        if matches!(said, Ok(_) | Err(Failure::Refused(_)))
            && let Some(named) = self.known.gone(client_hash, registration_id)
        {
            self.left(client_hash, named.updates);
        }
        said
    }

    fn look_at(&self) -> Option<Instant> {
        self.next_look()
    }

    fn look(&mut self) -> Result<Vec<Heard>, Failure> {
        self.look_once()
    }
}

fn json(message: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(message).map_err(never_sent)
}

/// Properties that Kafka's clients, and the deployed service with them, have two names for where the
/// rules have only that of the engine.
const OTHER_NAMES: [(&str, &str); 2] = [
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("message.timeout.ms", "delivery.timeout.ms"),
];

/// The engine tells a property by its own name; the deployed service knows those that Kafka's clients
/// have for it, too.
fn with_both_names(config: &Configuration) -> Configuration {
    let mut both = config.clone();
    for (key, value) in config {
        let other = OTHER_NAMES.iter().find(|(name, _)| name == key);
        let name = other.map_or(tuning::canonical(key), |(_, other)| other);
        if !config.contains_key(name) {
            both.insert(name.to_owned(), value.clone());
        }
    }
    both
}

fn taken(report: &ClientReport) -> ReportTaken {
    ReportTaken {
        client_hash: report.client_hash.clone(),
        sequence: report.sequence,
        ..ReportTaken::default()
    }
}

fn unknown(report: &ClientReport) -> ReportTaken {
    ReportTaken {
        unknown: true,
        ..taken(report)
    }
}

#[cfg(test)]
mod tests;
