//! What a session makes of the bytes that arrive.

use std::time::Instant;

use super::{Event, Phase, Role, Session, handshake, now_ms};
use crate::error::CloseReason;
use crate::frames::{Decoder, Frame, Wire};
use crate::message::{MessageType, Response};
use crate::session::pending::Ids;

/// Before the handshake nobody gets more memory than this.
pub(super) const MAX_EARLY_FRAME: usize = 64 * 1024;
const MAX_EARLY_BYTES: usize = 64 * 1024;
const MAX_EARLY_MESSAGES: usize = 64;
const MAX_EARLY_PINGS: u8 = 16;
/// Room for answers to pings beyond that for messages.
const ROOM_FOR_PONGS: usize = 64 * 1024;

impl<W> Session<W> {
    /// Takes bytes that arrived. What came before an error is in `events`; after it the conversation is
    /// over.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        now: Instant,
        events: &mut Vec<Event<W>>,
    ) -> Result<(), CloseReason> {
        if let Some(reason) = &self.closed {
            return Err(reason.clone());
        }
        self.heard = now;
        self.probe = None;
        let input = &mut bytes;
        let mut received_at_ms = 0;
        while !input.is_empty() {
            let step = match self.phase {
                Phase::Undecided => {
                    self.decide(input);
                    Ok(())
                }
                Phase::Introduction | Phase::Consent => self.converse(input, events),
                Phase::Greeting(_) | Phase::Ready => match self.decoder.next(input) {
                    Ok(Some(frame)) => {
                        // One look at the clock for all that arrived together.
                        if received_at_ms == 0 {
                            received_at_ms = now_ms();
                        }
                        self.frame_since = None;
                        self.take_frame(frame, received_at_ms, events)
                    }
                    Ok(None) => Ok(()),
                    Err(reason) => Err(reason),
                },
            };
            if let Err(reason) = step {
                return Err(self.close(reason));
            }
        }
        if self.decoder.is_within_frame() {
            self.frame_since.get_or_insert(now);
        }
        Ok(())
    }

    /// The peer will send nothing more.
    pub fn end_of_stream(&mut self) -> CloseReason {
        let whole = !self.decoder.is_within_frame() && self.greeting.is_empty();
        self.close(if whole {
            CloseReason::PeerClosed
        } else {
            CloseReason::CutShort
        })
    }

    /// The first two bytes are a length in 2.0.0, and JSON follows. In 1.6.3 they are a type, and the
    /// length that follows begins with a zero.
    fn decide(&mut self, input: &mut &[u8]) {
        while self.greeting.len() < 3 {
            let Some((first, rest)) = input.split_first() else {
                return;
            };
            self.greeting.push(*first);
            *input = rest;
        }
        self.wire = if self.greeting[2] == b'{' {
            Wire::V2
        } else {
            Wire::V1
        };
        self.decoder = Decoder::new(self.wire, MAX_EARLY_FRAME);
        self.phase = match self.wire {
            Wire::V2 => Phase::Introduction,
            Wire::V1 => {
                // Three bytes are no frame and no error yet.
                let _ = self.decoder.next(&mut self.greeting.as_slice());
                self.greeting = Vec::new();
                Phase::Greeting(Default::default())
            }
        };
    }

    /// From the next frame on, longer ones than this end the conversation; `None`: as the options say,
    /// which it cannot exceed.
    pub(crate) fn set_receive_limit(&mut self, limit: Option<usize>) {
        self.receive_limit = limit;
        if self.phase == Phase::Ready {
            self.decoder.set_limit(self.longest_taken());
        }
    }

    pub(crate) fn receive_limit(&self) -> Option<usize> {
        self.receive_limit
    }

    fn longest_taken(&self) -> usize {
        let most = self.options.max_message_size;
        self.receive_limit.map_or(most, |limit| limit.min(most))
    }

    fn converse(
        &mut self,
        input: &mut &[u8],
        events: &mut Vec<Event<W>>,
    ) -> Result<(), CloseReason> {
        let Some(value) = handshake::next_json(&mut self.greeting, input)? else {
            return Ok(());
        };
        match (self.phase, self.role) {
            (Phase::Consent, _) => handshake::check_result(&value)?,
            (_, Role::Server) => {
                handshake::check_json(&value)?;
                self.write_plain(&handshake::result_json());
            }
            (_, Role::Client) => {
                handshake::check_json(&value)?;
                self.ids = Ids::new(Wire::V2, Role::Client, handshake::window(&value));
                self.write_plain(&handshake::client_json());
                self.phase = Phase::Consent;
                return Ok(());
            }
        }
        self.become_ready(events);
        Ok(())
    }

    fn take_frame(
        &mut self,
        frame: Frame,
        received_at_ms: u64,
        events: &mut Vec<Event<W>>,
    ) -> Result<(), CloseReason> {
        match (frame.message_type, self.phase, self.role) {
            (MessageType::PING, phase, _) => {
                if phase != Phase::Ready {
                    let early = self.early.get_or_insert_default();
                    early.pings += 1;
                    if early.pings > MAX_EARLY_PINGS {
                        return Err(CloseReason::TooMuchBeforeHandshake);
                    }
                }
                if self.outbound.waiting() > self.options.room() + ROOM_FOR_PONGS {
                    return Err(CloseReason::Stalled);
                }
                self.write(MessageType::PONG, frame.id, &[]);
            }
            (MessageType::HELLO, Phase::Greeting(_), Role::Client) => {
                handshake::check_hello(&frame.payload)?;
                self.write(MessageType::HELLO_ACK, frame.id, &handshake::hello());
                self.become_ready(events);
            }
            (MessageType::HELLO_ACK, Phase::Greeting(id), Role::Server) => {
                if frame.id != id {
                    return Err(CloseReason::Handshake("an answer to another greeting"));
                }
                handshake::check_hello(&frame.payload)?;
                self.become_ready(events);
            }
            // In 2.0.0 these codes mean nothing.
            (MessageType::HELLO | MessageType::HELLO_ACK, ..) if self.wire == Wire::V1 => {
                log::debug!("a greeting that nobody asked for: {:?}", frame.message_type);
            }
            (_, phase, _) => {
                let response = Response {
                    message_type: frame.message_type,
                    content: frame.payload,
                    timestamp_ms: frame.timestamp_ms,
                    received_at_ms,
                    crc: frame.crc,
                    request_id: frame.id,
                };
                if phase == Phase::Ready {
                    self.deliver(response, events);
                } else {
                    self.hold(response)?;
                }
            }
        }
        Ok(())
    }

    /// The Python library delivers what comes before the handshake: so do we, but after it.
    fn hold(&mut self, response: Response) -> Result<(), CloseReason> {
        let early = self.early.get_or_insert_default();
        early.bytes += response.content.len();
        if early.bytes > MAX_EARLY_BYTES || early.messages.len() >= MAX_EARLY_MESSAGES {
            return Err(CloseReason::TooMuchBeforeHandshake);
        }
        early.messages.push(response);
        Ok(())
    }

    fn become_ready(&mut self, events: &mut Vec<Event<W>>) {
        self.phase = Phase::Ready;
        self.decoder.set_limit(self.longest_taken());
        events.push(Event::Connected);
        if let Some(early) = self.early.take() {
            for response in early.messages {
                self.deliver(response, events);
            }
        }
    }

    fn deliver(&mut self, response: Response, events: &mut Vec<Event<W>>) {
        let waiter = self
            .pending
            .take(response.request_id, response.message_type);
        match waiter {
            Some(waiter) => events.push(Event::Reply(waiter, response)),
            // It came after its time, or answers what we asked to learn whether the peer is there.
            None if response.message_type == MessageType::PONG => {}
            None => events.push(Event::Message(response)),
        }
    }
}
