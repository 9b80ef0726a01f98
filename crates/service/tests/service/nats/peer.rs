//! A client of the service over NATS, that says what a test has it say.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use superstream_nats_server::NatsServer;
use tokio::runtime::Runtime;

use crate::common::Service;

/// After so long an answer is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A NATS server that lets everybody in, and a service over it.
pub fn pair(arguments: &[&str]) -> (NatsServer, Service) {
    let server = NatsServer::start();
    let service = service_at(&server, arguments);
    (server, service)
}

/// A service over a NATS server that is there.
pub fn service_at(server: &NatsServer, arguments: &[&str]) -> Service {
    let url = server.url();
    Service::start(&[&["--nats", &url], arguments].concat())
}

/// One connection to a NATS server.
pub struct Peer {
    runtime: Runtime,
    pub client: Client,
}

impl Peer {
    pub fn at(server: &NatsServer) -> Self {
        Self::with(server, ConnectOptions::new())
    }

    pub fn with(server: &NatsServer, options: ConnectOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let options = options
            .request_timeout(Some(PATIENCE / 6))
            .retry_on_initial_connect();
        let client = runtime.block_on(options.connect(server.url())).unwrap();
        // Returns once there is a connection.
        runtime.block_on(client.flush()).unwrap();
        Self { runtime, client }
    }

    /// What the SDK names its connection by.
    pub fn connection_id(&self) -> String {
        let info = self.client.server_info();
        format!("{}:{}", info.server_name, info.client_id)
    }

    /// Asks, and gives the bytes of the answer. Waits for somebody to ask.
    pub fn ask_raw(&self, subject: &str, payload: impl Into<Vec<u8>>) -> Vec<u8> {
        let payload = payload.into();
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let asked = self
                .client
                .request(subject.to_owned(), payload.clone().into());
            match self.runtime.block_on(asked) {
                Ok(answer) => return answer.payload.to_vec(),
                // Nobody is there yet, or who took it has just stopped: docs/nats-service.md.
                Err(error) => {
                    let is_late = std::time::Instant::now() > deadline;
                    assert!(!is_late, "{subject}: {error}");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    pub fn ask(&self, subject: &str, payload: &Value) -> Value {
        let answer = self.ask_raw(subject, payload.to_string());
        serde_json::from_slice(&answer)
            .unwrap_or_else(|error| panic!("{subject}: {error}: {answer:?}"))
    }

    pub fn say_raw(&self, subject: &str, payload: impl Into<Vec<u8>>) {
        let said = self
            .client
            .publish(subject.to_owned(), payload.into().into());
        self.runtime.block_on(said).unwrap();
        self.runtime.block_on(self.client.flush()).unwrap();
    }

    pub fn say(&self, subject: &str, payload: &Value) {
        self.say_raw(subject, payload.to_string());
    }

    /// Asks for an answer to somewhere else.
    pub fn say_with_reply(&self, subject: &str, reply: &str, payload: &str) {
        let payload = payload.to_owned().into();
        let said = self
            .client
            .publish_with_reply(subject.to_owned(), reply.to_owned(), payload);
        self.runtime.block_on(said).unwrap();
    }

    /// Listens; when this returns, the server knows.
    pub fn listen(&self, subject: &str) -> Ear<'_> {
        let messages = self
            .runtime
            .block_on(self.client.subscribe(subject.to_owned()));
        let ear = Ear {
            peer: self,
            messages: messages.unwrap(),
        };
        self.round_trip();
        ear
    }

    /// Returns when the server has done all that it was told before.
    pub fn round_trip(&self) {
        let inbox = self.client.new_inbox();
        let mut messages = self
            .runtime
            .block_on(self.client.subscribe(inbox.clone()))
            .unwrap();
        self.say_raw(&inbox, "");
        let next = async { tokio::time::timeout(PATIENCE, messages.next()).await };
        self.runtime.block_on(next).unwrap().unwrap();
    }

    /// Registers as a deployed SDK does; its name.
    pub fn register(&self, registration: &Value) -> String {
        let answer = self.ask("internal.registerClient", registration);
        let name = answer["client_hash"].as_str();
        name.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The same, and goes on until it runs, as one of a kind.
    pub fn run(&self, registration: &Value, kind: &str) -> Running<'_> {
        let hash = self.register(registration);
        let mut starts = self.listen(&format!("internal.startClient.{hash}"));
        let start = starts.next();
        drop(starts);
        let updates = self.listen(&format!("internal.updates.{hash}"));
        self.say(
            &format!("internal_tasks.clientsUpdate.config.{hash}"),
            &json!({"connection_id": 0, "producer_topics_partitions": {},
                    "consumer_group_topics_partitions": {}}),
        );
        let told = json!({"client_hash": hash, "type": kind});
        self.say("internal.clientTypeUpdate", &told);
        Running {
            hash,
            start,
            updates,
        }
    }
}

/// A client that runs.
pub struct Running<'a> {
    pub hash: String,
    /// What it was told to start with.
    pub start: Value,
    pub updates: Ear<'a>,
}

/// Hears what is published to a subject.
pub struct Ear<'a> {
    peer: &'a Peer,
    messages: Subscriber,
}

impl Ear<'_> {
    pub fn next_raw(&mut self) -> async_nats::Message {
        let next = async { tokio::time::timeout(PATIENCE, self.messages.next()).await };
        let message = self.peer.runtime.block_on(next);
        message.expect("a message never came").unwrap()
    }

    pub fn next(&mut self) -> Value {
        let message = self.next_raw();
        serde_json::from_slice(&message.payload).unwrap()
    }

    /// Forgets what has come so far.
    pub fn skip_what_came(&mut self) {
        self.peer.round_trip();
        while self.messages.next().now_or_never().is_some() {}
    }

    /// The next update that is one: not a look whether anybody is there.
    pub fn next_update(&mut self) -> Value {
        loop {
            let update = self.next();
            if update["type"] != "StillThere" {
                return update;
            }
        }
    }
}

/// What a deployed SDK registers with.
pub fn registration(peer: &Peer) -> Value {
    json!({
        "nats_connection_id": peer.connection_id(),
        "language": "python",
        "version": "2.4.0.3",
        "learning_factor": 20,
        "config": {
            "bootstrap.servers": "b:9092",
            "superstream.host": "h:4222",
            "superstream.token": "no-auth",
            "superstream.learning.factor": 20,
            "superstream.reduction.enabled": false,
            "superstream.tags": "",
        },
        "reduction_enabled": false,
        "connection_id": 3,
        "tags": "",
        "client_ip": "10.0.0.5",
        "client_host": "app-1",
    })
}
