//! Bytes on their way out.

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
        if !chunk.remaining().is_empty() {
            self.front = chunk;
        } else if self.back.capacity() == 0 && chunk.bytes.capacity() <= KEPT_CAPACITY {
            chunk.bytes.clear();
            self.back = chunk.bytes;
        }
    }
}
