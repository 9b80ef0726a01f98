//! What an application does with what happens, of a server or a client.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::message::MessageType;

/// Takers of messages, of connections that begin, and of those that end. No lock is held while one
/// runs, so that it may change them.
pub(super) struct Handlers<M: ?Sized, C: ?Sized, D: ?Sized>(RwLock<Table<M, C, D>>);

struct Table<M: ?Sized, C: ?Sized, D: ?Sized> {
    recv: Option<Arc<M>>,
    connect: Option<Arc<C>>,
    disconnect: Option<Arc<D>>,
    routes: HashMap<u16, Arc<M>>,
}

impl<M: ?Sized, C: ?Sized, D: ?Sized> Default for Handlers<M, C, D> {
    fn default() -> Self {
        Self(RwLock::new(Table {
            recv: None,
            connect: None,
            disconnect: None,
            routes: HashMap::new(),
        }))
    }
}

impl<M: ?Sized, C: ?Sized, D: ?Sized> Handlers<M, C, D> {
    fn read(&self) -> RwLockReadGuard<'_, Table<M, C, D>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<M, C, D>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_recv(&self, handler: Arc<M>) {
        self.write().recv = Some(handler);
    }

    pub(super) fn set_connect(&self, handler: Arc<C>) {
        self.write().connect = Some(handler);
    }

    pub(super) fn set_disconnect(&self, handler: Arc<D>) {
        self.write().disconnect = Some(handler);
    }

    /// `false` where the type has a route already, which stays.
    pub(super) fn route(&self, message_type: MessageType, handler: Arc<M>) -> bool {
        let mut added = false;
        self.write()
            .routes
            .entry(message_type.code())
            .or_insert_with(|| {
                added = true;
                handler
            });
        added
    }

    /// Whether there was one.
    pub(super) fn unroute(&self, message_type: MessageType) -> bool {
        self.write().routes.remove(&message_type.code()).is_some()
    }

    pub(super) fn connect(&self) -> Option<Arc<C>> {
        self.read().connect.clone()
    }

    pub(super) fn disconnect(&self) -> Option<Arc<D>> {
        self.read().disconnect.clone()
    }

    /// Who takes a message of this type. `peer` is whom it is from.
    pub(super) fn taker(
        &self,
        message_type: MessageType,
        peer: impl FnOnce() -> String,
    ) -> Option<Arc<M>> {
        let table = self.read();
        let taker = table
            .routes
            .get(&message_type.code())
            .or(table.recv.as_ref())
            .cloned();
        if taker.is_none() {
            let peer = peer();
            log::warn!("nobody takes a message of type {message_type} from {peer}");
        }
        taker
    }
}
