//! Bytes on their way out.

use std::ops::Range;

use super::Session;
use crate::frames::Decoder;

/// Nothing larger is kept by a connection that has nothing to say.
const KEPT_CAPACITY: usize = 512;

/// A part of what waits. Whoever writes takes it, and brings back what the socket did not take.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    written: usize,
}

impl Chunk {
    /// What is still to be written.
    pub fn remaining(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The socket has taken so many more.
    pub fn advance(&mut self, written: usize) {
        self.written = (self.written + written).min(self.bytes.len());
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Before `back`, where a writer has brought it back.
    front: Chunk,
    back: Vec<u8>,
    /// Since the beginning.
    queued: u64,
    written: u64,
    /// Nothing is kept any more.
    freed: bool,
}

impl Outbound {
    pub(super) fn buffer(&mut self, length: usize) -> &mut Vec<u8> {
        self.queued += length as u64;
        &mut self.back
    }

    /// Bytes that no socket has taken, those with a writer among them.
    pub(super) fn waiting(&self) -> usize {
        (self.queued - self.written) as usize
    }

    /// Whether there is something to take.
    pub(super) fn has_chunk(&self) -> bool {
        !self.front.remaining().is_empty() || !self.back.is_empty()
    }

    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn take(&mut self) -> Option<Chunk> {
        if !self.front.remaining().is_empty() {
            return Some(std::mem::take(&mut self.front));
        }
        if self.back.is_empty() {
            return None;
        }
        Some(Chunk {
            bytes: std::mem::take(&mut self.back),
            written: 0,
        })
    }

    pub(super) fn give_back(&mut self, mut chunk: Chunk, written: usize) {
        self.written += written as u64;
        if self.freed {
            return;
        }
        if !chunk.remaining().is_empty() {
            self.front = chunk;
        } else if self.back.capacity() == 0 && chunk.bytes.capacity() <= KEPT_CAPACITY {
            chunk.bytes.clear();
            self.back = chunk.bytes;
        }
    }

    /// Takes a frame back of which no byte was written and which nobody has in hand.
    fn take_back(&mut self, frame: &Range<u64>) -> bool {
        let Some(start) = frame.start.checked_sub(self.written) else {
            return false;
        };
        let length = (frame.end - frame.start) as usize;
        let (start, in_front) = (start as usize, self.front.remaining().len());
        // Frames are taken whole, so that none lies in both.
        if start < in_front {
            let start = self.front.written + start;
            self.front.bytes.drain(start..start + length);
        } else {
            self.back.drain(start - in_front..start - in_front + length);
        }
        self.queued -= length as u64;
        true
    }
}

impl<W> Session<W> {
    /// Bytes that were ever to be sent.
    pub(crate) fn queued(&self) -> u64 {
        self.outbound.queued
    }

    /// Bytes of those that were written.
    pub(crate) fn written(&self) -> u64 {
        self.outbound.written
    }

    /// Gives all memory back, where the socket is gone. How much waited is still known.
    pub(crate) fn free(&mut self) {
        self.decoder = Decoder::new(self.wire, 0);
        self.greeting = Vec::new();
        self.early = None;
        self.outbound = Outbound {
            queued: self.outbound.queued,
            written: self.outbound.written,
            freed: true,
            ..Outbound::default()
        };
    }

    /// Memory that is kept of what came, and of what waits.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let Outbound { front, back, .. } = &self.outbound;
        self.decoder.kept() + front.bytes.capacity() + back.capacity()
    }

    /// Takes back what [`Session::queued`] was moved on by, unless a part of it was written.
    pub(crate) fn take_back(&mut self, frame: &Range<u64>) -> bool {
        let taken = self.outbound.take_back(frame);
        if taken
            && let Some(probe) = &mut self.probe
            && probe.end > frame.start
        {
            probe.end -= frame.end - frame.start;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outbound: &mut Outbound) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(mut chunk) = outbound.take() {
            let length = chunk.remaining().len();
            all.extend_from_slice(chunk.remaining());
            chunk.advance(length);
            outbound.give_back(chunk, length);
        }
        assert_eq!(outbound.waiting(), 0);
        all
    }

    #[test]
    fn a_frame_is_taken_back_from_wherever_it_waits_or_not_at_all() {
        // Before, between and behind the others; and whether a chunk was in hand meanwhile.
        for frame in [0..2, 2..5, 5..6, 6..9] {
            for taken_at in [None, Some(6)] {
                let mut outbound = Outbound::default();
                for (count, letter) in "abcdefxyz".chars().enumerate() {
                    if taken_at == Some(count) {
                        let mut chunk = outbound.take().unwrap();
                        chunk.advance(1);
                        outbound.give_back(chunk, 1);
                    }
                    outbound.buffer(1).push(letter as u8);
                }
                let written = outbound.written();
                let mut expected = b"abcdefxyz".to_vec();
                let may = written <= frame.start;
                assert_eq!(outbound.take_back(&frame), may, "{frame:?}");
                if may {
                    expected.drain(frame.start as usize..frame.end as usize);
                }
                assert_eq!(waiting(&mut outbound), expected[written as usize..]);
            }
        }
    }
}
