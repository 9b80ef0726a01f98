//! What can go wrong.

use std::fmt;
use std::io;

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
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl std::error::Error for Error {}
