//! What an application has given: its code runs, and its data ends, on threads that are not its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs an application's code. A panic in it is the application's own affair.
pub(super) fn guarded(what: &str, run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        log::error!("{what} panicked");
        // What was thrown is the application's, too.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(another);
        }
    }
}

/// Something of an application's whose last holder may be any thread.
#[derive(Clone)]
pub(super) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    pub(super) fn take(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            guarded("what a callback or a tag held", || drop(value));
        }
    }
}
