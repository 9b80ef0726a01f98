//! The service over NATS: what comes from a real server is shown to scripts as the requests that it
//! would be over HTTP, and their answers go back as messages.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustls::ServerConfig;
use serde_json::{Value, json};
use superstream_nats::Message;
use superstream_nats_server::NatsServer;

use super::answers::as_message;
use super::proxy::{Connection, Greet, Greeting, Proxy};
use super::{Request, Script, Shared, Stream, Then};
use crate::bus::{Bus, Said};

/// A service over NATS, before it runs.
pub struct Nats {
    /// Where clients and service meet. It ends with the thread that started it.
    pub server: NatsServer,
    /// Encrypts clients' connections.
    pub tls: Option<Arc<ServerConfig>>,
    /// Greets them.
    pub greet: Arc<Greet>,
}

impl Nats {
    pub fn new() -> Self {
        Self {
            server: NatsServer::start(),
            tls: None,
            greet: Arc::new(|_, _| Ok(Greeting::Pass)),
        }
    }

    /// Greets clients in another way.
    pub fn greeting(
        mut self,
        greet: impl Fn(usize, &mut TcpStream) -> io::Result<Greeting> + Send + Sync + 'static,
    ) -> Self {
        self.greet = Arc::new(greet);
        self
    }
}

/// The service's own connections, and that of its clients to it.
pub struct Bridge {
    pub proxy: Arc<Proxy>,
    bus: Bus,
    server: Mutex<NatsServer>,
}

impl Bridge {
    pub(super) fn start(nats: Nats, shared: &Arc<Shared>, script: Arc<Script>) -> Self {
        let port = nats.server.port();
        let proxy = Arc::new(Proxy::start(shared, port, nats.tls, nats.greet));
        let (shared, passing) = (Arc::clone(shared), Arc::clone(&proxy));
        let hear = move |message, giver: &Sender<Said>| {
            take(&shared, &passing, &script, message, giver.clone());
        };
        let bus = Bus::join(port, &["internal.>", "internal_tasks.>"], hear);
        Self {
            proxy,
            bus,
            server: Mutex::new(nats.server),
        }
    }

    pub fn publish(&self, subject: &str, payload: &str) {
        self.bus.publish(subject, payload);
    }

    /// The server.
    pub fn server(&self) -> MutexGuard<'_, NatsServer> {
        self.server.lock().unwrap()
    }

    /// The one connection that clients have at this moment.
    #[track_caller]
    pub fn only_connection(&self) -> Arc<Connection> {
        let all = self.proxy.connections();
        let mut open = all.iter().filter(|one| !one.is_over());
        let only = open.next().expect("there is no connection").clone();
        assert_eq!(open.count(), 0, "there are more connections");
        only
    }

    /// Has the server fail, for as long as something takes, and come back.
    pub fn without_server(&self, meanwhile: impl FnOnce()) {
        let mut server = self.server.lock().unwrap();
        server.kill();
        meanwhile();
        self.bus.wait_for_the_next(|| server.start_again());
    }
}

/// A message, on its way through a script, in a thread of its own: some take long.
fn take(
    shared: &Shared,
    proxy: &Proxy,
    script: &Arc<Script>,
    message: Message,
    giver: Sender<Said>,
) {
    let Some(mut request) = request_of(&message) else {
        return;
    };
    let inbox = message.reply.unwrap_or_default();
    let connection = proxy.connection_of(&inbox);
    if let Some(connection) = &connection {
        request.connection = connection.number;
        let word = connection.connect().unwrap_or_default()["pass"].clone();
        let word = word.as_str().unwrap_or_default();
        let header = ("authorization".to_owned(), format!("Bearer {word}"));
        request.headers.extend([header]);
    }
    shared.came(&mut request);
    let script = Arc::clone(script);
    let sid = connection.as_ref().and_then(|one| one.sid(&inbox));
    let mut line = Line {
        inbox,
        sid: sid.unwrap_or_default(),
        giver,
        sent: connection.as_ref().map_or(0, |one| one.sent()),
        connection,
    };
    thread::spawn(move || {
        // Nobody who listens any more is no fault of the test.
        let then = script(&request, &mut line);
        match (then, &line.connection) {
            (Ok(Then::Close), Some(connection)) => connection.close(),
            (Ok(Then::Reset), Some(connection)) => connection.reset(),
            _ => {}
        }
    });
}

/// A client's connection, as a script has it.
struct Line {
    inbox: String,
    sid: String,
    giver: Sender<Said>,
    connection: Option<Arc<Connection>>,
    /// What the client had sent when it asked.
    sent: usize,
}

impl Read for Line {
    /// Nothing comes behind a request but the next one: waits until the client has hung up or says
    /// something else.
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(connection) = &self.connection {
            connection.wait_for_more_than(self.sent);
        }
        Ok(0)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let connection = self.connection.as_ref();
        connection
            .ok_or(io::ErrorKind::NotConnected)?
            .write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Line {
    fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        if !self.inbox.is_empty() {
            let payload = as_message(status, body).into_bytes();
            let said = self.giver.send((self.inbox.clone(), payload));
            said.map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        let said = (subject.to_owned(), payload.as_bytes().to_vec());
        // Without its service there is nobody to say it to.
        let _ = self.giver.send(said);
    }

    fn inbox(&self) -> (&str, &str) {
        (&self.inbox, &self.sid)
    }
}

/// What a message would be over HTTP; nothing where it is for clients.
fn request_of(message: &Message) -> Option<Request> {
    let subject = message.subject.as_str();
    let said: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let hash = said["client_hash"].as_str().unwrap_or_default();
    let mut body = message.payload.clone();
    let (method, path) = match subject {
        "internal.registerClient" => ("POST", "/v1/clients".to_owned()),
        "internal.clientConfigUpdate" => ("PUT", format!("/v1/clients/{hash}/config")),
        "internal.clientErrors" => {
            let error = error_of(&String::from_utf8_lossy(&message.payload));
            body = error.to_string().into_bytes();
            let hash = error["client_hash"].as_str().unwrap_or_default();
            ("POST", format!("/v1/clients/{hash}/errors"))
        }
        "internal_tasks.clientsUpdate.reports" => ("POST", "/v1/reports".to_owned()),
        "internal_tasks.clientReconnectionUpdate" => {
            ("POST", format!("/v1/clients/{hash}/reconnected"))
        }
        _ => match subject.strip_prefix("internal_tasks.clientsUpdate.goodbye.") {
            Some(hash) => ("DELETE", format!("/v1/clients/{hash}")),
            None if is_for_clients(subject) => return None,
            None => ("PUB", subject.to_owned()),
        },
    };
    Some(Request {
        method: method.to_owned(),
        path,
        headers: BTreeMap::new(),
        body,
        registrations_before: 0,
        connection: 0,
    })
}

fn is_for_clients(subject: &str) -> bool {
    let theirs = ["internal.updates.", "internal.startClient."];
    theirs.iter().any(|start| subject.starts_with(start))
}

/// `[clientHash: 1f] [sdk: c][version: 1][tags: ] what went wrong`
fn error_of(text: &str) -> Value {
    let after = |start: &str, rest: &str| rest.split_once(start).map(|(_, rest)| rest.to_owned());
    let hash =
        after("[clientHash: ", text).and_then(|rest| Some(rest.split_once(']')?.0.to_owned()));
    let error = after("[tags: ", text).and_then(|rest| after("] ", &rest));
    json!({ "client_hash": hash, "error": error.unwrap_or_else(|| text.to_owned()) })
}
