//! `superstream top` on a terminal: shown again and again, and the terminal left as it was found.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::fake_service::{FakeService, Manner, producer};
use crate::support::Stage;

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";
const TITLES: &str = "\x1b[7mCLIENT.ID";

/// A terminal with `top` on it. The stage is kept for its program.
struct Terminal {
    _stage: Stage,
    keyboard: Option<File>,
    /// Our own hold of the other end, to see in which state it is left.
    end: OwnedFd,
    before: libc::termios,
    said: Receiver<String>,
    seen: String,
    child: Child,
}

impl Terminal {
    fn with_top(service: &FakeService, environment: &[(&str, &str)]) -> Self {
        let (master, end) = pair(200, 30);
        let stage = Stage::without_libraries();
        let host = service.url();
        let mut command = stage.superstream(&["top", "--interval", "1", "--host", &host]);
        command
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied());
        let stream = || Stdio::from(end.try_clone().unwrap());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: all are system calls alone; the terminal becomes that of the new session.
        unsafe {
            command.pre_exec(|| {
                // As in a terminal: a script's background and nohup have them ignored.
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let before = state(&end);
        let child = command.spawn().unwrap();
        drop(command);
        let mut screen = master.try_clone().unwrap();
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Self {
            _stage: stage,
            keyboard: Some(master),
            end,
            before,
            said,
            seen: String::new(),
            child,
        }
    }

    /// Waits for words on the screen; what stood there until then.
    fn wait_for(&mut self, words: &str) -> String {
        // The screen never falls silent by itself.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.seen.find(words) {
                return self.seen.drain(..at + words.len()).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(text) => self.seen.push_str(&text),
                Err(error) => panic!("no {words:?}: {error}: {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.as_mut().unwrap().write_all(keys).unwrap();
    }

    fn send(&self, signal: libc::c_int) {
        // SAFETY: a signal to a child that was not waited for.
        unsafe {
            libc::kill(libc::pid_t::try_from(self.child.id()).unwrap(), signal);
        }
    }

    fn is_as_found(&self) -> bool {
        let now = state(&self.end);
        now.c_lflag == self.before.c_lflag
    }

    /// Waits for its end, which leaves the terminal as it was.
    fn end(&mut self) -> ExitStatus {
        self.wait_for(LEFT);
        let status = self.child.wait().unwrap();
        assert!(self.is_as_found(), "the keyboard is left changed");
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two ends of a terminal of this size.
fn pair(columns: u16, rows: u16) -> (File, OwnedFd) {
    let (mut master, mut end) = (-1, -1);
    let size = size(columns, rows);
    // SAFETY: two numbers to be filled, no name, no state, and a size; both are new and nobody's.
    unsafe {
        let answer = libc::openpty(
            &raw mut master,
            &raw mut end,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        );
        assert_eq!(answer, 0);
        // Else another test's child holds it open.
        libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(master), OwnedFd::from_raw_fd(end))
    }
}

fn size(columns: u16, rows: u16) -> libc::winsize {
    libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn state(end: &OwnedFd) -> libc::termios {
    // SAFETY: a struct of integers, filled by the call that is checked.
    unsafe {
        let mut state: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(end.as_raw_fd(), &raw mut state), 0);
        state
    }
}

#[test]
fn the_screen_is_kept_up_until_somebody_has_enough() {
    let service = FakeService::new(vec![producer("orders", 73_600)]);
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for(ENTERED);
    for _ in 0..3 {
        terminal.wait_for(TITLES);
        terminal.wait_for("orders");
    }
    assert!(!terminal.is_as_found(), "keys would stand on the screen");
    terminal.press(b"xyq");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn signals_end_it_with_the_terminal_restored() {
    let service = FakeService::new(vec![producer("orders", 73_600)]);
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("orders");
    terminal.press(b"\x03");
    assert_eq!(terminal.end().code(), Some(0));

    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("orders");
    terminal.send(libc::SIGTERM);
    assert_eq!(terminal.end().signal(), Some(libc::SIGTERM));

    // Nobody is left to see how a terminal that is gone was restored.
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("orders");
    terminal.send(libc::SIGHUP);
    assert_eq!(terminal.end().signal(), Some(libc::SIGHUP));
}

#[test]
fn it_can_be_stopped_and_goes_on() {
    let service = FakeService::new(vec![producer("orders", 73_600)]);
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("orders");
    terminal.press(b"\x1a");
    terminal.wait_for(LEFT);
    let id = libc::pid_t::try_from(terminal.child.id()).unwrap();
    let mut status = 0;
    // SAFETY: waits for a child of ours to stop.
    let stopped = unsafe { libc::waitpid(id, &raw mut status, libc::WUNTRACED) };
    assert_eq!((stopped, libc::WIFSTOPPED(status)), (id, true));
    assert!(terminal.is_as_found());
    terminal.send(libc::SIGCONT);
    terminal.wait_for(ENTERED);
    terminal.wait_for("orders");
    terminal.press(b"q");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn the_table_follows_the_size_of_the_terminal() {
    let clients = (0..50).map(|number| producer(&format!("client-{number}"), 1_000 - number));
    let service = FakeService::new(clients.collect());
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("LANGUAGE");
    // 30 lines: five above the table, and the last one for what is left out.
    terminal.wait_for("client-23");
    terminal.wait_for("and 26 more");
    let small = size(70, 10);
    // SAFETY: the terminal's own end, and the struct that this request reads.
    unsafe {
        libc::ioctl(terminal.end.as_raw_fd(), libc::TIOCSWINSZ, &raw const small);
    }
    terminal.wait_for("and 46 more");
    // What comes now is of the small size alone.
    terminal.wait_for(TITLES);
    let titles = terminal.wait_for("\r\n");
    assert!(
        titles.contains("SAVED") && !titles.contains("LANGUAGE"),
        "{titles}"
    );
    terminal.press(b"q");
    terminal.end();
}

#[test]
fn a_service_that_is_away_is_told_and_waited_for() {
    let service = FakeService::new(vec![producer("orders", 73_600)]);
    let mut terminal = Terminal::with_top(&service, &[]);
    terminal.wait_for("orders");
    service.answers(Manner::NotAtAll);
    terminal.wait_for("\x1b[1;31m");
    terminal.wait_for("does not answer");
    // What was known is still there.
    terminal.wait_for("orders");
    service.answers(Manner::Well);
    terminal.wait_for("superstream top");
    service.answers(Manner::With(401, "another token now".to_owned()));
    assert_eq!(terminal.end().code(), Some(1));
    terminal.wait_for("does not take the token");
}

#[test]
fn without_colours_there_are_none() {
    let service = FakeService::new(vec![producer("orders", 73_600)]);
    let mut terminal = Terminal::with_top(&service, &[("NO_COLOR", "1")]);
    terminal.wait_for("\x1b[2KCLIENT.ID");
    service.answers(Manner::NotAtAll);
    terminal.wait_for("\x1b[2Khttp://");
    terminal.press(b"q");
    assert_eq!(terminal.end().code(), Some(0));
}
