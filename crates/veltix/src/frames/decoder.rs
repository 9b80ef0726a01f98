//! Takes frames out of a stream of bytes, however it is split.

use super::{HEADER_V1, Header, Wire};
use crate::error::CloseReason;
use crate::message::{MessageType, RequestId};

/// Memory for a payload grows with what arrives, not with what a header promises.
const FIRST_RESERVE: usize = 16 * 1024;

/// A frame whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub message_type: MessageType,
    /// Its id.
    pub id: RequestId,
    /// Milliseconds since 1970; 0 in 2.0.0.
    pub timestamp_ms: u64,
    /// Of the payload.
    pub crc: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Keeps the part of a frame that has arrived. After an error the stream has no meaning any more, and
/// nothing further is to be put in.
#[derive(Debug)]
pub struct Decoder {
    wire: Wire,
    limit: usize,
    head: [u8; HEADER_V1],
    head_length: u8,
    header: Option<Header>,
    payload: Vec<u8>,
}

impl Decoder {
    /// Takes frames of up to `limit` bytes, header included.
    pub fn new(wire: Wire, limit: usize) -> Self {
        Self {
            wire,
            limit,
            head: [0; HEADER_V1],
            head_length: 0,
            header: None,
            payload: Vec::new(),
        }
    }

    /// Takes longer or shorter frames from the next one on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether a frame has begun and not ended.
    pub fn is_within_frame(&self) -> bool {
        self.head_length > 0
    }

    /// Bytes that are kept of the frame that has begun.
    pub fn kept(&self) -> usize {
        usize::from(self.head_length) + self.payload.len()
    }

    /// The next frame; `None` where more bytes are needed. `input` is moved on by what was taken.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, CloseReason> {
        let size = self.wire.header_size();
        let header = match self.header {
            Some(header) => header,
            None if self.head_length == 0 && input.len() >= size => {
                let (head, rest) = input.split_at(size);
                let header = self.understand(head)?;
                let length = header.length as usize;
                // The usual case: the whole frame lies there.
                if rest.len() >= length {
                    let (payload, rest) = rest.split_at(length);
                    *input = rest;
                    return finish(header, payload.to_vec()).map(Some);
                }
                self.head_length = size as u8;
                *input = rest;
                header
            }
            None => {
                let kept = usize::from(self.head_length);
                let taken = input.len().min(size - kept);
                let (head, rest) = input.split_at(taken);
                self.head[kept..kept + taken].copy_from_slice(head);
                self.head_length += taken as u8;
                *input = rest;
                if kept + taken < size {
                    return Ok(None);
                }
                let head = self.head;
                self.understand(&head[..size])?
            }
        };
        self.header = Some(header);
        let length = header.length as usize;
        let taken = input.len().min(length - self.payload.len());
        let (part, rest) = input.split_at(taken);
        if self.payload.capacity() - self.payload.len() < taken {
            let wanted = (self.payload.len() + taken)
                .max(2 * self.payload.capacity())
                .max(FIRST_RESERVE)
                .min(length);
            self.payload.reserve_exact(wanted - self.payload.len());
        }
        self.payload.extend_from_slice(part);
        *input = rest;
        if self.payload.len() < length {
            return Ok(None);
        }
        self.head_length = 0;
        self.header = None;
        finish(header, std::mem::take(&mut self.payload)).map(Some)
    }

    fn understand(&self, head: &[u8]) -> Result<Header, CloseReason> {
        let header = Header::parse(self.wire, head).ok_or(CloseReason::BadMagic)?;
        let size = self.wire.header_size() as u64 + u64::from(header.length);
        if size > self.limit as u64 {
            return Err(CloseReason::TooLarge {
                size,
                limit: self.limit,
            });
        }
        Ok(header)
    }
}

fn finish(header: Header, payload: Vec<u8>) -> Result<Frame, CloseReason> {
    if crc32fast::hash(&payload) != header.crc {
        return Err(CloseReason::BadChecksum {
            message_type: header.message_type,
        });
    }
    Ok(Frame {
        message_type: header.message_type,
        id: header.id,
        timestamp_ms: header.timestamp_ms,
        crc: header.crc,
        payload,
    })
}
