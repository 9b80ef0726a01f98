//! The messages that wait for the service.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::report::record::Client;

/// Messages kept for a service that is away. The oldest go first.
const MAX_WAITING: usize = 256;

/// What is said of one client.
pub(super) enum Message {
    Register(Arc<Client>),
    Configure(Arc<Client>),
    Error(Arc<Client>, String),
    Goodbye(Arc<Client>),
}

/// A message that was not sent yet.
pub(super) struct Waiting {
    pub(super) message: Message,
    /// How often the service answered, and not to the purpose.
    pub(super) tries: u32,
    pub(super) not_before: Instant,
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Clients that are gone, and for which there was no room yet.
    goodbyes: VecDeque<Arc<Client>>,
}

impl Queue {
    pub(super) fn push(&mut self, message: Message) {
        if self.waiting.iter().any(|one| one.message.says(&message)) {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.drop_one();
        }
        self.waiting.push_back(Waiting {
            message,
            tries: 0,
            not_before: Instant::now(),
        });
    }

    /// It did not get through.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Tells that these clients are gone, as many at a time as leave room for other messages. Of very
    /// many the service hears no more, and finds out.
    pub(super) fn say_goodbye(&mut self, gone: Vec<Arc<Client>>) {
        self.goodbyes.extend(gone);
        while self.waiting.len() < MAX_WAITING / 2
            && let Some(client) = self.goodbyes.pop_front()
        {
            self.push(Message::Goodbye(client));
        }
        let beyond = self.goodbyes.len().saturating_sub(MAX_WAITING);
        self.goodbyes.drain(..beyond);
    }

    /// Nobody waits for a client's registration any more.
    pub(super) fn forget(&mut self, client: &Arc<Client>) {
        self.waiting
            .retain(|waiting| !waiting.message.registers(client));
    }

    /// Whether there is a client that never had an answer: its creator may wait for it.
    pub(super) fn has_first_registration(&self) -> bool {
        self.waiting.iter().any(Waiting::is_first)
    }

    /// The first of those.
    pub(super) fn take_first_registration(&mut self) -> Option<Waiting> {
        let place = self.waiting.iter().position(Waiting::is_first)?;
        self.waiting.remove(place)
    }

    /// The oldest message that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Waiting> {
        let is_due = |waiting: &Waiting| waiting.not_before <= now;
        let place = self.waiting.iter().position(is_due)?;
        self.waiting.remove(place)
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.not_before).min()
    }

    /// Makes room: the oldest message goes, registrations last, because somebody may wait for
    /// one.
    fn drop_one(&mut self) {
        let oldest = self.waiting.iter().position(|waiting| !waiting.is_first());
        if let Some(dropped) = self.waiting.remove(oldest.unwrap_or(0)) {
            dropped.give_up("too many messages wait for the service");
        }
    }
}

impl Message {
    /// Whether it is the registration of this client.
    fn registers(&self, client: &Arc<Client>) -> bool {
        matches!(self, Self::Register(other) if Arc::ptr_eq(other, client))
    }

    /// Whether it says what the other one does, once both are sent.
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Register(one), Self::Register(other))
            | (Self::Configure(one), Self::Configure(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The client that it is about, if the service knows that one afterwards.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Register(client) | Self::Configure(client) | Self::Error(client, _) => {
                Some(client)
            }
            Self::Goodbye(_) => None,
        }
    }
}

impl Waiting {
    /// Whether it is the registration of a client that has no answer yet.
    fn is_first(&self) -> bool {
        matches!(&self.message, Message::Register(client) if client.answer().is_none())
    }

    /// Nobody is to wait for this message any more.
    pub(super) fn give_up(self, reason: &str) {
        if let Message::Register(client) = self.message {
            client.answered(Err(reason.to_owned()));
        }
    }
}
