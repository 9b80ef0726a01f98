//! Messages that came while nobody waited for them.

use std::collections::VecDeque;

use crate::connection::{Message, Subscription};

/// What a message takes beside its texts: its place, twice for a table that grows, and the
/// allocator's own.
const OVERHEAD: usize = 2 * size_of::<Message>() + 3 * 16;

/// Messages in the order in which they came, and no more than so many bytes.
pub struct Kept {
    messages: VecDeque<Message>,
    bytes: usize,
    max_bytes: usize,
    dropped: u64,
}

impl Kept {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            max_bytes,
            dropped: 0,
        }
    }

    /// Keeps a message, and drops the oldest where there is no room.
    pub fn push(&mut self, message: Message) {
        self.bytes += cost(&message);
        self.messages.push_back(message);
        while self.bytes > self.max_bytes {
            if self.take_at(0).is_none() {
                break;
            }
            self.dropped += 1;
        }
    }

    /// The oldest.
    pub fn take(&mut self) -> Option<Message> {
        self.take_at(0)
    }

    /// The oldest of one subscription.
    pub fn take_of(&mut self, subscription: Subscription) -> Option<Message> {
        let is_its = |message: &Message| message.subscription == subscription;
        self.take_at(self.messages.iter().position(is_its)?)
    }

    /// Forgets the messages of a subscription that has ended.
    pub fn forget(&mut self, subscription: Subscription) {
        while self.take_of(subscription).is_some() {}
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn take_at(&mut self, at: usize) -> Option<Message> {
        let message = self.messages.remove(at)?;
        self.bytes -= cost(&message);
        if self.messages.is_empty() {
            // What a flood has needed is given back.
            self.messages.shrink_to(16);
        }
        Some(message)
    }
}

fn cost(message: &Message) -> usize {
    let reply = message.reply.as_ref().map_or(0, String::capacity);
    OVERHEAD + message.subject.capacity() + reply + message.payload.capacity()
}
