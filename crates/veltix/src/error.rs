//! What can go wrong, and why connections end.

use std::fmt;
use std::io;

use crate::message::{MessageType, RequestId};

/// Why a call failed. No variant holds what a message says.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    Io(io::Error),
    /// The connection is closed, and why.
    Closed(CloseReason),
    /// There is no connection now. A client with retries left is on its way to one.
    NotConnected,
    /// The peer does not take what was sent before, and there is no room for more.
    Stalled,
    /// No reply came in time.
    TimedOut,
    /// The message is longer than may be sent, header included.
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The bytes that may be sent.
        limit: usize,
    },
    /// Somebody waits for a reply with this id already, or the wire has no room for it.
    BadId(RequestId),
    /// A type that belongs to the protocol itself.
    Reserved(MessageType),
    /// The address cannot be understood or found; completes "the address …".
    BadAddress(String),
    /// TLS is asked for and cannot be had.
    Tls(String),
    /// It was started before, or was ended.
    WrongState(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "{error}"),
            Self::Closed(reason) => write!(formatter, "the connection is closed: {reason}"),
            Self::NotConnected => formatter.write_str("there is no connection"),
            Self::Stalled => formatter.write_str("the peer does not take what was sent to it"),
            Self::TimedOut => formatter.write_str("nothing came in time"),
            Self::TooLarge { size, limit } => {
                write!(formatter, "a message of {size} bytes, {limit} may be sent")
            }
            Self::BadId(id) => write!(formatter, "the id {id} cannot be used now"),
            Self::Reserved(message_type) => {
                write!(formatter, "{message_type} is sent by the protocol alone")
            }
            Self::BadAddress(what) => write!(formatter, "the address {what}"),
            Self::Tls(what) => write!(formatter, "TLS: {what}"),
            Self::WrongState(what) => formatter.write_str(what),
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

/// Why an attempt to connect came to nothing.
impl From<Error> for CloseReason {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed(reason) => reason,
            Error::Io(error) => Self::Network(error.kind()),
            Error::TimedOut => Self::Network(io::ErrorKind::TimedOut),
            Error::BadAddress(what) => Self::Address(what),
            Error::Tls(what) => Self::Tls(what),
            other => Self::Address(other.to_string()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    Manual,
    /// The peer closed it.
    PeerClosed,
    /// The peer closed it in the middle of a frame.
    CutShort,
    /// The network ended it.
    Network(io::ErrorKind),
    /// A frame whose content is not what its checksum says.
    BadChecksum {
        /// The frame's type, as far as its header can be believed.
        message_type: MessageType,
    },
    /// A frame longer than we take, header included.
    TooLarge {
        /// Bytes of the frame.
        size: u64,
        /// Bytes that we take.
        limit: usize,
    },
    /// What should be the start of a frame of 2.0.0 is none.
    BadMagic,
    /// A frame began and did not end in time.
    FrameTimeout,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The peer speaks another version; empty where what it said does not look like one.
    Version(String),
    /// What came instead of a handshake.
    Handshake(&'static str),
    /// More came before the handshake than is kept.
    TooMuchBeforeHandshake,
    /// The peer does not answer pings: it is gone, or stuck.
    Silent,
    /// The peer takes nothing of what it makes us say.
    Stalled,
    /// TLS failed, or cannot be had.
    Tls(String),
    /// The address cannot be understood or found; completes "the address …".
    Address(String),
}

impl CloseReason {
    /// Whether another attempt would meet the same.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Version(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => formatter.write_str("closed here"),
            Self::PeerClosed => formatter.write_str("closed by the peer"),
            Self::CutShort => formatter.write_str("closed by the peer within a frame"),
            Self::Network(kind) => write!(formatter, "{kind}"),
            Self::BadChecksum { message_type } => {
                write!(
                    formatter,
                    "wrong checksum in a frame of type {message_type}"
                )
            }
            Self::TooLarge { size, limit } => {
                write!(formatter, "a frame of {size} bytes, {limit} are taken")
            }
            Self::BadMagic => formatter.write_str("no frame where one should begin"),
            Self::FrameTimeout => formatter.write_str("a frame did not end in time"),
            Self::HandshakeTimeout => formatter.write_str("the handshake did not end in time"),
            Self::Version(version) if version.is_empty() => {
                formatter.write_str("the peer speaks another version")
            }
            Self::Version(version) => write!(formatter, "the peer speaks version {version}"),
            Self::Handshake(what) => write!(formatter, "no handshake: {what}"),
            Self::TooMuchBeforeHandshake => {
                formatter.write_str("too much came before the handshake")
            }
            Self::Silent => formatter.write_str("the peer does not answer"),
            Self::Stalled => formatter.write_str("the peer takes no answers"),
            Self::Tls(what) => write!(formatter, "TLS: {what}"),
            Self::Address(what) => write!(formatter, "the address {what}"),
        }
    }
}
