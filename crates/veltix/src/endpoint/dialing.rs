//! What the endpoint's thread does for a client that has no connection yet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::TcpStream;

use super::client_core::ClientCore;
use super::link::Link;
use super::reactor::{Alarm, Dialing, Party, Reactor};
use super::traffic::prepare;
use crate::candidates::Candidates;
use crate::error::CloseReason;
use crate::session::{Role, Session};

impl Reactor {
    /// Tries the addresses in their order, until one has greeted.
    pub(super) fn dial(&mut self, core: Arc<ClientCore>, epoch: u64, addresses: Vec<SocketAddr>) {
        let now = Instant::now();
        let deadline = now.checked_add(core.config.connect_timeout);
        let deadline = deadline.unwrap_or_else(|| now + Duration::from_secs(3600));
        self.dial_next(core, epoch, Candidates::new(addresses, deadline));
    }

    pub(super) fn dial_next(
        &mut self,
        core: Arc<ClientCore>,
        epoch: u64,
        mut candidates: Candidates<CloseReason>,
    ) {
        while let Some((address, until)) = candidates.next() {
            if !core.wants(epoch) {
                return;
            }
            match self.begin(address) {
                Ok((token, socket)) => {
                    self.set_alarm(Some(until), Alarm::Dialing(token));
                    let dialing = Dialing {
                        core,
                        epoch,
                        socket,
                        candidates,
                    };
                    self.dialing.insert(token, dialing);
                    return;
                }
                Err(error) => candidates.failed(CloseReason::Network(error.kind())),
            }
        }
        let none = CloseReason::Network(io::ErrorKind::AddrNotAvailable);
        core.failed(epoch, candidates.failure().unwrap_or(none));
    }

    fn begin(&mut self, address: SocketAddr) -> io::Result<(usize, TcpStream)> {
        let mut socket = TcpStream::connect(address)?;
        let token = self.shared.token();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.register(&mut socket, token, both)?;
        Ok((token, socket))
    }

    /// The system has something to say of an attempt.
    pub(super) fn dialled(&mut self, token: usize) {
        let Some(dialing) = self.dialing.get(&token) else {
            return;
        };
        let reason = match dialing.socket.take_error() {
            Ok(None) if dialing.socket.peer_addr().is_ok() => return self.met(token),
            // Told too early.
            Ok(None) => return,
            Ok(Some(error)) | Err(error) => CloseReason::Network(error.kind()),
        };
        self.dial_others(token, reason);
    }

    /// The time of an address is over; that of the last one, once it is connected, ends with its
    /// handshake's.
    pub(super) fn give_up_address(&mut self, token: usize) {
        // It may be connected by now.
        self.dialled(token);
        self.dial_others(token, CloseReason::Network(io::ErrorKind::TimedOut));
        if self.leaves_time_to_others(token) {
            // Or have greeted.
            self.read(token, true);
        }
        if self.leaves_time_to_others(token) {
            self.close(token, CloseReason::HandshakeTimeout);
        }
    }

    fn leaves_time_to_others(&self, token: usize) -> bool {
        self.entries.get(&token).is_some_and(|entry| {
            let others = entry.others.as_ref();
            entry.closing.is_none() && others.is_some_and(|others| !others.is_last())
        })
    }

    fn dial_others(&mut self, token: usize, reason: CloseReason) {
        let Some(mut dialing) = self.dialing.remove(&token) else {
            return;
        };
        drop(dialing.socket);
        dialing.candidates.failed(reason);
        self.dial_next(dialing.core, dialing.epoch, dialing.candidates);
    }

    /// A socket is connected: the conversation begins.
    fn met(&mut self, token: usize) {
        let Some(dialing) = self.dialing.remove(&token) else {
            return;
        };
        let (core, epoch) = (dialing.core, dialing.epoch);
        let mut candidates = dialing.candidates;
        if !core.wants(epoch) {
            return;
        }
        let address = &core.config.address;
        let socket = prepare(dialing.socket);
        let stream = match core
            .config
            .security
            .wrap(socket, &address.host, address.tls)
        {
            Ok(stream) => stream,
            Err(error) => {
                candidates.failed(error.into());
                return self.dial_next(core, epoch, candidates);
            }
        };
        let session = Session::new(Role::Client, &core.options, Instant::now());
        let link = Link::new(
            token,
            &self.shared,
            core.config.performance_mode,
            session,
            stream.shared().cloned(),
        );
        let read_size = core.config.buffer_size.bytes();
        let party = Party::Client(core, epoch);
        self.add(link, stream, party, read_size, Some(candidates));
    }

    /// Ends attempts that nobody wants any more.
    pub(super) fn sweep(&mut self) {
        self.dialing
            .retain(|_, dialing| dialing.core.wants(dialing.epoch));
        self.retries.retain(|_, (core, epoch)| core.wants(*epoch));
        let unwanted: Vec<usize> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                matches!(&entry.party, Party::Client(core, epoch) if !core.wants(*epoch))
            })
            .map(|(token, _)| *token)
            .collect();
        for token in unwanted {
            self.close_gently(token);
        }
    }
}
