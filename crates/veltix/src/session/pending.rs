//! Requests that wait for their reply, and the ids that tell them apart.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::time::Instant;

use super::Role;
use crate::frames::Wire;
use crate::message::{MessageType, RequestId};

#[derive(Debug)]
struct Waiting<W> {
    waiter: W,
    expects: Option<MessageType>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pending<W> {
    // Most connections wait for few replies at a time, and most for none.
    waiting: HashMap<RequestId, Waiting<W>>,
    /// How many of them have a deadline.
    timed: usize,
}

impl<W> Pending<W> {
    pub(super) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            timed: 0,
        }
    }

    pub(super) fn has(&self, id: RequestId) -> bool {
        self.waiting.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn add(
        &mut self,
        id: RequestId,
        waiter: W,
        expects: Option<MessageType>,
        deadline: Option<Instant>,
    ) {
        self.timed += usize::from(deadline.is_some());
        self.waiting.insert(
            id,
            Waiting {
                waiter,
                expects,
                deadline,
            },
        );
    }

    /// Who waits for this message.
    pub(super) fn take(&mut self, id: RequestId, message_type: MessageType) -> Option<W> {
        let waiting = self.waiting.get(&id)?;
        if waiting.expects.is_some_and(|wanted| wanted != message_type) {
            return None;
        }
        self.remove(id)
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<W> {
        let removed = self.waiting.remove(&id)?;
        self.timed -= usize::from(removed.deadline.is_some());
        Some(removed.waiter)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.timed == 0 {
            return None;
        }
        self.waiting
            .values()
            .filter_map(|waiting| waiting.deadline)
            .min()
    }

    /// Those whose time is over.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<W> {
        if self.timed == 0 {
            return Vec::new();
        }
        let over: Vec<RequestId> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        over.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<W> {
        self.timed = 0;
        std::mem::take(&mut self.waiting)
            .into_values()
            .map(|waiting| waiting.waiter)
            .collect()
    }
}

/// Makes ids.
#[derive(Debug)]
pub(super) struct Ids {
    /// Of 1.6.3: the state of a generator. Of 2.0.0: the next one.
    next: u64,
    /// Over 2.0.0; empty over 1.6.3, where any 32 bits will do.
    range: Range<u32>,
}

impl Ids {
    pub(super) fn new(wire: Wire, role: Role, window: u64) -> Self {
        match wire {
            Wire::V1 => Self {
                next: RandomState::new().build_hasher().finish(),
                range: 0..0,
            },
            Wire::V2 => {
                let range = range_v2(role, window);
                Self {
                    next: range.start.into(),
                    range,
                }
            }
        }
    }

    pub(super) fn next(&mut self) -> RequestId {
        if self.range.is_empty() {
            self.next = self.next.wrapping_add(0x9e37_79b9_7f4a_7c15);
            return RequestId(mix(self.next) as u32);
        }
        let id = self.next as u32;
        self.next = if id + 1 < self.range.end {
            u64::from(id + 1)
        } else {
            self.range.start.into()
        };
        RequestId(id)
    }
}

/// A server of the Python library numbers from 0 to the window, and a client from there to its double;
/// a message of one side may be taken for a reply by the other. So ours are beyond the peer's, and those
/// of our two roles apart.
fn range_v2(role: Role, window: u64) -> Range<u32> {
    // The last id is for what goes to all.
    const END: u32 = u16::MAX as u32;
    // Fewer at a time would not do.
    const FEWEST: u32 = 1024;
    let start = u32::try_from(window).unwrap_or(END).min(END);
    if END - start < FEWEST {
        return 0..END;
    }
    let double = 2 * start;
    let middle = if start >= FEWEST && double + FEWEST <= END {
        double
    } else {
        start + (END - start) / 2
    };
    match role {
        Role::Client => start..middle,
        Role::Server => middle..END,
    }
}

/// SplitMix64's output function.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_our_ids_of_2_0_0_for_his_own() {
        // A server of the Python library has those below the window, a client as many from there
        // on; the last is for what goes to all.
        assert_eq!(range_v2(Role::Server, 30_000), 60_000..65_535);
        assert_eq!(range_v2(Role::Client, 30_000), 30_000..60_000);
        for window in [
            0,
            1,
            1000,
            32_000,
            32_500,
            40_000,
            64_000,
            65_000,
            65_535,
            u64::MAX,
        ] {
            let [client, server] = [Role::Client, Role::Server].map(|role| range_v2(role, window));
            for range in [&client, &server] {
                assert!(
                    range.len() >= 256 && range.end <= 65_535,
                    "{window}: {range:?}"
                );
            }
            assert!(client == server || client.end <= server.start, "{window}");
            let mut ids = Ids::new(Wire::V2, Role::Server, window);
            for _ in 0..70_000 {
                assert!(server.contains(&ids.next().0), "{window}");
            }
        }
    }
}
