//! Whether anybody heard what was published.
//!
//! A NATS server answers a message that nobody listens to at once (status 503), where the message
//! names an inbox. Nobody answers one that was heard. So each is followed by a message of our own to
//! the same inbox: the server works in order, and whichever comes first tells.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::line::Line;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Somebody listened.
    Heard,
    /// Nobody did.
    Unheard,
    /// The server is not there to tell.
    Unknown,
}

/// Publishes and learns whether anybody heard it.
pub struct Inbox {
    line: Arc<Line>,
    name: String,
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Fate>>>,
}

impl Inbox {
    /// The inbox, and what comes in, which somebody has to [`Inbox::read`].
    pub async fn open(client: &Client, line: Arc<Line>) -> Option<(Arc<Self>, Subscriber)> {
        let name = client.new_inbox();
        let messages = client.subscribe(format!("{name}.*")).await.ok()?;
        let inbox = Self {
            line,
            name,
            last: AtomicU64::new(0),
            waiting: Mutex::default(),
        };
        Some((Arc::new(inbox), messages))
    }

    /// Reads what comes in for as long as there is a connection.
    pub async fn read(self: Arc<Self>, mut messages: Subscriber) {
        while let Some(message) = messages.next().await {
            self.take(&message);
        }
    }

    fn take(&self, message: &Message) {
        let number = message.subject.rsplit('.').next();
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        if let Some(waiting) = waiting {
            // Who does not wait any more does not want to know.
            let _ = waiting.send(match message.status {
                Some(StatusCode::NO_RESPONDERS) => Fate::Unheard,
                _ => Fate::Heard,
            });
        }
    }

    /// Publishes something.
    pub async fn tell(&self, subject: String, payload: Vec<u8>) -> Fate {
        // Without a connection it would lie in the queue, and be said when nobody expects it.
        if !self.line.is_up() {
            return Fate::Unknown;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, tell);
        let inbox = format!("{}.{number}", self.name);
        let asking = async {
            let asked = self.line.ask(subject, inbox.clone(), payload);
            asked.await.ok()?;
            self.line.say(inbox, Vec::new()).await.ok()?;
            told.await.ok()
        };
        let fate = tokio::time::timeout(PATIENCE, asking).await;
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        fate.ok().flatten().unwrap_or(Fate::Unknown)
    }
}
