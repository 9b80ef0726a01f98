//! Where our code ends and the application's begins: no panic crosses it.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::debug;
use crate::engine::errno;

static CAUGHT: AtomicU32 = AtomicU32::new(0);
/// Where the last one happened. Nobody waits for this lock: a forked child may find it held.
static LAST: Mutex<String> = Mutex::new(String::new());

/// Errors of our own that were caught in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// How many.
    pub count: u32,
    /// Where the last one happened, in our source.
    pub last: String,
}

/// What was caught up to now, if anything.
pub fn caught() -> Option<Caught> {
    let count = CAUGHT.load(Ordering::Relaxed);
    let last = LAST.try_lock().map(|last| last.clone());
    (count > 0).then(|| Caught {
        count,
        last: last.unwrap_or_default(),
    })
}

/// Runs `work`. A panic in it is logged and gives `None`; the caller goes on without us. The thread
/// cannot be cancelled meanwhile: that unwinds the stack, and not by our unwinder.
pub fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    quiet_panics();
    // A half-done change of our own state is acceptable: every lock recovers from poison, and
    // what was changed of the application's is kept outside of `work`.
    match uncancelled(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(value) => Some(value),
        Err(_) => {
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            debug!("an error of our own was caught; the client goes on as plain librdkafka");
            None
        }
    }
}

/// As [`catch`], for work around which the caller's `errno` must not change.
pub fn catch_keeping_errno<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = errno::get();
    let result = catch(work);
    errno::set(before);
    result
}

/// The standard hook prints to standard error; ours goes to the debug log. The hook belongs to
/// this library's copy of the standard library: an application's own is not touched.
fn quiet_panics() {
    // Not a `Once`: a child that was forked while it runs would wait for it for ever.
    static DONE: AtomicBool = AtomicBool::new(false);
    // Looked at first: hooks come here for each request, on many threads.
    if !DONE.load(Ordering::Relaxed) && !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(keep_place));
    }
}

/// The place is told, and not the message: that may quote a value that was at hand.
fn keep_place(information: &PanicHookInfo<'_>) {
    let place = information.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    debug!("panic at {place}");
    if let Ok(mut last) = LAST.try_lock() {
        *last = place;
    }
}

/// Runs `work` on a thread that cannot be cancelled meanwhile: a cancelled thread unwinds its
/// stack, and ours holds what must be put back. The cancellation takes place afterwards.
pub fn uncancelled<T>(work: impl FnOnce() -> T) -> T {
    const DISABLE: c_int = 1;
    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = 0;
    // SAFETY: concerns this thread alone; `before` is filled in.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    let result = work();
    // SAFETY: the state that was in force.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
    result
}

/// Runs `start` with all signals blocked, so that a thread made in it inherits that: the
/// application's handlers never run on a thread of ours.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: plain data that the calls below fill.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: both sets are valid; SIG_SETMASK with a full set cannot fail.
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
    }
    let result = start();
    // SAFETY: the mask that was in force before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_caught_is_known_by_its_place() {
        let before = caught().map_or(0, |caught| caught.count);
        let secret = "hunter2";
        let result = catch(|| {
            if secret.len() == 7 {
                panic!("{secret} was at hand");
            }
        });
        assert_eq!(result, None);
        let caught = caught().unwrap();
        assert!(caught.count > before);
        assert!(caught.last.contains("boundary.rs"), "{caught:?}");
        assert!(!caught.last.contains(secret), "{caught:?}");
    }
}
