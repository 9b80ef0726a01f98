//! Advice that came too late for the client that asked. The next one like it may have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use superstream_protocol::{ClientKind, StartClient};

use crate::report::record::Client;

/// It is of use for so long.
const LIFE: Duration = Duration::from_secs(600);
/// Kinds of clients for which it is kept.
const MAX_PROFILES: usize = 256;

/// Clients alike enough to share an advice: their kind, and what [`PROPERTIES`] say of them.
type Profile = (ClientKind, Vec<Option<String>>);

const PROPERTIES: &[&str] = &[
    "client.id",
    "metadata.broker.list",
    "transactional.id",
    "group.id",
];

/// Late advice, by the clients that it is for.
#[derive(Default)]
pub(super) struct LateAdvice(BTreeMap<Profile, (StartClient, Instant)>);

impl LateAdvice {
    /// What came too late for an earlier client like this one.
    pub(super) fn of(&self, client: &Client) -> Option<StartClient> {
        let (advice, since) = self.0.get(&profile(client))?;
        (since.elapsed() < LIFE).then(|| advice.clone())
    }

    /// Keeps an advice for the next client like this one.
    pub(super) fn keep(&mut self, client: &Client, advice: StartClient) {
        let profile = profile(client);
        if self.0.len() >= MAX_PROFILES {
            self.0.retain(|_, (_, since)| since.elapsed() < LIFE);
        }
        if self.0.len() < MAX_PROFILES || self.0.contains_key(&profile) {
            self.0.insert(profile, (advice, Instant::now()));
        }
    }

    /// There is a newer word on clients like this one.
    pub(super) fn forget(&mut self, client: &Client) {
        self.0.remove(&profile(client));
    }
}

fn profile(client: &Client) -> Profile {
    let config = &client.registration.config;
    let said = |name: &&str| Some(config.get(*name)?.as_str()?.to_owned());
    (client.kind, PROPERTIES.iter().map(said).collect())
}
