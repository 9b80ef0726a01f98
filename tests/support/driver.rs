//! Drives `tests/c/driver.c`: an application that does what a test tells it, line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Library, compile, with_library};

/// A bound against hanging, no measure of anything: far above what the slowest answer needs on
/// a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The least that the library's thread waits for an answer, behind everybody's back.
pub const THREADS_TIMEOUT: Duration = Duration::from_secs(10);
/// Who waits for the service waits longer: as long as the library's thread still does, of which a
/// creator may have waited for two seconds.
pub const PROMPTLY: Duration = Duration::from_secs(7);

/// The application while it runs.
pub struct Driver {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// The commands and their answers, for the text of a failure.
    transcript: Vec<String>,
}

/// The application after its end.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// What it printed beyond its answers.
    pub stdout: Vec<String>,
    pub stderr: String,
}

/// The program, compiled once for each test binary.
pub fn program() -> &'static std::path::Path {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("tests/c/driver.c"))
}

impl Driver {
    /// Starts the application with a library and an environment.
    pub fn start(library: Library, environment: &[(&str, &str)]) -> Self {
        let mut command = with_library(library, program());
        command.envs(environment.iter().copied());
        Self::spawn(&mut command)
    }

    /// One with the drop-in, which waits for the service as long as it takes: no machine is so busy that
    /// an answer comes too late.
    pub fn patient(environment: &[(&str, &str)]) -> Self {
        let mut all = vec![("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")];
        all.extend_from_slice(environment);
        Self::start(Library::DropIn, &all)
    }

    /// Creates a producer, which must come in time and with the application's own configuration; the
    /// client's status.
    #[track_caller]
    pub fn unharmed(&mut self, client: usize) -> Value {
        let took = self.create("producer");
        assert!(took < THREADS_TIMEOUT, "creation took {took:?}");
        assert_eq!(self.get(client, "linger.ms"), "5");
        self.status(client)
    }

    /// Starts the application by a command of the test's own.
    pub fn spawn(command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make setup`): {error}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            stdin,
            lines,
            stderr: Some(stderr),
            transcript: Vec::new(),
        }
    }

    /// Gives a command and waits for its answer.
    #[track_caller]
    pub fn say(&mut self, command: &str) -> String {
        self.begin(command);
        self.answer()
    }

    /// Gives a command whose answer is fetched later.
    #[track_caller]
    pub fn begin(&mut self, command: &str) {
        self.transcript.push(format!("> {command}"));
        let stdin = self.stdin.as_mut().unwrap();
        if let Err(error) = writeln!(stdin, "{command}").and_then(|()| stdin.flush()) {
            self.fail(&format!("it takes no more commands: {error}"));
        }
    }

    /// The answer to the oldest command that has none yet.
    #[track_caller]
    pub fn answer(&mut self) -> String {
        self.answer_within(PATIENCE)
    }

    /// As [`Self::answer`], to a command that takes long.
    #[track_caller]
    pub fn answer_within(&mut self, patience: Duration) -> String {
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                self.transcript.push(line.clone());
                line
            }
            Err(RecvTimeoutError::Timeout) => self.fail("no answer: it hangs"),
            Err(RecvTimeoutError::Disconnected) => self.fail("it ended without an answer"),
        }
    }

    /// Gives a command that has to have this answer.
    #[track_caller]
    pub fn expect(&mut self, command: &str, expected: &str) {
        let answer = self.say(command);
        assert_eq!(answer, expected, "the answer to {command:?}");
    }

    /// Sets properties on the configuration that the next client gets.
    #[track_caller]
    pub fn set(&mut self, properties: &[(&str, &str)]) {
        for (name, value) in properties {
            self.expect(&format!("set {name} {value}"), "set");
        }
    }

    /// Creates a client, which has to succeed; how long that took.
    #[track_caller]
    pub fn create(&mut self, kind: &str) -> Duration {
        let answer = self.say(&format!("new {kind}"));
        if !answer.starts_with("created") {
            self.fail("no client was created");
        }
        self.took()
    }

    /// How long the last creation took.
    #[track_caller]
    pub fn took(&mut self) -> Duration {
        let ms: f64 = self.say("took").parse().unwrap();
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// A value of the configuration that a client runs with.
    #[track_caller]
    pub fn get(&mut self, client: usize, name: &str) -> String {
        self.say(&format!("get {client} {name}"))
    }

    /// The status document of a client.
    #[track_caller]
    pub fn status(&mut self, client: usize) -> Value {
        let text = self.say(&format!("status {client}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The process id, as text.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The names of all threads. A thread that has just begun still has the program's name, and one
    /// that is given its own may be seen with a part of it: the list is asked for until only the
    /// first one has the program's, and until it says the same twice.
    #[track_caller]
    pub fn threads(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut before = String::new();
        loop {
            let threads = self.say("threads");
            if threads.matches("driver").count() == 1 && threads == before {
                return threads;
            }
            assert!(Instant::now() < deadline, "unnamed threads: {threads}");
            before = threads;
            thread::yield_now();
        }
    }

    /// Waits until these are all threads: some are begun, and some are still seen, after the call
    /// that is about them has returned.
    #[track_caller]
    pub fn wait_for_threads(&mut self, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let threads = self.say("threads");
            if threads == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{threads} instead of {expected}");
            thread::yield_now();
        }
    }

    /// Ends the input, waits for the end and collects what is left.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        self.stdin.take();
        let mut stdout = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => stdout.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.fail("it does not end"),
            }
        }
        let status = self.child.wait().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ended {
            status,
            stdout,
            stderr,
        }
    }

    /// As [`Self::end`], where nothing but the answers may have been printed.
    #[track_caller]
    pub fn end_quietly(self) {
        let transcript = self.transcript.join("\n");
        let ended = self.end();
        assert!(ended.status.success(), "{ended:?} after\n{transcript}");
        assert_eq!(ended.stdout, [""; 0], "printed to stdout");
        assert_eq!(ended.stderr, "", "printed to stderr");
    }

    #[track_caller]
    fn fail(&mut self, what: &str) -> ! {
        let transcript = self.transcript.join("\n");
        // Without its end its stderr does not end either. It is this test's own child.
        let _ = self.child.kill();
        let status = self.child.wait();
        // Nor while a child of its own waits for more to do.
        self.stdin.take();
        let stderr = self.stderr.take().map(JoinHandle::join);
        panic!("{what} ({status:?})\n{transcript}\nstderr: {stderr:?}");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A test that failed half-way leaves no process behind; after `end` there is none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
