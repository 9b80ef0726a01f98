//! Whether Superstream is on in this process: one answer for the library, the plugin and the hooks.

#![no_std]

use core::ffi::{CStr, c_char};

/// Whether `SUPERSTREAM_HOST` is set and not empty, and nobody has disabled it. Takes no lock and no
/// memory: the drop-in runs nothing else where Superstream is off. A program that runs with more
/// rights than its caller (set-uid, file capabilities) has Superstream off: its caller must not
/// choose whom it tells its configuration.
pub fn is_on() -> bool {
    let host = variable(c"SUPERSTREAM_HOST");
    let disabled = variable(c"SUPERSTREAM_DISABLED");
    host.is_some_and(|host| !host.is_empty())
        && !disabled.is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// A variable of the environment, to be looked at right away: an application that changes its
/// environment meanwhile on another thread has the same race with librdkafka and libc.
fn variable(name: &CStr) -> Option<&[u8]> {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: a C string; the result is null or one.
    unsafe {
        let value = secure_getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}
