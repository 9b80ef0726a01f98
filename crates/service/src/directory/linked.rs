//! What there is to do for clients that are on a link, and what is sent to them there.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use superstream_protocol::Update;
use tokio::sync::watch;

use super::{Directory, MAX_UPDATES_UNDER_WAY, ServiceError};
use crate::store::{Errand, Made};
use crate::view::ListQuery;

/// Updates that are made at once, for as many clients.
const TOGETHER: usize = 100;
/// Clients that are wanted at once: that costs less than an update.
const WANTED_TOGETHER: usize = 1_000;
/// What everybody else has of the store in between.
const BREATH: Duration = Duration::from_millis(5);
/// How often it is looked whether those that carry updates have caught up.
const PAUSE: Duration = Duration::from_millis(1);
/// How long they are waited for in all; then they have to look what they missed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Directory {
    /// Clients are on a link of this instance of the service. For each that is known its tags, where
    /// they are an object.
    pub fn put_on_link(
        &self,
        clients: &[String],
    ) -> Result<Vec<Option<Option<String>>>, ServiceError> {
        Ok(self.store.put_on_link(clients)?)
    }

    /// The last link that these clients were on has ended. Tells how many were there until then.
    pub fn lose(&self, clients: &[String]) -> Result<usize, ServiceError> {
        Ok(self.store.lose(clients)?)
    }

    /// Has other instances ask those of these clients to report that they have on a link. Tells which
    /// these are.
    pub fn want_elsewhere(&self, clients: &[String]) -> Result<HashSet<String>, ServiceError> {
        let mut wanted = HashSet::new();
        for (part, together) in clients.chunks(WANTED_TOGETHER).enumerate() {
            if part > 0 {
                sleep(BREATH);
            }
            wanted.extend(self.store.want_elsewhere(together)?);
        }
        Ok(wanted)
    }

    /// What other instances have for clients that are on a link of this one, for so many of them at
    /// most. Each is given once.
    pub fn errands(&self, most: usize) -> Result<Vec<Errand>, ServiceError> {
        Ok(self.store.errands(most)?)
    }

    /// A text without the secrets that can be told from others.
    pub fn masked(&self, text: &str) -> String {
        self.masker.text(text)
    }

    /// The service stops: what is done for many is not begun for more of them.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Tells of each change of the rules.
    pub fn rules_changed(&self) -> watch::Receiver<()> {
        self.rules_changed.subscribe()
    }

    /// All clients that a list would show on its pages.
    pub fn matching(&self, query: &ListQuery) -> Result<Vec<String>, ServiceError> {
        Ok(self.store.matching(query)?)
    }

    /// Has an update ready for a client; it gets it when it asks, or at once over a transport that can
    /// carry it. The answer is its number.
    pub fn push_update(
        &self,
        client: &str,
        kind: &str,
        payload: &str,
    ) -> Result<u64, ServiceError> {
        let made = self.push_updates(&[client.to_owned()], kind, payload)?;
        made.first()
            .map(|made| made.sequence)
            .ok_or(ServiceError::UnknownClient)
    }

    /// The same for many. The answer has those that are known.
    pub fn push_updates(
        &self,
        clients: &[String],
        kind: &str,
        payload: &str,
    ) -> Result<Vec<Made>, ServiceError> {
        let mut all = Vec::with_capacity(clients.len());
        let mut patience = PATIENCE;
        for together in clients.chunks(TOGETHER) {
            if !all.is_empty() {
                sleep(BREATH);
            }
            if self.is_stopping.load(Ordering::SeqCst) {
                return Err(ServiceError::Stopped(all.len()));
            }
            // Two updates for one client are sent in the order of their numbers.
            let _pushing = self.pushing.lock().unwrap_or_else(PoisonError::into_inner);
            while !patience.is_zero() && self.updated.len() + TOGETHER > MAX_UPDATES_UNDER_WAY {
                let begin = Instant::now();
                sleep(PAUSE);
                patience = patience.saturating_sub(begin.elapsed());
            }
            let made = match self.store.push_updates(together, kind, payload) {
                Ok(made) => made,
                Err(error) if all.is_empty() => return Err(error.into()),
                Err(error) => return Err(ServiceError::Partly(all.len(), error)),
            };
            for made in &made {
                let update = Update {
                    sequence: made.sequence,
                    kind: kind.to_owned(),
                    payload: payload.to_owned(),
                };
                // Where nobody carries updates to clients, they wait for a question.
                let _ = self.updated.send((made.hash.clone(), update));
            }
            all.extend(made);
        }
        Ok(all)
    }
}

#[cfg(test)]
impl Directory {
    /// One in memory that knows nobody, with the built-in rules.
    pub(crate) fn empty() -> Self {
        let store = crate::store::Store::in_memory(Duration::from_secs(600)).unwrap();
        let rules = crate::rules::Rules::built_in().unwrap();
        Self::new(store, rules, crate::mask::Masker::default(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_begins_no_more_updates() {
        let directory = Directory::empty();
        let clients = ["nobody".to_owned()];
        assert!(directory.push_updates(&clients, "A", "e30=").is_ok());
        directory.stop();
        let stopped = directory.push_updates(&clients, "A", "e30=");
        assert!(matches!(stopped, Err(ServiceError::Stopped(0))));
    }
}
