//! The environment of this process. What its variables mean is told by `superstream-settings`.

use std::ffi::{CStr, c_char};

pub use superstream_settings::{Endpoint, Reading, Settings, Token};

use crate::{debug, log};

/// Whether `SUPERSTREAM_HOST` is set and not empty, and nobody has disabled it. Takes no lock and no
/// memory: the drop-in runs nothing else where Superstream is off. A program that runs with
/// more rights than its caller (set-uid, file capabilities) has Superstream off: its caller must not
/// choose whom it tells its configuration.
pub fn is_host_set() -> bool {
    let host = secure_variable(c"SUPERSTREAM_HOST");
    let disabled = secure_variable(c"SUPERSTREAM_DISABLED");
    host.is_some_and(|host| !host.is_empty())
        && !disabled.is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// A variable of the environment, to be looked at right away: an application that changes its
/// environment meanwhile on another thread has the same race with librdkafka and libc.
fn secure_variable(name: &CStr) -> Option<&[u8]> {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: a C string; the result is null or one.
    unsafe {
        let value = secure_getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Turns the log on or off by `SUPERSTREAM_DEBUG`, before the rest of the environment is read.
#[cfg(not(feature = "embedded-engine"))]
pub fn enable_log() {
    let debug = std::env::var_os("SUPERSTREAM_DEBUG");
    log::enable(debug.is_some_and(|value| superstream_settings::is_true(&value)));
}

/// Reads the process's environment.
pub fn read() -> Reading {
    if !is_host_set() {
        return Reading::Off;
    }
    superstream_settings::parse(|name| std::env::var_os(name))
}

/// Reads the process's environment, and tells the log what is wrong with it. `None` where
/// Superstream stays off.
pub fn read_and_tell() -> Option<Box<Settings>> {
    match read() {
        Reading::Off => None,
        Reading::Unusable { debug, reason } => {
            log::enable(debug);
            debug!("{reason}");
            None
        }
        Reading::On {
            settings,
            complaints,
        } => {
            log::enable(settings.debug);
            for complaint in complaints {
                debug!("{complaint}");
            }
            Some(settings)
        }
    }
}
