//! What is asked over a link, and what is not answered with yes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_veltix::ConnectionOptions;
use tokio_rustls::rustls;

use super::peer::{
    CONFIGURE, ERROR, GOODBYE, HELLO, Peer, REGISTER, REPORT, RESUME, UPDATE, at_once, client,
    is_alive, is_no, service, service_in,
};
use crate::common::{Service, TOKEN, log_file, no_secret_lies_in, wait_until};

#[test]
fn every_message_has_its_answer() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let registration = json!({"type": "producer", "registration_id": "r", "tags": "{\"a\":\"b\"}",
                              "config": {"client.id": "orders"}});
    let registered = peer.ask(REGISTER, &registration);
    let over_http = service.send("POST", "/v1/clients", &registration);
    assert_eq!(over_http, (200, registered.clone()), "as over HTTP");
    let hash = registered["client_hash"].as_str().unwrap();

    let config = json!({"client_hash": hash, "config": {"linger.ms": 7}, "mode": "active"});
    assert_eq!(peer.ask(CONFIGURE, &config), json!({}));
    let report = json!({"client_hash": hash, "sequence": 3,
                        "producer_topics_partitions": {"t": [1]}});
    let taken = peer.ask(REPORT, &json!({"reports": [report, {"client_hash": "x"}]}));
    assert_eq!(taken["report_interval_ms"], 600_000, "{taken}");
    assert_eq!(taken["reports"][0]["client_hash"], hash, "{taken}");
    assert_eq!(taken["reports"][0]["sequence"], 3, "{taken}");
    assert_eq!(taken["reports"][1]["unknown"], true, "{taken}");
    let error = json!({"client_hash": hash, "error": "it went wrong"});
    assert_eq!(peer.ask(ERROR, &error), json!({}));
    let shown = client(&service, hash);
    assert_eq!(shown["effective_config"]["linger.ms"], 7);
    assert_eq!(shown["producer_topics_partitions"], json!({"t": [1]}));
    assert_eq!(shown["errors"][0]["error"], "it went wrong");
    assert_eq!(shown["alive"], true);

    let resume = json!({"client_hashes": [hash, "nobody"]});
    assert_eq!(peer.ask(RESUME, &resume), json!({"unknown": ["nobody"]}));
    let goodbye = json!({"client_hash": hash});
    assert_eq!(peer.ask(GOODBYE, &goodbye), json!({}));
    assert!(!is_alive(&service, hash));
    assert_eq!(
        peer.ask(GOODBYE, &goodbye),
        json!({}),
        "saying it again is fine"
    );

    for code in [CONFIGURE, ERROR, GOODBYE] {
        let words = json!({"client_hash": "nobody", "error": "x"});
        is_no(&peer.ask(code, &words), 404);
        is_no(&peer.ask(code, &json!({"error": "x"})), 404);
    }
    let dry = json!({"dry_run": true, "type": "producer"});
    let advised = peer.ask(REGISTER, &dry);
    assert!(advised["client_hash"].is_null(), "{advised}");
    assert!(advised["optimized_configuration"].is_object(), "{advised}");
}

#[test]
fn nobody_is_served_without_the_token() {
    let service = service(&[]);
    for code in [
        REGISTER, CONFIGURE, REPORT, ERROR, GOODBYE, RESUME, UPDATE, 300,
    ] {
        let mut peer = Peer::stranger(&service);
        is_no(&peer.ask(code, &json!({})), 401);
        peer.is_closed();
    }
    let mut peer = Peer::at(&service);
    peer.register(&json!({}));
    // Once it is let in, a token that is wrong is told, and changes nothing.
    is_no(&peer.ask(HELLO, &json!({"token": "wrong"})), 401);
    peer.register(&json!({}));

    for hello in [
        json!({}),
        json!({"token": ""}),
        json!({"token": "wrong"}),
        json!({"token": format!("{}x", TOKEN)}),
    ] {
        let mut peer = Peer::stranger(&service);
        is_no(&peer.ask(HELLO, &hello), 401);
        peer.is_closed();
    }
    let clients = service.get("/v1/clients").1;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 2, "{clients}");
}

#[test]
fn no_secret_is_kept_or_logged() {
    let dir = tempfile::tempdir().unwrap();
    let service = service_in(dir.path());
    let mut stranger = Peer::stranger(&service);
    is_no(&stranger.ask(HELLO, &json!({"token": "hunter2"})), 401);
    let mut peer = Peer::stranger(&service);
    let sdk = format!("an sdk with {TOKEN}");
    assert_eq!(
        peer.ask(HELLO, &json!({"token": TOKEN, "sdk": sdk})),
        json!({})
    );
    let tags = json!({"team": TOKEN, "password": "hunter2"}).to_string();
    let config = json!({"sasl.password": "hunter2", "client.id": TOKEN});
    let hash = peer.register(&json!({"tags": tags, "config": config}));
    let config = json!({"client_hash": hash, "config": config});
    assert_eq!(peer.ask(CONFIGURE, &config), json!({}));
    let words = format!("password=hunter2 with {TOKEN}");
    let error = json!({"client_hash": hash, "error": words});
    assert_eq!(peer.ask(ERROR, &error), json!({}));
    drop(peer);
    wait_until("the log tells of the link's end", || {
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        log.contains("an sdk with") && log.contains("did not say goodbye; their tags")
    });
    no_secret_lies_in(dir.path());
}

#[test]
fn who_does_not_say_who_it_is_is_closed() {
    let service = service(&[]);
    let mut known = Peer::at(&service);
    let mut stranger = Peer::stranger(&service);
    assert!(stranger.is_there());
    stranger.is_closed();
    known.register(&json!({}));

    let mut stranger = Peer::stranger(&service);
    is_no(&stranger.ask_raw(HELLO, "{"), 400);
    stranger.is_closed();
}

#[test]
fn not_too_many_are_strangers() {
    // After ten seconds a stranger is closed for that: a machine that takes so long shows nothing.
    assert!((0..5).any(|_| those_beyond_256_are_closed()));
}

/// Whether it was seen in time.
fn those_beyond_256_are_closed() -> bool {
    let service = service(&[]);
    let mut known = Peer::at(&service);
    let begin = Instant::now();
    let mut strangers = at_once(300, || Peer::stranger(&service));
    wait_until("those beyond 256 are closed", || {
        strangers.retain_mut(Peer::is_there);
        strangers.len() <= 256
    });
    let count = strangers.len();
    let hello = json!({"token": TOKEN}).to_string();
    let greeted = strangers
        .first_mut()
        .map(|first| first.try_raw(HELLO, hello));
    if begin.elapsed() >= Duration::from_secs(10) {
        return false;
    }
    assert_eq!(count, 256);
    // One that is listened to leaves room.
    assert_eq!(greeted.unwrap().unwrap(), json!({}));
    Peer::at(&service).register(&json!({}));
    known.register(&json!({}));
    true
}

#[test]
fn a_client_that_comes_again_takes_no_room() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let names: Vec<_> = (0..5_001).map(|_| peer.register(&json!({}))).collect();
    let again = json!({"client_hashes": names});
    for _ in 0..2 {
        assert_eq!(peer.ask(RESUME, &again), json!({"unknown": []}));
    }
}

#[test]
fn without_a_token_all_are_served() {
    let service = Service::start_over(&["--veltix", "127.0.0.1:0"]);
    let mut peer = Peer::stranger(&service);
    is_no(&peer.ask(REGISTER, &json!({})), 401);
    peer.is_closed();
    let mut peer = Peer::stranger(&service);
    assert_eq!(peer.ask(HELLO, &json!({})), json!({}));
    peer.register(&json!({}));
}

#[test]
fn what_cannot_be_taken() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    for code in [HELLO, REGISTER, CONFIGURE, REPORT, ERROR, GOODBYE, RESUME] {
        for text in ["", "{", "{} {}", "\u{1}"] {
            is_no(&peer.ask_raw(code, text), 400);
        }
        for text in ["[]", "null", "1"] {
            is_no(&peer.ask_raw(code, text), 422);
        }
    }
    for (code, text) in [
        (REGISTER, "{\"type\":\"broker\"}"),
        (GOODBYE, "{\"client_hash\":1}"),
        (RESUME, "{\"client_hashes\":\"x\"}"),
        (REPORT, "{\"reports\":[{\"sequence\":-1}]}"),
    ] {
        is_no(&peer.ask_raw(code, text), 422);
    }
    for code in [207, 219, UPDATE, 221, 300, 60_000] {
        is_no(&peer.ask(code, &json!({})), 404);
    }
    // After all that it is served.
    peer.register(&json!({}));
}

#[test]
fn what_is_too_long() {
    let service = service(&[]);
    let mut peer = Peer::at(&service);
    let (most, most_reports) = (1024 * 1024, 4 * 1024 * 1024);
    let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    for code in [HELLO, REGISTER, CONFIGURE, ERROR, GOODBYE, RESUME] {
        is_no(&peer.ask_raw(code, padded(most + 1)), 413);
    }
    assert_eq!(peer.ask_raw(RESUME, padded(most)), json!({"unknown": []}));
    is_no(&peer.ask_raw(REPORT, padded(most_reports + 1)), 413);
    assert_eq!(
        peer.ask_raw(REPORT, padded(most_reports))["reports"],
        json!([])
    );
    let clients: Vec<_> = (0..10_001).map(|n| n.to_string()).collect();
    is_no(&peer.ask(RESUME, &json!({"client_hashes": clients})), 422);
    let one_often = vec!["x"; 10_001];
    is_no(&peer.ask(RESUME, &json!({"client_hashes": one_often})), 422);

    // What nobody would answer is not read to its end.
    let mut other = Peer::at(&service);
    assert!(other.try_raw(REPORT, padded(2 * most_reports)).is_err());
    peer.register(&json!({}));
}

#[test]
fn what_is_long_comes_from_nobody_who_has_not_said_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let service = Service::start_logging(&["--veltix", "127.0.0.1:0", "--verbose"], log_file(&log));
    let long = |words: &str| words.to_owned() + &" ".repeat(1024 * 1024 - words.len());
    let hello = json!({"token": TOKEN}).to_string();
    for code in [HELLO, REPORT] {
        let mut stranger = Peer::stranger(&service);
        assert!(stranger.try_raw(code, long(&hello)).is_err());
    }
    wait_until("the log says why", || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.matches("a frame of 1048598 bytes, 65536 are taken")
            .count()
            == 2
    });
    let mut peer = Peer::at(&service);
    assert_eq!(peer.ask_raw(HELLO, long(&hello)), json!({}));
    assert_eq!(peer.ask_raw(RESUME, long("{}")), json!({"unknown": []}));
}

#[test]
fn veltixs() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let service = service(&["--tls-cert", &path("cert"), "--tls-key", &path("key")]);
    assert!(service.veltix.starts_with("veltixs://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let options = ConnectionOptions::default().with_tls(Arc::new(config));
    let url = service.veltix.replace("127.0.0.1", "localhost");
    let mut peer = Peer::with(&url, &options);
    peer.greet();
    peer.register(&json!({}));
    let all = vec![json!({"type": "consumer"}); 20];
    for registration in all {
        peer.register(&registration);
    }
}
