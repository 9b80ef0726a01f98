//! Clients that the service has registered, and that wait for its word to start.
//!
//! A service that answers over NATS as the deployed one does gives a client its name first, and says
//! whether it may start, and how, in a message of its own. That one may be lost, or come late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::{Registered, StartClient};

use super::answer;
use crate::report::record::Client;

/// A word that comes later is of no use to anybody.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// Clients whose word is awaited although nobody waits for it any more.
pub(super) const MAX_AWAITED: usize = 64;

/// Those clients.
#[derive(Default)]
pub(super) struct Starting(Vec<One>);

struct One {
    client: Arc<Client>,
    registered: Registered,
    /// The registration began.
    since: Instant,
    /// A creator does not wait longer than this, whatever it was told.
    until: Instant,
    /// What the service said, where it was not to start.
    said: Option<String>,
}

/// A client that has its word.
pub(super) struct Started {
    pub(super) client: Arc<Client>,
    pub(super) registered: Registered,
    pub(super) since: Instant,
}

impl Starting {
    /// A client was given its name. Its registration began at `since`, and may take until `limit`.
    pub(super) fn push(
        &mut self,
        client: &Arc<Client>,
        registered: Registered,
        since: Instant,
        limit: Duration,
    ) {
        self.remove(client);
        if self.0.len() >= MAX_AWAITED {
            let awaited = self.0.iter().position(|one| !one.is_waited_for());
            if let Some(place) = awaited {
                self.0.remove(place);
            }
        }
        self.0.push(One {
            client: Arc::clone(client),
            registered,
            since,
            until: since + limit,
            said: None,
        });
    }

    /// The service's word on all clients that go by a name: those that may start.
    pub(super) fn hear(&mut self, client_hash: &str, start: &StartClient) -> Vec<Started> {
        let is_meant = |one: &mut One| one.registered.client_hash == client_hash;
        if start.start {
            let meant = self.0.extract_if(.., is_meant);
            return meant.map(|one| one.with(start.clone())).collect();
        }
        let said = start.error.as_deref().unwrap_or("no reason is given");
        for one in self
            .0
            .iter_mut()
            .filter(|one| one.registered.client_hash == client_hash)
        {
            one.said = Some(answer::short(&said));
        }
        Vec::new()
    }

    /// Whether a client waits for its word, and what the service has said meanwhile.
    pub(super) fn word_on(&self, client: &Arc<Client>) -> Option<Option<String>> {
        let mut all = self.0.iter();
        let one = all.find(|one| Arc::ptr_eq(&one.client, client))?;
        Some(one.said.clone())
    }

    /// A client is gone: its word is of no use to it.
    pub(super) fn remove(&mut self, client: &Arc<Client>) {
        self.0.retain(|one| !Arc::ptr_eq(&one.client, client));
    }

    /// Whether anybody may wait for a word.
    pub(super) fn somebody_waits(&self) -> bool {
        self.0.iter().any(One::is_waited_for)
    }

    /// When nobody waits any more for the next one of them.
    pub(super) fn tidy_at(&self) -> Option<Instant> {
        let waited_for = self.0.iter().filter(|one| one.is_waited_for());
        waited_for.map(|one| one.until).min()
    }

    /// Those whose time is over are answered in our words: the service has advised nothing. Its word
    /// may still come.
    pub(super) fn tidy(&mut self) -> Vec<Arc<Client>> {
        let now = Instant::now();
        let is_over = |one: &&One| one.until <= now && one.is_waited_for();
        let over = self.0.iter().filter(is_over).map(One::gives_up).collect();
        self.0.retain(|one| one.since.elapsed() < LIFE);
        over
    }

    /// Nobody waits any more for a client's word; whether somebody did.
    pub(super) fn give_up(&mut self, client: &Arc<Client>) -> bool {
        let mut all = self.0.iter();
        let one = all.find(|one| Arc::ptr_eq(&one.client, client) && one.is_waited_for());
        one.map(One::gives_up).is_some()
    }

    /// Whether what a client does is not told yet: the deployed service may take that for a sign that
    /// it has its word, which is then never said again.
    pub(super) fn holds(&self, client: &Arc<Client>) -> bool {
        let is_held = |one: &One| Arc::ptr_eq(&one.client, client) && one.is_waited_for();
        self.0.iter().any(is_held)
    }
}

impl One {
    fn is_waited_for(&self) -> bool {
        self.client.answer().is_none()
    }

    fn with(self, start: StartClient) -> Started {
        Started {
            client: Arc::clone(&self.client),
            registered: Registered {
                start,
                ..self.named()
            },
            since: self.since,
        }
    }

    fn gives_up(&self) -> Arc<Client> {
        let reason = match &self.said {
            Some(said) => format!("registered, and not to start: {said}"),
            None => "registered, and no word to start came".to_owned(),
        };
        self.client.answered(Err(reason));
        Arc::clone(&self.client)
    }

    /// A client that only asks has no name.
    fn named(&self) -> Registered {
        let mut registered = self.registered.clone();
        if self.client.registration.dry_run {
            registered.client_hash.clear();
        }
        registered
    }
}
