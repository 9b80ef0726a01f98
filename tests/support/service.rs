//! The reference service, as an operator runs it, and what it knows of clients.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;
use superstream_nats_server::{NatsServer, wait_until};

use crate::transports::Transport;
use crate::{built, scratch, tool, unique};

/// What clients must show, as `SUPERSTREAM_TOKEN`.
pub const TOKEN: &str = "a-token-for-tests";

/// Advice for both kinds of clients, of which each shows in what a client runs with.
pub const RULES: &str = r#"
[[rule]]
kind = "producer"
[rule.configuration]
"compression.type" = "zstd"
"linger.ms" = 50

[[rule]]
kind = "consumer"
[rule.configuration]
"fetch.min.bytes" = 1000
"#;

/// A service in a process of its own.
pub struct Service {
    /// Where it is asked over HTTP.
    pub url: String,
    /// The value for `SUPERSTREAM_HOST`.
    pub host: String,
    child: Child,
    /// Where it meets its clients, over NATS.
    _server: Option<NatsServer>,
    rules: PathBuf,
    token: String,
}

impl Service {
    /// Starts it with rules, in TOML.
    pub fn with_rules(text: &str) -> Self {
        Self::start(text, TOKEN, &[], Stdio::inherit())
    }

    /// Starts it with rules, a token, more options, and a place for its log.
    pub fn start(text: &str, token: &str, options: &[&OsStr], log: impl Into<Stdio>) -> Self {
        let rules = unique(scratch(), "rules.toml");
        fs::write(&rules, text).unwrap();
        let mut command = tool(built().join("superstream-service"));
        command
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent", "--rules"])
            .arg(&rules)
            .args(options)
            .env("SUPERSTREAM_TOKEN", token)
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make build`): {error}"));
        let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
        let mut listening = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let url = line.trim_end().strip_prefix("listening on ");
            url.unwrap_or_else(|| panic!("the service did not start: {line:?}"))
                .to_owned()
        };
        let url = listening();
        let is_linked = options.iter().any(|option| *option == "--veltix");
        let host = if is_linked { listening() } else { url.clone() };
        Self {
            host,
            url,
            child,
            _server: None,
            rules,
            token: token.to_owned(),
        }
    }

    /// The same for clients that speak so. Returns once it listens there.
    pub fn over(
        transport: Transport,
        text: &str,
        token: &str,
        options: &[&OsStr],
        log: impl Into<Stdio>,
    ) -> Self {
        match transport {
            Transport::Http => Self::start(text, token, options, log),
            Transport::Nats => {
                let server = NatsServer::start();
                let host = server.url();
                let nats = ["--nats", &host].map(OsStr::new);
                let mut service = Self::start(text, token, &[&nats, options].concat(), log);
                wait_until("a service that listens", || hears_registrations(&server));
                service.host = host;
                service._server = Some(server);
                service
            }
            Transport::Veltix => {
                let veltix = ["--veltix", "127.0.0.1:0"].map(OsStr::new);
                Self::start(text, token, &[&veltix, options].concat(), log)
            }
            _ => panic!("it has no certificate for {transport:?}"),
        }
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// What it answers to `GET`.
    pub fn text(&self, path: &str) -> String {
        let request = ureq::get(format!("{}{path}", self.url));
        let mut answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .call()
            .unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// What it answers to `POST`.
    pub fn post(&self, path: &str, message: &Value) -> Value {
        let request = ureq::post(format!("{}{path}", self.url));
        let mut answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .content_type("application/json")
            .send(message.to_string())
            .unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// All that it knows of every client, the newest first.
    pub fn clients(&self) -> Vec<Value> {
        let mut clients = Vec::new();
        let mut after = None;
        loop {
            let more = after.map_or(String::new(), |last| format!("&after={last}"));
            let page = self.get(&format!("/v1/clients?limit=1000{more}"));
            for client in page["clients"].as_array().unwrap() {
                let hash = client["client_hash"].as_str().unwrap();
                clients.push(self.get(&format!("/v1/clients/{hash}")));
            }
            after = page["next"].as_i64();
            if after.is_none() {
                return clients;
            }
        }
    }
}

/// Whether somebody does.
fn hears_registrations(server: &NatsServer) -> bool {
    server.connections().iter().any(|connection| {
        let subjects = connection["subscriptions_list"].as_array();
        subjects.is_some_and(|all| all.iter().any(|one| one == "internal.registerClient"))
    })
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.rules);
    }
}
