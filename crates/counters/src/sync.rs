//! The atomics, the real ones or those of the model checker.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
