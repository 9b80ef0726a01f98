//! A client's connection as the service's side of it has it: plain, or inside TLS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Shared;

/// Accepts connections, and serves each in a thread of its own that has its number. The port. The
/// threads end with the test's process.
pub(super) fn accept(
    shared: &Arc<Shared>,
    serve: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (shared, serve) = (Arc::clone(shared), Arc::new(serve));
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (serve, socket) = (Arc::clone(&serve), socket.unwrap());
            let number = shared.connected();
            thread::spawn(move || {
                // A peer that goes away in the middle is no fault of the test.
                let _ = serve(number, socket);
            });
        }
    });
    port
}

/// Reads and writes; the descriptor is its own, so that somebody else can wait for bytes meanwhile.
pub(super) enum Client {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Client {
    pub(super) fn new(socket: &TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let own = socket.try_clone()?;
        Ok(match tls {
            None => Self::Plain(own),
            Some(config) => {
                let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Self::Tls(Box::new(StreamOwned::new(tls, own)))
            }
        })
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Whether something was decrypted already that was not read.
    pub(super) fn has_more(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => !stream.conn.wants_read(),
        }
    }
}

/// Waits until one of them can be read, or has ended.
pub(super) fn readable<const N: usize>(streams: [&TcpStream; N]) -> io::Result<[bool; N]> {
    let mut polled = streams.map(|stream| libc::pollfd {
        fd: stream.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: so many descriptors of this type, all of them open while the streams are borrowed.
    if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|one| one.revents != 0))
}

/// Ends a connection by RST, whoever has descriptors of it.
pub(super) fn reset(stream: &TcpStream) -> io::Result<()> {
    let nobody = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    // SAFETY: an open socket, and an address of this size that lives until the call is over.
    let result = unsafe {
        libc::connect(
            stream.as_raw_fd(),
            &raw const nobody,
            size_of_val(&nobody) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
