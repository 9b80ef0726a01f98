//! The service over Veltix: what comes over a link is shown to scripts as the requests that it would be
//! over HTTP, and their answers go back as frames.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::ServerConfig;
use serde_json::{Value, json};
use superstream_veltix::frames::Wire;
use superstream_veltix::session::Event;
use superstream_veltix::{MessageType, RequestId, Response};

use super::answers::as_message;
use super::link::Link;
use super::proxy::{Greet, Greeting};
use super::sockets::{Client, accept, readable, reset};
use super::{Request, Script, Shared, Stream, Then};

/// Who speaks, the first message of a link.
pub const HELLO: u16 = 200;
pub const REGISTER: u16 = 201;
const CONFIGURE: u16 = 202;
pub const REPORT: u16 = 203;
const ERROR: u16 = 204;
const GOODBYE: u16 = 205;
/// Which clients are on this link, where it follows one that broke.
pub const RESUME: u16 = 206;
pub const UPDATE: u16 = 220;
pub const REPORT_NOW: u16 = 221;

/// Answers what is of the link and not of a client: [`HELLO`] and [`RESUME`].
pub type Welcome = dyn Fn(u16, &Value) -> Value + Send + Sync;

/// A service over Veltix, before it runs.
pub struct Veltix {
    /// Encrypts clients' connections.
    pub tls: Option<Arc<ServerConfig>>,
    /// Greets them.
    pub greet: Arc<Greet>,
    /// Answers their first words.
    pub welcome: Arc<Welcome>,
}

impl Veltix {
    /// One that lets everybody in and knows every client.
    pub fn new() -> Self {
        Self {
            tls: None,
            greet: Arc::new(|_, _| Ok(Greeting::Pass)),
            welcome: Arc::new(|code, _| match code {
                RESUME => json!({"unknown": []}),
                _ => json!({}),
            }),
        }
    }

    /// Answers otherwise what is said before anything else.
    pub fn welcoming(
        mut self,
        welcome: impl Fn(u16, &Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.welcome = Arc::new(welcome);
        self
    }
}

/// Where clients connect. Its threads end with the test's process.
pub struct Links {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    script: Arc<Script>,
    tls: Option<Arc<ServerConfig>>,
    greet: Mutex<Arc<Greet>>,
    welcome: Arc<Welcome>,
    links: Mutex<Vec<Arc<Link>>>,
    /// Of the last update.
    sequence: AtomicU64,
}

impl Links {
    pub(super) fn start(veltix: Veltix, shared: &Arc<Shared>, script: Arc<Script>) -> Self {
        let inner = Arc::new(Inner {
            shared: Arc::clone(shared),
            script,
            tls: veltix.tls,
            greet: Mutex::new(veltix.greet),
            welcome: veltix.welcome,
            links: Mutex::default(),
            sequence: AtomicU64::new(0),
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

    /// All links up to now.
    pub fn all(&self) -> Vec<Arc<Link>> {
        self.inner.links.lock().unwrap().clone()
    }

    /// The one link that clients have at this moment.
    #[track_caller]
    pub fn only(&self) -> Arc<Link> {
        let all = self.all();
        let mut open = all.iter().filter(|one| !one.is_over());
        let only = open.next().expect("there is no link").clone();
        assert_eq!(open.count(), 0, "there are more links");
        only
    }

    /// Sends an update to a client, where it is. What is no object goes out as it is.
    pub(super) fn tell(&self, client_hash: &str, payload: &str) {
        let mut content = payload.to_owned();
        if let Ok(Value::Object(mut update)) = serde_json::from_str(payload) {
            let sequence = self.inner.sequence.fetch_add(1, Ordering::SeqCst) + 1;
            update.insert("client_hash".to_owned(), json!(client_hash));
            update.insert("sequence".to_owned(), json!(sequence));
            content = Value::Object(update).to_string();
        }
        let all = self.all();
        let its = |one: &&Arc<Link>| !one.is_over() && one.has(client_hash);
        if let Some(link) = all.iter().rev().find(its) {
            // Who has gone meanwhile hears nothing more.
            let _ = link.send(UPDATE, None, &content);
        }
    }
}

impl Inner {
    fn serve(&self, number: usize, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let greet = Arc::clone(&self.greet.lock().unwrap());
        let greeting = greet(number, &mut socket)?;
        match greeting {
            Greeting::Close => return Ok(()),
            Greeting::Reset => return reset(&socket),
            Greeting::PassThenClose(_) | Greeting::Pass | Greeting::PassSlowly => {}
        }
        let client = Client::new(&socket, self.tls.as_ref())?;
        let link = Arc::new(Link::new(number, socket, client, greeting));
        self.links.lock().unwrap().push(Arc::clone(&link));
        let conversed = self.converse(&link);
        link.close();
        link.ended();
        self.shared.news.notify_all();
        conversed
    }

    /// Hears one message after the other until one side ends.
    fn converse(&self, link: &Arc<Link>) -> io::Result<()> {
        link.begin()?;
        loop {
            readable([link.socket()])?;
            let mut events = Vec::new();
            let goes_on = link.hear(&self.shared, &mut events)?;
            for event in events {
                match event {
                    Event::Message(message) => self.take(link, &message)?,
                    Event::Reply((), _) => link.ponged(),
                    Event::Connected | Event::Expired(()) => {}
                }
            }
            self.shared.news.notify_all();
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// A message, on its way through a script, in a thread of its own: some take long.
    fn take(&self, link: &Arc<Link>, message: &Response) -> io::Result<()> {
        let (code, id) = (message.message_type.code(), Some(message.request_id));
        let text = String::from_utf8_lossy(&message.content).into_owned();
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if code == HELLO {
            let answer = (self.welcome)(code, &said);
            link.said_hello(text, answer.get("error").is_none());
            return link.send(code, id, &answer.to_string());
        }
        let Some(hello) = link.hello() else {
            let no = as_message("401 Unauthorized", "");
            return link.send(code, id, &no);
        };
        if code == RESUME {
            let answer = (self.welcome)(code, &said);
            link.resumed(&said["client_hashes"], &answer["unknown"]);
            return link.send(code, id, &answer.to_string());
        }
        let mut request = request_of(code, &said, message.content.clone());
        request.connection = link.number;
        if let Some(token) = hello["token"].as_str() {
            let header = ("authorization".to_owned(), format!("Bearer {token}"));
            request.headers.extend([header]);
        }
        if code == GOODBYE {
            link.lost(said["client_hash"].as_str().unwrap_or_default());
        }
        self.shared.came(&mut request);
        let mut line = Line {
            link: Arc::clone(link),
            code,
            id: message.request_id,
            heard: link.heard(),
        };
        let script = Arc::clone(&self.script);
        thread::spawn(move || {
            // Nobody who listens any more is no fault of the test.
            match script(&request, &mut line) {
                Ok(Then::Close) => line.link.close(),
                Ok(Then::Reset) => line.link.reset(),
                _ => {}
            }
        });
        Ok(())
    }
}

/// What a message would be over HTTP.
fn request_of(code: u16, said: &Value, body: Vec<u8>) -> Request {
    let hash = said["client_hash"].as_str().unwrap_or_default();
    let (method, path) = match code {
        REGISTER => ("POST", "/v1/clients".to_owned()),
        CONFIGURE => ("PUT", format!("/v1/clients/{hash}/config")),
        REPORT => ("POST", "/v1/reports".to_owned()),
        ERROR => ("POST", format!("/v1/clients/{hash}/errors")),
        GOODBYE => ("DELETE", format!("/v1/clients/{hash}")),
        _ => ("TYPE", code.to_string()),
    };
    Request {
        method: method.to_owned(),
        path,
        headers: Default::default(),
        body,
        registrations_before: 0,
        connection: 0,
    }
}

/// A link, as a script has it that answers one message.
struct Line {
    link: Arc<Link>,
    code: u16,
    id: RequestId,
    /// What had come of the client when it asked.
    heard: usize,
}

impl Read for Line {
    /// Nothing comes behind a message but the next one: waits until the client has hung up or says
    /// something else.
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        self.link.wait_for_more_than(self.heard);
        Ok(0)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.link.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Line {
    fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        let content = as_message(status, body);
        let answer: Value = serde_json::from_str(&content).unwrap_or_default();
        // A client is where it registered, and only whom it is told of can be meant by an update.
        if let (REGISTER, Some(hash)) = (self.code, answer["client_hash"].as_str()) {
            self.link.gained(hash);
        }
        self.link.send(self.code, Some(self.id), &content)
    }

    fn frame(&self, content: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let code = MessageType::of(self.code);
        Wire::V1.encode(code, self.id, 0, content, &mut frame);
        frame
    }
}
