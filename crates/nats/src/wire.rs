//! A socket, in the clear or encrypted. It never blocks but in poll(2), and there until a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::protocol::Parser;

/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// A buffer that a long message has left is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// A connection that carries bytes.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
    /// How much of `out` it has taken.
    sent: usize,
}

/// What a look at the socket has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    Bytes,
    Nothing,
    End,
}

/// Whether something was written in time.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    Whole,
    /// The deadline has passed, and none of it went out, nor will.
    Not,
    /// The deadline has passed within it: nothing can follow any more.
    Half,
}

impl Wire {
    pub fn connect(address: &SocketAddr, deadline: Instant) -> io::Result<Self> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // The standard library's sockets are closed on exec.
        let socket = TcpStream::connect_timeout(address, left)?;
        socket.set_nonblocking(true)?;
        // Messages are small and wait for their answers.
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            tls: None,
            out: Vec::new(),
            sent: 0,
        })
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Says that this is the end, whoever has a copy of the socket. Not from a forked child: it would end
    /// the parent's connection.
    pub fn shut_down(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Encrypts all that follows, with a server that proves to be `name`. The error of TLS
    /// itself is a [`rustls::Error`] within the one that is given.
    pub fn encrypt(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        parser: &mut Parser,
        deadline: Instant,
    ) -> io::Result<()> {
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        self.tls = Some(Box::new(tls));
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.take_encrypted();
            if !self.flush(deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.read(parser)? {
                Came::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                // However much comes.
                Came::Bytes if Instant::now() < deadline => {}
                Came::Nothing if self.wait_readable(deadline)? => {}
                Came::Bytes | Came::Nothing => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        self.take_encrypted();
        match self.flush(deadline)? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Takes what lies at the socket, a chunk at most, and waits for nothing.
    pub fn read(&mut self, parser: &mut Parser) -> io::Result<Came> {
        let mut chunk = [0; CHUNK];
        let length = loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Ok(Came::End),
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Came::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let came = &chunk[..length];
        let Some(tls) = &mut self.tls else {
            parser.feed(came);
            return Ok(Came::Bytes);
        };
        let decrypted = decrypt(tls, came, parser);
        // An answer of TLS's own, or what it says to a server that it does not trust.
        self.take_encrypted();
        self.send_left();
        decrypted
    }

    /// Leaves bytes to be sent as soon as the socket takes them. Returns whether there is room: a server
    /// that does not read for long is no server. That the socket is broken, reading will tell.
    pub fn leave(&mut self, bytes: &[u8]) -> bool {
        if self.out.len() - self.sent > KEPT_CAPACITY {
            return false;
        }
        if self.append(bytes).is_err() {
            return false;
        }
        self.send_left();
        true
    }

    /// Sends what was left. Where the socket is broken nobody will have it.
    fn send_left(&mut self) {
        if self.send().is_err() {
            self.out.clear();
            self.sent = 0;
        }
    }

    /// Sends bytes, after those that were left before.
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<Written> {
        self.append(bytes)?;
        if self.flush(deadline)? {
            return Ok(Written::Whole);
        }
        let left = self.out.len() - self.sent;
        // What is encrypted once has its number among the records, and cannot be taken back.
        if self.tls.is_some() || left < bytes.len() {
            return Ok(Written::Half);
        }
        self.out.truncate(self.out.len() - bytes.len());
        Ok(Written::Not)
    }

    /// Waits until there is something to read; what was left is sent meanwhile. Returns whether there is.
    pub fn wait_readable(&mut self, deadline: Instant) -> io::Result<bool> {
        let unsent = self.sent < self.out.len();
        let writable = if unsent { libc::POLLOUT } else { 0 };
        let ready = self.wait(libc::POLLIN | writable, deadline)?;
        if unsent {
            self.send_left();
        }
        Ok(ready)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.out.extend_from_slice(bytes),
        }
        self.take_encrypted();
        Ok(())
    }

    fn take_encrypted(&mut self) {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                // Into memory: this cannot fail.
                if tls.write_tls(&mut self.out).is_err() {
                    break;
                }
            }
        }
    }

    /// Sends all that was left. Returns whether the socket took it before the deadline.
    fn flush(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            self.send()?;
            if self.out.is_empty() {
                return Ok(true);
            }
            // One who takes little by little does not keep us either.
            if Instant::now() >= deadline || !self.wait(libc::POLLOUT, deadline)? {
                return Ok(false);
            }
        }
    }

    /// Sends as much as the socket takes at once.
    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            let rest = &self.out[self.sent..];
            // MSG_NOSIGNAL: the program around us may die of a SIGPIPE.
            // SAFETY: send(2) reads as many bytes as it is told, from a slice that has them, and the
            // descriptor is open as long as `socket` lives.
            let taken = unsafe {
                libc::send(
                    self.socket.as_raw_fd(),
                    rest.as_ptr().cast(),
                    rest.len(),
                    libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(taken) {
                Ok(taken) => self.sent += taken,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        self.sent = 0;
        self.out.clear();
        self.out.shrink_to(KEPT_CAPACITY);
        Ok(())
    }

    /// Waits for the socket. Returns whether it is ready, or broken: whoever uses it next is told.
    fn wait(&self, events: libc::c_short, deadline: Instant) -> io::Result<bool> {
        let mut entry = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events,
            revents: 0,
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // SAFETY: poll(2) reads and writes the one entry that it is told of.
            let ready = unsafe { libc::poll(&raw mut entry, 1, milliseconds(left)) };
            match ready {
                1.. => return Ok(true),
                0 if Instant::now() >= deadline => return Ok(false),
                0 => {}
                _ => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {
                        if Instant::now() >= deadline {
                            return Ok(false);
                        }
                    }
                    error => return Err(error),
                },
            }
        }
    }
}

/// For poll(2), rounded up: a wait that ends early would only begin again.
fn milliseconds(left: Duration) -> libc::c_int {
    left.as_nanos()
        .div_ceil(1_000_000)
        .try_into()
        .unwrap_or(libc::c_int::MAX)
}

fn decrypt(tls: &mut ClientConnection, came: &[u8], parser: &mut Parser) -> io::Result<Came> {
    let mut rest = came;
    let mut plain = [0; CHUNK];
    while !rest.is_empty() {
        if tls.read_tls(&mut rest)? == 0 {
            return Ok(Came::End);
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        loop {
            match tls.reader().read(&mut plain) {
                Ok(0) => return Ok(Came::End),
                Ok(length) => parser.feed(&plain[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Came::Bytes)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
