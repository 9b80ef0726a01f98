//! A service that fails in every way that we know. Whatever it does, the application gets its
//! client, with its own configuration, within the timeout, and hears nothing of it.
//!
//! Where a test measures time, the bound tells one kind of waiting from another, whatever the
//! machine does meanwhile: for the whole timeout or not, for the creator's own timeout or for the
//! thread's.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use superstream_tests::driver::{Driver, THREADS_TIMEOUT};
use superstream_tests::fault_service::{advise, raw, reply};
use superstream_tests::faulty::{self, Fault};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport};

/// What waiting for an answer that never comes costs.
const TIMEOUT: Duration = Duration::from_millis(500);
/// For an answer that does come, which is judged: no machine is so busy that it comes too late.
const LONG: Duration = Duration::from_secs(60);

over_each_transport!(
    nobody_listens,
    silence_costs_one_timeout_and_the_second_client_does_not_wait,
    a_listener_that_never_accepts,
    an_error_of_the_service,
    a_service_that_refuses_the_client,
    advice_of_a_thousand_keys,
    an_answer_that_is_not_json,
    json_that_is_too_deep,
    json_of_wrong_types,
    values_of_wrong_types,
    a_client_hash_that_leads_elsewhere,
    a_name_that_does_not_exist,
    a_name_server_that_hangs,
    a_service_that_says_no,
    a_service_that_only_registers,
);

/// An application with values of its own in front of a faulty service, in this environment. Creates
/// two clients, which must not notice; the status of the first.
#[track_caller]
fn unharmed(timeout: Duration, environment: &[(&str, &str)]) -> Value {
    let milliseconds = timeout.as_millis().to_string();
    let mut all = vec![("SUPERSTREAM_RESPONSE_TIMEOUT", &*milliseconds)];
    all.extend_from_slice(environment);
    let mut driver = Driver::start(Library::DropIn, &all);
    // An answer that comes is not waited for longer than it takes, nor silence than is asked for.
    let too_long = match timeout {
        LONG => LONG / 2,
        _ => THREADS_TIMEOUT,
    };
    let mut statuses = Vec::new();
    for client in 0..2 {
        driver.set(&[("linger.ms", "7"), ("batch.size", "70000")]);
        let before: u64 = driver.say("high-water").parse().unwrap();
        let took = driver.create("producer");
        let after: u64 = driver.say("high-water").parse().unwrap();
        assert!(took < too_long, "creation took {took:?}");
        assert!(
            // The kernel counts in batches: the mark may even fall a little.
            after.saturating_sub(before) < 16 * 1024,
            "{before} KiB grew to {after} KiB"
        );
        assert_eq!(driver.get(client, "linger.ms"), "7");
        assert_eq!(driver.get(client, "batch.size"), "70000");
        assert_eq!(driver.get(client, "compression.codec"), "none");
        let status = driver.status(client);
        assert_eq!(status["changes"], json!([]), "{status:#}");
        statuses.push(status);
    }
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    statuses.remove(0)
}

/// As [`unharmed`], where the service is found to be down for a reason that has `why` in it.
#[track_caller]
fn down(environment: &[(&str, &str)], why: &str) {
    let timeout = match why {
        "" | "no answer within" => TIMEOUT,
        _ => LONG,
    };
    let status = unharmed(timeout, environment);
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let reason = status["note"].as_str().unwrap();
    assert!(reason.contains(why), "{why:?} is not in {reason:?}");
}

/// As [`down`], for each of these answers.
#[track_caller]
fn down_by(transport: Transport, faults: &[Fault]) {
    faulty::each(faults, |fault| {
        let why = fault.why;
        let service = fault.serve(transport);
        down(&service.environment(&[]), why);
        for request in service.requests() {
            assert!(request.registers(), "{request:?}");
        }
    });
}

/// The same where it is the client that is wrong: what it is told is no fault of the service's.
#[track_caller]
fn refused_by(transport: Transport, faults: &[Fault]) {
    faulty::each(faults, |fault| {
        let why = fault.why;
        let service = fault.serve(transport);
        let status = unharmed(LONG, &service.environment(&[]));
        assert_eq!(status["service"]["state"], "up", "{status:#}");
        let note = status["note"].as_str().unwrap();
        assert!(note.contains(why), "{note}");
    });
}

/// A registration that is answered with this body; the status of the client.
#[track_caller]
fn answered_with(transport: Transport, body: String) -> Value {
    let service = transport.serve(move |_, stream| reply(stream, "200 OK", &body));
    unharmed(LONG, &service.environment(&[]))
}

#[track_caller]
fn not_understood(transport: Transport, body: &str) {
    let status = answered_with(transport, body.to_owned());
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("its answer"), "{note}");
}

/// An environment with nothing but a host.
#[track_caller]
fn down_at(host: &str, why: &str) {
    down(&[("SUPERSTREAM_HOST", host)], why);
}

fn nobody_listens(transport: Transport) {
    // A port that somebody gave back may be another test's by now. Only root could have this one.
    down_at(&transport.host("127.0.0.1:1"), "refused");
}

fn silence_costs_one_timeout_and_the_second_client_does_not_wait(transport: Transport) {
    // Whoever waits takes all of this.
    const WAITED: Duration = Duration::from_secs(5);
    let service = faulty::silent().serve(transport);
    let timeout = WAITED.as_millis().to_string();
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", &timeout)]);
    let mut driver = Driver::start(Library::DropIn, &environment);
    let first = driver.create("producer");
    assert!(first >= WAITED, "{first:?}");
    assert!(first < THREADS_TIMEOUT, "{first:?}");
    let second = driver.create("producer");
    assert!(second < WAITED, "the second waited too: {second:?}");
    for client in 0..2 {
        let status = driver.status(client);
        assert_eq!(status["service"]["state"], "down");
        assert_eq!(
            status["note"],
            "no answer within SUPERSTREAM_RESPONSE_TIMEOUT"
        );
    }
    driver.end_quietly();
}

/// Nobody even accepts: the kernel does, and nothing is ever answered.
fn a_listener_that_never_accepts(transport: Transport) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    down_at(&transport.host(&address), "no answer within");
}

#[test]
fn one_byte_at_a_time() {
    down_by(Transport::Http, &[faulty::http::slow()]);
    down_by(Transport::Nats, &[faulty::nats::slow()]);
    down_by(Transport::Veltix, &[faulty::veltix::slow()]);
}

fn an_error_of_the_service(transport: Transport) {
    down_by(transport, &faulty::errors());
}

fn a_service_that_refuses_the_client(transport: Transport) {
    refused_by(transport, &faulty::refusals());
}

#[test]
fn a_server_of_nats_that_refuses_the_client() {
    refused_by(Transport::Nats, &faulty::nats::refusals());
    refused_by(Transport::Nats, &faulty::nats::expulsions());
}

#[test]
fn a_link_that_is_refused() {
    refused_by(Transport::Veltix, &faulty::veltix::refusals());
}

#[test]
fn a_redirect_to_another_host_is_not_followed_and_gets_no_token() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/v1/clients", other.local_addr().unwrap());
    for fault in faulty::http::redirects(&location) {
        let why = fault.why;
        let service = fault.serve(Transport::Http);
        down(
            &service.environment(&[("SUPERSTREAM_TOKEN", "the-token")]),
            why,
        );
        assert!(service.received().contains("Bearer the-token"));
    }
    other.set_nonblocking(true).unwrap();
    let error = other.accept().expect_err("the other host got a connection");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_redirect_loop_is_not_entered() {
    down_by(Transport::Http, &[faulty::http::looping()]);
}

#[test]
fn an_answer_without_an_end() {
    down_by(Transport::Http, &faulty::http::endless());
    down_by(Transport::Nats, &faulty::nats::endless());
    down_by(Transport::Veltix, &faulty::veltix::endless());
}

/// As much advice as fits: each key is refused, and what is kept of it is bounded.
fn advice_of_a_thousand_keys(transport: Transport) {
    let keys: serde_json::Map<String, Value> = (0..1000)
        .map(|number| (format!("some.key.{number}"), json!(number)))
        .collect();
    let body = json!({"client_hash": "a", "start": true, "optimized_configuration": keys});
    let status = answered_with(transport, body.to_string());
    assert_eq!(status["service"]["state"], "up");
    assert_eq!(status["refusals"].as_array().unwrap().len(), 65);
}

fn an_answer_that_is_not_json(transport: Transport) {
    down_by(transport, &faulty::not_json());
}

fn json_that_is_too_deep(transport: Transport) {
    down_by(transport, &faulty::too_deep());
}

fn json_of_wrong_types(transport: Transport) {
    for body in [
        json!({}),
        json!({"client_hash": [], "start": true}),
        json!({"client_hash": 5, "start": true}),
        json!({"client_hash": "a", "start": "yes"}),
        json!({"client_hash": "a", "start": true, "optimized_configuration": 5}),
        json!({"client_hash": "a", "start": true, "optimized_configuration": ["linger.ms"]}),
        json!({"client_hash": "a", "start": true, "learning_factor": 1e300}),
    ] {
        not_understood(transport, &body.to_string());
    }
}

fn values_of_wrong_types(transport: Transport) {
    for value in [
        json!({"a": 1}),
        json!([100]),
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!("many"),
        json!("100\u{0}"),
        json!("x".repeat(10_000)),
    ] {
        let body = json!({
            "client_hash": "a",
            "start": true,
            "optimized_configuration": {"linger.ms": value, "compression.type": value},
        });
        let status = answered_with(transport, body.to_string());
        assert_eq!(status["service"]["state"], "up", "{status:#}");
        let refusals = status["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), 2, "{status:#}");
    }
}

fn a_client_hash_that_leads_elsewhere(transport: Transport) {
    let long = "a".repeat(129);
    for hash in [
        "../../x", "a/b", "a?b", "a#b", "a b", "a%2fb", "a.b", "*", ">", "", "a\r\nb", "ä", &long,
    ] {
        let body = json!({"client_hash": hash, "start": true}).to_string();
        let service = transport.serve(move |_, stream| reply(stream, "200 OK", &body));
        down(&service.environment(&[]), "client_hash");
        for request in service.requests() {
            assert!(request.registers(), "{request:?}");
        }
    }
}

#[test]
fn it_dies_half_way() {
    down_by(Transport::Http, &faulty::http::broken_off());
    down_by(Transport::Nats, &faulty::nats::broken_off());
    down_by(Transport::Veltix, &faulty::veltix::broken_off());
}

#[test]
fn something_that_is_not_http() {
    down_by(Transport::Http, &faulty::http::not_http());
}

#[test]
fn something_that_is_not_nats() {
    down_by(Transport::Nats, &faulty::nats::not_nats());
}

#[test]
fn a_server_of_nats_that_says_no() {
    down_by(Transport::Nats, &faulty::nats::errors());
    down_by(Transport::Nats, &[faulty::nats::reset()]);
}

/// Nothing is asked, for it does not get so far.
#[test]
fn a_server_of_nats_that_greets_nobody() {
    down_by(Transport::Nats, &faulty::nats::greetings());
}

#[test]
fn something_that_is_not_veltix() {
    down_by(Transport::Veltix, &faulty::veltix::not_veltix());
}

#[test]
fn messages_that_answer_nothing() {
    down_by(Transport::Veltix, &faulty::veltix::other_messages());
    down_by(Transport::Veltix, &[faulty::veltix::reset()]);
}

#[test]
fn a_link_that_is_not_made() {
    down_by(Transport::Veltix, &faulty::veltix::greetings());
}

fn a_name_that_does_not_exist(transport: Transport) {
    down_at(&transport.host("no-such-host.invalid:1"), "");
}

/// The program's own `getaddrinfo` never returns for this name.
fn a_name_server_that_hangs(transport: Transport) {
    down_at(&transport.host("hang.example:1"), "no answer within");
}

/// The service knows the client and advises nothing.
fn a_service_that_says_no(transport: Transport) {
    let body = json!({"client_hash": "a", "start": false, "error": "not today",
                      "optimized_configuration": {"linger.ms": 100}});
    let status = answered_with(transport, body.to_string());
    assert_eq!(status["service"]["state"], "up");
    assert_eq!(status["note"], "not today");
    assert_eq!(status["answered"]["start"], false);
}

/// What follows a good registration fails: nobody notices.
fn a_service_that_only_registers(transport: Transport) {
    let service = transport.serve(|request, stream| match request.registers() {
        true => advise(request, stream, &json!({})),
        false => raw(stream, b"\r\n\r\nno"),
    });
    let status = unharmed(LONG, &service.environment(&[]));
    assert_eq!(status["note"], "the service answered in time");
}
