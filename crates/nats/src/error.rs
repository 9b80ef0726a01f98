//! What can go wrong.

use std::fmt;
use std::io;

/// What a server says goes into logs: a sentence is enough.
const MAX_CHARS: usize = 300;

/// Why a call failed. No variant holds a password or a payload.
#[derive(Debug)]
pub enum Error {
    /// The server cannot be reached, or the connection broke: worth another try on a new one.
    Io(io::Error),
    /// TLS could not be agreed upon: the certificate is not trusted, or no TLS is spoken there.
    Tls(String),
    /// The server does not let this user in.
    Unauthorized(String),
    /// The server does not allow this subject. The connection goes on.
    Denied(String),
    /// Nobody listens there (status 503).
    NoResponders,
    /// The deadline has passed.
    TimedOut,
    /// The message is longer than the server takes.
    TooLarge {
        /// Bytes of the payload.
        size: usize,
        /// Bytes that the server takes.
        limit: usize,
    },
    /// What the server sends is not NATS.
    Protocol(String),
    /// A subject or inbox has a character that has a meaning there, or none at all.
    BadSubject(String),
    /// The connection is closed, and why. Make a new one.
    Closed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Tls(reason) => write!(formatter, "no TLS: {reason}"),
            Self::Unauthorized(reason) => {
                write!(formatter, "the server does not let us in: {reason}")
            }
            Self::Denied(reason) => write!(formatter, "the server does not allow it: {reason}"),
            Self::NoResponders => formatter.write_str("nobody listens there"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::TooLarge { size, limit } => write!(
                formatter,
                "the message has {size} bytes, the server takes {limit}"
            ),
            Self::Protocol(reason) => write!(formatter, "the server speaks no NATS: {reason}"),
            Self::BadSubject(reason) => write!(formatter, "bad subject: {reason}"),
            Self::Closed(reason) => write!(formatter, "the connection is closed: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A text of the server, to be told: of a sentence's length, on one line, and without the password,
/// which a server may repeat.
pub fn told(text: &str, password: Option<&str>) -> String {
    let line: String = text
        .chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect();
    let masked = match password {
        Some(password) if !password.is_empty() => {
            // As CONNECT had it, which a server may quote.
            let escaped = password.replace('\\', "\\\\").replace('"', "\\\"");
            let line = line.replace(&escaped, "[masked]");
            line.replace(password, "[masked]")
        }
        _ => line,
    };
    masked.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_told_is_one_line_without_the_password() {
        assert_eq!(
            told("'User \"hunter2\"\r\n\x1b[2J no'", Some("hunter2")),
            "'User \"[masked]\"\u{fffd}\u{fffd}\u{fffd}[2J no'"
        );
        assert_eq!(told("abc", Some("")), "abc");
        let connect = r#"{"pass":"a\"b\\c"}"#;
        assert_eq!(told(connect, Some(r#"a"b\c"#)), r#"{"pass":"[masked]"}"#);
        assert_eq!(told(&"ü".repeat(999), None), "ü".repeat(300));
    }

    proptest! {
        #[test]
        fn a_password_is_told_nowhere_in_a_text(
            before in ".{0,400}", password in "[a-z0-9-]{8,40}", after in ".{0,40}",
        ) {
            let text = told(&format!("{before}{password}{after}{password}"), Some(&password));
            prop_assert!(!text.contains(&password));
            prop_assert!(text.chars().count() <= MAX_CHARS);
        }
    }
}
