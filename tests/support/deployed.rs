//! A service as the deployed one is over NATS: it gives a client its name first, and says whether the
//! client may start in a message of its own, which is lost on whoever does not listen yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::driver::PATIENCE;
use crate::fault_service::{FaultService, Request, Stream, Then};
use crate::transports::Transport;

/// Between two tries to reach somebody who does not listen yet.
const PAUSE: Duration = Duration::from_millis(50);

/// What a script knows of the client that registers.
pub struct Newcomer<'s> {
    /// `client-0`, `client-1`, … in the order of the registrations.
    pub client_hash: String,
    stream: &'s mut dyn Stream,
    kinds: Kinds,
}

/// How often clients of a name have said of which kind they are: they do once they are created.
type Kinds = Arc<Mutex<BTreeMap<String, usize>>>;

/// A service that registers by a script, and takes everything else.
pub fn serve(
    register: impl Fn(&mut Newcomer<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> FaultService {
    let kinds = Kinds::default();
    Transport::Nats.serve(move |request, stream| {
        if request.registers() {
            register(&mut Newcomer {
                client_hash: format!("client-{}", request.registrations_before),
                stream,
                kinds: Arc::clone(&kinds),
            })?;
            return Ok(Then::KeepAlive);
        }
        if tells_kind(request) {
            let name = request.json()["client_hash"].as_str().unwrap().to_owned();
            *kinds.lock().unwrap().entry(name).or_default() += 1;
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
        let told = || self.kinds.lock().unwrap().get(&self.client_hash).copied();
        let (before, deadline) = (told(), Instant::now() + PATIENCE);
        while told() == before && Instant::now() < deadline {
            let subject = start_of(&self.client_hash);
            self.stream.publish(&subject, &word.to_string());
            thread::sleep(PAUSE);
        }
    }
}
