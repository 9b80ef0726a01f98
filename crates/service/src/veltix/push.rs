//! What the service says unasked.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use superstream_protocol::Update;
use superstream_protocol::link::{ClientUpdate, REPORT_NOW, ReportNow, UPDATE};
use superstream_veltix::{ClientInfo, MessageType, Request};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Links, Post};
use crate::ask::ask;

/// Processes that are asked to report at once, and the pause before the next ones.
const AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked what other instances have for clients of this one, and for how many at once.
const ERRANDS_INTERVAL: Duration = Duration::from_secs(1);
const ERRANDS: usize = 1_000;

impl Post {
    /// Carries updates to their clients as they are made, and does what other instances have for clients
    /// that are on links of this one. One after the other: the newest update is to be the last.
    pub async fn carry(self: Arc<Self>, mut updates: Receiver<(String, Update)>) {
        let mut ticks = tokio::time::interval(ERRANDS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                update = updates.recv() => {
                    if !self.tell(update).await {
                        return;
                    }
                }
                _ = ticks.tick() => while self.run_some_errands(&mut updates).await == ERRANDS {},
            }
        }
    }

    /// Whether there may be more.
    async fn tell(self: &Arc<Self>, update: Result<(String, Update), RecvError>) -> bool {
        match update {
            Ok((client, update)) => self.update(&client, update),
            // Which ones were missed is not known.
            Err(RecvError::Lagged(_)) => {
                let clients = self.links.clients().into_iter();
                self.tell_all(clients.map(|client| (client, 0)).collect())
                    .await;
            }
            Err(RecvError::Closed) => return false,
        }
        true
    }

    /// Tells how many there were.
    async fn run_some_errands(self: &Arc<Self>, updates: &mut Receiver<(String, Update)>) -> usize {
        let post = self.clone();
        let errands = ask(self.directory.clone(), move |directory| {
            // Who is on a link by the store is so by `links`.
            let _moving = post.moving.lock().unwrap_or_else(PoisonError::into_inner);
            let errands = directory.errands(ERRANDS)?;
            let wanted = errands.iter().filter(|errand| errand.is_wanted);
            let wanted: Vec<_> = wanted.map(|errand| errand.hash.clone()).collect();
            Ok((errands, post.links.of_all(&wanted)))
        });
        // A fault of the store is in the log already.
        let Ok((errands, wanted)) = errands.await else {
            return 0;
        };
        if errands.is_empty() {
            return 0;
        }
        begin_to_ask(wanted);
        // What was made here before is older.
        for _ in 0..updates.len() {
            let update = match updates.try_recv() {
                Ok(update) => Ok(update),
                Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            self.tell(update).await;
        }
        let count = errands.len();
        let news = errands.into_iter();
        let news = news.filter_map(|errand| Some((errand.hash, errand.news_after?)));
        self.tell_all(news.collect()).await;
        count
    }

    /// Tells clients what waits for them after these updates, as far as they are on a link.
    async fn tell_all(self: &Arc<Self>, clients: Vec<(String, u64)>) {
        let post = self.clone();
        let told = tokio::task::spawn_blocking(move || {
            for (client, after) in clients {
                post.tell_what_waits(&client, after);
            }
        });
        if let Err(error) = told.await {
            log::error!("not all clients are told what waits for them: {error}");
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

    /// Tells a client the newest update of each kind, of those after this one. Where there is a newer
    /// one by then, that may have been told in between, and must be the last.
    pub fn tell_what_waits(&self, client: &str, after: u64) {
        let mut told = Vec::new();
        loop {
            let mut updates = match self.directory.newest_updates(client) {
                Ok(updates) => updates,
                Err(error) => return log::error!("a client is not told what waits: {error}"),
            };
            updates.retain(|update| update.sequence > after);
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

/// Has clients asked to report, as far as they are on a link. Tells how many are.
pub fn ask_clients_to_report(links: &Links, clients: &[String]) -> usize {
    let peers = links.of_all(clients);
    let reached = peers.iter().map(|(_, clients)| clients.len()).sum();
    begin_to_ask(peers);
    reached
}

/// Nobody waits until all are asked.
fn begin_to_ask(peers: Vec<(ClientInfo, Vec<String>)>) {
    let peers = peers.into_iter().map(|(peer, of)| (peer, Some(of)));
    tokio::spawn(ask_to_report(peers.collect()));
}

/// Asks processes to report for these of their clients, or for all, some after the others.
async fn ask_to_report(peers: Vec<(ClientInfo, Option<Vec<String>>)>) {
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Instant;

    use serde_json::{Value, json};
    use superstream_protocol::RegisterClient;
    use superstream_protocol::link::{HELLO, RESUME};
    use superstream_veltix::{Address, Connection, ConnectionOptions, Next};

    use super::*;
    use crate::directory::Directory;

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_is_missed_is_told() {
        let directory = Arc::new(Directory::empty());
        // What carries updates runs only while something is waited for there.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let of = directory.clone();
        let start = async { super::super::start("127.0.0.1:0", None, of, Arc::default(), None) };
        let service = runtime.block_on(start).unwrap();
        let address = Address::parse(&service.url()).unwrap();
        let options = ConnectionOptions::default();
        let mut peer = Connection::open(&address, &options, deadline()).unwrap();
        let mut ask = |code: u16, content: Value| {
            let request = Request::new(MessageType::of(code), content.to_string());
            peer.send_and_wait(&request, deadline()).unwrap()
        };
        let register = || directory.register(RegisterClient::default()).unwrap();
        let clients = std::iter::repeat_with(|| register().registered.client_hash);
        let clients: Vec<_> = clients.take(1_500).collect();
        ask(HELLO, json!({}));
        ask(RESUME, json!({"client_hashes": clients}));
        // When this is answered, all are told what waited.
        ask(RESUME, json!({}));

        directory.push_updates(&clients, "A", "e30=").unwrap();
        let mut missing: HashSet<_> = clients.into_iter().collect();
        let reading = runtime.spawn_blocking(move || {
            while !missing.is_empty() {
                let next = peer.next(deadline()).unwrap();
                let Next::Message(told) = next else {
                    unreachable!("{next:?}, and {} are not told", missing.len());
                };
                let told: ClientUpdate = serde_json::from_slice(&told.content).unwrap();
                assert_eq!((told.update.sequence, told.update.kind.as_str()), (1, "A"));
                missing.remove(&told.client_hash);
            }
        });
        runtime.block_on(async {
            reading.await.unwrap();
            service.stop().await;
        });
    }
}
