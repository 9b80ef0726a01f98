//! The one thread that reads, writes and keeps the time for all connections of an endpoint.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Poll, Token};

use super::client_core::ClientCore;
use super::link::{ATTENTION, Link, Waiter};
use super::pool::{Job, Mailbox, Owner};
use super::server_core::{ServerCore, ServerPeer};
use super::shared::{Command, Inbox, Shared};
use crate::candidates::Candidates;
use crate::error::CloseReason;
use crate::session::Event;
use crate::stream::Stream;

pub(super) const WAKE: Token = Token(0);
pub(super) const FIRST_TOKEN: usize = 1;
const EVENTS: usize = 256;
/// So often the system is asked again for a thread that it has refused.
const HIRING: Duration = Duration::from_millis(100);

/// Whose connection it is.
#[derive(Clone)]
pub(super) enum Party {
    Server(Arc<ServerPeer>),
    Client(Arc<ClientCore>, u64),
}

impl Party {
    /// Whose callbacks are told.
    pub(super) fn owner(&self) -> Arc<dyn Owner> {
        match self {
            Self::Server(peer) => Arc::clone(peer) as Arc<dyn Owner>,
            Self::Client(core, _) => Arc::clone(core) as Arc<dyn Owner>,
        }
    }

    pub(super) fn close_timeout(&self) -> Duration {
        match self {
            Self::Server(peer) => peer.core.config.close_timeout,
            Self::Client(core, _) => core.config.close_timeout,
        }
    }

    /// The conversation is over. Whether it had begun.
    pub(super) fn leaves(&self, token: usize) -> bool {
        match self {
            Self::Server(peer) => peer.leaves(),
            Self::Client(core, _) => core.leaves(token),
        }
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        match self {
            Self::Server(peer) => peer.mailbox(),
            Self::Client(core, _) => core.mailbox(),
        }
    }
}

/// A connection that is established.
pub(super) struct Entry {
    pub(super) link: Arc<Link>,
    pub(super) stream: Stream,
    pub(super) party: Party,
    /// Of a client that has not been greeted: where else it may be.
    pub(super) others: Option<Candidates<CloseReason>>,
    pub(super) read_size: usize,
    /// When the clock was last asked to call.
    pub(super) alarm: Option<Instant>,
    pub(super) paused: bool,
    /// Is among those that are read again.
    pub(super) again: bool,
    /// So much was read since something has been due.
    pub(super) late: usize,
    pub(super) closing: Option<Closing>,
    /// Why it cannot be written to any more.
    pub(super) broken: Option<CloseReason>,
}

/// A conversation that is over: what waits is still written, what comes is thrown away.
pub(super) struct Closing {
    /// Then it is cut, whatever still waits.
    pub(super) until: Option<Instant>,
    pub(super) reason: CloseReason,
    /// Whether the conversation had begun.
    pub(super) greeted: bool,
    /// All is written, and the peer was told.
    pub(super) told_end: bool,
    /// What came since, and was thrown away.
    pub(super) heard: usize,
    pub(super) peer_ended: bool,
}

/// A connection that is not established yet.
pub(super) struct Dialing {
    pub(super) core: Arc<ClientCore>,
    pub(super) epoch: u64,
    pub(super) socket: TcpStream,
    pub(super) candidates: Candidates<CloseReason>,
}

pub(super) struct Listening {
    pub(super) core: Arc<ServerCore>,
    pub(super) listener: TcpListener,
    /// Waits for a connection to end, or for the clock.
    pub(super) held_back: bool,
    /// The clock is to call; until then it is not tried for those who come anew.
    pub(super) waits_for_clock: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    Connection(usize),
    Dialing(usize),
    Accept(usize),
    Retry(usize),
}

pub(super) struct Reactor {
    pub(super) poll: Poll,
    pub(super) shared: Arc<Shared>,
    pub(super) entries: HashMap<usize, Entry>,
    pub(super) dialing: HashMap<usize, Dialing>,
    pub(super) listening: HashMap<usize, Listening>,
    pub(super) retries: HashMap<usize, (Arc<ClientCore>, u64)>,
    alarms: BinaryHeap<Reverse<(Instant, Alarm)>>,
    /// Connections that had more to read than their share of a turn.
    pub(super) again: Vec<usize>,
    /// One for all connections: an idle one has no memory for reading.
    pub(super) buffer: Vec<u8>,
    pub(super) events: Vec<Event<Waiter>>,
    pub(super) jobs: Vec<Job>,
    stopping: bool,
    /// Until then sockets are looked at without a pause.
    attentive_until: Option<Instant>,
}

impl Reactor {
    pub(super) fn new(poll: Poll, shared: Arc<Shared>) -> Self {
        Self {
            poll,
            shared,
            entries: HashMap::new(),
            dialing: HashMap::new(),
            listening: HashMap::new(),
            retries: HashMap::new(),
            alarms: BinaryHeap::new(),
            again: Vec::new(),
            buffer: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            stopping: false,
            attentive_until: None,
        }
    }

    pub(super) fn run(mut self) {
        let mut ready = Events::with_capacity(EVENTS);
        let mut inbox = Inbox::default();
        while !self.stopping || !self.entries.is_empty() {
            let wait = self.time_to_sleep();
            match self.poll.poll(&mut ready, wait) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("an endpoint cannot wait for its sockets: {error}");
                    self.shared.stop();
                    self.obey(&mut inbox);
                    break;
                }
                Ok(()) => {}
            }
            self.shared.wake_up();
            for event in &ready {
                let Token(token) = event.token();
                if event.token() == WAKE {
                    continue;
                }
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                let writable = event.is_writable() || event.is_write_closed() || event.is_error();
                if self.entries.contains_key(&token) {
                    self.attend(token);
                    if writable {
                        self.flush(token);
                    }
                    if readable {
                        self.read(token, event.is_read_closed() || event.is_error());
                    }
                } else if self.dialing.contains_key(&token) {
                    self.dialled(token);
                } else if let Some(listening) = self.listening.get(&token)
                    && !listening.waits_for_clock
                {
                    self.accept(token);
                }
            }
            self.turn(&mut inbox);
        }
        self.end();
    }

    /// What is to be done beside that of which the sockets tell.
    pub(super) fn turn(&mut self, inbox: &mut Inbox) {
        for token in std::mem::take(&mut self.again) {
            if let Some(entry) = self.entries.get_mut(&token) {
                entry.again = false;
            }
            self.read(token, true);
        }
        self.obey(inbox);
        self.ring();
        self.shared.pool.try_again();
    }

    /// Something has happened: where that is wanted, the next is looked for without a pause.
    pub(super) fn attend(&mut self, token: usize) {
        let entry = self.entries.get(&token);
        if entry.is_some_and(|entry| entry.link.is_attentive()) {
            self.attentive_until = Some(Instant::now() + ATTENTION);
        }
    }

    pub(super) fn time_to_sleep(&mut self) -> Option<Duration> {
        if self
            .attentive_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Some(Duration::ZERO);
        }
        if !self.again.is_empty() || !self.shared.fall_asleep() {
            return Some(Duration::ZERO);
        }
        let left = self.alarms.peek().map(|Reverse((first, _))| {
            let left = first.saturating_duration_since(Instant::now());
            // The system counts milliseconds, and would wake us before the time.
            left + Duration::from_millis(u64::from(!left.is_zero()))
        });
        if self.shared.pool.is_starved() {
            return Some(left.map_or(HIRING, |left| left.min(HIRING)));
        }
        left
    }

    fn obey(&mut self, inbox: &mut Inbox) {
        self.shared.take(inbox);
        for token in inbox.marked.drain(..) {
            self.flush(token);
        }
        for command in inbox.commands.drain(..) {
            match command {
                Command::Listen(core, listener, token) => self.listen(core, listener, token),
                Command::CloseServer(token) => self.close_server(token),
                Command::Dial(core, epoch, addresses) => self.dial(core, epoch, addresses),
                Command::Retry(core, epoch, delay) => {
                    let token = self.shared.token();
                    self.retries.insert(token, (core, epoch));
                    self.set_alarm(Instant::now().checked_add(delay), Alarm::Retry(token));
                }
                Command::Sweep => self.sweep(),
                Command::Close(token) => self.close_gently(token),
                Command::Broken(token, reason) => self.broken(token, reason),
                Command::Resume(token) => self.read(token, true),
                Command::Look(token) => {
                    self.flush(token);
                    self.set_clock(token);
                }
                Command::Stop => self.stop(),
            }
        }
    }

    /// It has its next turn after the others.
    pub(super) fn read_again(&mut self, token: usize) {
        if let Some(entry) = self.entries.get_mut(&token)
            && !std::mem::replace(&mut entry.again, true)
        {
            self.again.push(token);
        }
    }

    pub(super) fn set_alarm(&mut self, at: Option<Instant>, alarm: Alarm) {
        if let Some(at) = at {
            self.alarms.push(Reverse((at, alarm)));
        }
    }

    fn ring(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, alarm))) = self.alarms.peek().copied() {
            if at > now {
                break;
            }
            self.alarms.pop();
            match alarm {
                Alarm::Connection(token) => {
                    // An earlier one may have been set since, and has taken its place.
                    if let Some(entry) = self.entries.get_mut(&token)
                        && entry.alarm == Some(at)
                    {
                        entry.alarm = None;
                        self.look_at_clock(token);
                    }
                }
                Alarm::Dialing(token) => self.give_up_address(token),
                Alarm::Accept(token) => self.accept_now(token),
                Alarm::Retry(token) => {
                    if let Some((core, epoch)) = self.retries.remove(&token) {
                        core.attempt(epoch);
                    }
                }
            }
        }
    }

    /// Closes everything. What was sent is still written, as long as each connection's settings allow.
    fn stop(&mut self) {
        self.stopping = true;
        let listening: Vec<usize> = self.listening.keys().copied().collect();
        for token in listening {
            self.close_server(token);
        }
        for (_, dialing) in std::mem::take(&mut self.dialing) {
            dialing.core.stop();
        }
        for (_, (core, _)) in std::mem::take(&mut self.retries) {
            core.stop();
        }
        let connections: Vec<usize> = self.entries.keys().copied().collect();
        for token in connections {
            if let Some(Party::Client(core, _)) =
                self.entries.get(&token).map(|entry| entry.party.clone())
            {
                core.stop();
            }
            self.close_gently(token);
        }
    }

    fn end(&mut self) {
        // Not so only where the system has failed us.
        let left: Vec<usize> = self.entries.keys().copied().collect();
        for token in left {
            self.cut(token);
        }
        self.shared.has_stopped();
        self.shared.pool.stop();
    }
}
