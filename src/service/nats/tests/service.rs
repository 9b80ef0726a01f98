//! A service in the manner of the deployed one, or of ours, behind a real nats-server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_nats::{Address, Connection, Options};
use superstream_nats_server::NatsServer;
use superstream_protocol::Reports;

use crate::lock::lock;
use crate::service::nats::{CONFIG, ERRORS, REGISTER, REPORTS, taken};

pub(super) const MOVED: &str = "internal_tasks.clientReconnectionUpdate";

/// Longer than anything here takes.
pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A service by a script, that knows what it was told.
pub(super) struct Service {
    told: Arc<Mutex<Vec<(String, String)>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    port: u16,
}

impl Service {
    pub(super) fn at(
        server: &NatsServer,
        answer: impl Fn(&str, &str) -> Option<Value> + Send + 'static,
    ) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let mut connection = connect(server.port());
        for subjects in ["internal.*", "internal_tasks.>"] {
            connection.subscribe(subjects, None, soon()).unwrap();
        }
        connection.flush(soon()).unwrap();
        let (all, over) = (Arc::clone(&told), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let until = Instant::now() + Duration::from_millis(20);
                let Ok(message) = connection.next(until) else {
                    return;
                };
                let Some(message) = message else { continue };
                let text = String::from_utf8(message.payload).unwrap();
                let reply = answer(&message.subject, &text);
                lock(&all).push((message.subject, text));
                if let (Some(reply), Some(to)) = (reply, message.reply) {
                    let reply = reply.to_string();
                    connection
                        .publish(&to, None, reply.as_bytes(), soon())
                        .unwrap();
                }
            }
        });
        Self {
            told,
            ends,
            thread: Some(thread),
            port: server.port(),
        }
    }

    /// The deployed one: it registers, and answers a reconnection with nothing of interest.
    pub(super) fn deployed(server: &NatsServer) -> Self {
        Self::at(server, |subject, _| match subject {
            REGISTER => Some(json!({
                "account_name": "default", "learning_factor": 20, "client_hash": "9f2c1e7a",
            })),
            MOVED => Some(json!("thanks")),
            _ => None,
        })
    }

    /// Ours.
    pub(super) fn ours(server: &NatsServer) -> Self {
        Self::at(server, |subject, text| match subject {
            REGISTER => Some(json!({
                "account_name": "default", "learning_factor": 0, "client_hash": "h", "start": true,
                "optimized_configuration": {"linger.ms": 100}, "report_interval_ms": 1000,
            })),
            CONFIG => Some(json!({"error": "no such mode", "status": 422})),
            ERRORS if text.contains("busy") => Some(json!({"error": "later", "status": 429})),
            REPORTS => {
                let reports: Reports = serde_json::from_str(text).unwrap();
                Some(json!({"reports": reports.reports.iter().map(taken).collect::<Vec<_>>()}))
            }
            MOVED => Some(json!({"error": "no such client", "status": 404})),
            _ => Some(json!({})),
        })
    }

    /// Sends something to clients.
    pub(super) fn say(&self, subject: &str, payload: &str) {
        let mut connection = connect(self.port);
        connection
            .publish(subject, None, payload.as_bytes(), soon())
            .unwrap();
        connection.flush(soon()).unwrap();
    }

    /// What it was told on a subject.
    pub(super) fn told(&self, subject: &str) -> Vec<String> {
        let told = lock(&self.told);
        let meant = told.iter().filter(|(name, _)| name == subject);
        meant.map(|(_, text)| text.clone()).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn address(port: u16) -> Address {
    Address::parse(&format!("127.0.0.1:{port}")).unwrap()
}

pub(super) fn connect(port: u16) -> Connection {
    let options = Options {
        server: address(port),
        user: None,
        password: None,
        name: "a service".to_owned(),
        tls: superstream_settings::tls().unwrap(),
        ping_every: Duration::from_secs(60),
        max_kept_bytes: 1024 * 1024,
    };
    Connection::open(&options, &[], soon()).unwrap()
}
