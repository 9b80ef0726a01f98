//! What there is to do for clients that listen, over a transport that can carry something to them;
//! some of them say nothing themselves.

use superstream_protocol::{ClientKind, Mode, RegisterClient, Update};
use tokio::sync::broadcast;

use super::{Directory, Registration, ServiceError, found};
use crate::store::{KindTold, Sought};
use crate::{quiet, registration};

impl Directory {
    /// What [`Directory::register`] does, for a client that will say nothing while it runs.
    pub fn register_quiet(&self, message: RegisterClient) -> Result<Registration, ServiceError> {
        self.introduce(message, true)
    }

    /// The updates that are made from now on, with their clients, for a transport that can carry them.
    pub fn updated(&self) -> broadcast::Receiver<(String, Update)> {
        self.updated.subscribe()
    }

    /// The newest update of each kind for a client.
    pub fn newest_updates(&self, client: &str) -> Result<Vec<Update>, ServiceError> {
        Ok(self.store.newest_updates(client)?)
    }

    /// A client said something, which may show that it runs.
    pub fn hear(&self, client: &str, runs: bool) -> Result<(), ServiceError> {
        found(self.store.hear(client, runs)?)
    }

    /// A client says of which kind it is. Tells whether that is news.
    pub fn set_kind(&self, client: &str, kind: ClientKind) -> Result<bool, ServiceError> {
        match self.store.set_kind(client, kind)? {
            KindTold::New => Ok(true),
            KindTold::Known => Ok(false),
            KindTold::Unknown => Err(ServiceError::UnknownClient),
        }
    }

    /// A client has a new connection to NATS.
    pub fn reconnect(&self, client: &str, connection: &str) -> Result<(), ServiceError> {
        let mut connection = self.masked(connection);
        registration::cut_to(&mut connection, registration::MAX_TEXT);
        let connection = quiet::connection_id(Some(&connection));
        found(self.store.reconnect(client, connection)?)
    }

    /// Whether a quiet client still waits for its start message.
    pub fn awaits_start(&self, client: &str) -> Result<bool, ServiceError> {
        Ok(self.store.awaits_start(client)?)
    }

    /// Has other instances care for the start of these clients.
    pub fn hand_over(&self, clients: &[String]) -> Result<(), ServiceError> {
        Ok(self.store.hand_over(clients)?)
    }

    /// Looks for a quiet client no longer: it took a start message that told it not to start.
    pub fn look_no_more(&self, client: &str) -> Result<(), ServiceError> {
        Ok(self.store.look_no_more(client)?)
    }

    /// Quiet clients that are to be looked for now, at most so many.
    pub fn sought(&self, most: u32) -> Result<Vec<Sought>, ServiceError> {
        let mut sought = self.store.sought(most)?;
        if self.observe {
            for start in sought.iter_mut().filter_map(|sought| sought.start.as_mut()) {
                start.mode = Mode::Observe;
            }
        }
        Ok(sought)
    }

    /// Which of them were there.
    pub fn looked(&self, found: &[(Sought, bool)]) -> Result<(), ServiceError> {
        Ok(self.store.looked(found)?)
    }
}
