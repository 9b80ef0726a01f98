//! What an application says that it did, and what was reported of it, side by side.

use std::cell::RefCell;
use std::collections::HashSet;
use std::env;
use std::ffi::OsStr;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::assert_success;
use crate::fault_service::FaultService;
use crate::preloading::compile_c;

/// A bound against hanging: under valgrind, or with the records of a proof, it takes minutes.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// What keeps a process at its exit.
fn stay() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| compile_c("stay.c", &[OsStr::new("-shared")]))
}

/// An application that is kept at its exit, and does not outlive the test.
struct Kept {
    child: RefCell<Child>,
    said: Option<JoinHandle<Vec<u8>>>,
    exit: Option<TcpListener>,
    held: RefCell<Vec<TcpStream>>,
}

impl Kept {
    fn start(command: &mut Command) -> Self {
        let exit = TcpListener::bind("127.0.0.1:0").unwrap();
        exit.set_nonblocking(true).unwrap();
        let preloaded = command.get_envs().find(|(name, _)| *name == "LD_PRELOAD");
        let preloaded = preloaded.and_then(|(_, libraries)| libraries);
        let libraries = preloaded.into_iter().chain([stay().as_os_str()]);
        let libraries = env::join_paths(libraries).unwrap();
        command
            .env("LD_PRELOAD", libraries)
            .env("STAY", exit.local_addr().unwrap().port().to_string())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make setup`): {error}"));
        let mut stdout = child.stdout.take().unwrap();
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            stdout.read_to_end(&mut said).unwrap();
            said
        });
        Self {
            child: RefCell::new(child),
            said: Some(said),
            exit: Some(exit),
            held: RefCell::default(),
        }
    }

    /// Whether it has ended, or is about to end with a failure: no more will come of it.
    fn has_failed(&self) -> bool {
        let mut child = self.child.borrow_mut();
        let exit = self.exit.iter();
        for (mut held, _) in exit.flat_map(|exit| exit.accept().ok()) {
            let mut told = [0; 8];
            let is_told = held.read_exact(&mut told).is_ok();
            self.held.borrow_mut().push(held);
            let id = [told[0], told[1], told[2], told[3]];
            if is_told && u32::from_ne_bytes(id) == child.id() && told[4..] != [0; 4] {
                return true;
            }
        }
        child.try_wait().unwrap().is_some()
    }

    fn end(mut self) -> Output {
        self.exit.take();
        self.held.take();
        Output {
            status: self.child.borrow_mut().wait().unwrap(),
            stdout: self.said.take().unwrap().join().unwrap(),
            stderr: Vec::new(),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut child = self.child.borrow_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Runs an application that has one client, and lets it exit once the client's goodbye has come.
/// What it says, and the last report.
#[track_caller]
pub fn run_to_goodbye(command: &mut Command) -> (String, Value) {
    let (said, mut reported) = run_to_goodbyes(command, 1);
    (said, reported.remove(0))
}

/// The same with several clients, in the order of their creation.
#[track_caller]
pub fn run_to_goodbyes(command: &mut Command, clients: usize) -> (String, Vec<Value>) {
    let service = FaultService::advising(json!({}));
    command
        .env("SUPERSTREAM_HOST", service.url())
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    let application = Kept::start(command);
    let names = (0..clients).map(|number| format!("client-{number}"));
    let names: Vec<String> = names.collect();
    let all_came = || {
        let requests = service.requests();
        let ends = requests.iter().filter(|request| request.method == "DELETE");
        let ended: HashSet<_> = ends.map(|request| &request.path).collect();
        ended.len() >= clients
    };
    service.wait_within(LONGEST_RUN, "all goodbyes", || {
        all_came() || application.has_failed()
    });
    let output = application.end();
    assert_success(command, &output);
    for name in &names {
        service.wait_for_goodbye(name);
    }
    let reported = names.iter().map(|name| service.measured(name));
    let reported = reported.map(|report| report.expect("no report came"));
    (
        String::from_utf8(output.stdout).unwrap(),
        reported.collect(),
    )
}

/// The same for an application that says it in JSON.
#[track_caller]
pub fn run_and_parse(command: &mut Command) -> (Value, Value) {
    let (said, reported) = run_to_goodbye(command);
    (serde_json::from_str(&said).unwrap(), reported)
}

/// The sum of some requests over all brokers of a report: how many, and their bytes.
pub fn requests(measured: &Value, kind: &str) -> (u64, u64) {
    let brokers = measured["brokers"].as_array().unwrap();
    let sum = |what: &str| {
        let figures = brokers.iter().map(|broker| &broker[kind][what]);
        figures.map(number).sum()
    };
    (sum("requests"), sum("bytes"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// What is compared, in a report and in the engine's statistics.
type Figures = [u64; 4];
const FIGURES: [&str; 4] = ["requests", "bytes", "produce requests", "fetch requests"];
const REPORTED: [&str; 4] = [
    "/sent/requests",
    "/sent/bytes",
    "/produce/requests",
    "/fetch/requests",
];
const IN_STATISTICS: [&str; 4] = ["/tx", "/txbytes", "/req/Produce", "/req/Fetch"];

fn sum<'a>(brokers: impl Iterator<Item = &'a Value>, paths: [&str; 4]) -> Figures {
    brokers.fold(Figures::default(), |sum, broker| {
        let more = paths.map(|path| broker.pointer(path).map_or(0, number));
        std::array::from_fn(|place| sum[place] + more[place])
    })
}

/// The sums over all brokers of a report.
fn reported(measured: &Value) -> Figures {
    sum(measured["brokers"].as_array().unwrap().iter(), REPORTED)
}

/// Over those that have an id. The others are bootstrap brokers, which leave the statistics of a
/// recent engine once they are not needed any more, and coordinators, which stay.
fn reported_of_known(measured: &Value) -> Figures {
    let brokers = measured["brokers"].as_array().unwrap().iter();
    sum(brokers.filter(|broker| broker["id"] != -1), REPORTED)
}

fn in_statistics(statistics: &Value) -> Figures {
    let brokers = statistics["brokers"].as_object().unwrap().values();
    sum(brokers, IN_STATISTICS)
}

/// Requests and bytes of all kinds, against the engine's statistics, which were taken between two
/// statuses of ours. All of them only grow: where nothing happened in between, nothing but the first
/// requests to bootstrap brokers may be missing there.
#[track_caller]
pub fn assert_agrees(said: &Value) {
    let least = reported_of_known(&said["before"]["measured"]);
    let most = reported(&said["status"]["measured"]);
    let theirs = in_statistics(&said["statistics"]);
    for (place, what) in FIGURES.into_iter().enumerate() {
        let (least, theirs) = (least[place], theirs[place]);
        // The engine counts each piece of a request that it gives to the socket.
        let most = match what {
            "requests" => u64::MAX,
            _ => most[place],
        };
        assert!(
            (least..=most).contains(&theirs),
            "{what}: {theirs} in the statistics, {least} before them and {most} after"
        );
    }
    assert!(least[1] > 0, "{said}");
}

/// The bytes of all requests in the last report, within a thousandth of those in the last
/// statistics.
#[track_caller]
pub fn assert_about(statistics: &Value, measured: &Value) {
    let (ours, theirs) = (reported(measured)[1], in_statistics(statistics)[1]);
    assert!(theirs > 0, "{statistics}");
    assert!(
        ours.abs_diff(theirs) <= theirs / 1000,
        "{ours} and {theirs}"
    );
}
