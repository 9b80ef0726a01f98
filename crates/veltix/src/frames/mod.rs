//! Frames on the wire: how they are written, and read from any split of the stream.

mod decoder;

pub use decoder::{Decoder, Frame};

use crate::message::{MessageType, RequestId};

/// Bytes before the payload in 1.6.3.
pub const HEADER_V1: usize = 22;
/// Bytes before the payload in 2.0.0.
pub const HEADER_V2: usize = 15;
const MAGIC: [u8; 2] = *b"VX";

/// Which of the two incompatible framings a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// 1.6.3.
    #[default]
    V1,
    /// 2.0.0 as of its first release candidate.
    V2,
}

impl Wire {
    /// Bytes before the payload.
    pub const fn header_size(self) -> usize {
        match self {
            Self::V1 => HEADER_V1,
            Self::V2 => HEADER_V2,
        }
    }

    /// The highest id that fits.
    pub const fn max_id(self) -> u32 {
        match self {
            Self::V1 => u32::MAX,
            Self::V2 => u16::MAX as u32,
        }
    }

    /// Appends a frame. The caller has checked that id and payload fit.
    pub fn encode(
        self,
        message_type: MessageType,
        id: RequestId,
        timestamp_ms: u64,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let length = u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let crc = crc32fast::hash(payload).to_be_bytes();
        out.reserve(self.header_size() + payload.len());
        match self {
            Self::V1 => {
                let mut header = [0; HEADER_V1];
                header[0..2].copy_from_slice(&message_type.code().to_be_bytes());
                header[2..6].copy_from_slice(&length);
                header[6..10].copy_from_slice(&crc);
                header[10..18].copy_from_slice(&timestamp_ms.to_be_bytes());
                header[18..22].copy_from_slice(&id.to_bytes());
                out.extend_from_slice(&header);
            }
            Self::V2 => {
                let mut header = [0; HEADER_V2];
                header[0..2].copy_from_slice(&MAGIC);
                header[3..5].copy_from_slice(&message_type.code().to_be_bytes());
                header[5..9].copy_from_slice(&length);
                header[9..13].copy_from_slice(&crc);
                header[13..15].copy_from_slice(&(id.0 as u16).to_be_bytes());
                out.extend_from_slice(&header);
            }
        }
        out.extend_from_slice(payload);
    }
}

/// A header, understood.
#[derive(Clone, Copy, Debug)]
struct Header {
    message_type: MessageType,
    length: u32,
    crc: u32,
    timestamp_ms: u64,
    id: RequestId,
}

impl Header {
    /// `None` where 2.0.0's magic is missing. `bytes` is a whole header.
    fn parse(wire: Wire, bytes: &[u8]) -> Option<Self> {
        match wire {
            Wire::V1 => Some(Self {
                message_type: MessageType::of(u16::from_be_bytes(part(bytes, 0))),
                length: u32::from_be_bytes(part(bytes, 2)),
                crc: u32::from_be_bytes(part(bytes, 6)),
                timestamp_ms: u64::from_be_bytes(part(bytes, 10)),
                id: RequestId(u32::from_be_bytes(part(bytes, 18))),
            }),
            Wire::V2 => (bytes[0..2] == MAGIC).then(|| Self {
                message_type: MessageType::of(u16::from_be_bytes(part(bytes, 3))),
                length: u32::from_be_bytes(part(bytes, 5)),
                crc: u32::from_be_bytes(part(bytes, 9)),
                timestamp_ms: 0,
                id: RequestId(u16::from_be_bytes(part(bytes, 13)).into()),
            }),
        }
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
