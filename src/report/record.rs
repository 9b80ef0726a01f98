//! One client as we know it, from its registration to its end.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use once_cell::sync::OnceCell;

use superstream_protocol::{
    Baseline, Change, ClientConfigUpdate, ClientKind, Configuration, Mode, Refusal, RegisterClient,
    Registered, StartClient, measured::Measured,
};

use super::hooks::LATENCY_SAMPLED;
use super::masking;
use super::schema;
use super::slots::{Pool, Served, Slot};
use crate::cluster::{self, Cluster};
use crate::lock::lock;

/// A client, shared by the thread that creates it and the one that speaks to the service.
#[derive(Debug)]
pub struct Client {
    /// What the service is told first.
    pub registration: RegisterClient,
    /// Producer or consumer.
    pub kind: ClientKind,
    /// `client.id`, as it may be told.
    pub client_id: String,
    /// The Kafka cluster, where its number is read.
    cluster: OnceCell<Arc<Cluster>>,
    /// The service's answer, once it is there.
    answer: OnceCell<Result<Registered, String>>,
    /// The name that the service gave this client last, and the advice that came with it.
    known_as: Mutex<KnownAs>,
    outcome: Mutex<Outcome>,
    counting: Mutex<Counting>,
}

/// What the service knows of a client.
#[derive(Debug, Default)]
struct KnownAs {
    hash: Option<String>,
    advice: Option<StartClient>,
}

/// Where the figures of a client are.
#[derive(Debug, Default)]
enum Counting {
    /// Nothing was counted yet.
    #[default]
    Nowhere,
    /// At the hooks.
    Hooked {
        slot: &'static Slot,
        handle: usize,
        since: Instant,
    },
    /// Here: the client is closed, and nothing is counted any more.
    Final(Box<Measured>),
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
    /// Other advice that the service has by now: it applies at the next start.
    pub next_advice: Option<StartClient>,
    /// What the service compares the client with.
    pub baseline: Option<Baseline>,
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
            client_id: masking::shown("client.id", &client_id).to_owned(),
            cluster: OnceCell::new(),
            answer: OnceCell::new(),
            known_as: Mutex::default(),
            outcome: Mutex::default(),
            counting: Mutex::default(),
        }
    }

    /// The client uses this Kafka cluster.
    pub fn uses(&self, cluster: &Arc<Cluster>) {
        let _ = self.cluster.set(Arc::clone(cluster));
    }

    /// The Kafka cluster's number at the service, as far as it is known by now.
    pub fn connection_id(&self) -> i64 {
        self.cluster
            .get()
            .map_or(cluster::UNKNOWN, |known| known.id())
    }

    /// How the client introduces itself now: of its cluster more may be known than at first.
    pub fn introduction(&self) -> Cow<'_, RegisterClient> {
        match self.connection_id() {
            cluster::UNKNOWN => Cow::Borrowed(&self.registration),
            connection_id => Cow::Owned(RegisterClient {
                connection_id,
                ..self.registration.clone()
            }),
        }
    }

    /// The hooks of a handle count for this client from now on.
    pub fn count_at(&self, slot: &'static Slot, handle: usize) {
        *lock(&self.counting) = Counting::Hooked {
            slot,
            handle,
            since: Instant::now(),
        };
    }

    /// What was counted up to now.
    pub fn measured(&self) -> Option<Measured> {
        self.look(Measured::clone)
    }

    /// Looks at what was counted up to now.
    pub fn look<T>(&self, look: impl FnOnce(&Measured) -> T) -> Option<T> {
        match &*lock(&self.counting) {
            Counting::Nowhere => None,
            Counting::Hooked {
                slot,
                handle,
                since,
            } => Some(look(&measure(&slot.of(*handle)?, *since))),
            Counting::Final(measured) => Some(look(measured)),
        }
    }

    /// Adds what another closed client of this kind measured. This one is closed too.
    pub fn absorb(&self, other: &Measured, most_topics: usize) {
        if let Counting::Final(measured) = &mut *lock(&self.counting) {
            measured.merge(other, most_topics);
        }
    }

    /// Whether anything was ever counted for this client.
    pub fn was_hooked(&self) -> bool {
        !matches!(*lock(&self.counting), Counting::Nowhere)
    }

    /// The application destroys the client.
    pub fn closes(&self) {
        if let Counting::Hooked { slot, handle, .. } = &*lock(&self.counting)
            && let Some(client) = slot.of(*handle)
        {
            client.counts.close();
        }
    }

    /// Once nothing is counted any more: keeps the last figures, and lets the hooks' slot serve
    /// another client. Whether that is so.
    pub fn settle(&self, pool: &Pool) -> bool {
        let mut counting = lock(&self.counting);
        let Counting::Hooked {
            slot,
            handle,
            since,
        } = &*counting
        else {
            return true;
        };
        let Some(client) = slot.of(*handle).filter(Served::is_final) else {
            return false;
        };
        let (slot, last) = (*slot, measure(&client, *since));
        *counting = Counting::Final(Box::new(last));
        pool.give_back(slot);
        true
    }

    /// Keeps the service's answer. The first one counts, but for the name and what it was given with.
    pub fn answered(&self, answer: Result<Registered, String>) {
        if let Ok(registered) = &answer {
            // One that only asks is given no name.
            let hash = Some(registered.client_hash.clone()).filter(|hash| !hash.is_empty());
            *lock(&self.known_as) = KnownAs {
                hash,
                advice: Some(registered.start.clone()),
            };
        }
        let _ = self.answer.set(answer);
    }

    /// The service has named this client, and is still to say whether it may start.
    pub fn named(&self, hash: &str) {
        lock(&self.known_as).hash = Some(hash.to_owned());
    }

    /// The service has other advice for this client by now: it holds where nothing newer is said.
    pub fn advised_since(&self, advice: StartClient) {
        lock(&self.known_as).advice = Some(advice);
    }

    /// The service does not know the client any more.
    pub fn forget_name(&self) {
        lock(&self.known_as).hash = None;
    }

    /// The service's answer, if it came.
    pub fn answer(&self) -> Option<&Result<Registered, String>> {
        self.answer.get()
    }

    /// The name that the service gave this client, once it has.
    pub fn hash(&self) -> Option<String> {
        lock(&self.known_as).hash.clone()
    }

    /// Whether that is its name.
    pub fn is_known_as(&self, hash: &str) -> bool {
        lock(&self.known_as).hash.as_deref() == Some(hash)
    }

    /// The advice that came with it.
    pub fn registered_advice(&self) -> Option<StartClient> {
        lock(&self.known_as).advice.clone()
    }

    /// Whether this is the advice that the client was planned with.
    pub fn began_with(&self, advice: &StartClient) -> bool {
        lock(&self.outcome).advice.as_ref() == Some(advice)
    }

    /// Keeps the advice that applies at the next start. Whether there was another one.
    pub fn set_next_advice(&self, next: Option<&StartClient>) -> bool {
        let kept = &mut lock(&self.outcome).next_advice;
        let is_new = kept.as_ref() != next;
        if is_new {
            *kept = next.cloned();
        }
        is_new
    }

    /// Whether the handle exists, or existed.
    pub fn is_created(&self) -> bool {
        lock(&self.outcome).created
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
        let client_hash = self.hash()?;
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

fn measure(client: &Served, since: Instant) -> Measured {
    Measured {
        duration_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        latency_sampled: match client.engine.message_latency {
            Some(_) => LATENCY_SAMPLED,
            None => 0,
        },
        headers_unseen: !schema::can_look(client.engine),
        ..client.counts.measured()
    }
}

#[cfg(test)]
impl Client {
    /// A producer that the service knows by this name.
    pub fn of_test(hash: &str) -> Arc<Self> {
        let client = Self::unregistered(ClientKind::Producer);
        client.answered(Ok(Registered {
            client_hash: hash.to_owned(),
            ..Registered::default()
        }));
        client
    }

    /// A client that the service does not know.
    pub fn unregistered(kind: ClientKind) -> Arc<Self> {
        let client = Self::new(RegisterClient::default(), kind, String::new());
        Arc::new(client)
    }

    /// These are its figures.
    pub fn measured_in_test(&self, measured: Measured) {
        *lock(&self.counting) = Counting::Final(Box::new(measured));
    }
}
