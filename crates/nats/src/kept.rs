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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_message()(
            subscription in 0..3_u64, subject in "[a-z]{1,20}", reply in proptest::option::of("[a-z]{1,20}"),
            length in 0..600_usize,
        ) -> Message {
            let subscription = Subscription::numbered(subscription);
            Message { subject, subscription, reply, payload: vec![0; length] }
        }
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_fits_and_all_is_kept_or_counted(
            messages in proptest::collection::vec(any_message(), 0..40), max in 0..4000_usize,
        ) {
            let mut kept = Kept::new(max);
            for message in &messages {
                kept.push(message.clone());
                let held: usize = kept.messages.iter().map(cost).sum();
                prop_assert!(held <= max);
                prop_assert_eq!(held, kept.bytes);
            }
            let left = messages.len() - usize::try_from(kept.dropped()).unwrap();
            let newest = &messages[messages.len() - left..];
            let of_one = Subscription::numbered(1);
            let (its, others): (Vec<_>, Vec<_>) =
                newest.iter().cloned().partition(|message| message.subscription == of_one);
            let taken: Vec<_> = std::iter::from_fn(|| kept.take_of(of_one)).collect();
            prop_assert_eq!(taken, its);
            let taken: Vec<_> = std::iter::from_fn(|| kept.take()).collect();
            prop_assert_eq!(taken, others);
            prop_assert_eq!(kept.bytes, 0);
        }
    }

    #[test]
    fn empty_messages_take_room_too() {
        let message = Message {
            subject: "a".to_owned(),
            subscription: Subscription::numbered(1),
            reply: None,
            payload: Vec::new(),
        };
        let mut kept = Kept::new(10_000);
        (0..1000).for_each(|_| kept.push(message.clone()));
        assert!(kept.messages.len() < 10_000 / size_of::<Message>());
    }
}
