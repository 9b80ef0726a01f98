//! What wakes the session's thread: a condition, or a descriptor where the thread waits for a socket
//! beside it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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
/// too late ends the next waiting, for nothing. One that the application has closed is given up for
/// good: the condition is waited at, and the socket looked at now and then.
#[derive(Debug)]
pub(super) struct Bell {
    condition: Condvar,
    /// Never closed while somebody may ring.
    descriptor: OnceLock<OwnedFd>,
    /// The descriptor, while the thread may wait at it.
    rings_at: AtomicI32,
    /// The application has closed the descriptor, or made another one of it: it is not ours any more.
    is_lost: AtomicBool,
    /// When the socket is to be looked at, where there is no descriptor to wait at.
    blind_at: Mutex<Option<Instant>>,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            condition: Condvar::new(),
            descriptor: OnceLock::new(),
            rings_at: AtomicI32::new(SILENT),
            is_lost: AtomicBool::new(false),
            blind_at: Mutex::new(None),
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
            let shown = poll(descriptor.as_raw_fd(), watch, until);
            self.is_busy();
            if !shown.is_ours || shown.is_rung && !empty(descriptor) {
                self.is_lost.store(true, Ordering::SeqCst);
            }
            return (lock(mutex), shown.watched);
        }
        let blind = watch.map(|_| self.blind_at());
        let Some(until) = until.into_iter().chain(blind).min() else {
            let waited = self.condition.wait(state);
            return (waited.unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.condition.wait_timeout(state, left);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_time = blind.is_some_and(|at| at <= Instant::now());
        if is_time {
            *lock(&self.blind_at) = None;
        }
        (state, is_time)
    }

    /// However often the waiting ends before.
    fn blind_at(&self) -> Instant {
        *lock(&self.blind_at).get_or_insert_with(|| Instant::now() + BLIND)
    }

    /// Made when it is needed first. Where it cannot be had, it is tried again; where it was lost, it is
    /// not: what was done to one may be done to the next.
    fn descriptor(&self) -> Option<&OwnedFd> {
        if self.is_lost.load(Ordering::SeqCst) {
            return None;
        }
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

impl Drop for Bell {
    fn drop(&mut self) {
        if self.is_lost.load(Ordering::SeqCst)
            && let Some(descriptor) = self.descriptor.take()
        {
            // Whatever goes by this number now is the application's.
            let _ = descriptor.into_raw_fd();
        }
    }
}

/// What a waiting has shown.
struct Shown {
    /// The socket is to be looked at.
    watched: bool,
    /// There is something to read at the bell.
    is_rung: bool,
    /// The bell can be waited at.
    is_ours: bool,
}

fn poll(descriptor: RawFd, watch: Option<&Watch<'_>>, until: Option<Instant>) -> Shown {
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
    let mut both = [of_socket, of(descriptor, libc::POLLIN)];
    // SAFETY: two entries that live as long as the call. What they name need not be open.
    let result = unsafe { libc::poll(both.as_mut_ptr(), 2, milliseconds(until)) };
    if result < 0 {
        // A wait that fails otherwise would fail again.
        let is_interrupted = io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        return Shown {
            watched: false,
            is_rung: false,
            is_ours: is_interrupted,
        };
    }
    let of_bell = both[1].revents;
    Shown {
        watched: both[0].revents != 0,
        is_rung: of_bell & libc::POLLIN != 0,
        is_ours: of_bell & (libc::POLLNVAL | libc::POLLERR | libc::POLLHUP) == 0,
    }
}

/// Rounded up: a wait that ends too early would be begun again and again.
fn milliseconds(until: Option<Instant>) -> libc::c_int {
    let Some(until) = until else { return -1 };
    let left = until.saturating_duration_since(Instant::now());
    let rounded = left.as_nanos().div_ceil(1_000_000);
    rounded.try_into().unwrap_or(libc::c_int::MAX)
}

/// Reads what was rung; whether it is a bell that was read.
fn empty(descriptor: &OwnedFd) -> bool {
    let mut count = [0_u8; 8];
    // SAFETY: a descriptor that there is something to read from, and room for the eight bytes that a
    // bell gives.
    let length = unsafe {
        libc::read(
            descriptor.as_raw_fd(),
            count.as_mut_ptr().cast(),
            count.len(),
        )
    };
    if length < 0 {
        let error = io::Error::last_os_error().kind();
        return matches!(
            error,
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        );
    }
    // A bell that was rung never gives a zero.
    length.unsigned_abs() == count.len() && u64::from_ne_bytes(count) > 0
}

#[cfg(test)]
mod tests;
