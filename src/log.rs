//! Our log: nothing at all, or with `SUPERSTREAM_DEBUG=true` lines on standard error.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ON: AtomicBool = AtomicBool::new(false);

/// A pipe that says it is ready takes so many bytes at once (`PIPE_BUF`).
const LONGEST_LINE: usize = 4096;

/// Turns the log on or off for the process.
pub fn enable(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Lines of which a peer decides how many there are: beyond a number in a minute they are not said. They
/// wait until nobody waits for whoever writes them.
#[derive(Debug, Default)]
pub struct Lines {
    since: Option<Instant>,
    said: u32,
    waiting: Vec<String>,
}

impl Lines {
    const MOST: u32 = 20;
    const EVERY: Duration = Duration::from_secs(60);

    /// Has a line said, or no more of it for a while.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if !ON.load(Ordering::Relaxed) {
            return;
        }
        if self
            .since
            .is_none_or(|since| since.elapsed() >= Self::EVERY)
        {
            (self.since, self.said) = (Some(Instant::now()), 0);
        }
        self.said = self.said.saturating_add(1);
        if self.said <= Self::MOST {
            let more = match self.said {
                Self::MOST => "; more of it is not said in this minute",
                _ => "",
            };
            self.waiting.push(text() + more);
        }
    }

    /// What is to be written, with no lock held: whoever reads the log may be slow.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.waiting)
    }
}

/// Writes lines that were taken.
pub fn lines(all: Vec<String>) {
    for text in all {
        line(format_args!("{text}"));
    }
}

/// Writes one line, in one `write`, so that lines of several threads do not mix. Takes no lock:
/// a forked child may log whatever its parent's threads were doing. A line that nobody reads is
/// dropped: the application neither waits for its log nor dies of it.
pub fn line(text: Arguments<'_>) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    // What a peer sent must not forge lines or reach the terminal.
    let text = text.to_string().replace(char::is_control, " ");
    let mut line = format!("superstream[{}]: {text}", std::process::id()).into_bytes();
    line.truncate(LONGEST_LINE - 1);
    line.push(b'\n');
    if is_ready() {
        without_sigpipe(|| {
            // SAFETY: the buffer is valid for its length.
            unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) }
        });
    }
}

/// Whether standard error takes a line without blocking.
fn is_ready() -> bool {
    let mut stderr = libc::pollfd {
        fd: libc::STDERR_FILENO,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid entry, and no waiting.
    unsafe { libc::poll(&mut stderr, 1, 0) == 1 && stderr.revents & libc::POLLOUT != 0 }
}

/// Runs `write` so that a pipe without a reader raises no SIGPIPE in this thread.
fn without_sigpipe(write: impl FnOnce() -> isize) {
    // SAFETY: plain data that the calls below fill.
    let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) =
        unsafe { std::mem::zeroed() };
    // SAFETY: all sets are valid; a SIGPIPE of our own is taken back before the mask is.
    unsafe {
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let broken = write() < 0 && *libc::__errno_location() == libc::EPIPE;
        if broken && libc::sigismember(&pending, libc::SIGPIPE) == 0 {
            let at_once = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            libc::sigtimedwait(&pipe, std::ptr::null_mut(), &at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
    }
}

/// A line of the debug log, with the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
