//! A service in a process of its own, and requests to it.

pub mod figures;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const TOKEN: &str = "a-token-for-tests";

/// After so long a condition is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test, without what the environment would tell it.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_superstream-service"));
    command.env_remove("SUPERSTREAM_TOKEN");
    command
}

pub struct Service {
    pub child: Child,
    pub url: String,
    /// Where links are served; empty where they are not.
    pub veltix: String,
    agent: ureq::Agent,
}

impl Service {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_logging(arguments, Stdio::null())
    }

    pub fn start_logging(arguments: &[&str], log: impl Into<Stdio>) -> Self {
        Self::spawn(
            program().args(["--token", TOKEN]).args(arguments),
            log.into(),
        )
    }

    /// Without the token that the others have.
    pub fn start_over(arguments: &[&str]) -> Self {
        Self::spawn(program().args(arguments), Stdio::null())
    }

    fn spawn(command: &mut Command, log: Stdio) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap());
        let mut address = || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let address = line.trim_end().strip_prefix("listening on ");
            address.map(str::to_owned).ok_or(line)
        };
        let url = address();
        let has_links = command.get_args().any(|argument| argument == "--veltix");
        let veltix = match has_links {
            true => address(),
            false => Ok(String::new()),
        };
        let (Ok(url), Ok(veltix)) = (&url, &veltix) else {
            child.kill().unwrap();
            panic!("the service did not start: {url:?} {veltix:?}");
        };
        Self {
            url: url.clone(),
            veltix: veltix.clone(),
            child,
            agent: agent(),
        }
    }

    /// Sends JSON with the token; the answer's status and body.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.raw(
            method,
            path,
            &[
                ("content-type", "application/json"),
                ("authorization", &bearer(TOKEN)),
            ],
            body.to_string().as_bytes(),
        );
        (answer.status, answer.body)
    }

    /// Asks with the token.
    pub fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.raw("GET", path, &[("authorization", &bearer(TOKEN))], b"");
        (answer.status, answer.body)
    }

    pub fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let url = format!("{}{path}", self.url);
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // An empty body would not be left out, and GET may have none.
        let response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        Answer::of(response.unwrap())
    }

    /// Registers a client; its hash.
    pub fn register(&self, registration: &Value) -> String {
        let (status, answer) = self.send("POST", "/v1/clients", registration);
        assert_eq!(status, 201, "{answer}");
        answer["client_hash"].as_str().unwrap().to_owned()
    }

    /// The advice that a new client of this registration is given.
    pub fn advice(&self, registration: &Value) -> Value {
        self.send("POST", "/v1/clients", registration).1["optimized_configuration"].clone()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    /// Null where the answer is not JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    fn of(response: ureq::http::Response<ureq::Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let text = body.read_to_string().unwrap();
        let is_json = parts
            .headers
            .get("content-type")
            .is_some_and(|t| t == "application/json");
        let body = if is_json {
            serde_json::from_str(&text).unwrap()
        } else {
            Value::Null
        };
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            text,
        }
    }

    /// Checks that this is an error answer with words in it.
    pub fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        assert!(
            self.body["error"].as_str().is_some_and(|e| e.len() > 10),
            "{self:?}"
        );
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        // Who refuses a request before its body is read may close the connection after the answer.
        .max_idle_connections(0)
        .build()
        .into()
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks until the answer is yes.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        // Leaves the processor to whoever makes it true.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file that a service can log to.
pub fn log_file(path: &std::path::Path) -> File {
    File::create(path).unwrap()
}

/// None of the files there, a database and a log among them, has the password or the token of a test.
#[track_caller]
pub fn no_secret_lies_in(dir: &std::path::Path) {
    let mut files = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for secret in ["hunter2", TOKEN] {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.display());
        }
        files += 1;
    }
    assert!(files >= 2, "the database and the log were looked at");
}
