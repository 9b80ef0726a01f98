//! What a session is given to send.

use std::time::Instant;

use super::{Phase, Session};
use crate::error::Error;
use crate::frames::Wire;
use crate::message::{MessageType, Request, RequestId};

impl<W> Session<W> {
    /// Lets a message wait to be written.
    pub fn send(&mut self, request: &Request) -> Result<RequestId, Error> {
        if request.message_type.is_reserved() {
            return Err(Error::Reserved(request.message_type));
        }
        let id = self.check(request.content.len(), request.id)?;
        self.write(request.message_type, id, &request.content);
        Ok(id)
    }

    /// The same for a frame that was encoded before, for several peers.
    pub(crate) fn send_encoded(
        &mut self,
        frame: &[u8],
        wire: Wire,
        id: RequestId,
    ) -> Result<(), Error> {
        if wire != self.wire {
            return Err(Error::WrongState("a frame of another version"));
        }
        self.check(frame.len() - wire.header_size(), Some(id))?;
        self.write_plain(frame);
        Ok(())
    }

    /// As [`Session::send`], and remembers who waits for the reply: until it comes, [`Session::forget`] is
    /// called, or the deadline has passed.
    pub fn ask(
        &mut self,
        request: &Request,
        waiter: W,
        deadline: Option<Instant>,
    ) -> Result<RequestId, Error> {
        if request.message_type.is_reserved() {
            return Err(Error::Reserved(request.message_type));
        }
        let id = self.check(request.content.len(), request.id)?;
        if self.pending.has(id) {
            return Err(Error::BadId(id));
        }
        self.pending.add(id, waiter, request.expects, deadline);
        self.write(request.message_type, id, &request.content);
        Ok(id)
    }

    /// Asks whether the peer is there; the reply is its PONG.
    pub fn ping(&mut self, waiter: W, deadline: Option<Instant>) -> Result<RequestId, Error> {
        let id = self.check(0, None)?;
        if self.pending.has(id) {
            return Err(Error::BadId(id));
        }
        self.pending
            .add(id, waiter, Some(MessageType::PONG), deadline);
        self.write(MessageType::PING, id, &[]);
        Ok(id)
    }

    /// What holds for anything that is sent, and the id that it gets.
    fn check(&mut self, length: usize, id: Option<RequestId>) -> Result<RequestId, Error> {
        if let Some(reason) = &self.closed {
            return Err(Error::Closed(reason.clone()));
        }
        if self.phase != Phase::Ready {
            return Err(Error::NotConnected);
        }
        let size = length.saturating_add(self.wire.header_size());
        // The length has 32 bits on the wire.
        let limit = self.options.max_message_size.min(u32::MAX as usize);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        if self.outbound.waiting() + size > self.options.room() {
            return Err(Error::Stalled);
        }
        match id {
            Some(id) if id.0 > self.wire.max_id() => Err(Error::BadId(id)),
            Some(id) => Ok(id),
            None => Ok(self.free_id()),
        }
    }

    fn free_id(&mut self) -> RequestId {
        // Over 2.0.0 all ids may be waited for at once; then asking with one of them is refused.
        for _ in 0..=u16::MAX {
            let id = self.ids.next();
            if !self.pending.has(id) {
                return id;
            }
        }
        self.ids.next()
    }
}
