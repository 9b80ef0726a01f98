//! The terminal: a screen of our own on it, given back as it was found.

use std::io::{self, Write};
use std::mem::MaybeUninit;

use super::page::{Line, Role, Room};

/// The other screen, no cursor, and no line that goes on in the next one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How large the terminal of standard output is; `None` where that is no terminal.
pub fn size() -> Option<Room> {
    // SAFETY: four integers, for which zeros are values.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: asks about a number, and gives the struct that this request fills.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    let or = |length: u16, usual| match length {
        0 => usual,
        length => usize::from(length),
    };
    (answer == 0).then(|| Room {
        width: or(size.ws_col, 80),
        height: or(size.ws_row, 24),
    })
}

/// The screen, while we are on it.
pub struct Screen {
    has_colours: bool,
    /// How the keyboard was found, where it is one.
    found: Option<libc::termios>,
}

impl Screen {
    pub fn enter(has_colours: bool) -> io::Result<Self> {
        let screen = Self {
            has_colours,
            found: keyboard(),
        };
        if let Some(found) = &screen.found {
            let mut wanted = *found;
            // Single keys, and none of them on the screen; Ctrl-C and Ctrl-Z stay what they are.
            wanted.c_lflag &= !(libc::ICANON | libc::ECHO);
            set_keyboard(&wanted);
        }
        say(ENTER)?;
        Ok(screen)
    }

    /// Whether standard input is a keyboard.
    pub fn has_keys(&self) -> bool {
        self.found.is_some()
    }

    pub fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut frame = "\x1b[H".to_owned();
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                frame.push_str("\r\n");
            }
            // Before the text: behind it, a full line would lose its last letter.
            frame.push_str("\x1b[2K");
            let style = match line.role {
                _ if !self.has_colours => None,
                Role::Plain => None,
                Role::Titles => Some("\x1b[7m"),
                Role::Alarm => Some("\x1b[1;31m"),
            };
            match style {
                Some(style) => frame.push_str(&format!("{style}{}\x1b[0m", line.text)),
                None => frame.push_str(&line.text),
            }
        }
        // What is below is of before; on the last line there is nothing below.
        let is_full = size().is_some_and(|room| lines.len() >= room.height);
        if !is_full {
            frame.push_str("\r\n\x1b[J");
        }
        say(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone need not be restored.
        let _ = say(LEAVE);
        if let Some(found) = &self.found {
            set_keyboard(found);
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn keyboard() -> Option<libc::termios> {
    let mut found = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: asks about a number; the struct is filled where the answer is 0, and read only then.
    unsafe {
        match libc::tcgetattr(libc::STDIN_FILENO, found.as_mut_ptr()) {
            0 => Some(found.assume_init()),
            _ => None,
        }
    }
}

fn set_keyboard(wanted: &libc::termios) {
    // SAFETY: a struct that tcgetattr filled, with flags of its own kind.
    unsafe {
        libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, wanted);
    }
}
