//! A service for tests, by a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use superstream_protocol::link::{HELLO, REGISTER, REPORT, RESUME};
use superstream_veltix::{Endpoint, EndpointConfig, MessageType, Request, Server, ServerConfig};

use crate::lock::lock;

/// What it was told, by type.
type Told = Arc<Mutex<Vec<(u16, Value)>>>;

pub(super) struct Service {
    server: Server,
    told: Told,
}

impl Service {
    pub(super) fn start() -> Self {
        Self::with(answer)
    }

    /// `None` answers nothing.
    pub(super) fn with(
        answer: impl Fn(u16, &Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self::at(0, answer)
    }

    pub(super) fn at(
        port: u16,
        answer: impl Fn(u16, &Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let endpoint = Endpoint::new(&EndpointConfig::default()).unwrap();
        let server = Server::on(&endpoint, ServerConfig::new("127.0.0.1", port));
        let told = Told::default();
        let hears = Arc::clone(&told);
        server.on_recv(move |client, message| {
            let kind = message.message_type.code();
            let value: Value = serde_json::from_slice(&message.content).unwrap();
            let answer = answer(kind, &value);
            lock(&hears).push((kind, value));
            if let Some(answer) = answer {
                let reply = Request::reply_to(&message, message.message_type, answer.to_string());
                // A flood may have left no room for it; or it may be gone.
                let _ = client.send_within(&reply, Duration::from_secs(60));
            }
        });
        server.start().unwrap();
        Self { server, told }
    }

    pub(super) fn port(&self) -> u16 {
        self.server.local_addr().unwrap().port()
    }

    /// All that it was told by messages of a type.
    pub(super) fn told(&self, kind: u16) -> Vec<Value> {
        let told = lock(&self.told);
        let of_kind = told.iter().filter(|(told, _)| *told == kind);
        of_kind.map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn kinds(&self) -> Vec<u16> {
        lock(&self.told).iter().map(|(kind, _)| *kind).collect()
    }

    /// Says something unasked.
    pub(super) fn say(&self, kind: u16, value: &Value) {
        let request = Request::new(MessageType::of(kind), value.to_string());
        let said = self.server.broadcast(&request, &[]);
        assert!(said.sent > 0 && said.failed.is_empty(), "{said:?}");
    }

    /// Says it, unless there is no room.
    pub(super) fn flood(&self, kind: u16, value: &Value) {
        let request = Request::new(MessageType::of(kind), value.to_string());
        self.server.broadcast(&request, &[]);
    }

    pub(super) fn connections(&self) -> usize {
        self.server.clients().len()
    }

    /// Ends all connections; and stays.
    pub(super) fn break_off(&self) {
        self.server
            .clients()
            .iter()
            .for_each(|client| client.close());
    }

    /// Ends; where it was.
    pub(super) fn end(self) -> u16 {
        let port = self.port();
        self.server.close_all();
        port
    }
}

/// A service that is content with everything.
pub(super) fn answer(kind: u16, message: &Value) -> Option<Value> {
    Some(match kind {
        HELLO => json!({}),
        REGISTER => json!({
            "client_hash": format!("h{}", message["registration_id"].as_str().unwrap_or_default()),
            "start": true, "optimized_configuration": {"linger.ms": 100},
        }),
        REPORT => {
            let reports = message["reports"].as_array().unwrap().iter();
            let taken = |report: &Value| json!({"client_hash": report["client_hash"], "sequence": report["sequence"]});
            json!({"reports": reports.map(taken).collect::<Vec<_>>()})
        }
        RESUME => json!({"unknown": []}),
        _ => json!({}),
    })
}
