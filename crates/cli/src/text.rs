//! Text for a terminal.

use std::io::{self, Write};

/// What others have said, on one line and without a terminal's control sequences: what a process
/// tells about itself is its own claim.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if is_harmful(letter) { '?' } else { letter })
        .collect()
}

/// Whether a letter does something to a terminal instead of standing there: control characters,
/// line ends, and what turns the direction of the text behind it.
pub fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON document that does nothing to a terminal: JSON need not escape all that one obeys. A line
/// end stands between members alone, and stays.
pub fn harmless(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for letter in document.chars() {
        match letter != '\n' && is_harmful(letter) {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => safe.push(letter),
        }
    }
    safe
}

/// Opens what of standard input, output and error was given to us closed: else the next file or
/// connection that is opened would get its number, and what we print.
pub fn open_streams() {
    for stream in 0..=2 {
        // SAFETY: asks about a number; opens the lowest one that is free, which is this one.
        unsafe {
            if libc::fcntl(stream, libc::F_GETFD) < 0 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            }
        }
    }
}

/// Prints a finished document; whether that worked.
pub fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}

/// Says why something cannot be done, on standard error.
pub fn complain(text: &str) {
    // Nobody is left to be told that this failed.
    let _ = writeln!(io::stderr(), "superstream: {}", clean(text));
}

/// Breaks a text into lines of at most `width` letters; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{9b}d"), "a?[2Jb?c?d");
        assert_eq!(clean("a\u{202e}b\u{2028}c"), "a?b?c");
        assert_eq!(clean("größer"), "größer");
    }

    #[test]
    fn a_document_does_nothing_to_a_terminal() {
        let value = serde_json::json!({"client_id": "a\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\nü"});
        for document in [value.to_string(), format!("{value:#}")] {
            let text = harmless(&document);
            assert!(
                !text.lines().any(|line| line.chars().any(is_harmful)),
                "{text:?}"
            );
            assert_eq!(text.lines().count(), document.lines().count());
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible a", 5), ["incomprehensible", "a"]);
    }
}
