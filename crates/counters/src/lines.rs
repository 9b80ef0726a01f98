//! Sums that many threads add to without writing to the same cache line.

use superstream_protocol::measured::{Records, Requests};

use crate::sync::{AtomicU64, Ordering};

/// Threads that add at the same time without meeting. More may meet: that costs time and is right.
#[cfg(not(loom))]
const LINES: usize = 8;
#[cfg(loom)]
const LINES: usize = 1;

/// A count and its bytes.
#[derive(Default)]
pub struct Pair {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Pair {
    /// Adds one of so many bytes. Gives how many there were before.
    #[inline(always)]
    pub fn add(&self, bytes: usize) -> u64 {
        // A size is 64 bits wide at the most.
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        // What was added before can be seen by who sees this: see `Topic::sums`.
        self.count.fetch_add(1, Ordering::Release)
    }

    pub(crate) fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        let count = self.count.load(Ordering::Relaxed);
        (count, self.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn records(&self) -> Records {
        let (records, bytes) = self.get();
        Records { records, bytes }
    }

    pub(crate) fn requests(&self) -> Requests {
        let (requests, bytes) = self.get();
        Requests { requests, bytes }
    }
}

/// A pair on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Line(Pair);

/// Pairs, one for each thread as far as they go.
#[derive(Default)]
pub struct Lines([Line; LINES]);

impl Lines {
    /// Adds one of so many bytes on this thread's line. Gives how many there were on it.
    #[inline(always)]
    pub fn add(&self, bytes: usize) -> u64 {
        self.0[line_of_this_thread()].0.add(bytes)
    }

    pub(crate) fn reset(&self) {
        self.0.iter().for_each(|line| line.0.reset());
    }

    pub(crate) fn records(&self) -> Records {
        let mut sum = Records::default();
        for line in &self.0 {
            sum.add(line.0.records());
        }
        sum
    }
}

/// Threads are told apart by their stacks: that takes neither a call nor thread-local storage. One
/// thread deep in its stack may have another line; that costs nothing either.
#[inline(always)]
fn line_of_this_thread() -> usize {
    // Stacks are megabytes apart. The golden ratio spreads neighbours over the highest bits.
    let place = (stack_pointer() >> 18) as u32;
    let spread = place.wrapping_mul(0x9e37_79b1) >> 16;
    spread as usize % LINES
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: reads a register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
