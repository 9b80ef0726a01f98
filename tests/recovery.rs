//! After a fault: the thread in the background comes back to the service by itself, and what
//! was late for one client serves the next. No client waits for either.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_tests::driver::{Driver, PROMPTLY};
use superstream_tests::fault_service::{FaultService, Gate, Request, Then, advise, silence};
use superstream_tests::transports::Transport;
use superstream_tests::{
    Library, other_engine, over_each_transport, preload, root, run, with_library,
};

over_each_transport!(
    the_service_comes_back,
    a_late_answer_serves_the_next_client,
    many_clients_while_the_service_is_away,
    an_exit_while_a_request_is_under_way,
    a_destroy_while_a_request_is_under_way,
);

/// What waiting for an answer that never comes costs.
const TIMEOUT: Duration = Duration::from_secs(2);
/// For an answer that does come: no machine is so busy that it comes too late.
const LONG: Duration = Duration::from_secs(60);

fn start(service: &FaultService) -> Driver {
    start_with(service, TIMEOUT)
}

fn start_with(service: &FaultService, timeout: Duration) -> Driver {
    let timeout = timeout.as_millis().to_string();
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", &timeout)]);
    Driver::start(Library::DropIn, &environment)
}

fn client_id(request: &Request) -> Value {
    request.json()["config"]["client.id"].clone()
}

fn is_error(request: &Request) -> bool {
    request.method == "POST" && request.path.ends_with("/errors")
}

fn the_service_comes_back(transport: Transport) {
    // A connection that breaks is tried once more at once, as a kept one may be stale.
    let breaks = AtomicU32::new(2);
    let gate = Gate::default();
    let door = gate.clone();
    let service = transport.serve(move |request, stream| {
        let broken = breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        match broken {
            Ok(_) => Ok(Then::Close),
            Err(_) => {
                door.wait();
                advise(request, stream, &json!({"linger.ms": 50}))
            }
        }
    });
    let mut driver = start_with(&service, LONG);
    driver.set(&[("client.id", "first")]);
    driver.create("producer");
    assert_eq!(driver.status(0)["service"]["state"], "down");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    gate.open();

    // The first client's next registration, by the thread alone.
    let again = service.wait_for("a new try", |request| {
        request.registers() && request.registrations_before == 2
    });
    assert_eq!(client_id(&again), "first");
    let report = service.wait_for_report("client-2").json();
    assert_eq!(report["config"]["queue.buffering.max.ms"], "5");
    assert_eq!(report["changes"], json!([]));

    driver.set(&[("client.id", "second")]);
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    let status = driver.status(1);
    assert_eq!(status["service"]["state"], "up", "{status:#}");
    assert_eq!(status["note"], "the service answered in time");
    // Both tries of the first client carry one name, so that the service knows them as one.
    let first = &service.requests()[0];
    assert!(first.registers());
    assert_eq!(
        first.json()["registration_id"],
        again.json()["registration_id"]
    );
    assert_eq!(driver.status(0)["client"]["client_hash"], "client-2");

    // Afterwards the service is told what it missed, once, and the status shows it.
    let told = service.wait_for("what went wrong", is_error).json();
    let outage = told["error"].as_str().unwrap();
    assert!(outage.contains("was not reached for"), "{outage}");
    assert_eq!(driver.status(0)["service"]["last_outage"], outage);
    let requests = service.requests();
    assert_eq!(requests.iter().filter(|one| is_error(one)).count(), 1);
    driver.end_quietly();
}

/// The service answers after the first client has given up, and never again.
fn a_late_answer_serves_the_next_client(transport: Transport) {
    // Messages that no creator waits for have so long, too.
    const TIMEOUT: Duration = Duration::from_secs(5);
    let gate = Gate::default();
    let door = gate.clone();
    let service = transport.serve(move |request, stream| {
        match (request.registers(), request.registrations_before) {
            (true, 0) => door.wait(),
            (true, _) => return silence(),
            _ => {}
        }
        advise(
            request,
            stream,
            &json!({"linger.ms": 50, "compression.type": "lz4"}),
        )
    });
    let mut driver = start_with(&service, TIMEOUT);
    driver.set(&[("client.id", "same")]);
    let first = driver.create("producer");
    // The thread waits longer than the creator, but not for ever.
    gate.open();
    assert!(first >= TIMEOUT, "{first:?}");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    service.wait_for_report("client-0");

    driver.set(&[("client.id", "same")]);
    driver.create("producer");
    let status = driver.status(1);
    assert_eq!(driver.get(1, "linger.ms"), "50");
    assert_eq!(driver.get(1, "compression.codec"), "lz4");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("too late for an earlier client"), "{note}");
    // A creator that waits in vain leaves a service that is down.
    assert_eq!(status["service"]["state"], "up", "it waited: {status:#}");

    // Advice is for clients of one kind and name.
    driver.set(&[("client.id", "other")]);
    driver.create("producer");
    assert_eq!(driver.get(2, "linger.ms"), "5");
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

/// While the service is away, clients come and go: none waits, and what is kept is bounded.
fn many_clients_while_the_service_is_away(transport: Transport) {
    let service = transport.serve(|_, _| silence());
    let mut driver = start(&service);
    driver.create("producer");
    driver.expect("churn 300 5", "300 of 300");
    driver.end_quietly();
}

/// The process ends with a request under way: nothing waits for the answer.
fn an_exit_while_a_request_is_under_way(transport: Transport) {
    for command in ["exit", "_exit"] {
        let service = transport.serve(|_, _| silence());
        let mut driver = start(&service);
        driver.create("producer");
        service.wait_for("the registration", Request::registers);
        let begin = Instant::now();
        driver.begin(command);
        driver.end_quietly();
        assert!(
            begin.elapsed() < PROMPTLY,
            "{command} waited for the service"
        );
    }
}

/// Nor does the end of a client.
fn a_destroy_while_a_request_is_under_way(transport: Transport) {
    let service = transport.serve(|_, _| silence());
    let mut driver = start(&service);
    driver.create("producer");
    let begin = Instant::now();
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    assert!(begin.elapsed() < PROMPTLY, "the end waited for the service");
}

/// The service lives in the application's own process, behind a lock that the caller of
/// `rd_kafka_new` holds: one timeout, no deadlock, and the next client does not wait.
#[test]
fn a_service_behind_the_callers_own_lock() {
    // Nobody gets an answer while the lock is held, so whoever waits takes all of this.
    const BEHIND_THE_LOCK: Duration = Duration::from_secs(5);
    let script = root().join("tests/python/behind_the_lock.py");
    assert!(fs::exists(&script).unwrap());
    let mut command = with_library(Library::DropIn, "python3");
    command.arg("-I").arg(script).env(
        "SUPERSTREAM_RESPONSE_TIMEOUT",
        BEHIND_THE_LOCK.as_millis().to_string(),
    );
    if other_engine().is_some() {
        // Python's ctypes fetches functions by dlsym.
        let hooks = preload().with_file_name("libsuperstream-hooks.so");
        let both = format!("{}:{}", preload().display(), hooks.display());
        command.env("LD_PRELOAD", both);
    }
    let said: Value = serde_json::from_str(&run(&mut command)).unwrap();
    let took = |client: &str| Duration::from_secs_f64(said[client]["s"].as_f64().unwrap());
    let note = |client: &str| said[client]["note"].as_str().unwrap();
    assert!(took("first") >= BEHIND_THE_LOCK, "{said:#}");
    assert!(took("first") < 2 * BEHIND_THE_LOCK, "{said:#}");
    assert!(note("first").contains("no answer within"), "{said:#}");
    assert_eq!(said["first"]["linger"], "5", "{said:#}");
    assert!(took("second") < BEHIND_THE_LOCK, "it waited: {said:#}");
    assert_eq!(said["registered"], true, "{said:#}");

    // By now the service has answered at least the first client. What is told of the second one
    // may be on its way still: until then the late answer serves, and afterwards one in time.
    let notes = [
        "an answer that came too late for an earlier client of this kind",
        "the service answered in time",
    ];
    assert!(notes.contains(&note("third")), "{said:#}");
    assert_eq!(said["third"]["linger"], "50", "{said:#}");
    assert!(took("third") < BEHIND_THE_LOCK, "it waited: {said:#}");
}
