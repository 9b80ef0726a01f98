//! Marks in the place of secrets, and where they must not turn up.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::driver::{self, Driver};
use crate::{Library, engine, preload, run, scratch, unique, with_library, with_library_in};

/// The variables by which HTTP clients find a proxy.
pub const PROXY_VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Texts that stand nowhere but where a test has put them.
#[derive(Default)]
pub struct Marks(Vec<(String, String)>);

impl Marks {
    /// A mark of its own, for what is named so.
    pub fn of(&mut self, name: &str) -> String {
        let mark = format!("zqmark{:04}xkw", self.0.len());
        self.0.push((name.to_owned(), mark.clone()));
        mark
    }

    #[track_caller]
    pub fn assert_none_in(&self, seen: &Seen) {
        let mut found = String::new();
        for (what, text) in &seen.0 {
            for (name, mark) in &self.0 {
                if let Some(at) = text.find(mark) {
                    let around = text.get(at.saturating_sub(80)..at + mark.len() + 20);
                    writeln!(found, "{name} is in {what}: {:?}", around.unwrap_or(mark)).unwrap();
                }
            }
        }
        assert!(found.is_empty(), "{found}");
        assert!(self.0.len() > 1, "no marks");
    }
}

/// What others may see, and how.
#[derive(Default)]
pub struct Seen(Vec<(String, String)>);

impl Seen {
    pub fn add(&mut self, what: &str, bytes: impl Into<Vec<u8>>) {
        let text = String::from_utf8_lossy(&bytes.into()).into_owned();
        self.0.push((what.to_owned(), text));
    }

    /// All of it.
    pub fn all(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// The library, and the program with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    DropIn,
    Preload,
}

impl Product {
    pub fn command(self) -> Command {
        match self {
            Self::DropIn => with_library(Library::DropIn, driver::program()),
            Self::Preload => {
                let mut command = with_library_in(&engine("debian"), driver::program());
                command.env("LD_PRELOAD", preload());
                command
            }
        }
    }

    /// Every property that the engine knows.
    fn properties(self) -> Vec<String> {
        let mut command = self.command();
        let table = run(command.arg("properties"));
        let rows = table.lines().filter_map(|line| line.split_once('|'));
        let names = rows.map(|(name, _)| name.trim().to_owned());
        let is_name = |name: &String| {
            !name.is_empty() && name != "Property" && !name.starts_with(['-', ' ', '*'])
        };
        names.filter(is_name).collect()
    }
}

pub const PRODUCTS: [Product; 2] = [Product::DropIn, Product::Preload];

/// What an operator names, to know it again in what the service shows. All other properties that
/// take any text are secret until somebody says otherwise here.
const SHOWN: &[&str] = &[
    "broker.version.fallback",
    "client.id",
    "client.rack",
    "client.software.name",
    "client.software.version",
    "group.id",
    "group.instance.id",
    "group.protocol.type",
    "group.remote.assignor",
    "partition.assignment.strategy",
    "sasl.mechanism",
    "sasl.mechanisms",
    "transactional.id",
];

/// The engine takes it or `https.ca.location`.
const LEFT_OUT: &str = "https.ca.pem";

/// What must be among the properties that were tried: a test that tries nothing finds nothing.
const TRIED: &[&str] = &[
    "bootstrap.servers",
    "plugin.library.paths",
    "sasl.kerberos.keytab",
    "sasl.kerberos.kinit.cmd",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// And in our own engine: the distribution's is built without.
const TRIED_IN_OURS: &[&str] = &[
    "https.ca.location",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
];

/// Sets every property that takes a text to a mark.
pub fn set_marks(driver: &mut Driver, product: Product, marks: &mut Marks) {
    let properties = product.properties();
    let mut tried = Vec::new();
    for name in &properties {
        if SHOWN.contains(&&**name) || name == LEFT_OUT {
            continue;
        }
        let mark = marks.of(name);
        let value = match &**name {
            "bootstrap.servers" | "metadata.broker.list" => {
                format!("127.0.0.1:1,sasl_ssl://user:{mark}@127.0.0.1:2")
            }
            "plugin.library.paths" => plugin_under(&mark),
            "https.ca.location" => folder_named(&mark),
            name if name.ends_with(".url") => format!("https://user:{mark}@127.0.0.1:1/{mark}"),
            _ => mark,
        };
        if driver.say(&format!("set {name} {value}")) == "set" {
            tried.push(name.as_str());
        }
    }
    let in_ours = TRIED_IN_OURS.iter().filter(|_| product == Product::DropIn);
    for name in TRIED.iter().chain(in_ours) {
        assert!(tried.contains(name), "{name} is not among {tried:?}");
    }
}

pub fn folder_named(mark: &str) -> String {
    let folder = unique(scratch(), mark);
    fs::create_dir_all(&folder).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// The plugin, in a place whose name nobody is to know.
fn plugin_under(mark: &str) -> String {
    let plugin = format!("{}/plugin.so", folder_named(mark));
    fs::copy(
        preload().with_file_name("libsuperstream-plugin.so"),
        &plugin,
    )
    .unwrap();
    plugin
}

/// Variables that programs keep secrets in, and ours.
pub fn environment(marks: &mut Marks) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "CONFLUENT_API_SECRET",
        "KAFKA_PASSWORD",
        "KAFKA_SASL_JAAS_CONFIG",
        "KAFKA_SSL_KEY_PASSWORD",
        "SASL_PASSWORD",
        "SOME_SECRET_OF_THE_APPLICATION",
    ]
    .map(|name| (name, marks.of(name)))
    .into();
    for name in PROXY_VARIABLES {
        all.push((name, format!("http://user:{}@127.0.0.1:1/", marks.of(name))));
    }
    all
}

/// What the engine does not take, with a mark for each `%`.
pub const FAILURES: &[&[&str]] = &[
    &["security.protocol ssl", "ssl.key.pem %"],
    &["security.protocol ssl", "ssl.certificate.pem %"],
    &["security.protocol ssl", "ssl.ca.pem %"],
    &["security.protocol ssl", "ssl.ca.location /%/ca.pem"],
    &[
        "security.protocol ssl",
        "ssl.key.location /%",
        "ssl.key.password %",
    ],
    &[
        "security.protocol ssl",
        "ssl.keystore.location /%",
        "ssl.keystore.password %",
    ],
    &["security.protocol ssl", "ssl.cipher.suites %"],
    &["security.protocol ssl", "ssl.engine.location /%"],
    &[
        "security.protocol sasl_plaintext",
        "sasl.kerberos.kinit.cmd kinit %{%}",
    ],
    &[
        "security.protocol sasl_ssl",
        "sasl.mechanism NOPE",
        "sasl.password %",
    ],
    &[
        "security.protocol sasl_plaintext",
        "sasl.mechanism PLAIN",
        "sasl.password %",
    ],
    &[
        "security.protocol sasl_plaintext",
        "sasl.mechanism OAUTHBEARER",
        "sasl.oauthbearer.method oidc",
        "sasl.oauthbearer.client.secret %",
        "sasl.oauthbearer.token.endpoint.url https://user:%@127.0.0.1:1/",
    ],
    &["enable.idempotence true", "acks 1", "sasl.password %"],
    &[
        "plugin.library.paths /%/plugin.so",
        "enable.idempotence true",
        "acks 1",
    ],
    &[
        "bootstrap.servers user:%@127.0.0.1:1",
        "enable.idempotence true",
        "acks 1",
    ],
];
