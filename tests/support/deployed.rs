//! A service as the deployed one is over NATS: it gives a client its name first, and says whether the
//! client may start in a message of its own, which is lost on whoever does not listen yet.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Library;
use crate::driver::{Driver, PATIENCE};
use crate::fault_service::{FaultService, Request, Stream, Then};
use crate::transports::Transport;

/// Between two tries to reach somebody who does not listen yet.
const PAUSE: Duration = Duration::from_millis(50);

/// What a script knows of the client that registers.
pub struct Newcomer<'s> {
    /// `client-0`, `client-1`, … in the order of the registrations.
    pub client_hash: String,
    stream: &'s mut dyn Stream,
    created: Created,
}

/// The names of the clients that have said of which kind they are: they do once they are created.
type Created = Arc<Mutex<BTreeSet<String>>>;

/// A service that registers by a script, and takes everything else.
pub fn serve(
    register: impl Fn(&mut Newcomer<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> FaultService {
    let created = Created::default();
    Transport::Nats.serve(move |request, stream| {
        if request.registers() {
            register(&mut Newcomer {
                client_hash: format!("client-{}", request.registrations_before),
                stream,
                created: Arc::clone(&created),
            })?;
            return Ok(Then::KeepAlive);
        }
        if tells_kind(request) {
            let name = request.json()["client_hash"].as_str().unwrap().to_owned();
            created.lock().unwrap().insert(name);
        }
        // To those who ask, any answer is one.
        stream.answer("200 OK", "")?;
        Ok(Then::KeepAlive)
    })
}

/// A service that has every client start with this configuration.
pub fn advising(configuration: Value) -> FaultService {
    let start = json!({"start": true, "optimized_configuration": configuration});
    serve(move |client| {
        client.is_named()?;
        client.starts(&start);
        Ok(())
    })
}

/// Whether it tells the kind of a client.
pub fn tells_kind(request: &Request) -> bool {
    request.is("PUB", "internal.clientTypeUpdate")
}

/// The subject of a client's word to start.
pub fn start_of(client_hash: &str) -> String {
    format!("internal.startClient.{client_hash}")
}

impl Newcomer<'_> {
    /// Gives the client its name.
    pub fn is_named(&mut self) -> io::Result<()> {
        let answer = json!({
            "account_name": "default",
            "learning_factor": 20,
            "client_hash": self.client_hash,
        });
        self.answer(&answer.to_string())
    }

    /// Answers its registration.
    pub fn answer(&mut self, body: &str) -> io::Result<()> {
        self.stream.answer("200 OK", body)
    }

    /// Says the word to start, or something in its place, once.
    pub fn is_told(&mut self, word: &str) {
        self.stream.publish(&start_of(&self.client_hash), word);
    }

    /// Says it until the client shows that it has been created.
    pub fn starts(&mut self, word: &Value) {
        let (created, name) = (Arc::clone(&self.created), self.client_hash.clone());
        self.starts_until(word, || created.lock().unwrap().contains(&name));
    }

    /// Says it until something is so.
    pub fn starts_until(&mut self, word: &Value, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() && Instant::now() < deadline {
            let subject = start_of(&self.client_hash);
            self.stream.publish(&subject, &word.to_string());
            thread::sleep(PAUSE);
        }
    }
}

/// An application in front of a service.
pub fn start(service: &FaultService, timeout: Duration, more: &[(&str, &str)]) -> Driver {
    let timeout = timeout.as_millis().to_string();
    let mut all = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", &timeout)]);
    all.extend_from_slice(more);
    Driver::start(Library::DropIn, &all)
}

/// What the next client of this one's kind is to get.
pub fn next(driver: &mut Driver, client: usize) -> Value {
    driver.status(client)["at_next_start"]["optimized_configuration"].clone()
}

/// Says something until it has shown an effect: who does not listen yet has not heard it.
#[track_caller]
pub fn say_until(
    service: &FaultService,
    subject: &str,
    payload: &str,
    is_heard: impl FnMut() -> bool,
) {
    repeat_until(|| service.nats().publish(subject, payload), is_heard);
}

/// The same to a client.
#[track_caller]
pub fn tell_until(
    service: &FaultService,
    client_hash: &str,
    payload: &str,
    is_heard: impl FnMut() -> bool,
) {
    repeat_until(|| service.tell(client_hash, payload), is_heard);
}

#[track_caller]
fn repeat_until(say: impl Fn(), mut is_heard: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_heard() {
        assert!(Instant::now() < deadline, "it has no effect");
        say();
        // Nor does it hear everything who is told more than he keeps.
        thread::sleep(PAUSE);
    }
}

/// What the server itself calls it.
#[track_caller]
pub fn connection_id(service: &FaultService) -> String {
    let mut ours = connection_ids(service);
    assert_eq!(ours.len(), 1, "{ours:#?}");
    ours.remove(0)
}

/// The same of each connection that there is of ours.
pub fn connection_ids(service: &FaultService) -> Vec<String> {
    let server = service.nats().server();
    let server_name = server.monitor("/varz")["server_name"].clone();
    let connections = server.connections();
    let ours = |one: &&Value| {
        let name = one["name"].as_str().unwrap_or_default();
        name.starts_with("superstream-librdkafka/")
    };
    let server_name = server_name.as_str().unwrap();
    let ours = connections.iter().filter(ours);
    ours.map(|one| format!("{server_name}:{}", one["cid"]))
        .collect()
}

/// An update as it comes over the wire.
pub fn update(kind: &str, body: &str) -> String {
    json!({"type": kind, "payload": base64(body.as_bytes())}).to_string()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let number = bytes
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let number = number << (8 * (3 - bytes.len()));
        let digit = |place: usize| match place <= bytes.len() {
            true => DIGITS[(number >> (18 - 6 * place)) as usize & 63] as char,
            false => '=',
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
