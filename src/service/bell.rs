//! What wakes the session's thread: a condition, or a descriptor where the thread waits for a socket
//! beside it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::errno;
use crate::lock::lock;

/// Nobody waits at the descriptor.
const SILENT: RawFd = -1;
/// An entry that `poll` passes over.
const NONE: RawFd = -1;
/// Without a descriptor of our own a socket is looked at so often.
const BLIND: Duration = Duration::from_secs(2);

/// A socket that is waited for beside everything else.
#[derive(Debug)]
pub struct Watch<'a> {
    /// The socket.
    pub socket: BorrowedFd<'a>,
    /// Until there is something to read.
    pub readable: bool,
    /// Until something can be written.
    pub writable: bool,
    /// What shows earlier has to wait until then.
    pub from: Option<Instant>,
}

impl Watch<'_> {
    /// When it is to be waited for, if that is not yet.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.from.filter(|from| *from > now)
    }
}

/// The thread waits here, and others ring.
///
/// No ring is lost. Whoever rings has changed something before, and the thread looks for changes after
/// [`Bell::listen`] and before it waits:
///
/// - A change under the lock of the state. The thread holds that lock from `listen` until it waits,
///   so the change is seen, or is made after the lock was given back: by then `listen` has said
///   where to ring, and the condition is waited at or the descriptor will be, which keeps what is
///   written. Whoever still finds the place of an earlier waiting has made the change before the
///   thread left that place, and the thread looks again after that.
/// - A flag without a lock, where the thread waits at the descriptor. Flag and `rings_at` are
///   written and read in one order for all threads (`SeqCst`): if the thread reads the flag too
///   early, then it has written `rings_at` before the flag was set, and the ringing reads it.
///
/// The descriptor is emptied after the waiting and before the next look for changes. What is written
/// too late ends the next waiting, for nothing.
#[derive(Debug)]
pub(super) struct Bell {
    condition: Condvar,
    /// Never closed while somebody may ring.
    descriptor: OnceLock<OwnedFd>,
    /// The descriptor, while the thread may wait at it.
    rings_at: AtomicI32,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            condition: Condvar::new(),
            descriptor: OnceLock::new(),
            rings_at: AtomicI32::new(SILENT),
        }
    }
}

impl Bell {
    /// The thread has something to do. For hooks: takes no lock, and leaves `errno` as it is.
    pub(super) fn ring(&self) {
        match self.rings_at.load(Ordering::SeqCst) {
            SILENT => self.condition.notify_one(),
            descriptor => {
                let before = errno::get();
                let one = 1_u64.to_ne_bytes();
                // SAFETY: the bell's own descriptor, which is open as long as the bell, and the eight
                // bytes that it takes. It never blocks; where it is full, it has been rung.
                unsafe { libc::write(descriptor, one.as_ptr().cast(), one.len()) };
                errno::set(before);
            }
        }
    }

    /// The thread is about to look for work, and holds the lock of the state until it waits.
    pub(super) fn listen(&self, watch: Option<&Watch<'_>>) {
        let at = match watch.and_then(|_| self.descriptor()) {
            Some(descriptor) => descriptor.as_raw_fd(),
            None => SILENT,
        };
        self.rings_at.store(at, Ordering::SeqCst);
    }

    /// The thread has found work.
    pub(super) fn is_busy(&self) {
        self.rings_at.store(SILENT, Ordering::SeqCst);
    }

    /// Waits for a ring, until a time, or for what is to be watched; whether that is to be looked at.
    /// A watch that rests ends the waiting where its rest does.
    pub(super) fn wait<'s, T>(
        &self,
        mutex: &'s Mutex<T>,
        state: MutexGuard<'s, T>,
        until: Option<Instant>,
        watch: Option<&Watch<'_>>,
    ) -> (MutexGuard<'s, T>, bool) {
        let rests_until = watch.and_then(|watch| watch.rests_until(Instant::now()));
        let until = until.into_iter().chain(rests_until).min();
        let place = self.rings_at.load(Ordering::SeqCst);
        if let (Some(watch), Some(descriptor)) = (watch, self.descriptor.get())
            && place != SILENT
        {
            drop(state);
            let watch = Some(watch).filter(|_| rests_until.is_none());
            let shows = poll(descriptor.as_fd(), watch, until);
            self.is_busy();
            empty(descriptor);
            return (lock(mutex), shows);
        }
        let blind = watch.map(|_| Instant::now() + BLIND);
        let Some(until) = until.into_iter().chain(blind).min() else {
            let waited = self.condition.wait(state);
            return (waited.unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.condition.wait_timeout(state, left);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state, blind.is_some_and(|at| at <= Instant::now()))
    }

    /// Made when it is needed first. Where it cannot be had, it is tried again.
    fn descriptor(&self) -> Option<&OwnedFd> {
        if self.descriptor.get().is_none() {
            // SAFETY: takes no pointers.
            let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if made >= 0 {
                // SAFETY: just made, and nobody else's. The thread alone comes here, so it is kept.
                let _ = self.descriptor.set(unsafe { OwnedFd::from_raw_fd(made) });
            }
        }
        self.descriptor.get()
    }
}

/// Whether the socket is to be looked at.
fn poll(descriptor: BorrowedFd<'_>, watch: Option<&Watch<'_>>, until: Option<Instant>) -> bool {
    let events = |wanted: bool, event: libc::c_short| if wanted { event } else { 0 };
    let of = |fd: RawFd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let of_socket = watch.map_or(of(NONE, 0), |watch| {
        let readable = events(watch.readable, libc::POLLIN);
        let writable = events(watch.writable, libc::POLLOUT);
        of(watch.socket.as_raw_fd(), readable | writable)
    });
    let mut both = [of_socket, of(descriptor.as_raw_fd(), libc::POLLIN)];
    // SAFETY: two entries that live as long as the call, of descriptors that do too, or of none.
    let result = unsafe { libc::poll(both.as_mut_ptr(), 2, milliseconds(until)) };
    match result {
        // A wait that fails otherwise is as good as none: the transport bounds how often it is looked at.
        ..0 => io::Error::last_os_error().kind() != io::ErrorKind::Interrupted,
        _ => both[0].revents != 0,
    }
}

/// Rounded up: a wait that ends too early would be begun again and again.
fn milliseconds(until: Option<Instant>) -> libc::c_int {
    let Some(until) = until else { return -1 };
    let left = until.saturating_duration_since(Instant::now());
    let rounded = left.as_nanos().div_ceil(1_000_000);
    rounded.try_into().unwrap_or(libc::c_int::MAX)
}

fn empty(descriptor: &OwnedFd) {
    let mut count = [0_u8; 8];
    // SAFETY: an open descriptor that never blocks, and room for the eight bytes that it gives.
    unsafe {
        libc::read(
            descriptor.as_raw_fd(),
            count.as_mut_ptr().cast(),
            count.len(),
        )
    };
}

#[cfg(test)]
mod tests;
