//! How long a client waits for its advice, beside Superstream's own client for Python.
//!
//! Both talk to one service: ours over HTTP and over NATS, the SDK over NATS, which is all it knows.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use superstream_nats_server::{NatsServer, wait_until};

use crate::compile_without_library;
use crate::copies::{Copies, LIBRARIES};
use crate::creations::{assert_advised, create_command, read_rounds};
use crate::figure::Figure;
use crate::statistics::{median, numbers, rounded};
use superstream_tests::python::python;
use superstream_tests::service::{Service, TOKEN};
use superstream_tests::{Cluster, root, run, tool};

/// Processes of ours, for the first client of one connects; clients of the SDK, for each of those does.
const CLIENTS: usize = 15;
/// At least 20 times faster.
const BOUND: f64 = 5.0;

const RULES: &str = r#"
[[rule]]
kind = "producer"
[rule.configuration]
"compression.type" = "zstd"
"linger.ms" = 100
"#;

/// Who waits so long was not advised.
const PATIENCE_MS: f64 = 60_000.0;

pub fn over_http(copies: &Copies) -> Figure {
    figure("advice-http", copies, |service, _| service.url.clone())
}

pub fn over_nats(copies: &Copies) -> Figure {
    figure("advice-nats", copies, |_, nats| nats.url())
}

fn figure(
    name: &'static str,
    copies: &Copies,
    host: fn(&Service, &NatsServer) -> String,
) -> Figure {
    let nats = NatsServer::with(&format!(
        "authorization {{ user: superstream_internal, password: {TOKEN} }}"
    ));
    let url = nats.url();
    let options = ["--nats", &url].map(OsStr::new);
    let service = Service::start(RULES, TOKEN, &options, Stdio::inherit());
    wait_until("a service that listens", || !nats.connections().is_empty());
    let program = compile_without_library("benches/c/create.c");
    let host = host(&service, &nats);
    let ours = median(
        (0..CLIENTS)
            .map(|_| first(copies, &program, &host))
            .collect(),
    );
    let sdk = median(sdk(&url));
    Figure {
        name,
        cost: ours / sdk * 100.0,
        unit: "%",
        bound: Some(BOUND),
        details: json!({
            "drop_in_us": rounded(ours / 1e3),
            "sdk_us": rounded(sdk / 1e3),
            "times_faster": rounded(sdk / ours),
        }),
    }
}

/// What the first client of a process takes, in nanoseconds.
fn first(copies: &Copies, program: &Path, host: &str) -> f64 {
    let mut command = create_command(copies, LIBRARIES, program, host, [1, 0]);
    command
        .env("SUPERSTREAM_TOKEN", TOKEN)
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", PATIENCE_MS.to_string());
    let (rounds, status) = read_rounds(&run(&mut command));
    assert_advised(&status);
    rounds[0].drop_in
}

/// What clients of the SDK take. Each asks its cluster for something first, so they get one.
fn sdk(host: &str) -> Vec<f64> {
    let cluster = Cluster::start(&["orders:6"]);
    let said = run(tool(python("superstream-2.4.0.4"))
        .arg("-B")
        .arg(root().join("benches/sdk.py"))
        .args([&cluster.brokers, &CLIENTS.to_string()])
        .env("SUPERSTREAM_HOST", host)
        .env("SUPERSTREAM_TOKEN", TOKEN)
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", PATIENCE_MS.to_string()));
    let took = numbers(&said);
    assert_eq!(took.len(), CLIENTS, "{said}");
    // It returns from the constructor with its configuration, or when its time is over.
    let is_advised = |nanoseconds: &f64| *nanoseconds < PATIENCE_MS * 1e6;
    assert!(took.iter().all(is_advised), "{said}");
    took
}
