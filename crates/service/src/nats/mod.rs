//! The service over NATS: what clients of the deployed Superstream SDKs and of this library publish
//! and ask there goes to the same [`Directory`] as over HTTP. `docs/nats-service.md` tells operators
//! about it.
//!
//! | module | what it holds |
//! |---|---|
//! | `connect` | reaching the NATS server, and what the log says of that |
//! | `subject` | the subjects |
//! | `talk` | one message: what is asked of the directory, and the answer |
//! | `words` | what the SDKs say and expect |
//! | `line` | what goes out |
//! | `inbox` | whether anybody heard what was published |
//! | `starts` | start messages and updates |
//! | `looks` | whether clients that say nothing are still there |

mod connect;
mod inbox;
mod line;
mod looks;
mod starts;
mod subject;
mod talk;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

pub use connect::NatsError;
use inbox::Inbox;
use line::Line;
pub use subject::NAMES as MESSAGES;

use crate::directory::Directory;
use crate::tally::Tally;

/// The user that clients and services are to NATS, where nothing else is said.
pub const USER: &str = "superstream_internal";
/// The password of clients and services that have no token.
pub const NO_PASSWORD: &str = "no-auth";
/// All instances of the service share the messages.
const QUEUE: &str = "superstream";
/// Messages that wait or are worked on, in KiB; what comes beyond is not taken.
const BUDGET: u32 = 64 * 1024;
/// Messages that are worked on at once. The store does one thing at a time.
const WORKERS: usize = 32;
/// How long what the server has sent already may take to arrive when the service stops.
const ARRIVAL: Duration = Duration::from_secs(2);
/// How long messages that were taken may be worked on then.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How a NATS server is reached.
#[derive(Clone, Default)]
pub struct Options {
    /// `nats://host[:port]` or `tls://host[:port]`.
    pub url: String,
    /// The user; clients use [`USER`].
    pub user: String,
    /// The password; that of clients is their token.
    pub password: String,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What everything that is done over one connection needs.
struct Post {
    line: Arc<Line>,
    directory: Arc<Directory>,
    tally: Arc<Tally>,
    inbox: Arc<Inbox>,
    budget: Arc<Semaphore>,
    workers: Semaphore,
    /// Clients whose start is under way.
    starting: Mutex<HashMap<String, usize>>,
}

/// The service over NATS, as it runs.
pub struct Nats {
    post: Arc<Post>,
    receivers: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
    helpers: Vec<JoinHandle<()>>,
    looks: JoinHandle<()>,
}

/// Starts it. The NATS server may be away.
pub async fn start(options: &Options, directory: Arc<Directory>) -> Result<Nats, NatsError> {
    let tally = directory.tally().clone();
    let client = connect::connect(options, tally.clone()).await?;
    let updates = directory.updated();
    let line = Arc::new(Line::new(client.clone()));
    let inbox = Inbox::open(&client, line.clone()).await;
    let (inbox, bounces) = inbox.ok_or(NatsError::Closed)?;
    let post = Arc::new(Post {
        line,
        directory,
        tally,
        inbox: inbox.clone(),
        budget: Arc::new(Semaphore::new(BUDGET as usize)),
        workers: Semaphore::new(WORKERS),
        starting: Mutex::default(),
    });
    let mut receivers = Vec::new();
    for subject in subject::SUBSCRIPTIONS {
        let messages = client.queue_subscribe(subject, QUEUE.to_owned()).await;
        let messages = messages.map_err(|_| NatsError::Closed)?;
        let (stop, stopped) = oneshot::channel();
        let receiver = tokio::spawn(receive(post.clone(), messages, stopped));
        receivers.push((stop, receiver));
    }
    let helpers = vec![
        tokio::spawn(inbox.read(bounces)),
        tokio::spawn(post.clone().carry(updates)),
    ];
    let looks = tokio::spawn(post.clone().look());
    Ok(Nats {
        post,
        receivers,
        helpers,
        looks,
    })
}

impl Nats {
    /// Takes nothing more, finishes what was taken, and ends.
    pub async fn stop(mut self) {
        // What it would take over is for other instances.
        self.looks.abort();
        if tokio::time::timeout(ARRIVAL, self.receive_no_more())
            .await
            .is_err()
        {
            log::debug!("the NATS server does not answer any more");
        }
        let finished = tokio::time::timeout(STOP_TIMEOUT, async {
            // Who has all of it knows that nothing is worked on any more.
            let _all = self.post.budget.acquire_many(BUDGET).await;
            self.post.line.flush().await;
        });
        if finished.await.is_err() {
            log::warn!("some messages were not finished when the service stopped");
        }
        self.post.hand_starts_over().await;
        for helper in &self.helpers {
            helper.abort();
        }
    }

    /// Takes what the server has sent already, and has it send nothing more.
    ///
    /// The client library forgets a subscription when it has next something to do after it has told
    /// the server so, and does not wait for the server to say that it knows: what comes for one that is
    /// forgotten is lost. Whether it has something to do is up to us as far as something is said, so
    /// there is silence meanwhile; and one subscription is ended after the other. Where the server sends
    /// two messages within that round trip, the first can still make it lose the second.
    async fn receive_no_more(&mut self) {
        let _silence = self.post.line.silence().await;
        for (stop, receiver) in self.receivers.drain(..) {
            let _ = stop.send(());
            let _ = receiver.await;
        }
    }
}

/// Takes what comes for one subscription, until the service is to stop.
async fn receive(post: Arc<Post>, mut messages: Subscriber, mut stop: oneshot::Receiver<()>) {
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut stop, if !is_draining => {
                // What the server has sent already still comes.
                is_draining = true;
                if !post.line.is_up() || messages.drain().await.is_err() {
                    // What came before the server went is here already.
                    while let Some(Some(message)) = messages.next().now_or_never() {
                        post.take(message);
                    }
                    return;
                }
            }
            message = messages.next() => match message {
                Some(message) => post.take(message),
                None => return,
            },
        }
    }
}

impl Post {
    /// Has a message worked on, unless too many are.
    fn take(self: &Arc<Self>, message: Message) {
        let cost = u32::try_from(1 + message.length / 1024).unwrap_or(BUDGET);
        let Ok(place) = self.budget.clone().try_acquire_many_owned(cost) else {
            self.tally.nats_dropped();
            return;
        };
        let post = self.clone();
        tokio::spawn(async move {
            let worker = post.workers.acquire().await;
            post.work_on(message).await;
            drop(worker);
            drop(place);
        });
    }
}
