//! What the endpoint's thread does with a connection that is established.

use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::link::{Link, Waiter};
use super::pool::Job;
use super::reactor::{Alarm, Entry, Party, Reactor};
use crate::candidates::Candidates;
use crate::error::{CloseReason, Error};
use crate::session::Event;
use crate::stream::{Stop, Stream, TLS_READ_BUDGET};

/// Of one connection in one turn; then the others have theirs.
const READS_PER_TURN: usize = 8;
/// More than the systems of both sides hold of what was said and not read.
pub(super) const ON_ITS_WAY: usize = 64 * 1024 * 1024;

impl Reactor {
    pub(super) fn add(
        &mut self,
        link: Arc<Link>,
        stream: Stream,
        party: Party,
        read_size: usize,
        others: Option<Candidates<CloseReason>>,
    ) {
        let token = link.token;
        self.buffer.resize(self.buffer.len().max(read_size), 0);
        self.entries.insert(
            token,
            Entry {
                link,
                stream,
                party,
                others,
                read_size,
                alarm: None,
                paused: false,
                again: false,
                late: 0,
                closing: None,
                broken: None,
            },
        );
        self.flush(token);
        self.read(token, true);
    }

    /// Reads what there is. `thorough`: until the system says that nothing is left, because it will not
    /// tell again.
    pub(super) fn read(&mut self, token: usize, thorough: bool) {
        self.read_share(token, thorough);
        self.set_clock(token);
    }

    fn read_share(&mut self, token: usize, thorough: bool) {
        for _ in 0..READS_PER_TURN {
            let Some(entry) = self.entries.get_mut(&token) else {
                return;
            };
            if entry.closing.is_none() && !Self::may_read(entry) {
                // What cannot be written to is ended once all that the peer said is read.
                if entry.broken.is_some() && has_said_all(entry) {
                    self.give_up(token);
                }
                return;
            }
            let thorough = thorough || entry.broken.is_some();
            let size = entry.read_size;
            match entry.stream.read(&mut self.buffer[..size]) {
                Ok(0) if entry.closing.is_some() => return self.peer_ended(token),
                Ok(0) => {
                    let reason = entry.link.state().session.end_of_stream();
                    return self.close(token, reason);
                }
                Ok(length) => {
                    if let Some(closing) = &mut entry.closing {
                        if closing.has_heard_enough(length) {
                            return self.cut(token);
                        }
                        continue;
                    }
                    self.take(token, length);
                    // Where the socket gave less than was asked for, it is empty, and tells when
                    // it is not. TLS keeps some to itself.
                    let plain = self
                        .entries
                        .get(&token)
                        .is_none_or(|entry| entry.stream.shared().is_some());
                    if length < size && !thorough && plain {
                        return;
                    }
                }
                Err(Stop::WouldBlock) if entry.broken.is_some() => return self.give_up(token),
                Err(Stop::WouldBlock) => return self.after_tls(token),
                Err(Stop::Again) => {
                    // TLS has taken much, with nothing in it for us.
                    let is_due = entry.link.state().session.is_due(Instant::now());
                    entry.late = match is_due {
                        true => entry.late.saturating_add(TLS_READ_BUDGET),
                        false => 0,
                    };
                }
                Err(Stop::Failed(_)) if entry.closing.is_some() => return self.cut(token),
                Err(Stop::Failed(reason)) => return self.close(token, reason),
            }
        }
        self.read_again(token);
    }

    /// A handshake of TLS that has gone on may let out what waited for it.
    fn after_tls(&mut self, token: usize) {
        if self
            .entries
            .get(&token)
            .is_some_and(|entry| entry.stream.shared().is_none())
        {
            self.flush(token);
        }
    }

    /// Whether callbacks have kept up. If not, they will say when they have.
    fn may_read(entry: &mut Entry) -> bool {
        // Held all along: who asks from now on sees whether it has to wake us.
        let mut state = entry.link.state();
        // What callbacks still have of the last connection does not keep the next one from its
        // greeting.
        let room = !state.session.is_ready() || {
            let awaited = state.session.is_awaited();
            let most = state.session.receive_limit();
            entry.party.mailbox().has_room(most, awaited)
        };
        if room == entry.paused {
            entry.paused = !room;
            state.session.set_paused(!room, Instant::now());
        }
        room
    }

    fn take(&mut self, token: usize, length: usize) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        let link = Arc::clone(&entry.link);
        let now = Instant::now();
        let (result, answers) = {
            let mut state = link.state();
            let result = state
                .session
                .receive(&self.buffer[..length], now, &mut self.events);
            entry.late = match state.session.is_due(now) {
                true => entry.late.saturating_add(length),
                false => 0,
            };
            (result, state.session.has_chunk())
        };
        self.dispatch(token);
        if answers {
            self.flush(token);
        }
        if let Err(reason) = result {
            self.close(token, reason);
        }
    }

    /// Hands out what the session has said.
    fn dispatch(&mut self, token: usize) {
        if self.events.is_empty() {
            return;
        }
        let Some(entry) = self.entries.get_mut(&token) else {
            self.events.clear();
            return;
        };
        let link = Arc::clone(&entry.link);
        let party = entry.party.clone();
        let mut wanted = true;
        for event in self.events.drain(..) {
            match event {
                Event::Connected => {
                    wanted = match &party {
                        Party::Server(peer) => peer.connected(),
                        Party::Client(core, epoch) => core.established(*epoch, &link),
                    };
                    if !wanted {
                        break;
                    }
                    entry.others = None;
                    self.jobs.push(Job::Connected);
                }
                Event::Message(response) => self.jobs.push(Job::Message(response)),
                Event::Reply(waiter, response) => answer(waiter, Ok(response), &mut self.jobs),
                Event::Expired(waiter) => answer(waiter, Err(Error::TimedOut), &mut self.jobs),
            }
        }
        self.hand_over(&party);
        if !wanted {
            // At once: what it says from now on comes after the end that was told.
            self.close_gently(token);
        }
    }

    pub(super) fn hand_over(&mut self, party: &Party) {
        if self.jobs.is_empty() {
            return;
        }
        self.shared.submit(party.owner(), self.jobs.drain(..));
    }

    /// Asks the clock to call when something is due.
    pub(super) fn set_clock(&mut self, token: usize) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        let next = match &entry.closing {
            Some(closing) => closing.until,
            // Asked once that is read.
            None if entry.has_more_to_read() => return,
            // Most often the clock was asked for earlier than anything is due now.
            None => entry.link.state().session.next_deadline(),
        };
        if let Some(next) = next
            && entry.alarm.is_none_or(|alarm| next < alarm)
        {
            entry.alarm = Some(next);
            self.set_alarm(Some(next), Alarm::Connection(token));
        }
    }

    /// The clock has called. Where this thread was held up, what is missed may lie there: it is read
    /// before anything is found to be late.
    pub(super) fn look_at_clock(&mut self, token: usize) {
        let now = Instant::now();
        let Some(entry) = self.entries.get(&token) else {
            return;
        };
        if let Some(closing) = &entry.closing {
            if closing.until.is_some_and(|until| until <= now) {
                return self.cut(token);
            }
        } else if entry.link.state().session.is_due(now) {
            if !entry.again {
                self.read_share(token, true);
            }
            self.tick(token, now);
        }
        self.set_clock(token);
    }

    fn tick(&mut self, token: usize, now: Instant) {
        let Some(entry) = self.entries.get(&token) else {
            return;
        };
        if entry.closing.is_some() || entry.has_more_to_read() {
            return;
        }
        let link = Arc::clone(&entry.link);
        let result = link.state().session.tick(now, &mut self.events);
        self.dispatch(token);
        self.flush(token);
        if let Err(reason) = result {
            self.close(token, reason);
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, token: usize) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        if entry.broken.is_some() {
            return;
        }
        let result = if entry.stream.shared().is_some() {
            entry.link.flush()
        } else {
            entry.link.flush_through(&mut entry.stream)
        };
        let closing = entry.closing.is_some();
        match result {
            Ok(()) if closing => self.tell_end(token),
            Ok(()) => {}
            Err(_) if closing => self.cut(token),
            Err(reason) => self.broken(token, reason),
        }
    }

    pub(super) fn register(
        &self,
        socket: &mut impl mio::event::Source,
        token: usize,
        interest: mio::Interest,
    ) -> std::io::Result<()> {
        self.poll
            .registry()
            .register(socket, mio::Token(token), interest)
    }
}

impl Entry {
    /// Of what the peer may have said in time. Who goes on and on does not put off the clock for ever.
    fn has_more_to_read(&self) -> bool {
        self.again && self.late < ON_ITS_WAY
    }
}

/// Ready to be used by anybody.
pub(super) fn prepare(socket: TcpStream) -> Arc<TcpStream> {
    if let Err(error) = socket.set_nodelay(true) {
        log::debug!("a connection without TCP_NODELAY: {error}");
    }
    Arc::new(socket)
}

/// Whether nothing is left to be read. What TLS has cannot be seen.
fn has_said_all(entry: &Entry) -> bool {
    let socket = entry.stream.shared();
    socket.is_some_and(|socket| !matches!(socket.peek(&mut [0]), Ok(1..)))
}

pub(super) fn answer(
    waiter: Waiter,
    result: Result<crate::message::Response, Error>,
    jobs: &mut Vec<Job>,
) {
    match waiter {
        Waiter::Thread(slot) => slot.fill(result),
        Waiter::Callback(callback) => jobs.push(Job::Call(Box::new(move || callback(result)))),
    }
}
