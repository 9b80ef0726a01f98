//! Start messages and updates: what the service says without being asked.
//!
//! A deployed SDK listens for its start only after it has read the answer to its registration, and
//! what is published before is lost. So it is said again until somebody hears it.

use std::sync::Arc;
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
/// The longest while nobody listens.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Where somebody has heard it and the client still says nothing, it may have been another: an
/// operator who looks at all subjects. The least pause before it is said once more.
const IN_DOUBT: Duration = Duration::from_secs(1);

impl Post {
    /// Tells a client that has just registered to start, or not to. Whom this does not reach within
    /// [`START_ALONE`] is reached later, by whichever instance is there.
    pub async fn start(self: Arc<Self>, client: String, answer: StartClient) {
        let Ok(_place) = self.starts.clone().try_acquire_owned() else {
            return;
        };
        let payload = words::start(&answer);
        let end = Instant::now() + START_ALONE;
        let mut pause = FIRST_PAUSE;
        let mut is_heard = false;
        while Instant::now() + pause < end {
            sleep(pause).await;
            if is_heard && !self.awaits_start(&client).await {
                return;
            }
            let told = self.inbox.tell(subject::start(&client), payload.clone());
            match told.await {
                Fate::Heard if !answer.start => return self.look_no_more(client).await,
                Fate::Heard => {
                    is_heard = true;
                    pause = IN_DOUBT.max(pause * 2);
                }
                // It does not listen for it any more: it has started.
                Fate::Unheard if is_heard => return self.is_there(client).await,
                Fate::Unheard => pause = LONGEST_PAUSE.min(pause * 2),
                Fate::Unknown => return,
            }
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

    async fn is_there(&self, client: String) {
        let _ = ask(self.directory.clone(), move |d| d.hear(&client)).await;
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
