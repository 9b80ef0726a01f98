//! Clients of other languages, which nobody here wrote, under preload: the ones that Superstream
//! reaches run with the service's advice, and none of them minds. The programs are in
//! `tests/reach`; the ones that take minutes to build run with `SUPERSTREAM_PROOF=1`.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use superstream_tests::{Cluster, assert_success, built, root, scratch, tool, unique};

const RECORDS: usize = 5000;

/// What the service advises each producer.
const ADVICE: &str = r#"
[[rule]]
kind = "producer"
[rule.configuration]
"linger.ms" = 50
"compression.type" = "lz4"
"#;

/// Only a program that hangs is stopped.
const PATIENCE: &str = "300";

/// What it takes to reach a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// It calls the engine through the dynamic linker.
    ByPreload,
    /// It fetches the engine's functions by itself, or is kept from seeing what is preloaded.
    ByHooks,
    /// Its engine is a part of itself, or it is kept from seeing the hooks too.
    Never,
}

/// What is preloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preload {
    Nothing,
    Library,
    LibraryAndHooks,
}

impl Preload {
    /// The value of `LD_PRELOAD`.
    fn value(self) -> Option<String> {
        let library = superstream_tests::preload();
        let hooks = library.with_file_name("libsuperstream-hooks.so");
        match self {
            Self::Nothing => None,
            Self::Library => Some(library.display().to_string()),
            Self::LibraryAndHooks => {
                assert!(
                    hooks.exists(),
                    "no {} (see `make preload`)",
                    hooks.display()
                );
                Some(format!("{}:{}", library.display(), hooks.display()))
            }
        }
    }
}

/// A client program. It is given brokers, a topic and a number of records, and prints a line of
/// JSON.
struct Program {
    command: Vec<OsString>,
    reached: Reached,
    /// How many processes create a producer and a consumer each.
    processes: usize,
    /// What its clients say it is written in.
    language: &'static str,
}

impl Program {
    fn new(
        reached: Reached,
        language: &'static str,
        command: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            language,
            command: command.into_iter().map(Into::into).collect(),
            reached,
            processes: 1,
        }
    }

    /// Produces and consumes in a cluster of its own; what it printed.
    fn run(&self, preload: Preload, service: Option<&Service>) -> Value {
        let cluster = Cluster::start(&["orders:1"]);
        let mut command = tool("timeout");
        // Only the program itself: neither `timeout` nor `env` is preloaded.
        command.args([PATIENCE, "env"]);
        if let Some(libraries) = preload.value() {
            command.arg(format!("LD_PRELOAD={libraries}"));
        }
        if let Some(service) = service {
            command.arg(format!("SUPERSTREAM_HOST={}", service.host));
            command.arg("SUPERSTREAM_RESPONSE_TIMEOUT=60000");
        }
        command
            .args(&self.command)
            .args([&cluster.brokers, "orders", &RECORDS.to_string()]);
        let output = command.output().unwrap();
        assert_success(&command, &output);
        let complaints = String::from_utf8_lossy(&output.stderr);
        // What begins so is the engine's own log.
        let foreign = complaints.lines().find(|line| !line.starts_with('%'));
        assert_eq!(foreign, None, "{command:?} said:\n{complaints}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs it stock, and then with each of the preloads, without and with a service.
    fn prove(&self) {
        let stock = self.run(Preload::Nothing, None);
        let records = json!(self.processes * RECORDS);
        assert_eq!(stock["produced"], records, "{stock}");
        assert_eq!(stock["consumed"], records, "{stock}");
        assert!(!is_advised(&stock), "{stock}");

        for preload in [Preload::Library, Preload::LibraryAndHooks] {
            let alone = self.run(preload, None);
            assert_eq!(work(&alone), work(&stock), "{preload:?}");
            assert!(!is_advised(&alone), "{preload:?}: {alone}");

            let service = Service::start();
            let served = self.run(preload, Some(&service));
            let reached = match self.reached {
                Reached::ByPreload => true,
                Reached::ByHooks => preload == Preload::LibraryAndHooks,
                Reached::Never => false,
            };
            println!("{:?} {preload:?}: {served}", self.command);
            assert_eq!(work(&served), work(&stock), "{preload:?}");
            assert_eq!(is_advised(&served), reached, "{preload:?}: {served}");
            let processes = if reached { self.processes } else { 0 };
            service.assert_knows(processes, &stock["engine"], self.language);
        }
    }
}

/// The part of the result that is the same in each run.
fn work(result: &Value) -> Value {
    let mut work = result.clone();
    for changeable in ["linger.ms", "compression.type", "sent", "payload"] {
        work.as_object_mut().unwrap().remove(changeable);
    }
    work
}

/// Whether the producer ran with the advice. Where the engine can be asked, it tells; else fewer
/// bytes went to the broker than the application gave.
fn is_advised(result: &Value) -> bool {
    if let Value::Number(sent) = &result["sent"] {
        return sent.as_u64() < result["payload"].as_u64();
    }
    let settings = [&result["linger.ms"], &result["compression.type"]];
    match settings.map(|value| value.as_str().unwrap()) {
        ["5", "none"] => false,
        ["50", "lz4"] => true,
        other => panic!("half advised: {other:?}"),
    }
}

/// The reference service.
struct Service {
    host: String,
    child: Child,
}

impl Service {
    fn start() -> Self {
        let rules = unique(scratch(), "reach-rules");
        fs::write(&rules, ADVICE).unwrap();
        let mut child = tool(built().join("superstream-service"))
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent", "--rules"])
            .arg(&rules)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        fs::remove_file(rules).unwrap();
        let host = line.trim_end().strip_prefix("listening on ");
        let host = host.expect("the service did not start").to_owned();
        Self { host, child }
    }

    /// The service's answer to a question of an operator.
    fn get(&self, path: &str) -> Value {
        let address = self.host.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// A producer and a consumer of each process, with the program's own engine and language, and
    /// no more.
    fn assert_knows(&self, processes: usize, engine: &Value, language: &str) {
        let list = self.get("/v1/clients");
        let clients: Vec<Value> = list["clients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|client| {
                let hash = client["client_hash"].as_str().unwrap();
                self.get(&format!("/v1/clients/{hash}"))
            })
            .collect();
        for kind in ["producer", "consumer"] {
            let pids: BTreeSet<Option<u64>> = clients
                .iter()
                .filter(|client| client["type"] == kind)
                .map(|client| client["pid"].as_u64())
                .collect();
            assert_eq!(pids.len(), processes, "{kind}s: {clients:#?}");
        }
        assert_eq!(clients.len(), 2 * processes, "{clients:#?}");
        for client in &clients {
            assert_eq!(&client["engine_version"], engine, "{client:#}");
            assert_eq!(client["language"], language, "{client:#}");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has seen all that it wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds a program with `tests/reach/build`, which tells what it does; its folder.
fn build(name: &str) -> PathBuf {
    let folder = built().parent().unwrap().join("reach");
    let mut command = tool(root().join("tests/reach/build"));
    let status = command.arg(name).env("SUPERSTREAM_REACH", &folder).status();
    assert!(status.unwrap().success(), "cannot build {name}");
    folder.join(name)
}

fn source(file: &str) -> PathBuf {
    root().join("tests/reach").join(file)
}

fn is_proof() -> bool {
    env::var_os("SUPERSTREAM_PROOF").is_some_and(|value| value == "1")
}

#[test]
fn cpp() {
    let program = build("cpp").join("reach");
    Program::new(Reached::ByPreload, "c++", [program]).prove();
}

#[test]
fn rust_linked_dynamically() {
    let program = build("rust").join("release/reach");
    Program::new(Reached::ByPreload, "c", [program]).prove();
}

#[test]
fn luajit() {
    let script = source("luajit/reach.lua");
    Program::new(Reached::ByHooks, "lua", [Path::new("luajit"), &script]).prove();
}

#[test]
fn ruby() {
    let script = source("ruby/reach.rb");
    Program::new(Reached::ByHooks, "ruby", [Path::new("ruby"), &script]).prove();
}

/// Here PHP's own FFI calls the engine. PHP opens that with `RTLD_DEEPBIND` too, so it takes
/// `dlsym` from libc, whoever hooks it.
#[test]
fn php_through_ffi() {
    let script = source("php/reach.php");
    Program::new(Reached::Never, "php", [Path::new("php"), &script]).prove();
}

#[test]
fn php_extension() {
    let extension = format!("extension={}", build("php").join("reach.so").display());
    let script = source("php/reach.php");
    let command = [
        Path::new("php"),
        Path::new("-d"),
        Path::new(&extension),
        &script,
    ];
    Program::new(Reached::ByHooks, "php", command).prove();
}

#[test]
fn java_through_jna() {
    if !is_proof() {
        return;
    }
    let path = format!("/usr/share/java/jna.jar:{}", build("jna").display());
    Program::new(Reached::ByHooks, "java", ["java", "-cp", &path, "Reach"]).prove();
}

#[test]
fn go_linked_dynamically() {
    if !is_proof() {
        return;
    }
    let program = build("go-dynamic").join("reach");
    Program::new(Reached::ByPreload, "go", [program]).prove();
}

#[test]
fn go() {
    if !is_proof() {
        return;
    }
    let program = build("go-static").join("reach");
    Program::new(Reached::Never, "go", [program]).prove();
}

fn node(name: &str) {
    if !is_proof() {
        return;
    }
    let script = build(name).join("reach.js");
    let mut program = Program::new(Reached::ByPreload, "node", [Path::new("node"), &script]);
    program.processes = 3;
    program.prove();
}

#[test]
fn node_rdkafka() {
    node("node-rdkafka");
}

#[test]
fn kafka_javascript() {
    node("kafka-javascript");
}
