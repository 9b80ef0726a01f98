//! What happens between a client and those it talks to, as one sequence of events: the client is
//! a program, its broker and its token endpoint are threads of the test.

use crate::{compile, run, scratch, tool, unique};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fmt::Debug;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Kafka's number of the request that comes first on each connection.
pub const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const METADATA: i16 = 3;
/// Never asked here: an old librdkafka takes it as the sign of a broker that knows Kerberos.
const JOIN_GROUP: i16 = 11;
/// Kafka's number of the request that carries a token.
pub const SASL_AUTHENTICATE: i16 = 36;

/// Longer than anything takes; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The client printed a line.
    Said(String),
    /// The client's output ended.
    Ended,
    /// The broker received a request.
    Asked {
        /// The client's `client.id`.
        client: String,
        key: i16,
        body: Vec<u8>,
    },
    /// The token endpoint received a request.
    TokenAsked(String),
}

impl Event {
    /// Whether it is a line with all of these parts.
    pub fn says(&self, parts: &[&str]) -> bool {
        matches!(self, Self::Said(line) if parts.iter().all(|part| line.contains(part)))
    }

    /// What the request of this kind carried.
    pub fn body(&self, wanted: i16) -> Option<Vec<u8>> {
        match self {
            Self::Asked { key, body, .. } if *key == wanted => Some(body.clone()),
            _ => None,
        }
    }

    /// The same, where this client sent it.
    pub fn body_of(&self, sender: &str, wanted: i16) -> Option<Vec<u8>> {
        match self {
            Self::Asked { client, .. } if client == sender => self.body(wanted),
            _ => None,
        }
    }
}

/// The events of one client.
pub struct Scene {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// What `wait_for` has passed.
    pub seen: Vec<Event>,
    child: Option<Child>,
}

impl Scene {
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        Self {
            sender,
            receiver,
            seen: Vec::new(),
            child: None,
        }
    }

    /// Starts a broker; the value for `bootstrap.servers`.
    pub fn broker(&self, tls: Option<Arc<ServerConfig>>, mechanism: &'static str) -> String {
        let events = self.sender.clone();
        let port = listen(tls, move |stream| serve_kafka(stream, mechanism, &events));
        format!("localhost:{port}")
    }

    /// Starts a token endpoint that answers with `token`; its address.
    pub fn token_endpoint(&self, tls: Arc<ServerConfig>, token: &'static str) -> String {
        let events = self.sender.clone();
        let port = listen(Some(tls), move |stream| serve_token(stream, token, &events));
        format!("https://localhost:{port}/token")
    }

    /// Starts a client made by `System::command`.
    pub fn start(&mut self, command: &mut Command, properties: &[(&str, &str)]) {
        for (name, value) in properties {
            command.arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let events = self.sender.clone();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = events.send(Event::Said(line));
            }
            let _ = events.send(Event::Ended);
        });
        self.child = Some(child);
    }

    /// Waits for the first event of which `choose` makes something.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, choose: impl Fn(&Event) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(event) = self.receiver.recv_timeout(left) else {
                panic!("no {what} came:\n{}", self.story());
            };
            let chosen = choose(&event);
            let ended = matches!(event, Event::Ended);
            self.seen.push(event);
            if let Some(chosen) = chosen {
                return chosen;
            }
            assert!(!ended, "the client ended before {what}:\n{}", self.story());
        }
    }

    /// All that was seen, for a person.
    pub fn story(&self) -> String {
        self.seen
            .iter()
            .map(|event| format!("{event:?}\n"))
            .collect()
    }

    /// Lets the client end by itself.
    #[track_caller]
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            self.wait_for("end", |event| matches!(event, Event::Ended).then_some(()));
            let status = child.wait().unwrap();
            assert!(
                status.success(),
                "the client ended with {status}:\n{}",
                self.story()
            );
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A client that ended by itself is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The client program of these tests.
pub fn client() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("tests/c/connect.c")).clone()
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Serves each connection in a thread of its own, for as long as the test runs; the port.
fn listen<F>(tls: Option<Arc<ServerConfig>>, serve: F) -> u16
where
    F: Fn(&mut dyn Stream) -> io::Result<()> + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tls, serve) = (tls.clone(), serve.clone());
            // A connection that breaks is what the negative tests are about.
            thread::spawn(move || answer(stream, tls, serve));
        }
    });
    port
}

fn answer<F>(stream: TcpStream, tls: Option<Arc<ServerConfig>>, serve: F) -> io::Result<()>
where
    F: Fn(&mut dyn Stream) -> io::Result<()>,
{
    match tls {
        None => serve(&mut &stream),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            serve(&mut StreamOwned::new(connection, stream))
        }
    }
}

/// As much of Kafka's protocol as a client needs until it has sent its first token.
fn serve_kafka(stream: &mut dyn Stream, mechanism: &str, events: &Sender<Event>) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let (key, version, name) = (number(0), number(2), number(8));
        let (name, body) = request[10..].split_at(usize::try_from(name).unwrap_or(0));
        let _ = events.send(Event::Asked {
            client: String::from_utf8_lossy(name).into_owned(),
            key,
            body: body.to_vec(),
        });
        let answer = match key {
            API_VERSIONS => versions(version),
            SASL_HANDSHAKE => handshake(mechanism),
            _ => continue,
        };
        let size = u32::try_from(answer.len() + 4).unwrap().to_be_bytes();
        stream.write_all(&[&size[..], &request[4..8], &answer].concat())?;
        stream.flush()?;
    }
}

/// The versions that the broker knows, in the encoding of the version that was asked.
fn versions(version: i16) -> Vec<u8> {
    let known = [
        (METADATA, 0, 4),
        (JOIN_GROUP, 0, 0),
        (SASL_HANDSHAKE, 0, 1),
        (API_VERSIONS, 0, 3),
        (SASL_AUTHENTICATE, 0, 0),
    ];
    let compact = version >= 3;
    let mut answer = vec![0, 0];
    if compact {
        answer.push(known.len() as u8 + 1);
    } else {
        answer.extend((known.len() as u32).to_be_bytes());
    }
    for (key, from, to) in known {
        answer.extend([key, from, to].into_iter().flat_map(i16::to_be_bytes));
        if compact {
            answer.push(0);
        }
    }
    if version >= 1 {
        answer.extend([0; 4]);
    }
    if compact {
        answer.push(0);
    }
    answer
}

fn handshake(mechanism: &str) -> Vec<u8> {
    let mut answer = vec![0, 0, 0, 0, 0, 1, 0, mechanism.len() as u8];
    answer.extend(mechanism.bytes());
    answer
}

/// Reads one HTTP request and grants the token.
fn serve_token(stream: &mut dyn Stream, token: &str, events: &Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let start = request.len();
        reader.read_line(&mut request)?;
        let line = request[start..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.push_str(&String::from_utf8_lossy(&body));
    let _ = events.send(Event::TokenAsked(request));
    let granted =
        format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600}}"#);
    let stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{granted}",
        granted.len()
    )?;
    stream.flush()
}

/// A certificate authority and the certificate of its one server, `localhost`.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let folder = unique(scratch(), "authority");
        fs::create_dir_all(&folder).unwrap();
        let settings = "[req]\ndistinguished_name=name\n[name]\n\
                        [ca]\nbasicConstraints=critical,CA:TRUE\n\
                        [server]\nsubjectAltName=DNS:localhost\n";
        fs::write(folder.join("settings"), settings).unwrap();
        let made = Self { folder };
        made.certify("ca", &[], name);
        made.certify(
            "server",
            &["-CA", "ca.pem", "-CAkey", "ca.key"],
            "localhost",
        );
        made
    }

    fn certify(&self, file: &str, by: &[&str], name: &str) {
        let mut openssl = tool("openssl");
        openssl.args([
            "req", "-config", "settings", "-x509", "-newkey", "ec", "-nodes",
        ]);
        openssl
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"])
            .args(by);
        openssl.args(["-subj", &format!("/CN={name}"), "-extensions", file]);
        openssl.args([
            "-keyout",
            &format!("{file}.key"),
            "-out",
            &format!("{file}.pem"),
        ]);
        run(openssl.current_dir(&self.folder).stderr(Stdio::null()));
    }

    /// The file of its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What its server needs.
    pub fn server(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.folder.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.folder.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
