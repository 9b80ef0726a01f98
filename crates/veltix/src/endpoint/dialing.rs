//! What the endpoint's thread does for a client that has no connection yet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::Interest;
use mio::net::TcpStream;

use super::client_core::ClientCore;
use super::link::Link;
use super::reactor::{Alarm, Dialing, Party, Reactor};
use super::traffic::prepare;
use crate::error::CloseReason;
use crate::session::{Role, Session};

impl Reactor {
    /// Tries the addresses one after the other, the last one first.
    pub(super) fn dial(
        &mut self,
        core: Arc<ClientCore>,
        epoch: u64,
        mut addresses: Vec<SocketAddr>,
    ) {
        addresses.reverse();
        let deadline = Instant::now().checked_add(core.config.connect_timeout);
        let far = deadline.unwrap_or_else(|| Instant::now() + std::time::Duration::from_secs(3600));
        let none = CloseReason::Network(io::ErrorKind::AddrNotAvailable);
        self.dial_next(core, epoch, addresses, far, none);
    }

    fn dial_next(
        &mut self,
        core: Arc<ClientCore>,
        epoch: u64,
        mut rest: Vec<SocketAddr>,
        whole: Instant,
        mut reason: CloseReason,
    ) {
        while let Some(address) = rest.pop() {
            if !core.wants(epoch) {
                return;
            }
            match self.begin(address) {
                Ok((token, socket)) => {
                    // One that does not answer leaves time for the others.
                    let now = Instant::now();
                    let share = whole.saturating_duration_since(now) / (rest.len() as u32 + 1);
                    self.set_alarm(now.checked_add(share), Alarm::Dialing(token));
                    self.dialing.insert(
                        token,
                        Dialing {
                            core,
                            epoch,
                            socket,
                            rest,
                            deadline: whole,
                        },
                    );
                    return;
                }
                Err(error) => reason = CloseReason::Network(error.kind()),
            }
        }
        core.failed(epoch, reason);
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

    pub(super) fn give_up_dialling(&mut self, token: usize) {
        self.dial_others(token, CloseReason::Network(io::ErrorKind::TimedOut));
    }

    fn dial_others(&mut self, token: usize, reason: CloseReason) {
        let Some(dialing) = self.dialing.remove(&token) else {
            return;
        };
        drop(dialing.socket);
        let (core, epoch) = (dialing.core, dialing.epoch);
        self.dial_next(core, epoch, dialing.rest, dialing.deadline, reason);
    }

    /// A socket is connected: the conversation begins.
    fn met(&mut self, token: usize) {
        let Some(dialing) = self.dialing.remove(&token) else {
            return;
        };
        let (core, epoch) = (dialing.core, dialing.epoch);
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
            Err(error) => return core.failed(epoch, error.into()),
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
        self.add(link, stream, Party::Client(core, epoch), read_size);
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
