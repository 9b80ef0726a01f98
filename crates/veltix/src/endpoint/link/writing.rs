//! How what waits is written, by whoever is nearer.

use std::sync::MutexGuard;
use std::time::Instant;

use super::{Link, LinkState};
use crate::error::{CloseReason, Error};
use crate::session::Chunk;
use crate::stream::{Stop, Stream, write};

/// Written of one connection in one go; then the others have their turn. A peer that takes as fast as
/// is sent would keep the writer for ever.
const WRITE_BUDGET: usize = 256 * 1024;

/// As much of a chunk as is left of a turn.
fn share(chunk: &Chunk, spent: usize) -> &[u8] {
    let bytes = chunk.remaining();
    &bytes[..bytes.len().min(WRITE_BUDGET - spent)]
}

impl Link {
    /// Brings what was queued on its way: at once, or by the endpoint's thread.
    pub(super) fn bring_out<'a>(
        &'a self,
        state: MutexGuard<'a, LinkState>,
        here: bool,
    ) -> Result<(), Error> {
        if here && state.socket.is_some() && !state.writing {
            return self.write_out(state).map_err(|reason| {
                let broken = super::Command::Broken(self.token, reason.clone());
                self.shared.command(broken);
                Error::Closed(reason)
            });
        }
        self.mark(state);
        Ok(())
    }

    /// Lets the endpoint's thread write.
    fn mark(&self, mut state: MutexGuard<'_, LinkState>) {
        if !state.dirty {
            state.dirty = true;
            drop(state);
            self.shared.mark(self.token);
        }
    }

    /// What the endpoint's thread does where it was marked, or the socket is writable.
    pub(in crate::endpoint) fn flush(&self) -> Result<(), CloseReason> {
        let mut state = self.state();
        state.dirty = false;
        if state.writing {
            state.again = true;
            return Ok(());
        }
        self.write_out(state)
    }

    /// Writes until nothing is left, the socket is full, or it is the others' turn: the endpoint's
    /// thread goes on then. Not under the lock, so that others can queue what they send meanwhile.
    fn write_out<'a>(&'a self, mut state: MutexGuard<'a, LinkState>) -> Result<(), CloseReason> {
        let mut spent = 0;
        loop {
            let Some(socket) = state.socket.clone() else {
                return Ok(());
            };
            let Some(mut chunk) = state.session.take_chunk() else {
                // Closed while we wrote: the end can be told now.
                if state.session.closed().is_some() && !state.ended {
                    self.shared.command(super::Command::Look(self.token));
                }
                return Ok(());
            };
            state.writing = true;
            state.again = false;
            drop(state);
            let mut total = 0;
            let stop = loop {
                let bytes = share(&chunk, spent);
                if bytes.is_empty() {
                    break None;
                }
                match write(&socket, bytes) {
                    Ok(written) => {
                        chunk.advance(written);
                        total += written;
                        spent += written;
                    }
                    Err(stop) => break Some(stop),
                }
            };
            drop(socket);
            state = self.state();
            state.session.give_back(chunk, total, Instant::now());
            state.writing = false;
            if total > 0 {
                self.tell_of_room(&mut state);
            }
            match stop {
                None | Some(Stop::Again) => {}
                Some(Stop::WouldBlock) if state.again => {}
                Some(Stop::WouldBlock) => return Ok(()),
                Some(Stop::Failed(reason)) => return Err(reason),
            }
            if spent >= WRITE_BUDGET && state.session.has_chunk() {
                // The socket may have room, and will not tell of it.
                self.mark(state);
                return Ok(());
            }
        }
    }

    /// The same with TLS, where the endpoint's thread alone writes.
    pub(in crate::endpoint) fn flush_through(
        &self,
        stream: &mut Stream,
    ) -> Result<(), CloseReason> {
        let mut result = stream.flush();
        let mut state = self.state();
        // Nobody needs to mark it before this was written.
        state.dirty = false;
        let mut spent = 0;
        while result.is_ok() && spent < WRITE_BUDGET {
            let Some(mut chunk) = state.session.take_chunk() else {
                break;
            };
            drop(state);
            let written = stream.write(share(&chunk, spent));
            let length = *written.as_ref().unwrap_or(&0);
            chunk.advance(length);
            spent += length;
            result = written.map(|_| ());
            state = self.state();
            state.session.give_back(chunk, length, Instant::now());
            state.encrypted += length;
            if length > 0 {
                self.tell_of_room(&mut state);
            }
        }
        // What TLS has taken is with the system only once TLS holds nothing.
        result = result.and_then(|()| stream.flush());
        if result.is_ok() {
            state.encrypted = 0;
            if state.session.has_chunk() {
                self.mark(state);
            }
        }
        match result {
            Err(Stop::Failed(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    fn tell_of_room(&self, state: &mut LinkState) {
        if std::mem::take(&mut state.waits_for_room) {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::thread;

    use mio::net::TcpStream;

    use super::*;
    use crate::endpoint::PerformanceMode;
    use crate::endpoint::shared::{Inbox, Shared};
    use crate::frames::Wire;
    use crate::message::{MessageType, Request, RequestId};
    use crate::session::{Options, Role, Session};

    /// What one side says, to the other.
    fn carry<A, B>(from: &mut Session<A>, to: &mut Session<B>) {
        while let Some(mut chunk) = from.take_chunk() {
            let bytes = chunk.remaining().to_vec();
            to.receive(&bytes, Instant::now(), &mut Vec::new()).unwrap();
            chunk.advance(bytes.len());
            from.give_back(chunk, bytes.len(), Instant::now());
        }
    }

    /// A connection that has greeted, and its peer's socket.
    fn link(mode: PerformanceMode) -> (Arc<Shared>, mio::Poll, Arc<Link>, std::net::TcpStream) {
        let options = Arc::new(Options::default());
        let mut session = Session::new(Role::Server, &options, Instant::now());
        let mut peer = Session::<()>::new(Role::Client, &options, Instant::now());
        carry(&mut session, &mut peer);
        carry(&mut peer, &mut session);
        assert!(session.is_ready());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let shared = Shared::new(waker, 1, 1);
        let socket = Some(Arc::new(TcpStream::from_std(socket)));
        let link = Link::new(1, &shared, mode, session, socket);
        (shared, poll, link, peer)
    }

    #[test]
    fn who_keeps_a_connection_that_has_ended_keeps_nothing_that_was_said() {
        let (_shared, _poll, link, _peer) = link(PerformanceMode::Low);
        let request = Request::new(MessageType::of(200), vec![1; 100_000]);
        link.send(&request).unwrap();
        let in_hand = link.state().session.take_chunk().unwrap();
        link.send(&request).unwrap();
        let mut half = Vec::new();
        Wire::V1.encode(
            request.message_type,
            RequestId(1),
            0,
            &[1; 100_000],
            &mut half,
        );
        half.truncate(50_000);
        let received = link
            .state()
            .session
            .receive(&half, Instant::now(), &mut Vec::new());
        received.unwrap();
        assert!(link.state().session.kept() > 150_000);
        let unsent = link.unsent();
        link.close(CloseReason::Manual);
        link.end(true);
        link.state().session.give_back(in_hand, 0, Instant::now());
        assert_eq!(link.state().session.kept(), 0);
        assert_eq!(link.unsent(), unsent, "it is still told");
    }

    #[test]
    fn a_connection_that_is_busy_gives_way_to_others() {
        const MANY: usize = 40;
        let request = Request::new(MessageType::of(200), vec![1; WRITE_BUDGET]);
        for mode in [PerformanceMode::Low, PerformanceMode::High] {
            let (shared, _poll, link, mut peer) = link(mode);
            let reading = thread::spawn(move || {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                all.len()
            });
            let mut queued = 0;
            for _ in 0..MANY {
                let before = link.unsent();
                link.send(&request).unwrap();
                queued += WRITE_BUDGET + 22;
                // A thread that sends writes no more than its share either.
                assert!(before + WRITE_BUDGET + 22 - link.unsent() <= WRITE_BUDGET);
            }
            let mut inbox = Inbox::default();
            shared.take(&mut inbox);
            while link.unsent() > 0 {
                let before = link.unsent();
                inbox.marked.clear();
                link.flush().unwrap();
                let after = link.unsent();
                assert!(before - after <= WRITE_BUDGET, "{before} {after}");
                shared.take(&mut inbox);
                // Who has had its share, and has more, has the next turn.
                if before - after == WRITE_BUDGET && after > 0 {
                    assert_eq!(inbox.marked, [1]);
                }
            }
            link.end(true);
            drop(link);
            assert_eq!(reading.join().unwrap(), queued);
        }
    }
}
