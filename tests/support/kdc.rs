//! A Kerberos realm of its own, from Debian's packages.

use crate::{run, scratch, tool, unique};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

pub const REALM: &str = "TEST.LOCAL";
/// Who the client is.
pub const CLIENT: &str = "client@TEST.LOCAL";

/// A key distribution centre that knows `client` and the service `kafka/localhost`.
pub struct Kdc {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Kdc {
    pub fn start() -> Self {
        let folder = unique(scratch(), "kdc");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // The port that a listener had may be taken again before the KDC has it.
        let (port, child) = (0..5)
            .find_map(|attempt| Self::attempt(&folder, attempt == 0))
            .expect("the KDC found no port");
        Self {
            folder,
            port,
            child,
        }
    }

    fn attempt(folder: &Path, fresh: bool) -> Option<(u16, Child)> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        fs::write(folder.join("krb5.conf"), configuration(port)).unwrap();
        let path = folder.display();
        let settings = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {REALM} = {{\n  database_name = {path}/principal\n  \
             key_stash_file = {path}/stash\n  acl_file = {path}/acl\n }}\n\
             [logging]\n kdc = FILE:{path}/log\n"
        );
        fs::write(folder.join("kdc.conf"), settings).unwrap();
        if fresh {
            fill(folder);
        }
        let pid = folder.join("pid");
        // A test that is killed must not leave it behind.
        let mut child = command(folder, "setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "krb5kdc",
                "-n",
                "-r",
                REALM,
                "-P",
                pid.to_str().unwrap(),
            ])
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot run krb5kdc (install krb5-kdc)");
        // It says that it starts once it listens, and goes without a word when it cannot.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("starting"));
        if ready {
            // A full pipe would stop it.
            thread::spawn(move || lines.count());
            return Some((port, child));
        }
        let _ = child.wait();
        None
    }

    /// The text of a krb5.conf that leads to this KDC.
    pub fn configuration(&self) -> String {
        configuration(self.port)
    }

    /// The client's keys.
    pub fn keytab(&self) -> PathBuf {
        self.folder.join("keytab")
    }

    /// What it was asked for, in its own words.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A krb5.conf for a KDC at `port`. Nothing in it depends on how the machine resolves names.
pub fn configuration(port: u16) -> String {
    format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n \
         dns_lookup_realm = false\n dns_canonicalize_hostname = false\n rdns = false\n \
         qualify_shortname = \"\"\n\
         [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
         [domain_realm]\n localhost = {REALM}\n"
    )
}

fn fill(folder: &Path) {
    run(command(folder, "kdb5_util").args(["create", "-s", "-r", REALM, "-P", "secret"]));
    let keytab = folder.join("keytab");
    for query in [
        "addprinc -randkey client".to_owned(),
        "addprinc -randkey kafka/localhost".to_owned(),
        format!("ktadd -k {} client", keytab.display()),
    ] {
        run(command(folder, "kadmin.local").args(["-r", REALM, "-q", &query]));
    }
    assert!(keytab.exists(), "kadmin.local wrote no keytab");
}

/// One of the KDC's own tools, which are not on every user's path.
fn command(folder: &Path, program: &str) -> Command {
    let mut command = tool(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", folder.join("kdc.conf"));
    command
}
