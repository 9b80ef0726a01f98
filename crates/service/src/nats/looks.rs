//! Looking for clients that say nothing while they run: are they still there?

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::inbox::Fate;
use super::{Post, subject, words};
use crate::ask::ask;
use crate::store::{Looks, Sought};

/// How often it is seen to who is to be looked for.
const ROUND: Duration = Duration::from_secs(1);
/// How many clients are looked for in one round.
const MOST: u32 = 5_000;

/// Whether somebody listens to the subjects of all clients, as operators do and what records
/// everything: then nothing is heard by nobody.
#[derive(Clone, Copy)]
struct Bystanders {
    at_starts: bool,
    at_updates: bool,
}

impl Post {
    /// Looks for as long as the service runs.
    pub async fn look(self: Arc<Self>) {
        let pause = Looks::of(self.directory.report_interval()).usual / 2;
        let mut lost_at = Instant::now();
        loop {
            sleep(ROUND.min(pause)).await;
            if !self.line.is_up() {
                lost_at = Instant::now();
            }
            // Clients that lost the same server need a while to come back.
            if lost_at.elapsed() >= pause {
                self.look_once().await;
            }
        }
    }

    async fn look_once(self: &Arc<Self>) {
        let sought = ask(self.directory.clone(), |directory| directory.sought(MOST));
        let sought = sought.await.unwrap_or_default();
        if sought.is_empty() {
            return;
        }
        let bystanders = self.bystanders().await;
        let mut looks = JoinSet::new();
        for client in sought {
            let post = self.clone();
            looks.spawn(async move {
                let is_there = post.look_for(&client, bystanders).await;
                is_there.map(|is_there| (client, is_there))
            });
        }
        let mut found = Vec::with_capacity(looks.len());
        while let Some(look) = looks.join_next().await {
            found.extend(look.ok().flatten());
        }
        if !found.is_empty() {
            // A fault of the store is in the log already.
            let _ = ask(self.directory.clone(), move |directory| {
                directory.looked(&found)
            })
            .await;
        }
    }

    /// Says something to nobody, and sees who hears it.
    async fn bystanders(&self) -> Bystanders {
        let nobody = format!("nobody-{}", getrandom::u64().unwrap_or_default());
        let starts = self.inbox.tell(subject::start(&nobody), words::look());
        let updates = self.inbox.tell(subject::updates(&nobody), words::look());
        let (starts, updates) = tokio::join!(starts, updates);
        Bystanders {
            at_starts: starts != Fate::Unheard,
            at_updates: updates != Fate::Unheard,
        }
    }

    /// Whether a client is there; `None` where that cannot be told.
    async fn look_for(&self, client: &Sought, bystanders: Bystanders) -> Option<bool> {
        let hash = &client.hash;
        if let Some(answer) = &client.start {
            let told = self.inbox.tell(subject::start(hash), words::start(answer));
            match told.await {
                // Who is told not to start says nothing to that.
                Fate::Heard if !answer.start && !bystanders.at_starts => {
                    self.look_no_more(hash.clone()).await;
                    return None;
                }
                // It is there once it says so.
                Fate::Heard => return Some(false),
                Fate::Unheard => {}
                Fate::Unknown => return None,
            }
        }
        match self.inbox.tell(subject::updates(hash), words::look()).await {
            // Not known to have started, it is told so again.
            Fate::Heard if bystanders.at_updates => client.start.as_ref().map(|_| false),
            Fate::Heard => Some(true),
            Fate::Unheard => Some(false),
            Fate::Unknown => None,
        }
    }
}
