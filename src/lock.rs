//! Locking without `unwrap`.

pub use superstream_counters::lock;
