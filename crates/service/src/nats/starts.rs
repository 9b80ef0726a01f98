//! Start messages and updates: what the service says without being asked.
//!
//! A deployed SDK listens for its start only after it has read the answer to its registration, and
//! what is published before is lost. So it is said again and again until the client says something
//! that it says only once it runs.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use superstream_protocol::{StartClient, Update};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use super::Post;
use super::inbox::Fate;
use super::subject;
use super::words;
use crate::ask::ask;
use crate::store::START_ALONE;

/// The first pause; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest at first: the application waits meanwhile, for 3 s where nobody said otherwise.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// How long it waits at most, for one that does not wait longer than most.
const AT_FIRST: Duration = Duration::from_secs(5);
/// The pauses from then on.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Clients whose start is cared for at once.
const STARTS: usize = 10_000;
/// How long starts are still said when the service stops.
const LAST_STARTS: Duration = Duration::from_secs(2);

impl Post {
    /// Tells a client that has just registered to start, or not to. Whom this does not reach within
    /// [`START_ALONE`] is reached later, by whichever instance is there.
    pub fn start(self: &Arc<Self>, client: String, answer: StartClient) {
        let mut starting = self.starting();
        if starting.len() >= STARTS {
            return;
        }
        *starting.entry(client.clone()).or_default() += 1;
        let post = self.clone();
        tokio::spawn(async move {
            post.go_on_starting(&client, &answer).await;
            post.has_started(&client);
        });
    }

    /// Whether anybody listens does not matter, but whether the client says something: who listens
    /// may be an operator, who looks at all subjects and then goes away.
    async fn go_on_starting(&self, client: &str, answer: &StartClient) {
        let payload = words::start(answer);
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut is_heard = false;
        while begin.elapsed() + pause < START_ALONE {
            sleep(pause).await;
            if !self.awaits_start(client).await {
                return;
            }
            let told = self.inbox.tell(subject::start(client), payload.clone());
            is_heard |= told.await == Fate::Heard;
            pause = match begin.elapsed() < AT_FIRST {
                true => SHORT_PAUSE.min(pause * 2),
                false => LONG_PAUSE,
            };
        }
        // Who is told not to start says nothing to that.
        if is_heard && !answer.start {
            self.look_no_more(client.to_owned()).await;
        }
    }

    /// The clients whose start this instance cares for. One that registers once more does so twice.
    fn starting(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_started(&self, client: &str) {
        let mut starting = self.starting();
        if let Some(count) = starting.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                starting.remove(client);
            }
        }
    }

    /// Leaves the starts that are under way to other instances, and goes on with them for a moment:
    /// there may be no other.
    pub async fn hand_starts_over(&self) {
        let clients: Vec<_> = self.starting().keys().cloned().collect();
        if clients.is_empty() {
            return;
        }
        // A fault of the store is in the log already.
        let _ = ask(self.directory.clone(), move |directory| {
            directory.hand_over(&clients)
        })
        .await;
        let end = Instant::now() + LAST_STARTS;
        while Instant::now() < end && !self.starting().is_empty() {
            sleep(SHORT_PAUSE).await;
        }
    }

    async fn awaits_start(&self, client: &str) -> bool {
        let client = client.to_owned();
        let waits = ask(self.directory.clone(), move |directory| {
            directory.awaits_start(&client)
        });
        waits.await.unwrap_or(false)
    }

    pub(super) async fn look_no_more(&self, client: String) {
        // A fault of the store is in the log already.
        let _ = ask(self.directory.clone(), move |directory| {
            directory.look_no_more(&client)
        })
        .await;
    }

    /// Carries updates to their clients as they are made.
    pub async fn carry(self: Arc<Self>, mut updates: Receiver<(String, Update)>) {
        loop {
            match updates.recv().await {
                Ok((client, update)) => self.update(&client, &update).await,
                Err(RecvError::Lagged(count)) => {
                    log::warn!("{count} updates were made too fast: their clients have to ask");
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Tells a client the newest of all updates once more. Where there is a newer one by then, that
    /// may have been told in between, and must be the last.
    pub async fn update_again(self: Arc<Self>, client: String) {
        let mut told = Vec::new();
        loop {
            let name = client.clone();
            let updates = ask(self.directory.clone(), move |directory| {
                directory.newest_updates(&name)
            });
            let updates = updates.await.unwrap_or_default();
            if updates == told {
                return;
            }
            for update in &updates {
                if !told.contains(update) {
                    self.update(&client, update).await;
                }
            }
            told = updates;
        }
    }

    async fn update(&self, client: &str, update: &Update) {
        let told = self
            .line
            .say(subject::updates(client), words::update(update));
        if let Err(error) = told.await {
            log::warn!("an update could not be published: {error}");
        }
    }
}
