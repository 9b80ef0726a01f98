//! The service as a process: what it keeps when it is killed, how it takes new rules, and how it
//! ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use crate::common::{Service, TOKEN, bearer, log_file, no_secret_lies_in, program, wait_until};
use serde_json::{Value, json};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let mut service = Service::start(&["--db", text(&db)]);
    let (sender, receiver) = mpsc::channel();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (url, sender) = (service.url.clone(), sender.clone());
            std::thread::spawn(move || write_until_killed(&url, &sender))
        })
        .collect();
    drop(sender);
    let mut acknowledged: Vec<(String, bool)> = receiver.iter().take(100).collect();
    // The writers are in the middle of their work.
    service.signal("-KILL");
    acknowledged.extend(receiver);
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    service.child.wait().unwrap();

    let service = Service::start(&["--db", text(&db)]);
    for (hash, reported) in acknowledged {
        let (status, client) = service.get(&format!("/v1/clients/{hash}"));
        assert_eq!(status, 200, "{hash} was acknowledged");
        if reported {
            assert_eq!(
                client["producer_topics_partitions"],
                json!({"t": [7]}),
                "{hash}"
            );
        }
    }
}

fn write_until_killed(url: &str, acknowledged: &mpsc::Sender<(String, bool)>) {
    let agent = crate::common::agent();
    let post = |path: &str, body: &Value| {
        let request = agent
            .post(format!("{url}{path}"))
            .header("authorization", bearer(TOKEN));
        request.send_json(body)
    };
    while let Ok(mut answer) = post("/v1/clients", &json!({"type": "producer"})) {
        let Ok(registered) = answer.body_mut().read_json::<Value>() else {
            return;
        };
        let hash = registered["client_hash"].as_str().unwrap();
        let report = json!({"producer_topics_partitions": {"t": [7]}});
        let reported = post(&format!("/v1/clients/{hash}/reports"), &report);
        let reported = reported.is_ok_and(|answer| answer.status() == 204);
        acknowledged.send((hash.to_owned(), reported)).unwrap();
    }
}

#[test]
fn no_secret_reaches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (db, log) = (dir.path().join("db"), dir.path().join("log"));
    let mut service = Service::start_logging(&["--db", text(&db), "--verbose"], log_file(&log));
    let hash = service.register(&json!({
        "tags": "{\"api_token\":\"hunter2\"}",
        "config": {"sasl.password": "hunter2", "ssl.key.pem": "hunter2", "x": TOKEN,
                   "sasl.jaas.config": "hunter2", "superstream.token": TOKEN},
    }));
    let path = format!("/v1/clients/{hash}");
    let config = json!({
        "config": {"ssl.keystore.password": "hunter2"},
        "changes": [{"key": "sasl.password", "old": "hunter2", "new": "hunter2", "reason": TOKEN}],
    });
    assert_eq!(
        service.send("PUT", &format!("{path}/config"), &config).0,
        204
    );
    let error = json!({"error": format!("Authorization: Bearer {TOKEN}, token=hunter2")});
    assert_eq!(
        service.send("POST", &format!("{path}/errors"), &error).0,
        204
    );
    let broker = json!({"id": 1, "name": "sasl://me:hunter2@kafka:9092/1"});
    let measured = json!({
        "topics": {TOKEN: {"accepted": {"records": 1, "bytes": 1}}},
        "other_topics": {"accepted": {"records": 1, "bytes": 1}},
        "brokers": [broker, {"id": 2, "name": format!("{TOKEN}:9092/2")}],
    });
    let reports = json!({"reports": [{"client_hash": hash, "sequence": 1, "measured": measured}]});
    assert_eq!(service.send("POST", "/v1/reports", &reports).0, 200);
    service.signal("-KILL");
    service.child.wait().unwrap();
    no_secret_lies_in(dir.path());
}

#[cfg(unix)]
#[test]
fn the_database_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let _service = Service::start(&["--db", text(&db)]);
    assert_eq!(fs::metadata(&db).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn topics_of_the_last_run_choose_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    fs::write(
        &rules,
        "[[rule]]\ntopic = \"pay*\"\n[rule.configuration]\nlinger.ms = 7\n",
    )
    .unwrap();
    let service = Service::start(&["--rules", text(&rules)]);
    let client = json!({"config": {"client.id": "a"}, "client_host": "h", "tags": "{}"});
    let hash = service.register(&client);
    assert_eq!(service.advice(&client), json!({}));
    let report = json!({"producer_topics_partitions": {"payments": [0]}});
    assert_eq!(
        service
            .send("POST", &format!("/v1/clients/{hash}/reports"), &report)
            .0,
        204
    );
    assert_eq!(service.advice(&client), json!({"linger.ms": 7}));
    assert_eq!(
        service.advice(&json!({"config": {"client.id": "b"}})),
        json!({})
    );
}

#[test]
fn changed_rules_are_taken_and_bad_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, log) = (dir.path().join("rules.toml"), dir.path().join("log"));
    let linger = |ms: u32| format!("[[rule]]\n[rule.configuration]\n\"linger.ms\" = {ms}\n");
    fs::write(&rules, linger(1)).unwrap();
    let service = Service::start_logging(&["--rules", text(&rules)], log_file(&log));
    let advice = || service.advice(&json!({}))["linger.ms"].clone();
    assert_eq!(advice(), 1);

    fs::write(&rules, linger(2)).unwrap();
    wait_until("rules written in place are taken", || advice() == 2);

    fs::write(&rules, "[[rule]]\nknid = 1\n").unwrap();
    wait_until("the refusal is logged", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("line 2") && log.contains("knid")
    });
    assert_eq!(advice(), 2, "the old rules stay");

    let new = dir.path().join("new");
    fs::write(&new, linger(3)).unwrap();
    fs::rename(&new, &rules).unwrap();
    wait_until("a file renamed over the old one is taken", || advice() == 3);
}

#[test]
fn observe_is_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, "[[rule]]\nmode = \"active\"\n").unwrap();
    let service = Service::start(&["--observe", "--rules", text(&rules)]);
    assert_eq!(
        service.send("POST", "/v1/clients", &json!({})).1["mode"],
        "observe"
    );
    assert_eq!(service.get("/health").1["mode"], "observe");
}

#[test]
fn it_ends_well_when_told_to() {
    for signal in ["-TERM", "-INT"] {
        let mut service = Service::start(&[]);
        // A connection that is kept open does not keep the service.
        assert_eq!(service.get("/health").0, 200);
        service.signal(signal);
        assert_eq!(service.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn it_does_not_outlive_its_parent() {
    let mut shell = Command::new("sh")
        .args([
            "-c",
            "\"$0\" --listen 127.0.0.1:0 --exit-with-parent & read -r _",
        ])
        .arg(env!("CARGO_BIN_EXE_superstream-service"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    shell.kill().unwrap();
    shell.wait().unwrap();
    // Standard output ends when the service, which has it too, has ended.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
}

#[test]
fn a_wrong_start_tells_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        text(&path).to_owned()
    };
    let bad_rules = file("bad.toml", "mode = \"active\"\n[[rule]]\nknid = 1\n");
    let (empty, other) = (
        file("empty", "\n"),
        file("other", "not a database at all, but text"),
    );
    let missing = text(&dir.path().join("missing/db")).to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, words) in [
        (vec!["--nonsense"], 2, "--nonsense"),
        (vec!["--rules", &bad_rules], 2, "line 3"),
        (vec!["--rules", &missing], 2, "missing"),
        (vec!["--token", ""], 2, "token"),
        (vec!["--token", "two words"], 2, "token"),
        (vec!["--token-file", &empty], 2, "token"),
        (vec!["--token-file", &missing], 2, "missing"),
        (
            vec!["--token", "a", "--token-file", &empty],
            2,
            "token-file",
        ),
        (vec!["--report-interval", "0"], 2, "1s to 24h"),
        (vec!["--report-interval", "25h"], 2, "1s to 24h"),
        (vec!["--report-interval", "5x"], 2, "1s to 24h"),
        (vec!["--report-interval", "+5"], 2, "1s to 24h"),
        (vec!["--report-interval", ""], 2, "1s to 24h"),
        (vec!["--tls-cert", &empty], 2, "tls-key"),
        (vec!["--tls-cert", &empty, "--tls-key", &empty], 2, "TLS"),
        (vec!["--db", &other], 1, "database"),
        (vec!["--db", &missing], 1, "database"),
        (vec!["--listen", &taken], 1, "listen"),
    ] {
        let output = program().args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(
            said.contains(words) && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    for flag in ["--help", "--version"] {
        let output = program().arg(flag).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty());
    }
}

#[test]
fn https_with_a_token_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("cert"), made.cert.pem()).unwrap();
    fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(path("token"), "from-a-file\n").unwrap();
    let service = Service::start_over(&[
        "--token-file",
        text(&path("token")),
        "--tls-cert",
        text(&path("cert")),
        "--tls-key",
        text(&path("key")),
    ]);
    assert!(
        service.url.starts_with("https://127.0.0.1:"),
        "{}",
        service.url
    );
    let certificate = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[certificate]))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let url = service.url.replace("127.0.0.1", "localhost") + "/v1/clients";
    let answer = agent
        .get(&url)
        .header("authorization", bearer("from-a-file"))
        .call()
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn in_process_and_without_a_token() {
    let options = superstream_service::Options::default();
    let service = superstream_service::InProcess::start(options).unwrap();
    let url = format!("{}/v1/clients", service.url());
    let agent = crate::common::agent();
    let mut answer = agent
        .post(&url)
        .send_json(json!({"type": "consumer"}))
        .unwrap();
    let registered: Value = answer.body_mut().read_json().unwrap();
    let hash = registered["client_hash"].as_str().unwrap();
    let directory = service.directory().unwrap();
    assert_eq!(
        directory
            .push_update(hash, "CompressionUpdate", "e30=")
            .unwrap(),
        1
    );
    let updates = |after: u32| -> Value {
        let mut answer = agent
            .get(format!("{url}/{hash}/updates?after={after}"))
            .call()
            .unwrap();
        answer.body_mut().read_json().unwrap()
    };
    let update = json!({"sequence": 1, "type": "CompressionUpdate", "payload": "e30="});
    assert_eq!(updates(0), json!({"updates": [update]}));
    assert_eq!(updates(1), json!({"updates": []}));
    drop(service);
    assert!(agent.get(&url).call().is_err(), "it stops with its owner");
}
