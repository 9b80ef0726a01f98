//! Messages that came while nobody took them.

use std::collections::VecDeque;

use crate::message::Response;
use crate::room;

/// Messages in the order in which they came.
pub(super) struct Kept {
    messages: VecDeque<Response>,
    bytes: usize,
    /// Beyond this nothing is read, and the peer has to wait.
    most: usize,
    /// Nobody takes anything any more.
    shut: bool,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            most,
            shut: false,
        }
    }

    /// What there is and what comes is thrown away.
    pub(super) fn shut(&mut self) {
        *self = Self {
            shut: true,
            ..Self::new(self.most)
        };
    }

    pub(super) fn push(&mut self, message: Response) {
        if self.shut {
            return;
        }
        self.bytes += cost(&message);
        self.messages.push_back(message);
    }

    /// The oldest.
    pub(super) fn take(&mut self) -> Option<Response> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        if self.messages.is_empty() {
            // What a flood has needed is given back.
            self.messages.shrink_to(16);
        }
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether nothing more is to be read, until something is taken.
    pub(super) fn is_full(&self, awaited: bool) -> bool {
        room::is_full(self.bytes, self.most, awaited)
    }
}

fn cost(message: &Response) -> usize {
    room::cost::<Response>(message.content.capacity())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageType, RequestId};

    fn message(length: usize) -> Response {
        Response {
            message_type: MessageType::of(200),
            content: vec![0; length],
            timestamp_ms: 0,
            received_at_ms: 0,
            crc: 0,
            request_id: RequestId(0),
        }
    }

    #[test]
    fn every_message_takes_room_and_gives_it_back() {
        const ROOM: usize = 16 << 20;
        for (length, most) in [(0, ROOM / size_of::<Response>()), (1 << 20, 16)] {
            let mut kept = Kept::new(ROOM);
            let mut count = 0;
            while !kept.is_full(false) {
                kept.push(message(length));
                count += 1;
                assert!(count <= most, "{length}");
            }
            assert!(!kept.is_full(true));
            for _ in 0..count {
                assert!(kept.take().is_some());
                assert!(!kept.is_full(false));
            }
            assert!(kept.take().is_none() && kept.is_empty());
            assert_eq!(kept.bytes, 0);
        }
    }
}
