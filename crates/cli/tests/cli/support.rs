//! What the tests share: a folder with the program and stand-ins for its libraries, and C
//! programs.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with `bin/superstream` as cargo leaves it: its libraries in `preload` beside it.
pub struct Stage(TempDir);

impl Stage {
    pub fn new() -> Self {
        let stage = Self::without_libraries();
        let preload = stage.path("bin/preload");
        fs::create_dir(&preload).unwrap();
        let library = preload.join("libsuperstream.so");
        compile("superstream.c", &library, &["-shared", "-fPIC"]);
        // What it does is not looked at here.
        compile(
            "plain.c",
            &preload.join("libsuperstream-hooks.so"),
            &["-shared", "-fPIC"],
        );
        stage
    }

    pub fn without_libraries() -> Self {
        Self::named("stage")
    }

    /// The name becomes part of every path.
    pub fn named(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(name)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_superstream"));
        // A link: a copy that another test's child still holds open could not be started.
        fs::hard_link(program, folder.path().join("bin/superstream")).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn library(&self) -> String {
        text(&self.path("bin/preload/libsuperstream.so"))
    }

    pub fn hooks(&self) -> String {
        text(&self.path("bin/preload/libsuperstream-hooks.so"))
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    /// The program, in this folder and an environment without anything of ours.
    pub fn superstream(&self, arguments: &[&str]) -> Command {
        let mut command = self.tool(self.path("bin/superstream"));
        command.args(arguments);
        command
    }

    pub fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("SUPERSTREAM_") || name.starts_with("LD_") {
                command.env_remove(name.as_ref());
            }
        }
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// What the program does with these arguments.
    pub fn output(&self, arguments: &[&str]) -> Said {
        Said::by(&mut self.superstream(arguments))
    }

    /// doctor's document on something that it can look at.
    pub fn doctor(&self, arguments: &[&str]) -> serde_json::Value {
        let said = self.output(&[&["doctor", "--json"], arguments].concat());
        let document: serde_json::Value = serde_json::from_str(&said.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
        assert_eq!(
            document["works"] == true,
            said.code == Some(0),
            "{document:#}"
        );
        document
    }

    /// A librdkafka in a folder, and a program that is linked to it.
    pub fn engine(&self, name: &str, flags: &[&str]) -> PathBuf {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let soname = format!(
            "-Wl,-soname,{}",
            file.file_name().unwrap().to_str().unwrap()
        );
        compile(
            "engine.c",
            &file,
            &[&["-shared", "-fPIC", &soname], flags].concat(),
        );
        file
    }

    /// A program or, with `-shared`, a module that is linked to a library.
    pub fn caller(&self, name: &str, library: &Path, flags: &[&str]) -> PathBuf {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let runpath = format!("-Wl,-rpath,{}", text(library.parent().unwrap()));
        compile(
            "caller.c",
            &file,
            &[flags, &[&text(library), &runpath]].concat(),
        );
        file
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        Self {
            code: status.code(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// It ended so, and its complaint has each of these in it.
    pub fn complains(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// A program that waits for its input to end, and so ends with this value.
pub struct Waiting {
    pub id: String,
    pub stdin: Option<ChildStdin>,
    child: Child,
}

impl Waiting {
    /// Starts a program that says a line once it is ready.
    pub fn start(command: &mut Command) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let waiting = Self {
            id: child.id().to_string(),
            stdin,
            child,
        };
        (waiting, line.trim_end().to_owned())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.wait();
    }
}

/// Compiles one of the C sources. Libraries go behind it, as the linker wants them.
pub fn compile(source: &str, into: &Path, flags: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/c")
        .join(source);
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-O2",
            "-D_GNU_SOURCE",
            "-Wall",
            "-Werror",
            "-o",
        ])
        .arg(into)
        .arg(&source)
        .args(flags)
        .env_remove("LIBRARY_PATH")
        .output()
        .expect("cannot run cc (see `make setup`)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", source.display());
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub fn is_root() -> bool {
    // SAFETY: this only reads a number of this process.
    unsafe { libc::geteuid() == 0 }
}
