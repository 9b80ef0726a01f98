//! Servers of NATS that come late, start again, hang, say no, or are one of several: whatever they do,
//! the application gets its client in time, and the service is found again.

use std::time::{Duration, Instant};

use serde_json::json;
use superstream_nats_server::{NatsServer, wait_until};
use superstream_tests::Library;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{
    FaultService, Nats, Request, advise, advise_reports, reply,
};

/// What waiting for an answer that never comes costs. The library's thread goes on for longer still.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The users of a server, with what the clients may not do.
fn users(token: &str, permissions: &str) -> String {
    format!(
        "authorization {{ timeout: 60, users = [ {{ user: superstream_internal, password: \"{token}\" {permissions} }},
         {{ user: service, password: service }} ] }}"
    )
}

/// A service behind a server of the test's own.
fn behind(server: NatsServer) -> FaultService {
    let nats = Nats {
        server,
        ..Nats::new()
    };
    FaultService::over_nats(nats, |request, stream| {
        advise_reports(request, stream, &json!({"linger.ms": 50}))
    })
}

/// The server says at once that nobody listens, and a service that comes later is found.
#[test]
fn a_server_without_a_service() {
    let server = NatsServer::start();
    let host = server.url();
    let mut driver = Driver::patient(&[("SUPERSTREAM_HOST", &host)]);
    let status = driver.unharmed(0);
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let service = behind(server);
    service.wait_for_report("client-0");
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_server_that_starts_again() {
    let service = behind(NatsServer::start());
    let mut driver = Driver::patient(&service.environment(&[]));
    for _ in 0..3 {
        driver.set(&[("test.mock.num.brokers", "1")]);
        driver.create("producer");
    }
    service.wait_for_several(1, "reports", Request::reports);
    service.nats().without_server(|| {
        // Nobody waits for it meanwhile.
        driver.create("producer");
    });
    for client in 0..3 {
        let path = format!("/v1/clients/client-{client}/reconnected");
        let told = service.wait_for(&path, |request| request.is("POST", &path));
        let id = told.json()["new_nats_connection_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(id.contains(':'), "{id}");
    }
    let before = service
        .requests()
        .iter()
        .filter(|one| one.reports())
        .count();
    driver.expect("produce 0 orders", "NO_ERROR");
    service.wait_for_several(before + 1, "more reports", Request::reports);
    driver.create("producer");
    assert_eq!(driver.get(4, "linger.ms"), "50");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

/// The service has forgotten its clients with the restart: they introduce themselves again.
#[test]
fn a_service_that_has_forgotten_its_clients() {
    let service = FaultService::over_nats(Nats::new(), |request, stream| {
        match request.path.ends_with("/client-0/reconnected") {
            true => reply(stream, "404 Not Found", ""),
            false => advise(request, stream, &json!({"linger.ms": 50})),
        }
    });
    let mut driver = Driver::patient(&service.environment(&[]));
    driver.create("producer");
    service.wait_for_report("client-0");
    service.nats().without_server(|| {});
    service.wait_for_report("client-1");
    assert_eq!(driver.status(0)["client"]["client_hash"], "client-1");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-1");
    driver.end_quietly();
}

#[test]
fn a_member_of_a_cluster_dies() {
    let mut first = NatsServer::in_cluster("", &[]);
    let second = NatsServer::in_cluster("", &[&first]);
    wait_until("a cluster", || {
        first.monitor("/routez")["num_routes"].as_u64() > Some(0)
    });
    let host = first.url();
    let service = behind(second);
    // Until the first server knows who listens at the other, it says that nobody does.
    wait_until("the service is heard of", || {
        let routes = first.monitor("/routez?subs=1").to_string();
        routes.contains("\"internal.>\"")
    });
    let mut driver = Driver::patient(&[("SUPERSTREAM_HOST", &host)]);
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    service.wait_for_several(1, "reports", Request::reports);
    first.kill();
    let before = service
        .requests()
        .iter()
        .filter(|one| one.reports())
        .count();
    driver.expect("produce 0 orders", "NO_ERROR");
    service.wait_for_several(before + 1, "reports by another server", Request::reports);
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_server_that_lets_nobody_in() {
    let service = behind(NatsServer::with(&users("right-token", "")));
    let debug = ("SUPERSTREAM_DEBUG", "true");
    let mut driver =
        Driver::patient(&service.environment(&[("SUPERSTREAM_TOKEN", "wrong-token"), debug]));
    for client in 0..2 {
        let status = driver.unharmed(client);
        let note = status["note"].as_str().unwrap().to_lowercase();
        assert!(note.contains("authorization"), "{status:#}");
        assert!(!status.to_string().contains("wrong-token"), "{status:#}");
    }
    driver.expect("destroy 0", "destroyed");
    let log = driver.end().stderr;
    assert!(log.contains("superstream"), "no log: {log}");
    assert!(!log.contains("wrong-token"), "{log}");
    assert!(service.requests().is_empty());

    let mut driver = Driver::patient(&service.environment(&[("SUPERSTREAM_TOKEN", "right-token")]));
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_subject_that_is_not_allowed() {
    let denied = |subject: &str| {
        let permissions = format!(", permissions: {{ publish: {{ deny: \"{subject}\" }} }}");
        behind(NatsServer::with(&users("right-token", &permissions)))
    };
    let token = [("SUPERSTREAM_TOKEN", "right-token")];

    let service = denied("internal.registerClient");
    let mut driver = Driver::patient(&service.environment(&token));
    let status = driver.unharmed(0);
    let note = status["note"].as_str().unwrap().to_lowercase();
    assert!(note.contains("permission"), "{status:#}");
    driver.end_quietly();

    // Whoever may not report has advice all the same.
    let service = denied("internal_tasks.clientsUpdate.reports");
    let mut driver = Driver::patient(&service.environment(&token));
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
    driver.expect("produce 0 orders", "NO_ERROR");
    let is_told = |driver: &mut Driver| {
        let status = driver.status(0)["service"].to_string().to_lowercase();
        status.contains("permission")
    };
    wait_until("the refusal is shown", || is_told(&mut driver));
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    driver.end_quietly();
    assert!(!service.requests().iter().any(Request::reports));

    // Nor does it need to hear of anything.
    let permissions = ", permissions: { subscribe: { deny: \"internal.>\" } }";
    let service = behind(NatsServer::with(&users("right-token", permissions)));
    let mut driver = Driver::patient(&service.environment(&token));
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

/// The registration does not fit: no try would help, and nobody waits for one.
#[test]
fn a_server_that_takes_little() {
    let service = behind(NatsServer::with("max_payload: 256\nmax_control_line: 1024"));
    let mut driver = Driver::patient(&service.environment(&[]));
    for client in 0..2 {
        let status = driver.unharmed(client);
        assert_eq!(status["changes"], json!([]), "{status:#}");
    }
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

/// Its machine hangs, and goes on after a while.
#[test]
fn a_server_that_hangs() {
    let service = behind(NatsServer::start());
    let timeout = TIMEOUT.as_millis().to_string();
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", &timeout)]);
    let mut driver = Driver::start(Library::DropIn, &environment);
    driver.create("producer");
    service.wait_for_report("client-0");
    service.nats().server().signal("STOP");
    driver.unharmed(1);
    let second = driver.create("producer");
    assert!(second < TIMEOUT, "the second waited too: {second:?}");
    let begin = Instant::now();
    driver.expect("destroy 0", "destroyed");
    assert!(begin.elapsed() < TIMEOUT, "the end waited for the server");
    service.nats().server().signal("CONT");
    service.wait_for_goodbye("client-0");
    wait_until("the service is reached", || {
        driver.status(1)["service"]["state"] == "up"
    });
    driver.create("producer");
    assert_eq!(driver.get(3, "linger.ms"), "50");
    driver.end_quietly();
}
