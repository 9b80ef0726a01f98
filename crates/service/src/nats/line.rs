//! What goes out over the connection.

use async_nats::connection::State;
use async_nats::{Client, PublishError};
use tokio::sync::{RwLock, RwLockWriteGuard};

/// The connection, as far as something is said over it.
pub struct Line {
    client: Client,
    /// Held by whoever speaks; whoever wants silence holds all of it.
    speaking: RwLock<()>,
}

impl Line {
    /// Over this connection.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            speaking: RwLock::new(()),
        }
    }

    /// Whether the server is there.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Publishes.
    pub async fn say(&self, subject: String, payload: Vec<u8>) -> Result<(), PublishError> {
        let _speaking = self.speaking.read().await;
        self.client.publish(subject, payload.into()).await
    }

    /// Publishes, and names where an answer goes.
    pub async fn ask(
        &self,
        subject: String,
        inbox: String,
        payload: Vec<u8>,
    ) -> Result<(), PublishError> {
        let _speaking = self.speaking.read().await;
        let payload = payload.into();
        self.client
            .publish_with_reply(subject, inbox, payload)
            .await
    }

    /// Keeps everybody from speaking until this is dropped.
    pub async fn silence(&self) -> RwLockWriteGuard<'_, ()> {
        self.speaking.write().await
    }

    /// Waits until all that was said is out.
    pub async fn flush(&self) {
        if self.is_up() {
            let _ = self.client.flush().await;
        }
    }
}
