//! A plaintext connection to Kafka, watched: everything is passed on as it is, and the requests
//! that went by are counted with their answers, by client and by kind.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;

use crate::driver::PATIENCE;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;

/// Stands between clients and a broker. Its threads end with the test's process.
pub struct Capture {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    upstream: OnceLock<String>,
    clients: Mutex<BTreeMap<String, Client>>,
    news: Condvar,
}

/// What one client, by its `client.id`, has sent.
#[derive(Clone, Debug, Default)]
pub struct Client {
    open_connections: usize,
    kinds: BTreeMap<Kind, Requests>,
    answers: BTreeMap<i16, Vec<u64>>,
}

/// Who asked what on one connection, by the numbers of the requests.
type Asked = Mutex<BTreeMap<i32, (String, i16)>>;

/// A kind of request: its number, and the version of its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    api_key: i16,
    version: i16,
}

/// How many, and their bytes with the length in front of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub requests: u64,
    pub bytes: u64,
}

impl Client {
    pub fn all(&self) -> Requests {
        self.sum(|_| true)
    }

    pub fn of(&self, api_key: i16) -> Requests {
        self.sum(|kind| kind.api_key == api_key)
    }

    /// The sizes of the answers to a kind of request, in their order.
    pub fn answers(&self, api_key: i16) -> &[u64] {
        self.answers.get(&api_key).map_or(&[], Vec::as_slice)
    }

    /// The one version of a kind of request that the client used.
    #[track_caller]
    pub fn version(&self, api_key: i16) -> i16 {
        let used = self.kinds.keys().filter(|kind| kind.api_key == api_key);
        let used: Vec<i16> = used.map(|kind| kind.version).collect();
        assert_eq!(used.len(), 1, "versions of requests {api_key}: {used:?}");
        used[0]
    }

    fn sum(&self, counts: impl Fn(&Kind) -> bool) -> Requests {
        let found = self.kinds.iter().filter(|(kind, _)| counts(kind));
        found.fold(Requests::default(), |sum, (_, more)| Requests {
            requests: sum.requests + more.requests,
            bytes: sum.bytes + more.bytes,
        })
    }
}

impl Capture {
    /// Listens on a port that the system picks. Whoever connects waits for [`Self::pass_to`].
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let watching = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (shared, client) = (Arc::clone(&watching), client.unwrap());
                // A peer that goes away in the middle is no fault of the test.
                thread::spawn(move || watch(&shared, client));
            }
        });
        Self { port, shared }
    }

    pub fn pass_to(&self, broker: &str) {
        self.shared.upstream.set(broker.to_owned()).unwrap();
    }

    /// The value for `bootstrap.servers`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All that a client has sent, once it has closed its connections.
    #[track_caller]
    pub fn of_closed(&self, client_id: &str) -> Client {
        let is_open = |clients: &mut BTreeMap<String, Client>| {
            let client = clients.get(client_id);
            client.is_none_or(|client| client.open_connections > 0)
        };
        let clients = self.shared.clients.lock().unwrap();
        let waited = self
            .shared
            .news
            .wait_timeout_while(clients, PATIENCE, is_open);
        let (clients, waited) = waited.unwrap();
        assert!(
            !waited.timed_out(),
            "{client_id} is not closed: {clients:?}"
        );
        clients[client_id].clone()
    }
}

fn watch(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    let broker = TcpStream::connect(shared.upstream.wait())?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let asked = Arc::new(Asked::default());
    let back = (broker.try_clone()?, client.try_clone()?);
    let (counting, known) = (Arc::clone(shared), Arc::clone(&asked));
    thread::spawn(move || pass_on(back.0, &back.1, |answer| counting.answered(answer, &known)));

    // Whose connection it is, its first request tells.
    let mut owner = None;
    let passed = pass_on(client, &broker, |request| {
        let id = shared.requested(request, &asked, owner.is_none());
        owner.get_or_insert(id);
    });
    if let Some(owner) = owner {
        let mut clients = shared.clients.lock().unwrap();
        clients.get_mut(&owner).unwrap().open_connections -= 1;
        shared.news.notify_all();
    }
    passed
}

/// Passes everything on until it ends. What is whole is counted before the other side has it.
fn pass_on(
    mut from: TcpStream,
    mut to: &TcpStream,
    mut count: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunk = [0; 64 * 1024];
    let mut unread = Vec::new();
    let passed = loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(length) => length,
            Err(error) => break Err(error),
        };
        unread.extend_from_slice(&chunk[..length]);
        let mut rest = &unread[..];
        while let Some((whole, more)) = split(rest) {
            count(whole);
            rest = more;
        }
        unread = rest.to_vec();
        if let Err(error) = to.write_all(&chunk[..length]) {
            break Err(error);
        }
    };
    let _ = to.shutdown(Shutdown::Write);
    passed
}

/// The first request or answer, with its length in front, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = bytes.split_first_chunk::<4>()?;
    bytes.split_at_checked(4 + u32::from_be_bytes(*length) as usize)
}

fn correlation(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Shared {
    /// Counts a request, and gives the client's id.
    fn requested(&self, request: &[u8], asked: &Asked, is_first: bool) -> String {
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        // Length, kind, version, correlation, and then the client's id.
        let kind = Kind {
            api_key: number(4),
            version: number(6),
        };
        let id_length = usize::try_from(number(12)).unwrap_or(0);
        let id = String::from_utf8_lossy(&request[14..14 + id_length]).into_owned();
        let of_id = (id.clone(), kind.api_key);
        asked
            .lock()
            .unwrap()
            .insert(correlation(&request[8..]), of_id);
        let mut clients = self.clients.lock().unwrap();
        let client = clients.entry(id.clone()).or_default();
        client.open_connections += usize::from(is_first);
        let requests = client.kinds.entry(kind).or_default();
        requests.requests += 1;
        requests.bytes += request.len() as u64;
        id
    }

    fn answered(&self, answer: &[u8], asked: &Asked) {
        let of_id = asked.lock().unwrap().remove(&correlation(&answer[4..]));
        let (id, api_key) = of_id.expect("an answer that nobody asked for");
        let mut clients = self.clients.lock().unwrap();
        let answers = &mut clients.get_mut(&id).unwrap().answers;
        answers
            .entry(api_key)
            .or_default()
            .push(answer.len() as u64);
    }
}
