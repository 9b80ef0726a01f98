//! The messages that wait for the service.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::line::Backoff;
use crate::report::record::Client;

/// Messages kept for a service that is away.
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
    pub(super) bad_answers: u32,
    pub(super) backoff: Backoff,
    since: Instant,
    /// Somebody else sees to it that nobody waits in vain.
    passed_on: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Clients that are gone, and for which there was no room yet.
    goodbyes: VecDeque<Arc<Client>>,
    /// Clients that are gone, and of which that is never said.
    unsaid: Vec<Arc<Client>>,
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
            bad_answers: 0,
            backoff: Backoff::default(),
            since: Instant::now(),
            passed_on: false,
        });
    }

    /// It did not get through. A client that went meanwhile need not be registered any more.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        let is_gone = |client: &Arc<Client>| {
            let of_waiting = self
                .waiting
                .iter()
                .filter_map(|one| one.message.says_goodbye());
            let mut gone = of_waiting.chain(&self.goodbyes);
            gone.any(|other| Arc::ptr_eq(other, client))
        };
        match &waiting.message {
            Message::Register(client) if is_gone(client) => {}
            _ => self.waiting.push_back(waiting),
        }
    }

    /// Tells that these clients are gone, as many at a time as leave room for other messages. Of very
    /// many the service hears no more, and finds out.
    pub(super) fn say_goodbye(&mut self, gone: Vec<Arc<Client>>) {
        for client in &gone {
            // The service is not to hear of it first when it is gone.
            self.forget(client);
        }
        self.goodbyes.extend(gone);
        while self.waiting.len() < MAX_WAITING / 2
            && let Some(client) = self.goodbyes.pop_front()
        {
            self.push(Message::Goodbye(client));
        }
        let beyond = self.goodbyes.len().saturating_sub(MAX_WAITING);
        self.unsaid.extend(self.goodbyes.drain(..beyond));
    }

    /// A message is not said any more.
    pub(super) fn is_given_up(&mut self, message: &Message) {
        if let Message::Goodbye(client) = message {
            self.unsaid.push(Arc::clone(client));
        }
    }

    /// Clients that are gone, and of which that is never said, since this was asked last.
    pub(super) fn take_unsaid(&mut self) -> Vec<Arc<Client>> {
        std::mem::take(&mut self.unsaid)
    }

    /// A client need not be registered any more.
    pub(super) fn forget(&mut self, client: &Arc<Client>) {
        self.waiting
            .retain(|waiting| !waiting.message.registers(client));
    }

    /// Whether there is a client that never had an answer.
    pub(super) fn has_first_registration(&self) -> bool {
        self.waiting.iter().any(Waiting::is_first)
    }

    /// Whether there is one whose creator may wait for it.
    pub(super) fn has_urgent(&self) -> bool {
        self.waiting.iter().any(Waiting::is_urgent)
    }

    /// The first registration of a client whose creator may wait for it.
    pub(super) fn take_urgent(&mut self) -> Option<Waiting> {
        let place = self.waiting.iter().position(Waiting::is_urgent)?;
        self.waiting.remove(place)
    }

    /// The first message that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Waiting> {
        let is_due = |waiting: &Waiting| waiting.backoff.is_over(now) && self.is_sayable(waiting);
        let place = self.waiting.iter().position(is_due)?;
        self.waiting.remove(place)
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let sayable = self
            .waiting
            .iter()
            .filter(|waiting| self.is_sayable(waiting));
        sayable.map(Waiting::due).min()
    }

    /// Whether the service would know what it is about: an error waits for the registration of its
    /// client.
    fn is_sayable(&self, waiting: &Waiting) -> bool {
        match &waiting.message {
            Message::Error(client, _) if client.hash().is_none() => {
                !self.waiting.iter().any(|one| one.message.registers(client))
            }
            _ => true,
        }
    }

    /// Makes room: the first message goes, and the first registration of a client last, because
    /// somebody may wait for it.
    fn drop_one(&mut self) {
        let oldest = self.waiting.iter().position(|waiting| !waiting.is_first());
        if let Some(dropped) = self.waiting.remove(oldest.unwrap_or(0)) {
            self.is_given_up(&dropped.message);
            dropped.give_up("too many messages wait for the service");
        }
    }
}

impl Message {
    /// Whether it is the registration of this client.
    fn registers(&self, client: &Arc<Client>) -> bool {
        matches!(self, Self::Register(other) if Arc::ptr_eq(other, client))
    }

    /// The client that is gone by it.
    fn says_goodbye(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Goodbye(client) => Some(client),
            _ => None,
        }
    }

    /// Whether it says what the other one does, once both are sent.
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Register(one), Self::Register(other))
            | (Self::Configure(one), Self::Configure(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The client that it is about, which is still there afterwards.
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
    pub(super) fn is_first(&self) -> bool {
        matches!(&self.message, Message::Register(client) if client.answer().is_none())
    }

    /// Whether a creator may wait for it. One that was tried in vain is a message as others are.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_first() && self.backoff.failures() == 0
    }

    /// Whether it only asks: nobody is to be registered.
    pub(super) fn is_dry_run(&self) -> bool {
        matches!(&self.message, Message::Register(client) if client.registration.dry_run)
    }

    fn due(&self) -> Instant {
        self.backoff.not_before(self.since)
    }

    /// Nobody is to wait for this message any more.
    pub(super) fn give_up(self, reason: &str) {
        self.answer(reason);
    }

    /// It was sent, and its client waits for another word.
    pub(super) fn is_passed_on(&mut self) {
        self.passed_on = true;
    }

    fn answer(&self, reason: &str) {
        if let Message::Register(client) = &self.message
            && !self.passed_on
        {
            client.answered(Err(reason.to_owned()));
        }
    }
}

/// However a message comes to its end, an error of our own included, nobody waits for it in vain. The
/// first answer counts.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.answer("it was not registered");
    }
}
