//! Of what something counts.

use std::sync::Mutex;

use crate::lock::lock;
use crate::sync::{AtomicUsize, Ordering};

/// A key, by which it is found, and a name, by which it is reported. Both change when it begins to
/// count for something else.
#[derive(Default)]
pub(crate) struct Label {
    key: AtomicUsize,
    /// Set by who alone has it, so nobody waits for the lock.
    name: Mutex<String>,
}

impl Label {
    #[inline(always)]
    pub(crate) fn key(&self) -> usize {
        self.key.load(Ordering::Acquire)
    }

    pub(crate) fn name(&self) -> String {
        lock(&self.name).clone()
    }

    pub(crate) fn set(&self, key: usize, name: String) {
        *lock(&self.name) = name;
        self.key.store(key, Ordering::Release);
    }
}
