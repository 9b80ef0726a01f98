//! A service that says what a test wants it to say, one answer for each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// The service's clock stands still, at this time.
pub const NOW_MS: i64 = 784_111_777_000;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// How many clients a page holds.
const PAGE: usize = 2;

/// How it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    Well,
    /// It hangs up.
    NotAtAll,
    /// With this status, and these words.
    With(u16, String),
}

struct State {
    manner: Manner,
    clients: Vec<Value>,
    /// What it was asked: the request's line, and the token.
    asked: Vec<(String, Option<String>)>,
    is_over: bool,
}

pub struct FakeService {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeService {
    pub fn new(clients: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            manner: Manner::Well,
            clients,
            asked: Vec::new(),
            is_over: false,
        }));
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.lock().unwrap().is_over {
                    break;
                }
                answer(connection.unwrap(), &shared);
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answers(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.state.lock().unwrap().is_over = true;
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(connection: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(&connection);
    let mut request = String::new();
    // Whoever goes again without asking is no fault of the test.
    let Ok(1..) = reader.read_line(&mut request) else {
        return;
    };
    let (mut token, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        let Ok(1..) = reader.read_line(&mut header) else {
            return;
        };
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    if reader.read_exact(&mut vec![0; length]).is_err() {
        return;
    }

    let mut state = state.lock().unwrap();
    let request = request.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    state.asked.push((request.clone(), token));
    let (status, body) = match &state.manner {
        Manner::NotAtAll => return,
        Manner::With(status, words) => (*status, json!({ "error": words })),
        Manner::Well => (200, document(&request, &state.clients)),
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} So\r\nDate: {DATE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
         {body}",
        body.len()
    );
    // Whoever asked may have been ended meanwhile.
    let _ = (&connection).write_all(answer.as_bytes());
}

fn document(request: &str, clients: &[Value]) -> Value {
    let (path, query) = request.split_once('?').unwrap_or((request, ""));
    match path {
        "GET /v1/clients" => {
            let after = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("after="));
            let from: usize = after.map_or(0, |after| after.parse().unwrap());
            let only_live = query.split('&').any(|pair| pair == "alive=true");
            let is_wanted = |client: &&Value| !only_live || client["alive"] == true;
            let clients: Vec<&Value> = clients.iter().filter(is_wanted).collect();
            let until = clients.len().min(from + PAGE);
            let mut page = json!({ "clients": clients[from..until], "report_interval_ms": 10_000 });
            if until < clients.len() {
                page["next"] = json!(until);
            }
            page
        }
        "GET /v1/totals" => json!({
            "clients": {"known": 9, "alive": 4, "reported": 4},
            "saved": {"bytes": 1_500_000, "clients": 2, "clients_without_baseline": 1},
        }),
        other => panic!("{other} was asked"),
    }
}

/// A producer with these wire bytes in a second, heard of four seconds ago.
pub fn producer(client_id: &str, wire: u64) -> Value {
    json!({
        "client_hash": format!("{wire:032x}"),
        "type": "producer",
        "client_id": client_id,
        "client_host": "shop-1",
        "language": "python",
        "tags": r#"{"team":"orders"}"#,
        "mode": "active",
        "registered_at_ms": NOW_MS - 60_000,
        "last_seen_at_ms": NOW_MS - 4_000,
        "gone_at_ms": null,
        "alive": true,
        "changed": true,
        "errors_total": 2,
        "figures": {
            "at_ms": NOW_MS - 4_000,
            "measured_ms": 50_000,
            "produced": {
                "records": 100_000, "bytes": 26_300_000, "failed_records": 0,
                "refused_records": 0, "unacknowledged_records": 0, "requests": 500,
                "wire_bytes": 3_680_000, "records_per_request": 200.0, "wire_ratio": 0.14,
            },
            "consumed": {"records": 0, "bytes": 0, "requests": 0, "fetched_bytes": 0},
            "rates": {
                "produced_records": 2000.0, "produced_bytes": 526_000.0, "failed_records": 0.0,
                "produce_requests": 10.0, "wire_bytes": wire, "consumed_records": 0.0,
                "consumed_bytes": 0.0, "fetch_requests": 0.0, "fetched_bytes": 0.0,
            },
            "baseline": {
                "client_hash": "b".repeat(32), "wire_ratio": 1.09, "records_per_request": 20.0,
            },
            "saved": {"bytes_ratio": 0.871, "requests_ratio": 0.9},
            "no_baseline_because": null,
        },
    })
}

/// A client that has sent no figures yet.
pub fn newcomer(client_id: &str) -> Value {
    let mut client = producer(client_id, 0);
    client["figures"] = Value::Null;
    client
}
