//! Servers and clients over one thread that reads and writes, and a few that run callbacks.

mod accepting;
mod backoff;
mod client;
mod client_core;
mod client_info;
mod closing;
mod config;
mod dialing;
mod guarded;
mod handlers;
mod link;
mod pool;
mod reactor;
mod server;
mod server_core;
mod shared;
mod tags;
#[cfg(test)]
mod tests;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use mio::Poll;

pub use client::{Client, DisconnectReason, DisconnectState, Sender};
pub use client_info::ClientInfo;
pub use config::{BufferSize, ClientConfig, EndpointConfig, PerformanceMode, ServerConfig};
pub use server::{Broadcast, Server};
pub use tags::Tags;

use crate::error::Error;
use reactor::{FIRST_TOKEN, Reactor, WAKE};
use shared::Shared;

/// A thread for the sockets of any number of servers and clients, and a pool for their callbacks.
///
/// It ends when the last server, client and copy of it is gone, after what was sent.
///
/// A fork leaves its thread with the parent, and perhaps a lock held. The child must use none of the
/// parent's endpoints, servers, clients and senders, nor [`Endpoint::shared`], which may be the
/// parent's: it makes its own with [`Endpoint::new`].
#[derive(Clone)]
pub struct Endpoint(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Starts one.
    pub fn new(config: &EndpointConfig) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let shared = Shared::new(waker, FIRST_TOKEN, config.max_workers);
        let reactor = Reactor::new(poll, Arc::clone(&shared));
        thread::Builder::new()
            .name("veltix".to_owned())
            .spawn(move || reactor.run())?;
        Ok(Self(Arc::new(Running { shared })))
    }

    /// The one that a process has for all servers and clients that name no other. It exists while
    /// somebody uses it; after [`Endpoint::shutdown`] of it this is another one.
    pub fn shared() -> Result<Self, Error> {
        static SHARED: Mutex<Weak<Running>> = Mutex::new(Weak::new());
        Self::at(&SHARED)
    }

    fn at(place: &Mutex<Weak<Running>>) -> Result<Self, Error> {
        let mut place = lock(place);
        if let Some(running) = place.upgrade()
            && !running.shared.is_stopping()
        {
            return Ok(Self(running));
        }
        let endpoint = Self::new(&EndpointConfig::default())?;
        *place = Arc::downgrade(&endpoint.0);
        Ok(endpoint)
    }

    /// Ends all connections, after what was sent (as long as their `close_timeout` allows), and waits
    /// for the callbacks that run. Whether all have ended in time; those that have not go on, and
    /// nothing waits for them.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let now = Instant::now();
        let deadline = now
            .checked_add(timeout)
            .unwrap_or(now + Duration::from_secs(3600));
        self.0.shared.stop();
        self.0.shared.wait_for_stop(deadline) && self.0.shared.pool.wait(deadline)
    }

    fn inner(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// No lock is held while callbacks run, so that a panic leaves nothing half done.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
