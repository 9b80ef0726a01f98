//! What the service has done since it was started: counts for `/metrics`.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::nats::MESSAGES;
use crate::store::Receipt;

/// Classes of statuses, by their first digit.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    answers: [AtomicU64; CLASSES.len()],
    taken: AtomicU64,
    repeated: AtomicU64,
    unknown: AtomicU64,
    nats: AtomicU8,
    nats_messages: [AtomicU64; MESSAGES.len()],
    nats_outcomes: [AtomicU64; OUTCOMES.len()],
    has_links: AtomicBool,
    links: AtomicU64,
    links_lost: AtomicU64,
    clients_lost: AtomicU64,
}

/// What became of messages that came over NATS.
const OUTCOMES: [&str; 5] = ["taken", "unknown", "refused", "failed", "dropped"];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    Unknown,
    Refused,
    Failed,
    Dropped,
}

impl Outcome {
    /// What the status of an answer tells.
    pub fn of(status: u16) -> Self {
        match status {
            404 => Self::Unknown,
            400..500 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Taken,
        }
    }
}

/// Whether there is a connection to NATS.
const NATS_UNUSED: u8 = 0;
const NATS_DOWN: u8 = 1;
const NATS_UP: u8 = 2;

impl Tally {
    /// Counts the answer to a request by its status.
    pub fn answer(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a report.
    pub fn report(&self, receipt: Receipt) {
        let count = match receipt {
            Receipt::Taken { again: false, .. } => &self.taken,
            Receipt::Taken { again: true, .. } => &self.repeated,
            Receipt::Unknown => &self.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes whether there is a connection to NATS.
    pub fn set_nats_up(&self, is_up: bool) {
        let state = if is_up { NATS_UP } else { NATS_DOWN };
        self.nats.store(state, Ordering::Relaxed);
    }

    /// Whether there is one; `None` where none is wanted.
    pub fn is_nats_up(&self) -> Option<bool> {
        match self.nats.load(Ordering::Relaxed) {
            NATS_UNUSED => None,
            state => Some(state == NATS_UP),
        }
    }

    /// Counts a message by what it is about, as a place in [`MESSAGES`].
    pub fn nats_message(&self, about: usize) {
        if let Some(count) = self.nats_messages.get(about) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts it by what became of it.
    pub fn nats_outcome(&self, outcome: Outcome) {
        if let Some(count) = self.nats_outcomes.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one that was not taken because too many wait.
    pub fn nats_dropped(&self) {
        self.nats_outcome(Outcome::Dropped);
    }

    /// Messages by what they are about.
    pub fn nats_messages(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&MESSAGES, &self.nats_messages)
    }

    /// Messages by what became of them.
    pub fn nats_outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&OUTCOMES, &self.nats_outcomes)
    }

    /// Notes that the service has links.
    pub fn serve_links(&self) {
        self.has_links.store(true, Ordering::Relaxed);
    }

    /// Notes how many there are.
    pub fn set_links(&self, links: usize) {
        self.links.store(links as u64, Ordering::Relaxed);
    }

    /// How many there are; `None` where none are served.
    pub fn links(&self) -> Option<u64> {
        let has_links = self.has_links.load(Ordering::Relaxed);
        has_links.then(|| self.links.load(Ordering::Relaxed))
    }

    /// Counts a link that ended with so many clients on it that did not say goodbye.
    pub fn link_lost(&self, clients: usize) {
        self.links_lost.fetch_add(1, Ordering::Relaxed);
        let clients = clients as u64;
        self.clients_lost.fetch_add(clients, Ordering::Relaxed);
    }

    /// How many links ended like that, and how many clients were on them.
    pub fn links_lost(&self) -> (u64, u64) {
        let links = self.links_lost.load(Ordering::Relaxed);
        (links, self.clients_lost.load(Ordering::Relaxed))
    }

    /// Answers by the class of their status.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&CLASSES, &self.answers)
    }

    /// Reports by what became of them.
    pub fn reports(&self) -> [(&'static str, u64); 3] {
        [
            ("taken", &self.taken),
            ("repeated", &self.repeated),
            ("unknown", &self.unknown),
        ]
        .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}

fn named<'a>(
    names: &'a [&'static str],
    counts: &'a [AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    names.iter().copied().zip(counts)
}
