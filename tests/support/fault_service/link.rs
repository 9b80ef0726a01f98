//! One connection over Veltix, as the service has it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use superstream_veltix::session::{Event, Options, Role, Session};
use superstream_veltix::{MessageType, Request, RequestId};

use super::Shared;
use super::links::REPORT_NOW;
use super::proxy::{GLANCE, Greeting, SLOWLY};
use super::sockets::{Client, reset};

/// A link of a process.
pub struct Link {
    pub number: usize,
    socket: TcpStream,
    speech: Mutex<Speech>,
    told: Mutex<Told>,
    /// Bytes that have come.
    heard: AtomicUsize,
    is_over: AtomicBool,
}

/// What goes out does so in order, whoever says it.
struct Speech {
    session: Session<()>,
    client: Client,
    /// So many bytes go out before the end.
    left: usize,
    slowly: bool,
}

/// What the process has said of itself.
#[derive(Default)]
struct Told {
    hello: Option<String>,
    is_welcome: bool,
    resumed: Vec<Value>,
    clients: BTreeSet<String>,
    pongs: usize,
}

impl Link {
    pub(super) fn new(
        number: usize,
        socket: TcpStream,
        client: Client,
        greeting: Greeting,
    ) -> Self {
        let options = Options {
            // Who says nothing is silent for as long as a test likes.
            ping_interval: None,
            ..Options::default()
        };
        let session = Session::new(Role::Server, &Arc::new(options), Instant::now());
        let left = match greeting {
            Greeting::PassThenClose(length) => length,
            _ => usize::MAX,
        };
        Self {
            number,
            socket,
            speech: Mutex::new(Speech {
                session,
                client,
                left,
                slowly: matches!(greeting, Greeting::PassSlowly),
            }),
            told: Mutex::default(),
            heard: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn speech(&self) -> MutexGuard<'_, Speech> {
        self.speech.lock().unwrap()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Says the first word, which is the server's.
    pub(super) fn begin(&self) -> io::Result<()> {
        self.speech().flush()
    }

    /// Reads what has come; false at its end.
    pub(super) fn hear(&self, shared: &Shared, events: &mut Vec<Event<()>>) -> io::Result<bool> {
        let mut speech = self.speech();
        let mut buffer = [0; 64 * 1024];
        loop {
            let length = speech.client.read(&mut buffer)?;
            if length == 0 {
                return Ok(false);
            }
            let bytes = &buffer[..length];
            shared.received(bytes);
            self.heard.fetch_add(length, Ordering::SeqCst);
            let received = speech.session.receive(bytes, Instant::now(), events);
            received.map_err(|reason| io::Error::other(reason.to_string()))?;
            speech.flush()?;
            if !speech.client.has_more() {
                return Ok(true);
            }
        }
    }

    /// A message to the client: an answer where it has an id.
    pub fn send(&self, code: u16, id: Option<RequestId>, content: &str) -> io::Result<()> {
        let mut request = Request::new(MessageType::of(code), content);
        request.id = id;
        self.speak(|speech| {
            let sent = speech.session.send(&request);
            sent.map_err(io::Error::other)?;
            speech.flush()
        })
    }

    /// Asks for reports before they are due.
    pub fn report_now(&self, of: &Value) -> io::Result<()> {
        self.send(REPORT_NOW, None, &of.to_string())
    }

    /// Asks the client whether it is there.
    pub fn ping(&self) -> io::Result<()> {
        self.speak(|speech| {
            let asked = speech.session.ping((), None);
            asked.map_err(io::Error::other)?;
            speech.flush()
        })
    }

    /// Bytes to the client, whatever they are.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.speak(|speech| speech.write(bytes))
    }

    fn speak(&self, say: impl FnOnce(&mut Speech) -> io::Result<()>) -> io::Result<()> {
        let said = say(&mut self.speech());
        if said.is_err() {
            self.close();
        }
        said
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

    /// Whether one side has ended it.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(super) fn ended(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }

    /// Waits until more has come than so many bytes, or the client has hung up.
    pub(super) fn wait_for_more_than(&self, heard: usize) {
        while !self.is_over() && self.heard() <= heard {
            thread::sleep(GLANCE);
        }
    }

    /// What the process said of itself, once it was let in.
    pub fn hello(&self) -> Option<Value> {
        let text = self.hello_text().filter(|_| self.told().is_welcome)?;
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Byte for byte, whether it was let in or not.
    pub(super) fn hello_text(&self) -> Option<String> {
        self.told().hello.clone()
    }

    pub(super) fn said_hello(&self, text: String, is_welcome: bool) {
        let mut told = self.told();
        (told.hello, told.is_welcome) = (Some(text), is_welcome);
    }

    /// The clients that were named as being here, each time that some were.
    pub fn resumptions(&self) -> Vec<Value> {
        self.told().resumed.clone()
    }

    pub(super) fn resumed(&self, named: &Value, unknown: &Value) {
        let mut told = self.told();
        told.resumed.push(named.clone());
        for hash in named.as_array().into_iter().flatten() {
            let is_unknown = |all: &Vec<Value>| all.contains(hash);
            if !unknown.as_array().is_some_and(is_unknown) {
                let hash = hash.as_str().unwrap_or_default();
                told.clients.insert(hash.to_owned());
            }
        }
    }

    /// Whether this client is on it.
    pub fn has(&self, client_hash: &str) -> bool {
        self.told().clients.contains(client_hash)
    }

    pub(super) fn gained(&self, client_hash: &str) {
        self.told().clients.insert(client_hash.to_owned());
    }

    pub(super) fn lost(&self, client_hash: &str) {
        self.told().clients.remove(client_hash);
    }

    /// How often the client has said that it is there.
    pub fn pongs(&self) -> usize {
        self.told().pongs
    }

    pub(super) fn ponged(&self) {
        self.told().pongs += 1;
    }
}

impl Speech {
    fn flush(&mut self) -> io::Result<()> {
        while let Some(mut chunk) = self.session.take_chunk() {
            let length = chunk.remaining().len();
            self.write(chunk.remaining())?;
            chunk.advance(length);
            self.session.give_back(chunk, length, Instant::now());
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = &bytes[..bytes.len().min(self.left)];
        self.left -= bytes.len();
        for piece in bytes.chunks(if self.slowly { 1 } else { bytes.len().max(1) }) {
            if self.slowly {
                thread::sleep(SLOWLY);
            }
            self.client.write_all(piece)?;
        }
        match self.left {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }
}
