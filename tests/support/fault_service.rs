//! A service under the control of a test: it answers as a script says, or not at all, and
//! remembers every byte that it received.

mod answers;
mod bridge;
pub mod calm;
mod http;
mod lines;
mod link;
pub mod links;
#[cfg(test)]
mod links_tests;
pub mod proxy;
mod sockets;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use answers::{Gate, advise, advise_reports, raw, reply, silence, taken, taken_with_advice};
pub use bridge::{Bridge, Nats};
pub use link::Link;
pub use links::{Links, Veltix};

use crate::driver::PATIENCE;

/// Bytes to and fro: plain, or inside TLS.
pub trait Bytes: Read + Write + Send {}
impl<S: Read + Write + Send> Bytes for S {}

/// A connection as a script has it. What it reads and writes are the bytes on the wire, whatever is
/// spoken there.
pub trait Stream: Bytes {
    /// A whole answer, by HTTP's status: each transport has its own words for it.
    fn answer(&mut self, status: &str, body: &str) -> io::Result<()>;

    /// Where NATS brings the answer to: a subject, and the number of the subscription.
    fn inbox(&self) -> (&str, &str) {
        ("", "")
    }

    /// Says something over NATS to whoever listens.
    fn publish(&mut self, subject: &str, _payload: &str) {
        panic!("nobody is told {subject} here");
    }

    /// The bytes of an answer with this content, over Veltix.
    fn frame(&self, _content: &[u8]) -> Vec<u8> {
        panic!("there are no frames here");
    }
}

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// How many registrations came before this one, over all connections.
    pub registrations_before: usize,
    /// How many connections came before this one's.
    pub connection: usize,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(formatter, "{} {} {body}", self.method, self.path)
    }
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    pub fn registers(&self) -> bool {
        self.is("POST", "/v1/clients")
    }

    /// Whether it tells what clients did.
    pub fn reports(&self) -> bool {
        self.is("POST", "/v1/reports")
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Close,
    KeepAlive,
    /// An end without a word, over NATS.
    Reset,
}

type Script = dyn Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync;

#[derive(Default)]
struct Record {
    connections: usize,
    requests: Vec<Request>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    news: Condvar,
    registrations: AtomicUsize,
    forgets: AtomicBool,
}

impl Shared {
    /// Somebody has connected; how many did before.
    fn connected(&self) -> usize {
        let mut record = self.record.lock().unwrap();
        record.connections += 1;
        self.news.notify_all();
        record.connections - 1
    }

    fn received(&self, bytes: &[u8]) {
        if !self.forgets.load(Ordering::SeqCst) {
            self.record.lock().unwrap().bytes.extend_from_slice(bytes);
        }
    }

    /// A request has come.
    fn came(&self, request: &mut Request) {
        let registers = usize::from(request.registers());
        request.registrations_before = self.registrations.fetch_add(registers, Ordering::SeqCst);
        if !self.forgets.load(Ordering::SeqCst) {
            self.record.lock().unwrap().requests.push(request.clone());
        }
        self.news.notify_all();
    }
}

/// The service. Its threads end with the test's process.
pub struct FaultService {
    pub port: u16,
    /// The value for `SUPERSTREAM_HOST`.
    pub host: String,
    /// What else a client's environment has to say for it.
    pub environment: Vec<(&'static str, String)>,
    shared: Arc<Shared>,
    /// Where it is spoken to over NATS.
    nats: Option<Bridge>,
    /// The same over Veltix.
    links: Option<Links>,
}

impl FaultService {
    /// A service over plain HTTP.
    pub fn start(
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        Self::start_within(|stream| Some(Box::new(stream)), script)
    }

    /// A service inside whatever `wrap` makes of a connection. `None` closes it.
    pub fn start_within(
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Bytes>> + Send + Sync + 'static,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let port = http::listen(&shared, wrap, Arc::new(script));
        Self {
            port,
            host: format!("http://127.0.0.1:{port}"),
            environment: Vec::new(),
            shared,
            nats: None,
            links: None,
        }
    }

    /// A service that is spoken to over NATS.
    pub fn over_nats(
        nats: Nats,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let scheme = if nats.tls.is_some() { "tls" } else { "nats" };
        let bridge = Bridge::start(nats, &shared, Arc::new(script));
        let port = bridge.proxy.port;
        Self {
            port,
            host: format!("{scheme}://127.0.0.1:{port}"),
            environment: Vec::new(),
            shared,
            nats: Some(bridge),
            links: None,
        }
    }

    /// A service that is spoken to over Veltix.
    pub fn over_veltix(
        veltix: Veltix,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let scheme = if veltix.tls.is_some() {
            "veltixs"
        } else {
            "veltix"
        };
        let links = Links::start(veltix, &shared, Arc::new(script));
        let port = links.port;
        Self {
            port,
            host: format!("{scheme}://127.0.0.1:{port}"),
            environment: Vec::new(),
            shared,
            nats: None,
            links: Some(links),
        }
    }

    /// Good advice for every client.
    pub fn advising(configuration: Value) -> Self {
        Self::start(move |request, stream| advise(request, stream, &configuration))
    }

    pub fn url(&self) -> String {
        self.host.clone()
    }

    /// What a client's environment needs to find it, and more.
    pub fn environment<'e>(&'e self, more: &[(&'e str, &'e str)]) -> Vec<(&'e str, &'e str)> {
        let own = self
            .environment
            .iter()
            .map(|(name, value)| (*name, &**value));
        let host = ("SUPERSTREAM_HOST", &*self.host);
        [host]
            .into_iter()
            .chain(own)
            .chain(more.iter().copied())
            .collect()
    }

    /// What there is of a service over NATS alone.
    pub fn nats(&self) -> &Bridge {
        self.nats.as_ref().expect("it does not speak NATS")
    }

    /// What there is of a service over Veltix alone.
    pub fn links(&self) -> &Links {
        self.links.as_ref().expect("it does not speak Veltix")
    }

    /// Tells a client something unasked: an update, or what is none.
    pub fn tell(&self, client_hash: &str, payload: &str) {
        match &self.links {
            Some(links) => links.tell(client_hash, payload),
            None => {
                let subject = format!("internal.updates.{client_hash}");
                self.nats().publish(&subject, payload);
            }
        }
    }

    /// All bytes up to now, as text, in two: the parts in which the token belongs, and the rest.
    pub fn around_the_token(&self) -> (Vec<String>, String) {
        let mut received = self.received();
        if let Some(links) = &self.links {
            let all = links.all();
            let hellos: Vec<String> = all.iter().filter_map(|one| one.hello_text()).collect();
            for hello in &hellos {
                received = received.replacen(hello, "", 1);
            }
            return (hellos, received);
        }
        let carries = |line: &&str| {
            let line = line.to_ascii_lowercase();
            line.starts_with("authorization:") || line.starts_with("connect {")
        };
        let (carriers, rest): (Vec<&str>, Vec<&str>) = received.lines().partition(carries);
        let carriers = carriers.into_iter().map(str::to_owned).collect();
        (carriers, rest.join("\n"))
    }

    /// Keeps nothing of what comes from now on: many clients say a lot.
    pub fn forget(&self) {
        self.shared.forgets.store(true, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.shared.record.lock().unwrap().connections
    }

    /// All requests up to now, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.record.lock().unwrap().requests.clone()
    }

    /// All bytes up to now, as text.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&self.shared.record.lock().unwrap().bytes).into_owned()
    }

    /// Waits for a request.
    #[track_caller]
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Request) -> bool) -> Request {
        let mut found = self.wait_for_several(1, what, matches);
        found.remove(0)
    }

    /// Waits for so many requests.
    #[track_caller]
    pub fn wait_for_several(
        &self,
        count: usize,
        what: &str,
        matches: impl Fn(&Request) -> bool,
    ) -> Vec<Request> {
        let deadline = Instant::now() + PATIENCE;
        let mut record = self.shared.record.lock().unwrap();
        loop {
            let found: Vec<Request> = record
                .requests
                .iter()
                .filter(|request| matches(request))
                .cloned()
                .collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let came = (found.len(), record.requests.clone());
                // The service's own threads go on.
                drop(record);
                panic!("{what}: {} of {count} came, among {:#?}", came.0, came.1);
            }
            (record, _) = self.shared.news.wait_timeout(record, left).unwrap();
        }
    }

    /// Waits for something that requests bring about.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        self.wait_within(PATIENCE, what, is_so);
    }

    /// The same, of something that takes long.
    #[track_caller]
    pub fn wait_within(&self, patience: Duration, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + patience;
        while !is_so() {
            let left = deadline.saturating_duration_since(Instant::now());
            let came = || self.requests().len();
            assert!(!left.is_zero(), "{what}: not yet, after {}", came());
            let record = self.shared.record.lock().unwrap();
            // What came before the lock was taken wakes nobody.
            let soon = left.min(Duration::from_millis(200));
            drop(self.shared.news.wait_timeout(record, soon).unwrap());
        }
    }

    /// Waits for the report on a client that was created. Everything that the library does
    /// about the registration is over then.
    #[track_caller]
    pub fn wait_for_report(&self, client_hash: &str) -> Request {
        let path = format!("/v1/clients/{client_hash}/config");
        self.wait_for(&path, |request| request.is("PUT", &path))
    }

    /// What a client measured, by all of its reports up to now: totals, so the last one counts.
    pub fn measured(&self, client_hash: &str) -> Option<Value> {
        let requests = self.requests();
        let reports = requests.iter().filter(|request| request.reports());
        let reports = reports.flat_map(|request| {
            let reports = request.json()["reports"].clone();
            reports.as_array().unwrap().clone()
        });
        let its = reports.filter(|report| report["client_hash"] == client_hash);
        its.max_by_key(|report| report["sequence"].as_u64())
            .map(|report| report["measured"].clone())
    }

    /// Waits for the end of a client.
    #[track_caller]
    pub fn wait_for_goodbye(&self, client_hash: &str) -> Request {
        let path = format!("/v1/clients/{client_hash}");
        self.wait_for(&path, |request| request.is("DELETE", &path))
    }
}
