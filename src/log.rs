//! Our log: nothing at all, or with `SUPERSTREAM_DEBUG=true` lines on standard error.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);

/// Turns the log on or off for the process.
pub fn enable(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Writes one line, in one `write`, so that lines of several threads do not mix. Takes no lock:
/// a forked child may log whatever its parent's threads were doing.
pub fn line(text: Arguments<'_>) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    // What a peer sent must not forge lines or reach the terminal.
    let text = text.to_string().replace(char::is_control, " ");
    let line = format!("superstream[{}]: {text}\n", std::process::id());
    // SAFETY: the buffer is valid for its length. A failed write has nowhere to be told.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// A line of the debug log, with the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
