//! A data race. `make check-counters` runs it under ThreadSanitizer, to see that it would find one.
#![cfg(not(loom))]
#![allow(missing_docs)]

use std::ptr::addr_of_mut;
use std::thread;

static mut COUNT: u64 = 0;

fn count() {
    for _ in 0..10_000 {
        // SAFETY: none. That is what this is about.
        unsafe {
            let count = addr_of_mut!(COUNT);
            *count = std::hint::black_box(*count) + 1;
        }
    }
}

#[test]
#[ignore = "a race"]
fn two_threads_count_without_atomics() {
    thread::scope(|scope| {
        scope.spawn(count);
        scope.spawn(count);
    });
}
