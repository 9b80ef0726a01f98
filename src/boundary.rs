//! Where our code ends and the application's begins: no panic crosses it.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::debug;
use crate::engine::errno;

/// Runs `work`. A panic in it is logged and gives `None`; the caller goes on without us. The thread
/// cannot be cancelled meanwhile: that unwinds the stack, and not by our unwinder.
pub fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    quiet_panics();
    // A half-done change of our own state is acceptable: every lock recovers from poison, and
    // what was changed of the application's is kept outside of `work`.
    match uncancelled(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(value) => Some(value),
        Err(_) => {
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
    if !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|information| debug!("panic: {information}")));
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
