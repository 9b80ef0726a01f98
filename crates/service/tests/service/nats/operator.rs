//! What the operator of both servers meets: credentials, certificates, a server that is away.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use async_nats::ConnectOptions;
use serde_json::json;
use superstream_nats_server::NatsServer;

use super::peer::{Peer, pair, registration};
use super::subjects::metrics;
use crate::common::{Service, TOKEN, log_file, no_secret_lies_in, program, wait_until};

/// All that the internal user has to be allowed.
const PERMISSIONS: &str = r#"
authorization {
  timeout: 60
  users: [ {
    user: superstream_internal, password: "a-token-for-tests",
    permissions: {
      publish: ["internal.>", "internal_tasks.>", "_INBOX.>"],
      subscribe: ["internal.>", "internal_tasks.>", "_INBOX.>"]
    }
  } ]
}
"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn with_token(server: &NatsServer) -> Peer {
    let user = "superstream_internal".to_owned();
    Peer::with(
        server,
        ConnectOptions::with_user_and_password(user, TOKEN.to_owned()),
    )
}

#[test]
fn the_token_is_the_password() {
    let server = NatsServer::with(PERMISSIONS);
    let service = Service::start(&["--nats", &server.url()]);
    let peer = with_token(&server);
    let running = peer.run(&registration(&peer), "producer");
    assert_eq!(service.get(&format!("/v1/clients/{}", running.hash)).0, 200);
    assert!(!server.log().contains("iolation"), "{}", server.log());
}

#[test]
fn a_password_of_its_own_comes_from_a_file() {
    let server = NatsServer::with("authorization { user: svc, password: \"other-password\" }");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, "other-password\n").unwrap();
    let url = server.url();
    let service = Service::start(&[
        "--nats",
        &url,
        "--nats-user",
        "svc",
        "--nats-password-file",
        text(&file),
    ]);
    wait_until("it is let in", || {
        metrics(&service).contains("superstream_service_nats_up 1")
    });
}

#[test]
fn a_wrong_start_tells_why() {
    let server = NatsServer::with(PERMISSIONS);
    let dir = tempfile::tempdir().unwrap();
    let (empty, password) = (dir.path().join("empty"), dir.path().join("password"));
    fs::write(&empty, "\n").unwrap();
    fs::write(&password, "hunter2").unwrap();
    let (url, missing) = (server.url(), dir.path().join("missing"));
    let bad = format!("nats://me:hunter2@127.0.0.1:{}", server.port());
    for (arguments, words) in [
        (vec!["--nats", &url], "refuses"),
        (
            vec!["--nats", &url, "--nats-password-file", text(&password)],
            "refuses",
        ),
        (vec!["--nats", &bad], "list of processes"),
        (vec!["--nats", "http://localhost"], "nats://"),
        (vec!["--nats", &url, "--nats-ca", text(&missing)], "missing"),
        (
            vec!["--nats", &url, "--nats-ca", text(&empty)],
            "certificate",
        ),
        (
            vec!["--nats", &url, "--nats-password-file", text(&missing)],
            "missing",
        ),
        (vec!["--nats-user", "x"], "--nats"),
    ] {
        let (code, said, out) = refused(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        let is_told = said.contains(words) && !said.contains("panicked");
        assert!(
            is_told && !said.contains("hunter2"),
            "{arguments:?}: {said}"
        );
        assert!(out.is_empty(), "{arguments:?}");
    }
}

/// What a start says that was not answered in time.
const GOES_ON: &str = "is tried again";

/// The exit code of a start that comes to nothing, and what it says. One that learns too late whether it
/// is let in goes on: it is started again.
fn refused(arguments: &[&str]) -> (Option<i32>, String, Vec<u8>) {
    loop {
        let mut child = program()
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while errors.read_line(&mut said).unwrap() > 0 && !said.contains(GOES_ON) {}
        let goes_on = said.contains(GOES_ON);
        if goes_on {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if !goes_on {
            return (output.status.code(), said, output.stdout);
        }
    }
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let mut server = NatsServer::start();
    server.kill();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let service = Service::start_logging(&["--nats", &server.url()], log_file(&log));
    assert!(metrics(&service).contains("superstream_service_nats_up 0"));
    assert_eq!(service.get("/v1/clients").0, 200, "HTTP goes on");
    wait_until("the log tells", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("cannot be reached")
    });
    server.start_again();
    wait_until("it is there", || {
        metrics(&service).contains("superstream_service_nats_up 1")
    });
    let peer = Peer::at(&server);
    let first = peer.run(&registration(&peer), "producer").hash;

    server.kill();
    wait_until("it is away", || {
        metrics(&service).contains("superstream_service_nats_up 0")
    });
    server.start_again();
    wait_until("it is there again", || {
        metrics(&service).contains("superstream_service_nats_up 1")
    });
    let again = json!({"new_nats_connection_id": "NAT1:9", "client_hash": first});
    let subject = "internal_tasks.clientReconnectionUpdate";
    assert_eq!(peer.ask(subject, &again), json!({}));
    let second = peer.run(&registration(&peer), "producer").hash;
    for hash in [first, second] {
        assert_eq!(service.get(&format!("/v1/clients/{hash}")).0, 200);
    }
}

#[test]
fn who_is_refused_later_goes_on_trying() {
    let mut server = NatsServer::with(PERMISSIONS);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let service = Service::start_logging(&["--nats", &server.url()], log_file(&log));
    wait_until("it is let in", || {
        metrics(&service).contains("superstream_service_nats_up 1")
    });
    server.start_again_with(&PERMISSIONS.replace(TOKEN, "another-token"));
    wait_until("the log tells", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("refuses the user")
    });
    assert!(metrics(&service).contains("superstream_service_nats_up 0"));
    server.start_again_with(PERMISSIONS);
    wait_until("it is let in again", || {
        metrics(&service).contains("superstream_service_nats_up 1")
    });
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn it_ends_well_with_and_without_a_server() {
    let (mut server, mut service) = pair(&[]);
    let peer = Peer::at(&server);
    // Its start is cared for.
    peer.register(&registration(&peer));
    service.signal("-TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    let url = server.url();
    let mut service = Service::start(&["--nats", &url]);
    server.signal("STOP");
    service.signal("-TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0), "it hangs");
    server.kill();
    let mut service = Service::start(&["--nats", &url]);
    service.signal("-TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn tls_with_a_certificate_that_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("cert"), made.cert.pem()).unwrap();
    fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("other"), other.cert.pem()).unwrap();
    let server = NatsServer::with(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n{PERMISSIONS}",
        text(&path("cert")),
        text(&path("key"))
    ));
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://localhost:{}", server.port());
        let service = Service::start(&["--nats", &url, "--nats-ca", text(&path("cert"))]);
        wait_until("it is let in", || {
            metrics(&service).contains("superstream_service_nats_up 1")
        });
        let log = path("log");
        let stranger = Service::start_logging(
            &["--nats", &url, "--nats-ca", text(&path("other"))],
            log_file(&log),
        );
        wait_until("the log tells why not", || {
            fs::read_to_string(&log)
                .unwrap()
                .contains("cannot be reached")
        });
        assert!(metrics(&stranger).contains("superstream_service_nats_up 0"));
    }
}

#[test]
fn no_secret_reaches_the_disk() {
    let server = NatsServer::with(PERMISSIONS);
    let dir = tempfile::tempdir().unwrap();
    let (db, log) = (dir.path().join("db"), dir.path().join("log"));
    let url = server.url();
    let mut service = Service::start_logging(
        &["--nats", &url, "--db", text(&db), "--verbose"],
        log_file(&log),
    );
    let peer = with_token(&server);
    let mut told = registration(&peer);
    told["tags"] = json!("{\"api_token\":\"hunter2\"}");
    told["config"]["superstream.token"] = json!(TOKEN);
    told["config"]["superstream.tags"] = json!("{\"password\":\"hunter2\"}");
    told["config"]["sasl.password"] = json!("hunter2");
    told["config"]["ssl.key.pem"] = json!(["hunter2"]);
    told["config"]["x"] = json!(TOKEN);
    let running = peer.run(&told, "producer");
    let hash = &running.hash;
    let config = json!({"client_hash": hash, "config": {
        "sasl.password": "hunter2", "superstream.token": TOKEN, "linger.ms": 100,
    }});
    peer.ask("internal.clientConfigUpdate", &config);
    let error = format!(
        "[clientHash: {hash}] [sdk: python][version: 1][tags: {{\"token\":\
                         \"hunter2\"}}] password=hunter2 {TOKEN}"
    );
    peer.ask_raw("internal.clientErrors", error);
    peer.ask_raw("internal.clientErrors", format!("password=hunter2 {TOKEN}"));
    let sample = json!({"password": "hunter2", "x": TOKEN});
    peer.ask(&format!("internal.schema.learnSchema.{hash}"), &sample);
    let moved = json!({"new_nats_connection_id": TOKEN, "client_hash": hash});
    peer.ask("internal_tasks.clientReconnectionUpdate", &moved);
    let topics = json!({"producer_topics_partitions": {TOKEN: [0]}});
    peer.ask(
        &format!("internal_tasks.clientsUpdate.config.{hash}"),
        &topics,
    );
    service.signal("-KILL");
    service.child.wait().unwrap();
    no_secret_lies_in(dir.path());
}
