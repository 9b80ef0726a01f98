//! A service under the control of a test: it answers as a script says, or not at all, and
//! remembers every byte that it received.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::driver::PATIENCE;

/// A connection: plain, or inside TLS.
pub trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

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

/// The service. Its threads end with the test's process.
pub struct FaultService {
    pub port: u16,
    shared: Arc<Shared>,
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
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let script: Arc<Script> = Arc::new(script);
        let wrap = Arc::new(wrap);
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, script) = (Arc::clone(&accepting), Arc::clone(&script));
                let wrap = Arc::clone(&wrap);
                let stream = stream.unwrap();
                let connection = {
                    let mut record = shared.record.lock().unwrap();
                    record.connections += 1;
                    record.connections - 1
                };
                shared.news.notify_all();
                thread::spawn(move || {
                    if let Some(mut stream) = wrap(stream) {
                        // A peer that goes away in the middle is no fault of the test.
                        let _ = serve(&shared, connection, &*script, stream.as_mut());
                    }
                });
            }
        });
        Self { port, shared }
    }

    /// Good advice for every client.
    pub fn advising(configuration: Value) -> Self {
        Self::start(move |request, stream| advise(request, stream, &configuration))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{what}: not yet, after {:#?}",
                self.requests().len()
            );
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

/// Requests are read one after the other until somebody closes.
fn serve(
    shared: &Shared,
    connection: usize,
    script: &Script,
    stream: &mut dyn Stream,
) -> io::Result<()> {
    while let Some(mut request) = read_request(shared, stream)? {
        request.connection = connection;
        if !shared.forgets.load(Ordering::SeqCst) {
            let mut record = shared.record.lock().unwrap();
            record.requests.push(request.clone());
        }
        shared.news.notify_all();
        if script(&request, stream)? == Then::Close {
            break;
        }
    }
    Ok(())
}

fn read_request(shared: &Shared, stream: &mut dyn Stream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !read_some(shared, stream, &mut bytes)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let path = first.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        if !read_some(shared, stream, &mut bytes)? {
            return Ok(None);
        }
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: bytes.split_off(head_end),
        registrations_before: 0,
        connection: 0,
    };
    let registers = usize::from(request.registers());
    request.registrations_before = shared.registrations.fetch_add(registers, Ordering::SeqCst);
    Ok(Some(request))
}

fn read_some(shared: &Shared, stream: &mut dyn Stream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let length = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..length]);
    if !shared.forgets.load(Ordering::SeqCst) {
        let mut record = shared.record.lock().unwrap();
        record.bytes.extend_from_slice(&buffer[..length]);
    }
    Ok(length > 0)
}

/// What a good service answers: advice for a registration, nothing for the rest. Clients are
/// `client-0`, `client-1`, … in the order of their registrations.
pub fn advise(
    request: &Request,
    stream: &mut dyn Stream,
    configuration: &Value,
) -> io::Result<Then> {
    if request.registers() {
        let answer = registered(request, configuration);
        return reply(stream, "200 OK", &answer.to_string());
    }
    if request.reports() {
        return reply(stream, "200 OK", &taken(&request.json()).to_string());
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    Ok(Then::KeepAlive)
}

/// The same, and clients are to report each second.
pub fn advise_reports(
    request: &Request,
    stream: &mut dyn Stream,
    configuration: &Value,
) -> io::Result<Then> {
    if !request.registers() {
        return advise(request, stream, configuration);
    }
    let mut answer = registered(request, configuration);
    answer["report_interval_ms"] = json!(1000);
    reply(stream, "200 OK", &answer.to_string())
}

fn registered(request: &Request, configuration: &Value) -> Value {
    json!({
        "client_hash": format!("client-{}", request.registrations_before),
        "account_name": "test",
        "start": true,
        "optimized_configuration": configuration,
    })
}

/// The answer to reports, all of them taken, with other advice for the next start.
pub fn taken_with_advice(reports: &Value, configuration: &Value) -> Value {
    let mut answer = taken(reports);
    let advice = json!({"start": true, "optimized_configuration": configuration});
    answer["reports"][0]["advice"] = advice;
    answer
}

/// The answer to reports, all of them taken.
pub fn taken(reports: &Value) -> Value {
    let taken = |report: &Value| json!({ "client_hash": report["client_hash"], "sequence": report["sequence"] });
    let reports = reports["reports"].as_array().unwrap();
    json!({ "reports": reports.iter().map(taken).collect::<Vec<_>>() })
}

/// A whole answer.
pub fn reply(stream: &mut dyn Stream, status: &str, body: &str) -> io::Result<Then> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    Ok(Then::KeepAlive)
}

/// Bytes that are all of the answer: the connection is closed behind them.
pub fn raw(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<Then> {
    stream.write_all(bytes)?;
    Ok(Then::Close)
}

/// A door that a script waits at until the test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits no longer than a test may take.
    pub fn wait(&self) {
        let closed = self.0.0.lock().unwrap();
        let limit = PATIENCE + Duration::from_secs(60);
        let _ = self.0.1.wait_timeout_while(closed, limit, |open| !*open);
    }
}

/// A script's answer to what it is not asked in this test: silence, until the test is over.
pub fn silence() -> io::Result<Then> {
    Gate::default().wait();
    Ok(Then::Close)
}
