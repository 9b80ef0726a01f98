//! Locking without `unwrap`.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic of another thread while it held the lock is no reason to stop: what the lock
/// holds is a record or a queue, complete after each step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
