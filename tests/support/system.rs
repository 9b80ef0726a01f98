//! A system of its own for one program: what the program sees as `/etc` and `/tmp` are folders
//! of the test. The machine is not changed.

use crate::{Library, scratch, unique};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What a test puts into `/etc` itself. The rest is the machine's, for the sake of name
/// resolution and of the loader.
const OWN: &[&str] = &[
    "ssl",
    "pki",
    "krb5.conf",
    "krb5",
    "krb5.keytab",
    "gss",
    "sasl2",
    "sasl",
];

/// The machine's own `/etc` stays reachable in a mount beneath the test's folder.
const MOUNT: &str = r#"
set -e
mount --rbind /etc "$1/etc/.machine"
mount --rbind "$1/etc" /etc
mount --bind "$1/tmp" /tmp
shift
cd /tmp
exec "$@" 2>&1
"#;

/// Where the program and its library are for the program itself. The folder of the build is not
/// among the places that it has any reason to look at.
const PROGRAM: &str = "/tmp/run/program";
const LIBRARIES: &str = "/tmp/run";

/// Writes down each file that the program and its children name to the kernel.
const TRACER: &[&str] = &[
    "strace",
    "-f",
    "-qq",
    "-e",
    "trace=%file",
    "-o",
    "/tmp/trace",
];

/// A folder with an `etc` and a `tmp`.
pub struct System {
    folder: PathBuf,
    traced: bool,
}

impl System {
    /// A system that trusts nobody and knows no Kerberos.
    pub fn new() -> Self {
        let folder = unique(scratch(), "system");
        // What an earlier run with the same process id may have left.
        let _ = fs::remove_dir_all(&folder);
        let etc = folder.join("etc");
        fs::create_dir_all(etc.join(".machine")).unwrap();
        fs::create_dir_all(etc.join("ssl/certs")).unwrap();
        fs::create_dir_all(folder.join("tmp/run")).unwrap();
        for entry in fs::read_dir("/etc").unwrap() {
            let name = entry.unwrap().file_name();
            if !OWN.contains(&name.to_str().unwrap_or_default()) {
                symlink(Path::new(".machine").join(&name), etc.join(&name)).unwrap();
            }
        }
        Self {
            folder,
            traced: false,
        }
    }

    /// The same with a trace of the program.
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// The paths that the program has named, after it has ended.
    pub fn named_paths(&self) -> BTreeSet<PathBuf> {
        let trace = fs::read_to_string(self.tmp().join("trace")).unwrap();
        trace
            .lines()
            .filter_map(|line| line.split('"').nth(1))
            .map(PathBuf::from)
            .collect()
    }

    /// What the program sees as `/etc`.
    pub fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// What the program sees as `/tmp`.
    pub fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Where the test finds a file that the program calls `path`.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }

    /// The program in this system, with ours or, for `None`, with the machine's own librdkafka.
    pub fn command(&self, program: &Path, library: Option<Library>) -> Command {
        let run = self.tmp().join("run");
        share(program, &run.join("program"));
        if let Some(library) = library {
            // Ours as it is installed: what it looks for is settled when it is packaged.
            let folder = match library {
                Library::DropIn => crate::tree::library(),
                Library::Stock => library.folder(),
            };
            let file = fs::canonicalize(folder.join("librdkafka.so.1")).unwrap();
            share(&file, &run.join("librdkafka.so.1"));
        }
        let mut command = crate::with_library_in(Path::new(LIBRARIES), "unshare");
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "SASL_PATH"] {
            command.env_remove(name);
        }
        for name in [
            "KRB5_CONFIG",
            "KRB5CCNAME",
            "KRB5_KTNAME",
            "KRB5_CLIENT_KTNAME",
        ] {
            command.env_remove(name);
        }
        command
            .args(namespace().unwrap())
            .args(["sh", "-c", MOUNT, "sh"]);
        command.arg(&self.folder);
        if self.traced {
            command.args(TRACER);
        }
        command.arg(PROGRAM);
        command
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Files that a failed test has left help to understand it.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn share(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// Whether the kernel lets us have a namespace; if not, says so.
pub fn available() -> bool {
    if namespace().is_none() {
        eprintln!("skipped: no mount namespace for us here (neither as root nor as a user)");
    }
    namespace().is_some()
}

/// The arguments of `unshare`: as root a mount namespace is enough, others also need a user
/// namespace.
fn namespace() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&[&str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let ways: [&'static [&'static str]; 2] = [&["-m"], &["-rm"]];
        ways.into_iter().find(|way| {
            let script = "mount --bind /tmp /tmp";
            let output = Command::new("unshare")
                .args(*way)
                .args(["sh", "-c", script])
                .output();
            output
                .expect("cannot run unshare (install util-linux)")
                .status
                .success()
        })
    })
}

/// A file of Debian's package; `None` where there is no Debian.
pub fn of_debian(package: &str, found: impl AsRef<OsStr>) -> Option<PathBuf> {
    if !Path::new("/etc/debian_version").exists() {
        eprintln!("skipped: {package} is compared on Debian only");
        return None;
    }
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let file = Path::new("/usr/lib")
        .join(triplet)
        .join(Path::new(found.as_ref()));
    assert!(file.exists(), "install {package} (see `make setup`)");
    Some(file)
}
