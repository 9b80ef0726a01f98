//! The table on a terminal, shown again and again. The service is asked on a thread of its own, so
//! that keys and signals are answered at once whatever it takes.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::fetch::{Failure, Service, Snapshot};
use super::page::{self, Away};
use super::screen::{self, Screen};
use super::signals::{self, Signals};
use super::{View, may_be_coloured, rows};

/// Why nothing is shown any more.
pub enum Ending {
    /// Somebody wanted it.
    Wanted,
    Failure(Failure),
    NoTerminal(io::Error),
}

/// Shows what the service says until somebody has enough of it.
pub fn watch(service: Service, view: &View, first: Snapshot, interval: Duration) -> Ending {
    match try_to_watch(service, view, first, interval) {
        Ok((Ended::Of(signal), signals)) => {
            signals.die_of(signal);
            Ending::Wanted
        }
        Ok((Ended::Wanted, _)) => Ending::Wanted,
        Ok((Ended::Refused(failure), _)) => Ending::Failure(failure),
        Err(error) => Ending::NoTerminal(error),
    }
}

enum Ended {
    Wanted,
    Of(libc::c_int),
    Refused(Failure),
}

fn try_to_watch(
    service: Service,
    view: &View,
    first: Snapshot,
    interval: Duration,
) -> io::Result<(Ended, Signals)> {
    let mut signals = Signals::hold()?;
    let mut news = News::of(service, interval)?;
    let mut shown = Shown {
        view,
        snapshot: first,
        at: Instant::now(),
        away: None,
    };
    let mut screen = Screen::enter(may_be_coloured())?;
    loop {
        shown.draw(&screen)?;
        let keys = match screen.has_keys() {
            true => libc::STDIN_FILENO,
            false => -1,
        };
        let [has_signal, has_news, has_key] =
            wait([signals.descriptor(), news.bell.as_raw_fd(), keys])?;
        if has_signal {
            match signals.next()? {
                libc::SIGINT => return Ok((Ended::Wanted, signals)),
                libc::SIGWINCH | libc::SIGCONT => {}
                libc::SIGTSTP => {
                    drop(screen);
                    signals::stop();
                    screen = Screen::enter(may_be_coloured())?;
                }
                signal => return Ok((Ended::Of(signal), signals)),
            }
        }
        if has_key && is_enough()? {
            return Ok((Ended::Wanted, signals));
        }
        if has_news && let Some(failure) = shown.take(news.next()?) {
            return Ok((Ended::Refused(failure), signals));
        }
    }
}

/// What the screen shows.
struct Shown<'a> {
    view: &'a View,
    snapshot: Snapshot,
    /// When it came.
    at: Instant,
    /// Why nothing came since.
    away: Option<String>,
}

impl Shown<'_> {
    /// Takes what the service said; what is no use to wait out is given back.
    fn take(&mut self, said: Result<Snapshot, Failure>) -> Option<Failure> {
        match said {
            Ok(mut snapshot) => {
                rows::sort(&mut snapshot.rows, self.view.sort);
                self.snapshot = snapshot;
                self.at = Instant::now();
                self.away = None;
            }
            Err(Failure::Away(reason)) => self.away = Some(reason),
            Err(failure @ Failure::Refused(_)) => return Some(failure),
        }
        None
    }

    fn draw(&self, screen: &Screen) -> io::Result<()> {
        let away = self.away.as_ref().map(|reason| Away {
            reason: reason.clone(),
            since: self.at.elapsed(),
        });
        let room = screen::size();
        screen.draw(&page::lines(self.view, &self.snapshot, away.as_ref(), room))
    }
}

/// What the service says, from time to time.
struct News {
    said: Receiver<Result<Snapshot, Failure>>,
    /// Has a byte for each.
    bell: PipeReader,
}

impl News {
    fn of(mut service: Service, interval: Duration) -> io::Result<Self> {
        let (sender, said) = mpsc::channel();
        let (bell, mut rope) = io::pipe()?;
        thread::Builder::new().spawn(move || {
            loop {
                thread::sleep(interval);
                let is_gone = sender.send(service.look()).is_err();
                if is_gone || rope.write_all(&[0]).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { said, bell })
    }

    fn next(&mut self) -> io::Result<Result<Snapshot, Failure>> {
        self.bell.read_exact(&mut [0])?;
        self.said.recv().map_err(io::Error::other)
    }
}

/// Whether one of the keys that were pressed means the end, or there will be no more of them.
fn is_enough() -> io::Result<bool> {
    let mut keys = [0; 64];
    // Not Rust's standard input, which would keep for itself what is behind the 64th.
    // SAFETY: a buffer of that length, which lives as long as the call.
    let count = unsafe { libc::read(libc::STDIN_FILENO, keys.as_mut_ptr().cast(), keys.len()) };
    match usize::try_from(count) {
        Ok(0) => Ok(true),
        Ok(count) => Ok(keys[..count].iter().any(|key| matches!(key, b'q' | b'Q'))),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

/// Waits until one of these can be read; which ones can. A number below zero never can.
fn wait<const COUNT: usize>(descriptors: [RawFd; COUNT]) -> io::Result<[bool; COUNT]> {
    let mut asked = descriptors.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: an array of so many structs, which lives as long as the call.
    let answer = unsafe { libc::poll(asked.as_mut_ptr(), COUNT as libc::nfds_t, -1) };
    match answer {
        0.. => Ok(asked.map(|asked| asked.revents != 0)),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok([false; COUNT]),
            error => Err(error),
        },
    }
}
