//! What the service says unasked.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use superstream_protocol::Update;
use superstream_protocol::link::{ClientUpdate, REPORT_NOW, ReportNow, UPDATE};
use superstream_veltix::{ClientInfo, MessageType, Request};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::Post;

/// Processes that are asked to report at once, and the pause before the next ones.
const AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);

impl Post {
    /// Carries updates to their clients as they are made.
    pub async fn carry(self: Arc<Self>, mut updates: Receiver<(String, Update)>) {
        loop {
            match updates.recv().await {
                Ok((client, update)) => self.update(&client, update),
                Err(RecvError::Lagged(_)) => {
                    // Which ones were missed is not known.
                    let post = self.clone();
                    let told = tokio::task::spawn_blocking(move || {
                        for client in post.links.clients() {
                            post.tell_what_waits(&client);
                        }
                    });
                    if let Err(error) = told.await {
                        log::error!("updates were made too fast, and not all are told: {error}");
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Asks all processes to report when the rules have changed: the answer has the advice.
    pub async fn follow(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        while changes.changed().await.is_ok() {
            let peers = self.links.peers();
            let asked = peers.into_iter().map(|peer| (peer, None));
            ask_to_report(asked.collect()).await;
        }
    }

    /// Tells a client the newest update of each kind. Where there is a newer one by then, that may have
    /// been told in between, and must be the last.
    pub fn tell_what_waits(&self, client: &str) {
        let mut told = Vec::new();
        loop {
            let updates = match self.directory.newest_updates(client) {
                Ok(updates) => updates,
                Err(error) => return log::error!("a client is not told what waits: {error}"),
            };
            if updates == told {
                return;
            }
            for update in &updates {
                if !told.contains(update) {
                    self.update(client, update.clone());
                }
            }
            told = updates;
        }
    }

    fn update(&self, client: &str, update: Update) {
        if let Some(peer) = self.links.of(client) {
            let client_hash = client.to_owned();
            let told = ClientUpdate {
                client_hash,
                update,
            };
            say(&peer, UPDATE, &told);
        }
    }
}

/// Asks processes to report for these of their clients, or for all, some after the others.
pub async fn ask_to_report(peers: Vec<(ClientInfo, Option<Vec<String>>)>) {
    let mut room = AT_ONCE;
    for (peer, client_hashes) in peers {
        if room == 0 {
            tokio::time::sleep(PAUSE).await;
            room = AT_ONCE;
        }
        room -= 1;
        say(&peer, REPORT_NOW, &ReportNow { client_hashes });
    }
}

/// Says something, without waiting for room. One that does not keep up is closed: it comes back, and is
/// told what waits for its clients then.
fn say(peer: &ClientInfo, code: u16, words: &impl Serialize) {
    let words = match serde_json::to_vec(words) {
        Ok(words) => words,
        Err(error) => return log::error!("something cannot be said: {error}"),
    };
    if let Err(error) = peer.send(&Request::new(MessageType::of(code), words)) {
        log::debug!(
            "{} could not be told something, and is closed: {error}",
            peer.addr()
        );
        peer.close();
    }
}
