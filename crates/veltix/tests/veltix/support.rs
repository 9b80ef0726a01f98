//! Peers that speak raw bytes, and waiting for what must happen.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use superstream_veltix::frames::{Decoder, Frame, Wire};
use superstream_veltix::session::Options;
use superstream_veltix::{
    Client, ClientConfig, Endpoint, EndpointConfig, MessageType, Request, RequestId, Server,
    ServerConfig,
};

pub const CHAT: MessageType = MessageType::of(200);
pub const OTHER: MessageType = MessageType::of(201);
/// Longer than anything takes on the slowest machine; nothing waits for it to pass.
pub const LONG: Duration = Duration::from_secs(30);

/// Beyond the end of any test.
const FAR: Duration = Duration::from_secs(3600);

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The next of what callbacks report.
#[track_caller]
pub fn next<T>(receiver: &Receiver<T>) -> T {
    match receiver.recv_timeout(LONG) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("nothing was reported"),
        Err(RecvTimeoutError::Disconnected) => panic!("nobody reports any more"),
    }
}

pub fn endpoint() -> Endpoint {
    Endpoint::new(&EndpointConfig::default()).unwrap()
}

/// A server that answers CHAT with its content, not yet started. No time of it ends before a test
/// does, but those that the test sets.
pub fn server_with(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = ServerConfig::new("127.0.0.1", 0);
    patient(&mut config.session);
    config.close_timeout = LONG;
    change(&mut config);
    let server = Server::on(&endpoint(), config);
    server.route(CHAT, |client, response| {
        let reply = Request::reply_to(&response, CHAT, response.content.clone());
        // The client may be gone.
        let _ = client.send(&reply);
    });
    server
}

pub fn echo_server() -> Server {
    let server = server_with(|_| {});
    server.start().unwrap();
    server
}

pub fn port(server: &Server) -> u16 {
    server.local_addr().unwrap().port()
}

/// A client, as patient as that server.
pub fn client_with(port: u16, change: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig::new("127.0.0.1", port);
    patient(&mut config.session);
    config.connect_timeout = FAR;
    config.close_timeout = LONG;
    change(&mut config);
    Client::on(&endpoint(), config)
}

pub fn connected(port: u16) -> Client {
    let client = client_with(port, |_| {});
    client.connect().unwrap();
    client
}

fn patient(options: &mut Options) {
    options.handshake_timeout = FAR;
    options.frame_timeout = FAR;
    options.ping_interval = Some(FAR);
    options.ping_timeout = FAR;
}

pub fn short(options: &mut Options) {
    options.handshake_timeout = Duration::from_millis(100);
    options.frame_timeout = Duration::from_millis(100);
    options.ping_interval = Some(Duration::from_millis(100));
    options.ping_timeout = Duration::from_millis(100);
}

/// A socket, and somebody who knows frames of 1.6.3 but keeps to no rule.
pub struct Raw {
    pub socket: TcpStream,
    decoder: Decoder,
    kept: Vec<u8>,
}

impl Raw {
    pub fn of(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            decoder: Decoder::new(Wire::V1, usize::MAX),
            kept: Vec::new(),
        }
    }

    pub fn connect(port: u16) -> Self {
        Self::of(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// A client that has greeted.
    pub fn greeted(port: u16) -> Self {
        let mut raw = Self::connect(port);
        raw.greet();
        raw
    }

    pub fn greet(&mut self) {
        let hello = self.frame();
        assert_eq!(hello.message_type, MessageType::HELLO);
        self.send(MessageType::HELLO_ACK, hello.id, b"\x00\x051.6.3");
    }

    /// A server's side of a client that connects to the listener.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::of(listener.accept().unwrap().0)
    }

    /// The same, and greets.
    pub fn accept_greeting(listener: &TcpListener) -> Self {
        let mut raw = Self::accept(listener);
        raw.send(MessageType::HELLO, RequestId(77), b"\x00\x051.6.3");
        let ack = raw.frame();
        assert_eq!(
            (ack.message_type, ack.id),
            (MessageType::HELLO_ACK, RequestId(77))
        );
        assert_eq!(ack.payload, b"\x00\x051.6.3");
        raw
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, message_type: MessageType, id: RequestId, payload: &[u8]) {
        self.write(&frame(message_type, id, payload));
    }

    /// The next frame; `None` at the end.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let mut input = self.kept.as_slice();
            let found = self.decoder.next(&mut input).unwrap();
            let rest = input.len();
            self.kept.drain(..self.kept.len() - rest);
            if found.is_some() {
                return found;
            }
            let mut buffer = [0; 65536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.kept.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        self.next().expect("the peer has closed")
    }

    /// Waits for the peer to close, whatever it says before; in vain for one that would do so by a
    /// time that the test has not set.
    pub fn closed(&mut self) -> bool {
        while self.next().is_some() {}
        true
    }

    /// That the conversation goes on.
    pub fn echoes(&mut self) -> bool {
        self.send(CHAT, RequestId(4711), b"still there");
        let echo = self.frame();
        echo.id == RequestId(4711) && echo.payload == b"still there"
    }

    pub fn end(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

pub fn frame(message_type: MessageType, id: RequestId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Wire::V1.encode(message_type, id, 1_795_249_279_041, payload, &mut bytes);
    bytes
}

pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}
