//! Peers that speak raw bytes, and waiting for what must happen.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType};
use superstream_veltix::frames::{Decoder, Frame, Wire};
use superstream_veltix::session::Options;
use superstream_veltix::{
    Client, ClientConfig, ClientInfo, ConnectionOptions, Endpoint, EndpointConfig, MessageType,
    Request, RequestId, Response, Server, ServerConfig,
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
    server.route(CHAT, echo);
    server
}

pub fn echo(client: &ClientInfo, response: Response) {
    let reply = Request::reply_to(&response, CHAT, response.content.clone());
    // The client may be gone.
    let _ = client.send(&reply);
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

pub fn patient(options: &mut Options) {
    options.handshake_timeout = FAR;
    options.frame_timeout = FAR;
    options.ping_interval = Some(FAR);
    options.ping_timeout = FAR;
}

/// Settings of a conversation of which no time ends.
pub fn patience() -> Options {
    let mut options = Options::default();
    patient(&mut options);
    options
}

/// The same of a connection without a thread.
pub fn unhurried() -> ConnectionOptions {
    ConnectionOptions {
        session: patience(),
        ..ConnectionOptions::default()
    }
}

pub fn short(options: &mut Options) {
    options.handshake_timeout = Duration::from_millis(100);
    options.frame_timeout = Duration::from_millis(100);
    options.ping_interval = Some(Duration::from_millis(100));
    options.ping_timeout = Duration::from_millis(100);
}

/// What a peer of 2.0.0 says first.
pub const JSON: &str = r#"{"v":"2.0.0","meta":{"id_window":30000}}"#;

/// A socket, and somebody who knows the frames of one version but keeps to no rule.
pub struct Raw {
    pub socket: TcpStream,
    wire: Wire,
    decoder: Decoder,
    kept: Vec<u8>,
}

impl Raw {
    /// One of 1.6.3, as all that name no version.
    pub fn of(socket: TcpStream) -> Self {
        Self::on(Wire::V1, socket)
    }

    pub fn on(wire: Wire, socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            wire,
            decoder: Decoder::new(wire, usize::MAX),
            kept: Vec::new(),
        }
    }

    pub fn connect(port: u16) -> Self {
        Self::of(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// A client that has greeted.
    pub fn greeted(port: u16) -> Self {
        Self::greeted_on(Wire::V1, port)
    }

    pub fn greeted_on(wire: Wire, port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut raw = Self::on(wire, socket);
        raw.greet();
        raw
    }

    pub fn greet(&mut self) {
        match self.wire {
            Wire::V1 => {
                let hello = self.frame();
                assert_eq!(hello.message_type, MessageType::HELLO);
                self.send(MessageType::HELLO_ACK, hello.id, b"\x00\x051.6.3");
            }
            Wire::V2 => {
                assert!(self.json().unwrap().contains(r#""v":"2.0.0""#));
                self.say_json(JSON);
                assert_eq!(self.json().unwrap(), r#"{"result":"ok"}"#);
            }
        }
    }

    /// A server's side of a client that connects to the listener.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::of(listener.accept().unwrap().0)
    }

    /// The same, and greets.
    pub fn accept_greeting(listener: &TcpListener) -> Self {
        Self::accept_greeting_on(Wire::V1, listener)
    }

    pub fn accept_greeting_on(wire: Wire, listener: &TcpListener) -> Self {
        let mut raw = Self::on(wire, listener.accept().unwrap().0);
        match wire {
            Wire::V1 => {
                raw.send(MessageType::HELLO, RequestId(77), b"\x00\x051.6.3");
                let ack = raw.frame();
                assert_eq!(
                    (ack.message_type, ack.id),
                    (MessageType::HELLO_ACK, RequestId(77))
                );
                assert_eq!(ack.payload, b"\x00\x051.6.3");
            }
            Wire::V2 => {
                raw.say_json(JSON);
                assert!(raw.json().unwrap().contains(r#""v":"2.0.0""#));
                raw.say_json(r#"{"result":"ok"}"#);
            }
        }
        raw
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, message_type: MessageType, id: RequestId, payload: &[u8]) {
        self.write(&frame_on(self.wire, message_type, id, payload));
    }

    /// A part of the handshake of 2.0.0.
    pub fn say_json(&mut self, text: &str) {
        self.write(&json(text));
    }

    /// The same from the peer; `None` at the end.
    pub fn json(&mut self) -> Option<String> {
        let mut length = [0; 2];
        match self.socket.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return None,
            Err(error) => panic!("{error}"),
        }
        let mut text = vec![0; u16::from_be_bytes(length).into()];
        self.socket.read_exact(&mut text).unwrap();
        Some(String::from_utf8(text).unwrap())
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
                Err(error) if is_end(&error) => return None,
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
    frame_on(Wire::V1, message_type, id, payload)
}

pub fn frame_on(wire: Wire, message_type: MessageType, id: RequestId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire.encode(message_type, id, 1_795_249_279_041, payload, &mut bytes);
    bytes
}

pub fn json(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A port where nobody listens, and where nobody but who is told of it will: others get another from
/// the system as long as this is kept.
pub struct Reserved {
    socket: OwnedFd,
}

impl Reserved {
    pub fn new() -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // So that a listener may join it, which says the same.
        net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { socket }
    }

    pub fn port(&self) -> u16 {
        let addr = net::getsockname(&self.socket).unwrap();
        SocketAddr::try_from(addr).unwrap().port()
    }
}

pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Whether the peer has ended the connection, in whatever way.
pub fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | UnexpectedEof)
}
