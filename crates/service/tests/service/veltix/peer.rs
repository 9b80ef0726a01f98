//! A process that keeps a link to the service, and says what a test has it say.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
pub use superstream_protocol::link::{
    CONFIGURE, ERROR, GOODBYE, HELLO, REGISTER, REPORT, REPORT_NOW, RESUME, UPDATE,
};
use superstream_veltix::{
    Address, Connection, ConnectionOptions, Error, MessageType, Next, Request, RequestId, Response,
};

use crate::common::{Service, TOKEN, bearer, log_file, wait_until};

/// After so long a message is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A service that serves links.
pub fn service(arguments: &[&str]) -> Service {
    Service::start(&[&["--veltix", "127.0.0.1:0"], arguments].concat())
}

/// One that keeps its `db` and a `log` of all it has to tell in this folder.
pub fn service_in(dir: &Path) -> Service {
    let db = dir.join("db");
    let arguments = [
        "--veltix",
        "127.0.0.1:0",
        "--verbose",
        "--db",
        db.to_str().unwrap(),
    ];
    Service::start_logging(&arguments, log_file(&dir.join("log")))
}

/// So many of them, opened by ten at a time.
pub fn at_once<T: Send>(number: usize, open: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let some = || (0..number / 10).map(|_| open()).collect::<Vec<_>>();
        let opening = [(); 10].map(|()| scope.spawn(some));
        opening
            .into_iter()
            .flat_map(|some| some.join().unwrap())
            .collect()
    })
}

/// One connection.
pub struct Peer(Connection);

impl Peer {
    /// Connects, and says nothing.
    pub fn stranger(service: &Service) -> Self {
        let mut options = ConnectionOptions::default();
        options.session.handshake_timeout = PATIENCE;
        Self::with(&service.veltix, &options)
    }

    pub fn with(url: &str, options: &ConnectionOptions) -> Self {
        let address = Address::parse(url).unwrap();
        Self(Connection::open(&address, options, deadline()).unwrap())
    }

    /// Connects, and shows the token.
    pub fn at(service: &Service) -> Self {
        let mut peer = Self::stranger(service);
        peer.greet();
        peer
    }

    pub fn greet(&mut self) {
        let hello = json!({"token": TOKEN, "sdk": "a test"});
        assert_eq!(self.ask(HELLO, &hello), json!({}));
    }

    pub fn try_raw(&mut self, code: u16, content: impl Into<Vec<u8>>) -> Result<Value, Error> {
        let request = Request::new(MessageType::of(code), content);
        let request = request.expecting(MessageType::of(code));
        let answer = self.0.send_and_wait(&request, deadline())?;
        Ok(serde_json::from_slice(&answer.content).unwrap())
    }

    pub fn ask_raw(&mut self, code: u16, content: impl Into<Vec<u8>>) -> Value {
        self.try_raw(code, content).unwrap()
    }

    pub fn ask(&mut self, code: u16, content: &Value) -> Value {
        self.ask_raw(code, content.to_string())
    }

    /// Says something, and does not wait for the answer.
    pub fn say(&mut self, code: u16, content: &Value) -> RequestId {
        let request = Request::new(MessageType::of(code), content.to_string());
        self.0.send(&request, deadline()).unwrap()
    }

    /// Registers a client; its name.
    pub fn register(&mut self, registration: &Value) -> String {
        let answer = self.ask(REGISTER, registration);
        let name = answer["client_hash"].as_str();
        let name = name.unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.settle();
        name
    }

    /// When this is answered, the service has told what waited for those who came before it.
    fn settle(&mut self) {
        let known = self.ask(RESUME, &json!({"client_hashes": []}));
        assert_eq!(known, json!({"unknown": []}));
    }

    /// Comes back with a client that the service knows.
    pub fn resume(&mut self, client: &str) {
        self.comes_with(&[client.to_owned()]);
    }

    /// The same with several.
    pub fn comes_with(&mut self, clients: &[String]) {
        let known = self.ask(RESUME, &json!({"client_hashes": clients}));
        assert_eq!(known, json!({"unknown": []}));
        self.settle();
    }

    /// Whether the service is there.
    pub fn is_there(&mut self) -> bool {
        self.0.ping(deadline()).is_ok()
    }

    /// Waits until the connection has ended, whatever else comes.
    pub fn ends(&mut self) {
        while self.next().is_ok() {}
    }

    /// What comes next without being asked for.
    pub fn next(&mut self) -> Result<(u16, RequestId, Value), Error> {
        let message = self.next_message()?;
        let content = serde_json::from_slice(&message.content).unwrap();
        Ok((message.message_type.code(), message.request_id, content))
    }

    /// The same without its id, and when the service said it: milliseconds of its clock.
    pub fn next_stamped(&mut self) -> Result<((u16, Value), u64), Error> {
        let message = self.next_message()?;
        let content = serde_json::from_slice(&message.content).unwrap();
        Ok(((message.message_type.code(), content), message.timestamp_ms))
    }

    fn next_message(&mut self) -> Result<Response, Error> {
        match self.0.next(deadline())? {
            Next::Message(message) => Ok(message),
            other => panic!("nothing came: {other:?}"),
        }
    }

    #[track_caller]
    pub fn told(&mut self) -> (u16, Value) {
        let (code, _, words) = self.next().unwrap();
        (code, words)
    }

    #[track_caller]
    pub fn is_told(&mut self, code: u16, content: &Value) {
        assert_eq!(self.told(), (code, content.clone()));
    }

    /// Waits for the end; nothing else may come.
    #[track_caller]
    pub fn is_closed(&mut self) {
        match self.next() {
            Err(Error::Closed(_)) => {}
            other => panic!("instead of the end: {other:?}"),
        }
    }
}

/// Checks that an answer is a no of this status, with words in it.
#[track_caller]
pub fn is_no(answer: &Value, status: u16) {
    let words = answer["error"].as_str().unwrap_or_default();
    assert!(answer["status"] == status && words.len() > 10, "{answer}");
}

pub fn client(service: &Service, hash: &str) -> Value {
    let (status, client) = service.get(&format!("/v1/clients/{hash}"));
    assert_eq!(status, 200, "{client}");
    client
}

pub fn is_alive(service: &Service, hash: &str) -> bool {
    client(service, hash)["alive"] == true
}

/// A number of the service's own.
pub fn metric(service: &Service, name: &str) -> u64 {
    let text = service.raw("GET", "/metrics", &[("authorization", &bearer(TOKEN))], b"");
    let found = text.text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix(' ')?;
        rest.parse().ok()
    });
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Waits until the service has worked on the ends of links.
pub fn links_are(service: &Service, count: u64) {
    wait_until("the service has so many links", || {
        metric(service, "superstream_service_links") == count
    });
}

/// An update of this kind.
pub fn update(kind: &str) -> Value {
    json!({"type": kind, "payload": "e30="})
}

/// It, as a client is told.
pub fn told(client: &str, sequence: u64, kind: &str) -> Value {
    json!({"client_hash": client, "sequence": sequence, "type": kind, "payload": "e30="})
}

/// How far something went, as an operator is told.
pub fn far(clients: u64, reached: u64, elsewhere: u64) -> (u16, Value) {
    let far = json!({"clients": clients, "reached": reached, "elsewhere": elsewhere});
    (200, far)
}

pub fn send_update(service: &Service, query: &str, kind: &str) -> (u16, Value) {
    service.send("POST", &format!("/v1/updates?{query}"), &update(kind))
}

/// Has an update for clients, none of which is on a link of another instance.
#[track_caller]
pub fn push(service: &Service, query: &str, kind: &str, clients: u64, reached: u64) {
    assert_eq!(send_update(service, query, kind), far(clients, reached, 0));
}
