//! What the tests share: the built libraries, C programs, and a cluster to talk to.

pub mod advisor;
pub mod authority;
pub mod broker_log;
pub mod bus;
pub mod capture;
pub mod deployed;
pub mod driver;
pub mod engine;
pub mod fault_service;
pub mod faulty;
pub mod kafka;
pub mod kdc;
pub mod ledger;
pub mod marks;
pub mod measuring;
pub mod preloading;
pub mod python;
pub mod random_applications;
pub mod scene;
pub mod service;
pub mod silent;
pub mod stores;
pub mod system;
pub mod transports;
pub mod tree;
pub mod watched;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Cargo's folder: this program lies in that of a profile, with what it depends on.
fn target() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

/// Where cargo puts what it builds in release mode, fresh: `target/release`. A test does not link with
/// the products, and alone would leave the old ones. All of them are built, as everywhere: with the
/// features of some of them cargo would make the library anew each time.
pub fn built() -> PathBuf {
    static FRESH: OnceLock<()> = OnceLock::new();
    FRESH.get_or_init(|| cargo(&["build", "--quiet"]));
    target().join("release")
}

/// `target/tmp`: for what tests leave behind.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let folder = target().join("tmp");
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// A librdkafka with us, and the same one without.
///
/// With `SUPERSTREAM_TEST_ENGINE` in the environment it is another one: `debian` for the
/// distribution's, or a version that `tests/engines/fetch` knows. It has no Superstream inside, so
/// the preload library brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Ours.
    DropIn,
    /// The same engine, built and linked the same way, without us.
    Stock,
}

/// The engine that the tests run with, where it is not our own.
pub fn other_engine() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| Some(engine(&env::var("SUPERSTREAM_TEST_ENGINE").ok()?)));
    folder.as_deref()
}

/// A folder with another librdkafka as `librdkafka.so.1`: `debian`, or a version that
/// `tests/engines/fetch` knows.
pub fn engine(name: &str) -> PathBuf {
    if name == "debian" {
        let folder = scratch().join("debian");
        place(&folder, &system_library("librdkafka.so.1"));
        return folder;
    }
    let fetch = root().join("tests/engines/fetch");
    PathBuf::from(run(Command::new(fetch).arg(name)).trim_end())
}

/// The engine's version, as far as tests depend on it: ours is new enough for all of them.
pub fn engine_has(version: [u32; 2]) -> bool {
    let Ok(engine) = env::var("SUPERSTREAM_TEST_ENGINE") else {
        return true;
    };
    let text = match engine.as_str() {
        "debian" => run(tool("dpkg-query").args(["-W", "-f=${Version}", "librdkafka1"])),
        _ => engine,
    };
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    [numbers.next().unwrap(), numbers.next().unwrap()] >= version
}

/// The library that is preloaded. `make build` makes it: its features are not those of a test.
pub fn preload() -> PathBuf {
    let library = built().join("preload/libsuperstream.so");
    assert!(
        library.exists(),
        "no {} (see `make preload`)",
        library.display()
    );
    library
}

impl Library {
    /// A folder that holds nothing but this library as `librdkafka.so.1` and `librdkafka.so`.
    pub fn folder(self) -> PathBuf {
        if let Some(folder) = other_engine() {
            return folder.to_owned();
        }
        let folder = scratch().join(self.name());
        if self == Self::DropIn {
            &DROP_IN
        } else {
            &STOCK
        }
        .get_or_init(|| place(&folder, &self.file()));
        folder
    }

    /// The file that cargo makes.
    pub fn file(self) -> PathBuf {
        built().join(match self {
            Self::DropIn => "libsuperstream.so",
            Self::Stock => "libsuperstream_stock_engine.so",
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::DropIn => "drop-in",
            Self::Stock => "stock",
        }
    }
}

static DROP_IN: OnceLock<()> = OnceLock::new();
static STOCK: OnceLock<()> = OnceLock::new();

/// Runs cargo inside a test, in release mode, for what `cargo test` does not build.
pub fn cargo(arguments: &[&str]) {
    let (subcommand, rest) = arguments.split_first().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([subcommand, "--release"])
        .args(rest)
        .current_dir(root());
    forget_cargo(&mut cargo);
    cargo.env_remove("LD_LIBRARY_PATH");
    run(&mut cargo);
}

/// What cargo tells this test must not reach a cargo that is started below it: build scripts, and
/// all that hangs on them, would run again.
fn forget_cargo(command: &mut Command) {
    let about_us = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if about_us.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// Tests run in processes of their own, side by side: each link is put in place whole.
fn place(folder: &Path, library: &Path) {
    assert!(library.exists(), "{} is missing", library.display());
    fs::create_dir_all(folder).unwrap();
    for (name, target) in [
        ("librdkafka.so.1", library),
        ("librdkafka.so", Path::new("librdkafka.so.1")),
    ] {
        let fresh = unique(folder, name);
        symlink(target, &fresh).unwrap();
        fs::rename(&fresh, folder.join(name)).unwrap();
    }
}

/// A name in `folder` that no other test uses.
pub fn unique(folder: &Path, name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{name}.{}-{number}", std::process::id()))
}

/// A folder with `librdkafka/rdkafka.h` and `librdkafka/rdkafka_mock.h`.
pub fn include() -> PathBuf {
    static HEADERS: OnceLock<()> = OnceLock::new();
    let folder = scratch().join("include");
    HEADERS.get_or_init(|| {
        let inner = folder.join("librdkafka");
        fs::create_dir_all(&inner).unwrap();
        for header in ["rdkafka.h", "rdkafka_mock.h"] {
            let fresh = unique(&inner, header);
            fs::copy(built().join("engine").join(header), &fresh).unwrap();
            fs::rename(&fresh, inner.join(header)).unwrap();
        }
    });
    folder
}

/// Compiles `source` (relative to the workspace) against the engine's headers and links it with
/// the stock library; which library it gets is decided when it runs.
pub fn compile(source: &str) -> PathBuf {
    static COMPILED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    // Each test program has a folder of its own: they may run side by side.
    let folder = scratch().join("programs").join(own_name());
    let source = root().join(source);
    let program = folder.join(source.file_stem().unwrap());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if compiled.contains(&program) {
        return program;
    }
    fs::create_dir_all(&folder).unwrap();
    run(tool("cc")
        .args(["-std=gnu11", "-O2", "-g", "-pthread"])
        .args(["-Wall", "-Wextra", "-Werror"])
        // As for a system header: rdkafka.h has a warning of its own under -Wextra.
        .arg("-isystem")
        .arg(include())
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-L")
        .arg(link_folder())
        .arg("-lrdkafka"));
    compiled.insert(program.clone());
    program
}

/// A folder with a librdkafka that has every function, for the linker.
fn link_folder() -> PathBuf {
    let folder = scratch().join("link");
    place(&folder, &Library::Stock.file());
    folder
}

/// The name of this test program.
fn own_name() -> String {
    let program = env::current_exe().unwrap();
    program.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// A command in an environment without cargo's settings, for the linker and the loader too, and
/// without ours.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    forget_cargo(&mut command);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SUPERSTREAM_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("LIBRARY_PATH")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::null());
    command
}

/// A program that finds its librdkafka in `folder`.
pub fn with_library_in(folder: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = tool(program);
    command.env("LD_LIBRARY_PATH", folder);
    command
}

/// A program that gets this library.
pub fn with_library(library: Library, program: impl AsRef<OsStr>) -> Command {
    let mut command = with_library_in(&library.folder(), program);
    if library == Library::DropIn && other_engine().is_some() {
        command.env("LD_PRELOAD", preload());
    }
    command
}

/// The path of a library that the compiler finds, such as the distribution's.
pub fn system_library(name: &str) -> PathBuf {
    PathBuf::from(run(tool("cc").arg(format!("-print-file-name={name}"))).trim_end())
}

/// Runs a command that has to succeed; its stdout.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?} (see `make setup`): {error}"));
    assert_success(command, &output);
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with all that the command has said.
pub fn assert_success(command: &Command, output: &Output) {
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A mock cluster in a process of its own, with the stock library. It ends with its stdin, so
/// it does not outlive the test, however that ends.
pub struct Cluster {
    /// The value for `bootstrap.servers`.
    pub brokers: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Cluster {
    /// Three brokers with these topics, each written `NAME:PARTITIONS`.
    pub fn start(topics: &[&str]) -> Self {
        let mut command = with_library_in(&link_folder(), compile("examples/c/mock_cluster.c"));
        command
            .args(["-n", "3", "-c"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.stderr(Stdio::null());
        for topic in topics {
            command.args(["-t", topic]);
        }
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut brokers = String::new();
        stdout.read_line(&mut brokers).unwrap();
        assert!(!brokers.is_empty(), "the mock cluster did not start");
        Self {
            brokers: brokers.trim_end().to_owned(),
            child,
            stdin,
            stdout,
        }
    }

    /// Stops the cluster; its account of the requests that it received, as a line of JSON.
    pub fn stop(mut self) -> String {
        self.stdin.take();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stdin.take();
        // After `stop` there is nothing left to wait for, and that is no error.
        let _ = self.child.wait();
    }
}

#[test]
fn every_program_of_this_folder_is_a_test() {
    let folder = root().join("tests");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let forgotten: Vec<_> = names
        .filter(|name| name.ends_with(".rs") && !manifest.contains(&format!("\"{name}\"")))
        .collect();
    assert!(
        forgotten.is_empty(),
        "not in tests/Cargo.toml: {forgotten:?}"
    );
}
