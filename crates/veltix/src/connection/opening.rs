//! How a connection comes about: each address of a server in its turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll};

use super::{Connection, ConnectionOptions, SOCKET};
use crate::address::Address;
use crate::candidates::Candidates;
use crate::error::Error;

impl Connection {
    /// Connects to the address and greets, before `deadline`. A host that is a name is asked of the
    /// system first, which no deadline holds; who cannot bear that asks it elsewhere, and calls
    /// [`Connection::open_at`].
    pub fn open(
        address: &Address,
        options: &ConnectionOptions,
        deadline: Instant,
    ) -> Result<Self, Error> {
        Self::open_at(address, &address.resolve()?, options, deadline)
    }

    /// The same where the addresses of the host are known. They are tried in their order until one
    /// has greeted. One that fails or hangs, wherever it does, leaves the others their parts of the
    /// time.
    pub fn open_at(
        address: &Address,
        candidates: &[SocketAddr],
        options: &ConnectionOptions,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let security = options.security();
        let mut candidates = Candidates::new(candidates.to_vec(), deadline);
        while let Some((candidate, until)) = candidates.next() {
            let result = dial(candidate, until).and_then(|(socket, poll)| {
                let socket = Arc::new(socket);
                let stream = security.wrap(socket, &address.host, address.tls)?;
                Self::greet(stream, poll, options, until)
            });
            match result {
                Ok(connection) => return Ok(connection),
                Err(error) => candidates.failed(error),
            }
        }
        Err(candidates.failure().unwrap_or(Error::TimedOut))
    }
}

/// A connected socket, and what waits for it.
fn dial(address: SocketAddr, deadline: Instant) -> Result<(TcpStream, Poll), Error> {
    let mut poll = Poll::new()?;
    let mut socket = TcpStream::connect(address)?;
    poll.registry()
        .register(&mut socket, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
    let mut events = Events::with_capacity(4);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        if let Some(error) = socket.take_error()? {
            return Err(error.into());
        }
        if socket.peer_addr().is_ok() {
            socket.set_nodelay(true)?;
            return Ok((socket, poll));
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut);
        }
    }
}
