//! What stands between clients and a NATS server: it sees every byte, says who connected with what,
//! and can do to a connection whatever a network does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::Value;

use super::Shared;
use super::lines::Lines;
use super::sockets::{Client, accept, readable, reset};

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug)]
pub enum Greeting {
    /// Bytes go to and fro.
    Pass,
    /// The same, until the client has so many of the server's bytes.
    PassThenClose(usize),
    /// Each of the server's bytes goes out after a moment.
    PassSlowly,
    Close,
    Reset,
}

/// Greets a connection, by its number; it may write to it first.
pub type Greet = dyn Fn(usize, &mut TcpStream) -> io::Result<Greeting> + Send + Sync;

/// The pause before each byte of [`Greeting::PassSlowly`]. This is what is slow about it.
pub(super) const SLOWLY: Duration = Duration::from_millis(20);
/// How often somebody who waits for a client looks.
pub(super) const GLANCE: Duration = Duration::from_millis(20);

/// Where clients connect. Its threads end with the test's process.
pub struct Proxy {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    server: u16,
    tls: Option<Arc<ServerConfig>>,
    greet: Mutex<Arc<Greet>>,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// A connection of a client.
pub struct Connection {
    pub number: usize,
    socket: TcpStream,
    client: Mutex<Client>,
    lines: Mutex<Lines>,
    is_over: AtomicBool,
}

impl Proxy {
    pub(super) fn start(
        shared: &Arc<Shared>,
        server: u16,
        tls: Option<Arc<ServerConfig>>,
        greet: Arc<Greet>,
    ) -> Self {
        let inner = Arc::new(Inner {
            shared: Arc::clone(shared),
            server,
            tls,
            greet: Mutex::new(greet),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        let port = accept(shared, move |number, socket| {
            accepting.serve(number, socket)
        });
        Self { port, inner }
    }

    /// Greets new connections otherwise from now on.
    pub fn greet(
        &self,
        greet: impl Fn(usize, &mut TcpStream) -> io::Result<Greeting> + Send + Sync + 'static,
    ) {
        *self.inner.greet.lock().unwrap() = Arc::new(greet);
    }

    /// All connections that were passed on, up to now.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.inner.connections.lock().unwrap().clone()
    }

    /// Whose inbox this is.
    pub(super) fn connection_of(&self, inbox: &str) -> Option<Arc<Connection>> {
        let connections = self.connections();
        let its = |one: &&Arc<Connection>| one.subscribed_to(inbox);
        connections.iter().rev().find(its).cloned()
    }
}

impl Inner {
    fn serve(&self, number: usize, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let greet = Arc::clone(&self.greet.lock().unwrap());
        let greeting = greet(number, &mut socket)?;
        let at_most = match greeting {
            Greeting::Close => return Ok(()),
            Greeting::Reset => return reset(&socket),
            Greeting::PassThenClose(length) => length,
            Greeting::Pass | Greeting::PassSlowly => usize::MAX,
        };
        let slowly = matches!(greeting, Greeting::PassSlowly);
        let mut server = TcpStream::connect(("127.0.0.1", self.server))?;
        server.set_nodelay(true)?;
        if self.tls.is_some() {
            let info = patched(&read_line(&mut server)?);
            (&socket).write_all(info.as_bytes())?;
        }
        let client = Client::new(&socket, self.tls.as_ref())?;
        let connection = Arc::new(Connection {
            number,
            socket,
            client: Mutex::new(client),
            lines: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        self.connections
            .lock()
            .unwrap()
            .push(Arc::clone(&connection));
        let passed = self.pass(&connection, &mut server, at_most, slowly);
        let _ = server.shutdown(Shutdown::Both);
        connection.close();
        connection.is_over.store(true, Ordering::SeqCst);
        self.shared.news.notify_all();
        passed
    }

    /// Passes bytes to and fro until one side ends.
    fn pass(
        &self,
        connection: &Connection,
        server: &mut TcpStream,
        mut at_most: usize,
        slowly: bool,
    ) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            let [of_client, of_server] = readable([&connection.socket, server])?;
            if of_client {
                let mut client = connection.client.lock().unwrap();
                loop {
                    let length = client.read(&mut buffer)?;
                    if length == 0 {
                        return Ok(());
                    }
                    self.shared.received(&buffer[..length]);
                    connection.lines.lock().unwrap().heed(&buffer[..length]);
                    self.shared.news.notify_all();
                    server.write_all(&buffer[..length])?;
                    if !client.has_more() {
                        break;
                    }
                }
            }
            if of_server {
                let length = server.read(&mut buffer)?;
                if length == 0 {
                    return Ok(());
                }
                let bytes = &buffer[..length.min(at_most)];
                at_most -= bytes.len();
                for piece in bytes.chunks(if slowly { 1 } else { length }) {
                    if slowly {
                        thread::sleep(SLOWLY);
                    }
                    connection.write(piece)?;
                }
                if at_most == 0 {
                    return Ok(());
                }
            }
        }
    }
}

impl Connection {
    /// Bytes to the client, past the server.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut client = self.client.lock().unwrap();
        client.write_all(bytes)
    }

    /// As a machine that goes down in good order.
    pub fn close(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// As a firewall that has forgotten the connection.
    pub fn reset(&self) {
        let _ = reset(&self.socket);
        self.close();
    }

    /// What the client said of itself.
    pub fn connect(&self) -> Option<Value> {
        self.lines.lock().unwrap().connect.clone()
    }

    /// How often the client has said that it is there.
    pub fn pongs(&self) -> usize {
        self.lines.lock().unwrap().pongs
    }

    /// How many of its own bytes the client has sent.
    pub fn sent(&self) -> usize {
        self.lines.lock().unwrap().length
    }

    /// Waits until the client has sent more than so many bytes, or has hung up.
    pub(super) fn wait_for_more_than(&self, sent: usize) {
        while !self.is_over() && self.sent() <= sent {
            thread::sleep(GLANCE);
        }
    }

    /// Whether one side has ended it.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Whether the client listens there.
    pub fn subscribed_to(&self, subject: &str) -> bool {
        self.sid(subject).is_some()
    }

    /// The number of the subscription that this subject comes for.
    pub(super) fn sid(&self, subject: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        let found = lines
            .subscriptions
            .iter()
            .find(|one| covers(&one.0, subject));
        found.map(|(_, sid)| sid.clone())
    }
}

/// Whether a subscription, perhaps with wildcards, is one to this subject.
fn covers(subscription: &str, subject: &str) -> bool {
    let (mut wanted, mut tokens) = (subscription.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// The server's INFO, as one that wants TLS has it.
fn patched(info: &str) -> String {
    info.replacen('{', "{\"tls_required\":true,", 1)
}

fn read_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(io::Error::other)
}
