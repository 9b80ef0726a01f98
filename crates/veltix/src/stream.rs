//! A socket that never blocks, with or without TLS on it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::net::TcpStream;
#[cfg(feature = "tls")]
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::error::{CloseReason, Error};

/// Why nothing was read or written.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The socket will tell when it can.
    WouldBlock,
    Failed(CloseReason),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::WouldBlock,
            kind => Self::Failed(CloseReason::Network(kind)),
        }
    }
}

/// How a server encrypts.
#[derive(Clone, Default)]
pub(crate) struct ServerSecurity {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl ServerSecurity {
    pub(crate) fn wrap(&self, socket: Arc<TcpStream>) -> Result<Stream, Error> {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.tls {
            let connection = ServerConnection::new(Arc::clone(config))
                .map_err(|error| Error::Tls(error.to_string()))?;
            return Ok(Stream::tls(socket, connection.into()));
        }
        Ok(Stream::Plain(socket))
    }
}

/// How a client encrypts, and who it believes the server to be.
#[derive(Clone, Default)]
pub(crate) struct ClientSecurity {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl ClientSecurity {
    #[cfg_attr(not(feature = "tls"), allow(unused_variables))]
    pub(crate) fn wrap(
        &self,
        socket: Arc<TcpStream>,
        host: &str,
        encrypted: bool,
    ) -> Result<Stream, Error> {
        if !encrypted {
            return Ok(Stream::Plain(socket));
        }
        #[cfg(feature = "tls")]
        if let Some(config) = &self.tls {
            let name = rustls::pki_types::ServerName::try_from(host.to_owned())
                .map_err(|_| Error::BadAddress("has a name that no certificate has".to_owned()))?;
            let connection = ClientConnection::new(Arc::clone(config), name)
                .map_err(|error| Error::Tls(error.to_string()))?;
            return Ok(Stream::tls(socket, connection.into()));
        }
        Err(Error::Tls(
            "it is asked for, and nothing says whom to trust".to_owned(),
        ))
    }
}

/// A connected socket.
pub(crate) enum Stream {
    /// Whoever holds a copy may write.
    Plain(Arc<TcpStream>),
    /// One thread reads and writes.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

#[cfg(feature = "tls")]
pub(crate) struct Tls {
    socket: Arc<TcpStream>,
    connection: rustls::Connection,
}

impl Stream {
    #[cfg(feature = "tls")]
    fn tls(socket: Arc<TcpStream>, connection: rustls::Connection) -> Self {
        Self::Tls(Box::new(Tls { socket, connection }))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// The socket, where anybody may write to it.
    pub(crate) fn shared(&self) -> Option<&Arc<TcpStream>> {
        match self {
            Self::Plain(socket) => Some(socket),
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// 0 at the end of what the peer sends.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        match self {
            Self::Plain(socket) => read(socket, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        match self {
            Self::Plain(socket) => write(socket, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Brings what TLS holds to the socket.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// The peer sees the end of what we send.
    pub(crate) fn end(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(tls) = self {
            tls.connection.send_close_notify();
            // The peer that does not take it sees the end of the stream.
            let _ = tls.flush();
        }
        // A socket that is not connected any more has ended already.
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Ends it in both directions, for every holder of a copy.
    pub(crate) fn cut(&self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }
}

pub(crate) fn read(mut socket: &TcpStream, buffer: &mut [u8]) -> Result<usize, Stop> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(Stop::from),
        }
    }
}

pub(crate) fn write(mut socket: &TcpStream, bytes: &[u8]) -> Result<usize, Stop> {
    loop {
        match socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(Stop::from),
        }
    }
}

#[cfg(feature = "tls")]
impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        loop {
            match self.connection.reader().read(buffer) {
                // The end without TLS's own: frames tell whether anything is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map_err(Stop::from),
            }
            match self.connection.read_tls(&mut &*self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            let processed = self.connection.process_new_packets();
            // Answers to the handshake, or the alert that says what is wrong.
            let flushed = self.flush();
            if let Err(error) = processed {
                return Err(Stop::Failed(CloseReason::Tls(error.to_string())));
            }
            if let Err(Stop::Failed(reason)) = flushed {
                return Err(Stop::Failed(reason));
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        loop {
            let taken = self.connection.writer().write(bytes)?;
            let flushed = self.flush();
            if taken > 0 || bytes.is_empty() {
                return match flushed {
                    Err(Stop::Failed(reason)) => Err(Stop::Failed(reason)),
                    _ => Ok(taken),
                };
            }
            flushed?;
            if self.connection.is_handshaking() {
                return Err(Stop::WouldBlock);
            }
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut &*self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(Stop::Failed(CloseReason::PeerClosed)),
                result => {
                    result?;
                }
            }
        }
        Ok(())
    }
}
