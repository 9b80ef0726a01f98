//! The caller's `errno`, which our own work must not change.

/// This thread's `errno`.
pub fn get() -> i32 {
    // SAFETY: glibc returns the address of this thread's errno, valid as long as the thread.
    unsafe { *libc::__errno_location() }
}

/// Sets this thread's `errno`.
pub fn set(value: i32) {
    // SAFETY: as in `get`.
    unsafe { *libc::__errno_location() = value }
}
