//! What is only so over NATS: one connection for all that a process says, of which no child takes a part.

use serde_json::json;
use superstream_nats_server::{NatsServer, wait_until};
use superstream_tests::authority::Authority;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, Nats, advise};
use superstream_tests::transports::Transport;

#[test]
fn one_connection_whatever_the_number_of_clients() {
    let service = Transport::Nats.advising(json!({"linger.ms": 50}));
    let mut driver = Driver::patient(&service.environment(&[]));
    for client in 0..20 {
        driver.create(if client % 2 == 0 {
            "producer"
        } else {
            "consumer"
        });
        service.wait_for_report(&format!("client-{client}"));
    }
    let threads = driver.threads();
    assert_eq!(threads.matches("superstream").count(), 1, "{threads}");
    assert_eq!(service.connections(), 1);
    assert_eq!(service.received().matches("CONNECT {").count(), 1);
    let sockets = driver.say("descriptors");
    assert_eq!(sockets.matches("socket:").count(), 1, "{sockets}");
    for client in 0..20 {
        driver.expect(&format!("destroy {client}"), "destroyed");
        service.wait_for_goodbye(&format!("client-{client}"));
    }
    assert_eq!(service.connections(), 1);
    driver.end_quietly();
}

/// The child has a connection of its own, and the parent's outlives it.
#[test]
fn a_fork_takes_no_connection_along() {
    for end in ["exit", "_exit"] {
        let service = Transport::Nats.advising(json!({"linger.ms": 50}));
        let mut driver = Driver::patient(&service.environment(&[]));
        driver.create("producer");
        service.wait_for_report("client-0");
        let parents = service.nats().only_connection();
        driver.expect("fork", "child");
        driver.create("producer");
        service.wait_for_report("client-1");
        assert_eq!(service.connections(), 2);
        driver.expect(end, "the child exited with 0");
        driver.create("producer");
        service.wait_for_report("client-2");
        assert_eq!(service.connections(), 2, "the parent had to connect again");
        assert!(!parents.is_over());
        let requests = service.requests();
        let of_new = requests.iter().rfind(|request| request.registers());
        assert_eq!(of_new.unwrap().connection, parents.number);
        driver.end_quietly();
    }
}

#[test]
fn a_host_without_a_scheme() {
    let service = Transport::Nats.advising(json!({"linger.ms": 50}));
    for host in ["127.0.0.1", "localhost"] {
        let host = format!("{host}:{}", service.port);
        let mut driver = Driver::patient(&[("SUPERSTREAM_HOST", &host)]);
        driver.create("producer");
        assert_eq!(driver.get(0, "linger.ms"), "50", "{host}");
        driver.end_quietly();
    }
}

#[test]
fn what_a_client_says_of_itself() {
    let service = Transport::Nats.advising(json!({}));
    let file = superstream_tests::unique(superstream_tests::scratch(), "token");
    std::fs::write(&file, "from-a-file\n").unwrap();
    for (name, value, expected) in [
        ("SUPERSTREAM_TAGS", "", "no-auth"),
        ("SUPERSTREAM_TOKEN", "the-token", "the-token"),
        (
            "SUPERSTREAM_TOKEN",
            "quoted\"and\\more",
            "quoted\"and\\more",
        ),
        (
            "SUPERSTREAM_TOKEN_FILE",
            file.to_str().unwrap(),
            "from-a-file",
        ),
    ] {
        let mut driver = Driver::patient(&service.environment(&[(name, value)]));
        driver.create("producer");
        let said = service.nats().only_connection().connect().unwrap();
        assert_eq!(said["user"], "superstream_internal", "{said:#}");
        assert_eq!(said["pass"], expected, "{said:#}");
        assert_eq!(said["verbose"], false, "{said:#}");
        let over = service.nats().only_connection();
        driver.end_quietly();
        service.wait_until("its end", || over.is_over());
    }
}

/// The server itself encrypts, and a client that named no encryption does it the favour.
#[test]
fn a_server_that_encrypts() {
    let authority = Authority::new();
    let [certificate, key] = authority.files("localhost");
    let [certificate, key] = [&certificate, &key].map(|file| file.display());
    let config =
        format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", timeout: 60 }}");
    let server = NatsServer::with(&config);
    for scheme in ["tls://", "nats://", ""] {
        let host = format!("{scheme}localhost:{}", server.port());
        let trusted = [("SUPERSTREAM_HOST", &*host), authority.environment()];
        let mut driver = Driver::patient(&trusted);
        // Nobody serves there, so nobody is waited for.
        let status = driver.unharmed(0);
        let note = status["note"].as_str().unwrap();
        assert!(!note.contains("certificate"), "{scheme}: {note}");
        let connections = server.connections();
        assert_eq!(connections.len(), 1, "{connections:#?}");
        let version = connections[0]["tls_version"].as_str().unwrap_or_default();
        assert!(version.starts_with("1."), "{connections:#?}");
        driver.end_quietly();
        wait_until("the connection is closed", || {
            server.connections().is_empty()
        });

        let mut driver = Driver::patient(&[("SUPERSTREAM_HOST", &host)]);
        let status = driver.unharmed(0);
        let note = status["note"].as_str().unwrap();
        assert!(note.contains("certificate"), "{scheme}: {note}");
        driver.end_quietly();
    }
}

/// A server drops whoever does not answer when it asks.
#[test]
fn a_server_that_asks_often() {
    // It asks nobody who speaks: there are no reports.
    let server = NatsServer::with("ping_interval: \"1s\"\nping_max: 60");
    let nats = Nats {
        server,
        ..Nats::new()
    };
    let service = FaultService::over_nats(nats, |request, stream| {
        advise(request, stream, &json!({"linger.ms": 50}))
    });
    let mut driver = Driver::patient(&service.environment(&[]));
    driver.create("producer");
    service.wait_for_report("client-0");
    let connection = service.nats().only_connection();
    service.wait_until("an answer to each", || {
        assert!(!connection.is_over(), "it was dropped");
        connection.pongs() >= 6
    });
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    assert_eq!(service.connections(), 1);
    driver.end_quietly();
}
