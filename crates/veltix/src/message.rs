//! What is sent and what arrives: types, ids, requests and responses.

use std::fmt;
use std::str::Utf8Error;

/// What a message is about: a number that both sides agree upon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(u16);

/// Whom a message type belongs to, by convention of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeRange {
    /// 0 to 199: the protocol's own.
    System,
    /// 200 to 499.
    Application,
    /// 500 and above.
    Plugin,
}

impl MessageType {
    /// Asks whether the peer is there; answered by the crate itself.
    pub const PING: Self = Self(0);
    /// The answer to [`MessageType::PING`].
    pub const PONG: Self = Self(1);
    /// Nobody sends it; delivered as any other message.
    pub const HEARTBEAT: Self = Self(2);
    /// The server's half of the handshake.
    pub const HELLO: Self = Self(10);
    /// The client's half of the handshake.
    pub const HELLO_ACK: Self = Self(11);
    /// Delivered as any other message.
    pub const ERROR: Self = Self(20);
    /// Delivered as any other message.
    pub const INVALID_REQUEST: Self = Self(21);

    /// Any code, those of the system too.
    pub const fn of(code: u16) -> Self {
        Self(code)
    }

    /// A code of an application; `None` where it is in another range.
    pub const fn application(code: u16) -> Option<Self> {
        match Self(code).range() {
            TypeRange::Application => Some(Self(code)),
            _ => None,
        }
    }

    /// A code of a plugin; `None` where it is in another range.
    pub const fn plugin(code: u16) -> Option<Self> {
        match Self(code).range() {
            TypeRange::Plugin => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whom it belongs to.
    pub const fn range(self) -> TypeRange {
        match self.0 {
            0..=199 => TypeRange::System,
            200..=499 => TypeRange::Application,
            _ => TypeRange::Plugin,
        }
    }

    /// Sent by the crate alone: an application that sent these would break the conversation.
    pub(crate) const fn is_reserved(self) -> bool {
        matches!(
            self,
            Self::PING | Self::PONG | Self::HELLO | Self::HELLO_ACK
        )
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::PING => "ping",
            Self::PONG => "pong",
            Self::HEARTBEAT => "heartbeat",
            Self::HELLO => "hello",
            Self::HELLO_ACK => "hello_ack",
            Self::ERROR => "error",
            Self::INVALID_REQUEST => "invalid_request",
            Self(code) => return write!(formatter, "type_{code}"),
        };
        formatter.write_str(name)
    }
}

/// Which request a reply belongs to. Four bytes on the wire of 1.6.3, two on that of 2.0.0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RequestId(pub u32);

impl RequestId {
    /// As the Python library understands bytes: short ones are filled with zeros on the right, of
    /// long ones the first four count.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut four = [0; 4];
        for (place, byte) in four.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self(u32::from_be_bytes(four))
    }

    /// As on the wire of 1.6.3.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// A message to send. It can be sent any number of times, to any number of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is about.
    pub message_type: MessageType,
    /// What it says.
    pub content: Vec<u8>,
    /// `None`: each sending has a new one.
    pub id: Option<RequestId>,
    /// The type that a reply must have; `None` where the id alone decides, as in Python.
    pub expects: Option<MessageType>,
}

impl Request {
    /// A message with an id of its own for each sending.
    pub fn new(message_type: MessageType, content: impl Into<Vec<u8>>) -> Self {
        Self {
            message_type,
            content: content.into(),
            id: None,
            expects: None,
        }
    }

    /// The reply to a message: it carries that message's id.
    pub fn reply_to(
        response: &Response,
        message_type: MessageType,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            id: Some(response.request_id),
            ..Self::new(message_type, content)
        }
    }

    /// Takes the id of a message that arrived, so that this is its reply.
    pub fn respond(&mut self, response: &Response) {
        self.id = Some(response.request_id);
    }

    /// With an id that the caller chooses.
    #[must_use]
    pub fn with_id(self, id: RequestId) -> Self {
        Self {
            id: Some(id),
            ..self
        }
    }

    /// Only a message of this type is taken for the reply. Others with its id are delivered as
    /// messages.
    #[must_use]
    pub fn expecting(self, message_type: MessageType) -> Self {
        Self {
            expects: Some(message_type),
            ..self
        }
    }
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What it is about.
    pub message_type: MessageType,
    /// What it says. Its checksum was right.
    pub content: Vec<u8>,
    /// The sender's clock when it was encoded, in milliseconds since 1970. 0 over 2.0.0, which does
    /// not send it.
    pub timestamp_ms: u64,
    /// Our clock when it was read, in milliseconds since 1970.
    pub received_at_ms: u64,
    /// The checksum of the content.
    pub crc: u32,
    /// Which a reply repeats.
    pub request_id: RequestId,
}

impl Response {
    /// What Python calls `latency`: between the two clocks, on one way. Not a round trip, which
    /// pings measure; negative where the clocks differ; `None` over 2.0.0.
    pub fn one_way_ms(&self) -> Option<i64> {
        (self.timestamp_ms != 0)
            .then(|| (self.received_at_ms as i64).wrapping_sub(self.timestamp_ms as i64))
    }

    /// The content as text.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_protocol() {
        for (code, range) in [
            (0, TypeRange::System),
            (199, TypeRange::System),
            (200, TypeRange::Application),
            (499, TypeRange::Application),
            (500, TypeRange::Plugin),
            (65535, TypeRange::Plugin),
        ] {
            assert_eq!(MessageType::of(code).range(), range, "{code}");
        }
        assert_eq!(MessageType::application(199), None);
        assert_eq!(MessageType::application(200), Some(MessageType::of(200)));
        assert_eq!(MessageType::application(500), None);
        assert_eq!(MessageType::plugin(499), None);
        assert_eq!(MessageType::plugin(500), Some(MessageType::of(500)));
    }

    #[test]
    fn ids_of_another_length_are_filled_or_cut() {
        assert_eq!(RequestId::from_bytes(&[1]), RequestId(0x0100_0000));
        assert_eq!(
            RequestId::from_bytes(&[1, 2, 3, 4, 5, 6]),
            RequestId(0x0102_0304)
        );
    }
}
