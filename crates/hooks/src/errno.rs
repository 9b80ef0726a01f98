//! The caller's `errno`, which our own work must not change.

/// Runs `work` and leaves `errno` as it was.
pub fn kept<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: glibc returns the address of this thread's errno, valid as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let result = work();
    // SAFETY: as above.
    unsafe { *errno = before };
    result
}
