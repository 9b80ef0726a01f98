//! The limits of a conversation.

use std::time::Duration;

use crate::frames::Wire;

/// What a session holds itself and its peer to. There may be more to it in later versions: all but what
/// is set is taken from the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which framing is spoken. `None`: a client takes the one that the server begins with; a
    /// server, which speaks first, begins with 1.6.3.
    pub wire: Option<Wire>,
    /// The longest frame, header included, that is sent or taken. The Python library cannot take
    /// more than 10 MiB, whatever it is told.
    pub max_message_size: usize,
    /// From the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a frame to its last; a second more for each 64 KiB of it.
    pub frame_timeout: Duration,
    /// A peer that is silent for so long is asked whether it is there. `None`: never. So often it also
    /// hears of us while we do not read, because callbacks are behind.
    pub ping_interval: Option<Duration>,
    /// A peer that has answered nothing so long after it was asked is gone; so is one that takes nothing
    /// of what waits before the question for so long.
    pub ping_timeout: Duration,
    /// Bytes that wait for a peer to take them. Beyond, sending fails with
    /// [`Stalled`](crate::Error::Stalled). Never less than one message of the maximum.
    pub max_queued_bytes: usize,
    /// The ids that 2.0.0 gives to each side, as a server tells it.
    pub id_window: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: None,
            max_message_size: 10 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Duration::from_secs(20),
            max_queued_bytes: 16 * 1024 * 1024,
            id_window: 30_000,
        }
    }
}

impl Options {
    /// The room for what waits to be sent.
    pub(crate) fn room(&self) -> usize {
        self.max_queued_bytes.max(self.max_message_size)
    }
}
