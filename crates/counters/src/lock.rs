//! Locking without `unwrap`, and where ThreadSanitizer sees it. No hook waits for a lock.

#[cfg(not(superstream_tsan))]
use std::sync::PoisonError;
#[cfg(superstream_tsan)]
use std::sync::TryLockError;
use std::sync::{Mutex, MutexGuard};

/// Locks. A panic of another thread while it held the lock is no reason to stop: what is behind
/// our locks is complete after each step.
#[cfg(not(superstream_tsan))]
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same where ThreadSanitizer sees it: whoever waits for a lock takes it inside the standard
/// library, which is compiled without it.
#[cfg(superstream_tsan)]
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}
