//! Signals as something to read, so that whatever ends us finds the terminal restored.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// What ends or stops us, and what changes the terminal.
const HANDLED: [libc::c_int; 7] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// The signals of this process, held until they are read.
pub struct Signals {
    source: File,
    before: libc::sigset_t,
}

impl Signals {
    /// Holds them in this thread and in those that it starts from now on.
    pub fn hold() -> io::Result<Self> {
        let mut handled = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset fills the first set before it is used, pthread_sigmask the second;
        // the descriptor is new, and nobody else's.
        unsafe {
            libc::sigemptyset(handled.as_mut_ptr());
            for signal in HANDLED.into_iter().filter(|signal| !is_ignored(*signal)) {
                libc::sigaddset(handled.as_mut_ptr(), signal);
            }
            let descriptor = libc::signalfd(-1, handled.as_ptr(), libc::SFD_CLOEXEC);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            let source = File::from_raw_fd(descriptor);
            // Never read: writing to what is gone fails, and is no reason to end in the middle.
            libc::sigaddset(handled.as_mut_ptr(), libc::SIGPIPE);
            match libc::pthread_sigmask(libc::SIG_BLOCK, handled.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Self {
                    source,
                    before: before.assume_init(),
                }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    /// What to poll.
    pub fn descriptor(&self) -> RawFd {
        self.source.as_raw_fd()
    }

    /// The next signal; waits for it where there is none.
    pub fn next(&mut self) -> io::Result<libc::c_int> {
        let mut about = [0; size_of::<libc::signalfd_siginfo>()];
        self.source.read_exact(&mut about)?;
        // Its number comes first.
        let [a, b, c, d, ..] = about;
        Ok(i32::from_ne_bytes([a, b, c, d]))
    }

    /// Lets signals do what they did before, and sends itself one: it ends, and whoever waits for
    /// it sees of what. Returns where the signal does not end it.
    pub fn die_of(self, signal: libc::c_int) {
        // SAFETY: a mask that pthread_sigmask gave, and a signal to this thread alone.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            );
            libc::raise(signal);
        }
    }
}

/// Stops this process, as Ctrl-Z would have; returns when it goes on.
pub fn stop() {
    // SAFETY: a signal to ourselves that needs no handler.
    unsafe {
        libc::raise(libc::SIGSTOP);
    }
}

/// Whether whoever started us had it ignored: then it stays so.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks for what is set; the struct is filled where the answer is 0, and read only then.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
