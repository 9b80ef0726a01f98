//! The real nats-server in a process of its own, for tests.
//!
//! It listens on ports of 127.0.0.1 that the system picks, ends with the thread that started it, and
//! leaves no file behind. So each test starts its own, and none keeps one for others.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a server may take to do what a test waits for, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server.
pub struct NatsServer {
    child: Child,
    folder: PathBuf,
    config: String,
    cluster: Option<String>,
    ports: Ports,
}

/// Where it listens. -1 asks the system for a port.
struct Ports {
    client: i32,
    monitor: i32,
    cluster: i32,
}

impl NatsServer {
    /// A server that lets everybody in.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with more configuration, in the words of its configuration file: all but `listen`,
    /// `http` and `cluster`.
    pub fn with(config: &str) -> Self {
        Self::launch(config, &[], None)
    }

    /// The same, with files beside it that its configuration names, such as certificates.
    pub fn with_files(config: &str, files: &[(&str, &str)]) -> Self {
        Self::launch(config, files, None)
    }

    /// A server of a cluster, which finds the others through those that are given.
    pub fn in_cluster(config: &str, others: &[&Self]) -> Self {
        let routes: Vec<String> = others
            .iter()
            .map(|other| format!("\"nats://127.0.0.1:{}\"", other.ports.cluster))
            .collect();
        Self::launch(config, &[], Some(routes.join(", ")))
    }

    fn launch(config: &str, files: &[(&str, &str)], cluster: Option<String>) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "superstream-nats-server-{}-{}",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        // One that a killed test has left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut ports = Ports {
            client: -1,
            monitor: -1,
            cluster: -1,
        };
        let child = run(&folder, config, cluster.as_deref(), &mut ports);
        Self {
            child,
            folder,
            config: config.to_owned(),
            cluster,
            ports,
        }
    }

    /// Where clients find it.
    pub fn port(&self) -> u16 {
        self.ports.client.try_into().unwrap()
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was, after it has been killed, with this configuration.
    pub fn start_again_with(&mut self, config: &str) {
        self.kill();
        config.clone_into(&mut self.config);
        self.child = run(
            &self.folder,
            &self.config,
            self.cluster.as_deref(),
            &mut self.ports,
        );
    }

    /// Starts it again where it was, after it has been killed.
    pub fn start_again(&mut self) {
        let config = self.config.clone();
        self.start_again_with(&config);
    }

    /// Sends its process a signal: `STOP`, for a server that hangs from now on, `CONT`, `TERM` …
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success(), "kill -{name}");
        if name == "STOP" {
            wait_until("a server that has stopped", || self.has_stopped());
        }
    }

    /// Whether none of its threads runs any more.
    fn has_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // `pid (name) state …`
            stat.rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// What its monitor answers: `/varz`, `/connz?subs=true`, `/subsz` …
    pub fn monitor(&self, path: &str) -> Value {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.ports.monitor.try_into().unwrap())).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The connections of clients that it has, as `/connz` shows them.
    pub fn connections(&self) -> Vec<Value> {
        self.monitor("/connz?subs=true&auth=true")["connections"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("nats-server at {}:\n{}", self.ports.client, self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until something is so, and says what never was.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never seen: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a server and waits until it listens. Ports that were picked before are kept.
fn run(folder: &Path, config: &str, cluster: Option<&str>, ports: &mut Ports) -> Child {
    let mut text = format!(
        "listen: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n{config}\n",
        ports.client, ports.monitor
    );
    if let Some(routes) = cluster {
        text += &format!(
            "cluster {{ name: tests, listen: \"127.0.0.1:{}\", routes: [{routes}] }}\n",
            ports.cluster
        );
    }
    let file = folder.join("config");
    fs::write(&file, text).unwrap();
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "nats-server", "--config"])
        .arg(&file)
        .arg("--ports_file_dir")
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run nats-server (see `make setup`): {error}"));
    let told = folder.join(format!("nats-server_{}.ports", child.id()));
    let mut listens = Value::Null;
    wait_until("a nats-server that listens", || {
        if let Ok(Some(status)) = child.try_wait() {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("nats-server ended ({status}): {log}");
        }
        // It may be half written.
        let read = fs::read(&told).ok();
        listens = read
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        listens.is_object()
    });
    let port = |kind: &str| {
        let (_, port) = listens[kind][0].as_str()?.rsplit_once(':')?;
        port.parse().ok()
    };
    ports.client = port("nats").unwrap();
    ports.monitor = port("monitoring").unwrap();
    ports.cluster = port("cluster").unwrap_or(-1);
    child
}
