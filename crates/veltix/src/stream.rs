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
    /// There may be more, of which the socket will not tell: to be called again after the others.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    Again,
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

/// What one call takes from the socket before it gives way to others. TLS has messages of its own, of
/// which a peer can send any number without one byte for the caller.
pub(crate) const TLS_READ_BUDGET: usize = 16 * 1024;

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
    /// Told once what came before it is read.
    failure: Option<CloseReason>,
}

impl Stream {
    #[cfg(feature = "tls")]
    fn tls(socket: Arc<TcpStream>, connection: rustls::Connection) -> Self {
        Self::Tls(Box::new(Tls {
            socket,
            connection,
            failure: None,
        }))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
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

    /// 0 at the end of what the peer sends. After anything but [`Stop::WouldBlock`] there may be more
    /// that no poll on the socket shows, because TLS has it.
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

    /// Whether TLS holds something that the socket did not take.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.connection.wants_write(),
        }
    }

    /// Lets TLS's own end wait to be flushed. Nothing may be written after it.
    pub(crate) fn announce_end(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(tls) = self {
            tls.connection.send_close_notify();
        }
    }

    /// The peer sees the end of what we send.
    pub(crate) fn end(&mut self) {
        self.announce_end();
        // The peer that does not take TLS's own end sees that of the stream.
        let _ = self.flush();
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
        let mut taken = 0;
        loop {
            let read = self.connection.reader().read(buffer);
            if let Some(reason) = &self.failure
                && !matches!(read, Ok(1..))
            {
                return Err(Stop::Failed(reason.clone()));
            }
            match read {
                // Anybody on the way can end a stream. Whether messages are missing, frames cannot tell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let what = "the stream ended, and the peer did not say so";
                    return Err(Stop::Failed(CloseReason::Tls(what.to_owned())));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map_err(Stop::from),
            }
            if taken >= TLS_READ_BUDGET {
                return Err(Stop::Again);
            }
            match self.connection.read_tls(&mut &*self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => taken += result?,
            }
            let processed = self.connection.process_new_packets();
            // Answers to the handshake, or the alert that says what is wrong. Where the peer takes none
            // any more, what it said is still there to be read; the next who writes learns of it.
            let _ = self.flush();
            if let Err(error) = processed {
                self.failure = Some(CloseReason::Tls(error.to_string()));
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

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    use super::*;

    /// A server that says much that is for TLS alone, and a client.
    fn configs() -> (ServerConfig, ClientConfig) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        // Together a little less than rustls takes in one go.
        server.send_tls13_tickets = 550;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server, client)
    }

    #[test]
    fn what_is_for_tls_alone_keeps_nobody_and_hides_nothing() {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let peer = thread::spawn(move || {
            let session = ServerConnection::new(Arc::new(server)).unwrap();
            let mut peer = rustls::StreamOwned::new(session, accepted);
            peer.write_all(b"news").unwrap();
            peer
        });
        socket.set_nonblocking(true).unwrap();
        let looking = socket.try_clone().unwrap();
        let security = ClientSecurity {
            tls: Some(Arc::new(client)),
        };
        let socket = Arc::new(TcpStream::from_std(socket));
        let mut stream = security.wrap(socket, "localhost", true).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut seen = vec![0; TLS_READ_BUDGET + 1];
        let mut buffer = [0; 100];
        stream.flush().unwrap();
        // The server's first words end the handshake, and its tickets follow our last.
        while matches!(&stream, Stream::Tls(tls) if tls.connection.is_handshaking()) {
            assert!(Instant::now() < deadline);
            assert!(matches!(
                stream.read(&mut buffer),
                Err(Stop::WouldBlock | Stop::Again)
            ));
        }
        while looking.peek(&mut seen).unwrap_or(0) < seen.len() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(stream.read(&mut buffer), Err(Stop::Again)));
        // What it was called for lies behind the rest.
        let length = loop {
            match stream.read(&mut buffer) {
                Ok(length) => break length,
                Err(Stop::WouldBlock | Stop::Again) => assert!(Instant::now() < deadline),
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(&buffer[..length], b"news");
        drop(peer.join().unwrap());
    }
}
