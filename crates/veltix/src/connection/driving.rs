//! Writing, reading and waiting, in steps that a deadline can end.

use std::io;
use std::ops::Range;
use std::time::Instant;

use super::{Connection, READS_PER_TRY, WAKE};
use crate::error::{CloseReason, Error};
use crate::message::{RequestId, Response};
use crate::session::Event;
use crate::stream::{Stop, read};

/// What one step writes; then it looks at the clock.
const WRITES_PER_STEP: usize = 1024 * 1024;

impl Connection {
    /// Waits for the reply to what was queued as `frame`.
    pub(super) fn wait_for(
        &mut self,
        id: RequestId,
        frame: &Range<u64>,
        deadline: Instant,
    ) -> Result<Response, Error> {
        loop {
            let turned = self.turn(deadline);
            if let Some(reply) = self.reply.take() {
                return Ok(reply);
            }
            let error = match turned {
                Ok(late) if self.delivered < frame.end => late.then_some(Error::Stalled),
                // Nobody but the caller can make room.
                Ok(_) if self.kept.is_full(true) => Some(Error::WrongState(
                    "the reply is behind messages that nobody has taken",
                )),
                Ok(late) => late.then_some(Error::TimedOut),
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                self.session.forget(id);
                return Err(self.give_up(frame, error));
            }
        }
    }

    /// Writes until all up to `end` is with the system.
    pub(super) fn write_until(&mut self, end: u64, deadline: Instant) -> Result<(), Error> {
        loop {
            self.write()?;
            if self.delivered >= end {
                return Ok(());
            }
            if self.read_or_wait(deadline)? {
                return Err(Error::Stalled);
            }
        }
    }

    /// A call ends with an error: what it wanted to send goes all the way or not at all.
    pub(super) fn give_up(&mut self, frame: &Range<u64>, error: Error) -> Error {
        let stalled = matches!(error, Error::Stalled) && self.delivered < frame.end;
        match stalled && !self.session.take_back(frame) {
            true => self.end(CloseReason::Stalled),
            false => error,
        }
    }

    /// Writes, reads what is there, waits if nothing is. Whether the deadline has passed: what lay
    /// there has been read once all the same.
    pub(super) fn turn(&mut self, deadline: Instant) -> Result<bool, Error> {
        self.write()?;
        self.read_or_wait(deadline)
    }

    fn read_or_wait(&mut self, deadline: Instant) -> Result<bool, Error> {
        let may_read = self.may_read();
        if !may_read {
            // Only the caller can make room for what is left.
            self.check_writable()?;
        }
        if !(self.readable && may_read || self.writable && self.wants_write()) {
            self.wait(deadline)?;
        }
        if self.readable && may_read {
            self.read()?;
        }
        self.look_at_clock()?;
        Ok(Instant::now() >= deadline)
    }

    /// Whether there is room for messages. While there is none, nothing is expected of the peer.
    pub(super) fn may_read(&mut self) -> bool {
        let full = self.kept.is_full(self.session.is_awaited());
        if full != self.session.is_paused() {
            self.session.set_paused(full, Instant::now());
        }
        !full
    }

    /// What has not been read yet may be what was missed: the clock counts where there is nothing, or
    /// no room for it.
    pub(super) fn look_at_clock(&mut self) -> Result<(), Error> {
        if self.readable && self.connected && self.may_read() {
            return Ok(());
        }
        self.session
            .tick(Instant::now(), &mut self.events)
            .map_err(|reason| self.end(reason))
    }

    /// Whether something waits for the socket to take it.
    pub(super) fn wants_write(&self) -> bool {
        self.broken.is_none() && (self.session.has_chunk() || self.stream.wants_write())
    }

    /// Fails where nothing can be written any more, though something may be left to be read.
    pub(super) fn check_writable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(reason) if self.session.closed().is_none() => Err(Error::Closed(reason.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn wait(&mut self, deadline: Instant) -> Result<(), Error> {
        let wait = self
            .session
            .next_deadline()
            .map_or(deadline, |own| own.min(deadline))
            .saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &self.ready {
            match event.token() {
                WAKE => self.woken = true,
                _ => {
                    self.readable |= event.is_readable() || event.is_read_closed();
                    self.writable |= event.is_writable() || event.is_write_closed();
                }
            }
        }
        Ok(())
    }

    pub(super) fn read(&mut self) -> Result<(), Error> {
        let length = match self.stream.read(&mut self.buffer) {
            Ok(0) => {
                let reason = self.session.end_of_stream();
                return Err(self.end(reason));
            }
            Ok(length) => length,
            Err(Stop::WouldBlock) => {
                self.readable = false;
                return match self.broken.take() {
                    Some(reason) => Err(self.end(reason)),
                    None => Ok(()),
                };
            }
            Err(Stop::Again) => return Ok(()),
            Err(Stop::Failed(reason)) => return Err(self.end(reason)),
        };
        let result = self
            .session
            .receive(&self.buffer[..length], Instant::now(), &mut self.events);
        for event in self.events.drain(..) {
            match event {
                Event::Connected => self.connected = true,
                Event::Message(message) => self.kept.push(message),
                Event::Reply((), reply) => self.reply = Some(reply),
                Event::Expired(()) => {}
            }
        }
        match result {
            Ok(()) => self.write(),
            Err(reason) => Err(self.end(reason)),
        }
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        if let Some(reason) = self.session.closed() {
            return Err(Error::Closed(reason.clone()));
        }
        if self.broken.is_some() {
            return Ok(());
        }
        match self.write_some() {
            Ok(()) => self.writable = true,
            Err(Stop::WouldBlock | Stop::Again) => self.writable = false,
            Err(Stop::Failed(reason)) => {
                // The peer may have said something before, and that it goes.
                self.broken = Some(reason);
                self.readable = true;
            }
        }
        Ok(())
    }

    fn write_some(&mut self) -> Result<(), Stop> {
        let mut left = WRITES_PER_STEP;
        loop {
            // TLS gets nothing while it holds something: what it has cannot be taken back.
            self.stream.flush()?;
            self.delivered = self.session.written();
            if left == 0 {
                return Ok(());
            }
            let Some(mut chunk) = self.session.take_chunk() else {
                return Ok(());
            };
            let part = &chunk.remaining()[..left.min(chunk.remaining().len())];
            let written = self.stream.write(part);
            let length = *written.as_ref().unwrap_or(&0);
            chunk.advance(length);
            self.session.give_back(chunk, length, Instant::now());
            written?;
            left -= length;
        }
    }

    /// Reads until the peer ends its side, or the deadline has passed: what lies there once all the
    /// same. Past TLS, which has had its end.
    pub(super) fn read_away(&mut self, deadline: Instant) -> Result<(), Error> {
        let mut left = READS_PER_TRY;
        while left > 0 || Instant::now() < deadline {
            left = left.saturating_sub(1);
            match read(self.stream.socket(), &mut self.buffer) {
                Ok(0) | Err(Stop::Failed(_)) => break,
                Err(Stop::WouldBlock) if Instant::now() < deadline => self.wait(deadline)?,
                Err(Stop::WouldBlock) => break,
                Ok(_) | Err(Stop::Again) => {}
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, reason: CloseReason) -> Error {
        let reason = self.session.close(reason);
        self.stream.cut();
        Error::Closed(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::ConnectionOptions;
    use super::*;
    use crate::address::Address;
    use crate::frames::Wire;
    use crate::message::{MessageType, Request};

    #[test]
    fn the_clock_goes_on_while_there_is_no_room_for_what_lies_there() {
        const INTERVAL: Duration = Duration::from_millis(20);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let mut say = |what, content: &[u8]| {
                Wire::V1.encode(what, RequestId(1), 0, content, &mut bytes);
            };
            say(MessageType::HELLO, b"\x00\x051.6.3");
            for _ in 0..2 {
                say(MessageType::of(200), &[1; 20_000]);
            }
            socket.write_all(&bytes).unwrap();
            socket
        });
        let mut options = ConnectionOptions {
            max_kept_bytes: 1,
            ..ConnectionOptions::default()
        };
        options.session.ping_interval = Some(INTERVAL);
        options.session.max_message_size = 50_000_000;
        let far = Instant::now() + Duration::from_secs(30);
        let address = Address::new("127.0.0.1", addr.port());
        let mut connection = Connection::open_at(&address, &[addr], &options, far).unwrap();
        while connection.kept.is_empty() {
            assert!(!connection.turn(far).unwrap());
        }
        assert!(!connection.may_read() && connection.readable);
        let start = Instant::now();
        // More than the system takes of a peer that does not read.
        let huge = Request::new(MessageType::of(200), vec![9; 40_000_000]);
        connection.queue(&huge).unwrap();
        // The second time for a thread that was not run during the first.
        for _ in 0..2 {
            let flushed = connection.flush(Instant::now() + 3 * INTERVAL);
            assert!(matches!(flushed, Err(Error::Stalled)), "{flushed:?}");
        }
        assert!(connection.session.next_deadline() > Some(start + INTERVAL));
        drop(peer.join().unwrap());
    }
}
