//! One client as we know it, from its registration to its end.

use std::sync::Mutex;

use once_cell::sync::OnceCell;

use superstream_protocol::{
    Change, ClientConfigUpdate, ClientKind, Configuration, Mode, Refusal, RegisterClient,
    Registered, StartClient,
};

use crate::lock::lock;

/// A client, shared by the thread that creates it and the one that speaks to the service.
#[derive(Debug)]
pub struct Client {
    /// What the service is told first.
    pub registration: RegisterClient,
    /// Producer or consumer.
    pub kind: ClientKind,
    /// `client.id`.
    pub client_id: String,
    /// The service's answer, once it is there.
    answer: OnceCell<Result<Registered, String>>,
    outcome: Mutex<Outcome>,
}

/// What became of the advice.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The advice that was planned with, and where it came from.
    pub advice: Option<StartClient>,
    /// Why there was none, or what was special about it.
    pub note: String,
    /// Whether changes were made or only planned.
    pub mode: Mode,
    /// What was changed; in observe mode, what would have been.
    pub changes: Vec<Change>,
    /// What was not.
    pub refusals: Vec<Refusal>,
    /// What went wrong on our side.
    pub errors: Vec<String>,
    /// The configuration that the client runs with, masked; empty until it is created.
    pub config: Configuration,
    /// The handle exists, or existed.
    pub created: bool,
}

/// An application that makes topics for ever must not make this grow for ever.
const MAX_ENTRIES: usize = 256;

impl Client {
    /// A client that is about to be created.
    pub fn new(registration: RegisterClient, kind: ClientKind, client_id: String) -> Self {
        Self {
            registration,
            kind,
            client_id,
            answer: OnceCell::new(),
            outcome: Mutex::default(),
        }
    }

    /// Keeps the service's answer. The first one counts.
    pub fn answered(&self, answer: Result<Registered, String>) {
        let _ = self.answer.set(answer);
    }

    /// The service's answer, if it came.
    pub fn answer(&self) -> Option<&Result<Registered, String>> {
        self.answer.get()
    }

    /// The name that the service gave this client, once it has.
    pub fn hash(&self) -> Option<&str> {
        match self.answer()? {
            Ok(registered) => Some(&registered.client_hash),
            Err(_) => None,
        }
    }

    /// What became of the advice, up to now.
    pub fn outcome(&self) -> Outcome {
        lock(&self.outcome).clone()
    }

    /// Changes what is known of the outcome.
    pub fn update(&self, update: impl FnOnce(&mut Outcome)) {
        let mut outcome = lock(&self.outcome);
        update(&mut outcome);
        outcome.changes.truncate(MAX_ENTRIES);
        outcome.refusals.truncate(MAX_ENTRIES);
        outcome.errors.truncate(MAX_ENTRIES);
    }

    /// Adds a change that was made after creation. False where it is known already, or where
    /// there is no room.
    pub fn change(&self, change: Change) -> bool {
        let mut outcome = lock(&self.outcome);
        let known = outcome.changes.iter().any(|made| made.key == change.key);
        let news = !known && outcome.changes.len() < MAX_ENTRIES;
        if news {
            outcome.changes.push(change);
        }
        news
    }

    /// The value that we gave a property, if we did.
    pub fn changed(&self, key: &str) -> Option<Change> {
        let outcome = lock(&self.outcome);
        if outcome.mode == Mode::Observe {
            return None;
        }
        outcome
            .changes
            .iter()
            .find(|change| change.key == key)
            .cloned()
    }

    /// What the service is told about the outcome; `None` before it knows the client, or where
    /// no client came to be.
    pub fn config_update(&self) -> Option<ClientConfigUpdate> {
        let client_hash = self.hash()?.to_owned();
        let outcome = self.outcome();
        outcome.created.then_some(ClientConfigUpdate {
            client_hash,
            config: outcome.config,
            changes: outcome.changes,
            refusals: outcome.refusals,
            mode: outcome.mode,
        })
    }
}
