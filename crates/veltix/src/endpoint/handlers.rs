//! What an application does with what happens, of a server or a client.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::guarded::Guarded;
use crate::message::MessageType;

/// Takers of messages, of connections that begin, and of those that end. No lock is held while one
/// runs or is dropped, so that it may change them.
pub(super) struct Handlers<M: ?Sized, C: ?Sized, D: ?Sized>(RwLock<Table<M, C, D>>);

struct Table<M: ?Sized, C: ?Sized, D: ?Sized> {
    recv: Option<Guarded<Arc<M>>>,
    connect: Option<Guarded<Arc<C>>>,
    disconnect: Option<Guarded<Arc<D>>>,
    routes: HashMap<u16, Guarded<Arc<M>>>,
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
        let _former = self.write().recv.replace(Guarded::new(handler));
    }

    pub(super) fn set_connect(&self, handler: Arc<C>) {
        let _former = self.write().connect.replace(Guarded::new(handler));
    }

    pub(super) fn set_disconnect(&self, handler: Arc<D>) {
        let _former = self.write().disconnect.replace(Guarded::new(handler));
    }

    /// `false` where the type has a route already, which stays.
    pub(super) fn route(&self, message_type: MessageType, handler: Arc<M>) -> bool {
        let mut table = self.write();
        let code = message_type.code();
        let free = !table.routes.contains_key(&code);
        if free {
            table.routes.insert(code, Guarded::new(handler));
        }
        free
    }

    /// Whether there was one.
    pub(super) fn unroute(&self, message_type: MessageType) -> bool {
        let former = self.write().routes.remove(&message_type.code());
        former.is_some()
    }

    pub(super) fn connect(&self) -> Option<Arc<C>> {
        self.read().connect.as_ref()?.get().cloned()
    }

    pub(super) fn disconnect(&self) -> Option<Arc<D>> {
        self.read().disconnect.as_ref()?.get().cloned()
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
            .and_then(Guarded::get)
            .cloned();
        if taker.is_none() {
            let peer = peer();
            log::warn!("nobody takes a message of type {message_type} from {peer}");
        }
        taker
    }
}
