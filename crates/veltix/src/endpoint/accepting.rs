//! What the endpoint's thread does with listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::{TcpListener, TcpStream};

use super::client_info::ClientInfo;
use super::link::Link;
use super::pool::Mailbox;
use super::reactor::{Alarm, Listening, Party, Reactor};
use super::server_core::{ServerCore, ServerPeer};
use super::traffic::prepare;
use crate::session::{Role, Session};

/// After a refusal of the system (too many open files) it is asked again so much later, or when a
/// connection ends.
const PAUSE: Duration = Duration::from_millis(200);
/// Of one listener in one turn.
const ACCEPTS_PER_TURN: usize = 64;

impl Reactor {
    pub(super) fn listen(
        &mut self,
        core: Arc<ServerCore>,
        mut listener: TcpListener,
        token: usize,
    ) {
        if let Err(error) = self.register(&mut listener, token, Interest::READABLE) {
            log::error!("a server cannot wait for clients: {error}");
            core.has_closed(token);
            return;
        }
        self.listening.insert(
            token,
            Listening {
                core,
                listener,
                held_back: false,
                waits_for_clock: false,
            },
        );
        self.accept(token);
    }

    /// The system tells of new clients once: all must be accepted, or remembered as held back.
    pub(super) fn accept(&mut self, token: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listening) = self.listening.get_mut(&token) else {
                return;
            };
            listening.held_back = listening.core.is_full();
            if listening.held_back {
                return;
            }
            match listening.listener.accept() {
                Ok((socket, addr)) => {
                    let core = Arc::clone(&listening.core);
                    self.greet(core, socket, addr, token);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Those who are gone before they were accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    log::warn!("a client cannot be accepted now: {error}");
                    return self.accept_at(Instant::now().checked_add(PAUSE), token);
                }
            }
        }
        self.accept_at(Some(Instant::now()), token);
    }

    /// By the clock, once.
    fn accept_at(&mut self, at: Option<Instant>, token: usize) {
        if let Some(listening) = self.listening.get_mut(&token) {
            listening.held_back = true;
            if !std::mem::replace(&mut listening.waits_for_clock, true) {
                self.set_alarm(at, Alarm::Accept(token));
            }
        }
    }

    /// The clock calls.
    pub(super) fn accept_now(&mut self, token: usize) {
        if let Some(listening) = self.listening.get_mut(&token) {
            listening.waits_for_clock = false;
        }
        // Whoever came meanwhile was not looked at.
        self.accept(token);
    }

    /// Those who were held back: a connection has ended.
    pub(super) fn accept_again(&mut self, token: usize) {
        if self
            .listening
            .get(&token)
            .is_some_and(|listening| listening.held_back)
        {
            self.accept(token);
        }
    }

    pub(super) fn greet(
        &mut self,
        core: Arc<ServerCore>,
        mut socket: TcpStream,
        addr: SocketAddr,
        listener: usize,
    ) {
        let token = self.shared.token();
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.register(&mut socket, token, both) {
            log::warn!("a client cannot be waited for: {error}");
            return;
        }
        let stream = match core.config.security.wrap(prepare(socket)) {
            Ok(stream) => stream,
            Err(error) => {
                log::warn!("a client cannot be spoken to: {error}");
                return;
            }
        };
        let mut session = Session::new(Role::Server, &core.options, Instant::now());
        session.set_receive_limit(core.config.max_untrusted_message_size);
        let link = Link::new(
            token,
            &self.shared,
            core.config.performance_mode,
            session,
            stream.shared().cloned(),
        );
        core.joined(listener);
        let read_size = core.config.buffer_size.bytes();
        let peer = ServerPeer {
            client: ClientInfo::new(addr, Arc::clone(&link)),
            core,
            listener,
            mailbox: Mailbox::default(),
        };
        let party = Party::Server(Arc::new(peer));
        self.add(link, stream, party, read_size, None);
    }

    pub(super) fn close_server(&mut self, token: usize) {
        let Some(listening) = self.listening.remove(&token) else {
            return;
        };
        drop(listening.listener);
        let core = listening.core;
        let connections: Vec<usize> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                matches!(&entry.party, Party::Server(peer) if Arc::ptr_eq(&peer.core, &core))
            })
            .map(|(token, _)| *token)
            .collect();
        for connection in connections {
            self.close_gently(connection);
        }
        core.has_closed(token);
    }
}
