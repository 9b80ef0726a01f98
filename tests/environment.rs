//! The environment: what each `SUPERSTREAM_*` variable does, and that a bad one harms nobody.

use std::net::TcpListener;
use superstream_tests::{driver, fault_service};

use serde_json::{Value, json};
use superstream_tests::Library;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, Request, reply};
use superstream_tests::marks::PROXY_VARIABLES;

/// Advice that every producer takes.
fn advice() -> Value {
    json!({"linger.ms": 50, "compression.type": "lz4"})
}

/// What one client looks like from outside, and what was printed to stderr.
struct Seen {
    linger: String,
    codec: String,
    status: Value,
    threads: String,
    stderr: String,
}

/// Runs an application with one producer. The timeout is long: a busy machine is no fault.
#[track_caller]
fn producer(environment: &[(&str, &str)]) -> Seen {
    let mut all = vec![("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")];
    all.extend_from_slice(environment);
    run(Library::DropIn, &all)
}

#[track_caller]
fn run(library: Library, environment: &[(&str, &str)]) -> Seen {
    run_until(library, environment, || ())
}

/// As [`run`]; `before_the_end` may wait for what the service is told about the client's end:
/// the end of the process waits for nothing.
#[track_caller]
fn run_until(
    library: Library,
    environment: &[(&str, &str)],
    before_the_end: impl FnOnce(),
) -> Seen {
    let mut driver = Driver::start(library, environment);
    driver.create("producer");
    let linger = driver.get(0, "linger.ms");
    let codec = driver.get(0, "compression.codec");
    let status = driver.status(0);
    let threads = driver.threads();
    driver.expect("destroy 0", "destroyed");
    before_the_end();
    let ended = driver.end();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0]);
    Seen {
        linger,
        codec,
        status,
        threads,
        stderr: ended.stderr,
    }
}

/// A producer of this service, which hears of it from its registration to its end.
#[track_caller]
fn producer_of(service: &FaultService, environment: &[(&str, &str)]) -> Seen {
    let host = service.url();
    let mut all = vec![
        ("SUPERSTREAM_HOST", host.as_str()),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
    ];
    all.extend_from_slice(environment);
    run_until(Library::DropIn, &all, || {
        service.wait_for_goodbye("client-0");
    })
}

/// A variable with a bad value beside a good service: the debug log names it and says what
/// holds instead; without the debug log there is silence. Either way the client is tuned.
#[track_caller]
fn complains(name: &str, value: &str, instead: &str) {
    let service = FaultService::advising(advice());
    let host = service.url();
    let bad = [("SUPERSTREAM_HOST", host.as_str()), (name, value)];
    let seen = producer(&[&bad[..], &[("SUPERSTREAM_DEBUG", "true")]].concat());
    let named = |line: &&str| line.contains(name) && line.contains(instead);
    assert!(
        seen.stderr.lines().any(|line| named(&line)),
        "{name}={value}: {}",
        seen.stderr
    );
    let quiet = producer(&bad);
    assert_eq!(quiet.stderr, "");
    for client in [&seen, &quiet] {
        // Three seconds may be too few on a busy machine.
        let is_late = name == "SUPERSTREAM_RESPONSE_TIMEOUT"
            && client.status["note"] == "no answer within SUPERSTREAM_RESPONSE_TIMEOUT";
        let is_observed = name == "SUPERSTREAM_MODE";
        let expected = if is_late || is_observed { "5" } else { "50" };
        assert_eq!(client.linger, expected, "{:#}", client.status);
    }
}

#[test]
fn tags_that_are_not_json() {
    complains("SUPERSTREAM_TAGS", "{team: orders", "no tags are sent");
    complains("SUPERSTREAM_TAGS", "team=orders", "no tags are sent");
}

#[test]
fn a_timeout_that_is_no_number() {
    for value in ["abc", "-1", "1e99", "NaN", "5s"] {
        complains("SUPERSTREAM_RESPONSE_TIMEOUT", value, "3000 ms are used");
    }
}

#[test]
fn a_mode_that_nobody_knows() {
    complains("SUPERSTREAM_MODE", "agressive", "observe is used");
}

#[test]
fn a_token_that_cannot_be_sent() {
    complains("SUPERSTREAM_TOKEN", "two words", "no token is sent");
    complains("SUPERSTREAM_TOKEN", "line\nend", "no token is sent");
}

#[test]
fn a_host_that_cannot_be_used() {
    for host in [
        "localhost:99999",
        "nats://user:a-password@127.0.0.1:1",
        "nats://127.0.0.1:1/a-path",
        "ws://127.0.0.1:1",
        "veltix://user:a-password@127.0.0.1:1",
        "veltix://127.0.0.1:1/a-path",
        "ftp://127.0.0.1:1",
        "http://",
        "http://user:a-password@127.0.0.1:1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:1/?token=a-password",
        "http://[::1",
        "%%%",
    ] {
        let seen = producer(&[("SUPERSTREAM_HOST", host), ("SUPERSTREAM_DEBUG", "true")]);
        let line = seen.stderr.lines().next().unwrap_or_default();
        assert!(line.contains("SUPERSTREAM_HOST"), "{host}: {}", seen.stderr);
        assert!(line.contains("stays off"), "{host}: {}", seen.stderr);
        assert!(!seen.stderr.contains("a-password"), "{}", seen.stderr);
        assert_eq!(seen.status["superstream"]["on"], false);

        let quiet = producer(&[("SUPERSTREAM_HOST", host)]);
        assert_eq!(quiet.stderr, "");
        assert_eq!((quiet.linger.as_str(), quiet.codec.as_str()), ("5", "none"));
    }
}

#[test]
fn bytes_that_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let service = FaultService::advising(advice());
    for name in [
        "SUPERSTREAM_TAGS",
        "SUPERSTREAM_TOKEN",
        "SUPERSTREAM_MODE",
        "SUPERSTREAM_RESPONSE_TIMEOUT",
        "SUPERSTREAM_HOST",
    ] {
        let mut command = superstream_tests::with_library(Library::DropIn, driver::program());
        command
            .env("SUPERSTREAM_HOST", service.url())
            .env("SUPERSTREAM_DEBUG", "true")
            .env(name, OsStr::from_bytes(b"\xff\xfe"));
        let mut driver = Driver::spawn(&mut command);
        driver.create("producer");
        let ended = driver.end();
        assert!(ended.status.success());
        let line = ended.stderr.lines().next().unwrap_or_default();
        assert!(
            line.contains(name) && line.contains("not UTF-8"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn only_true_turns_the_debug_log_on() {
    let service = FaultService::advising(advice());
    let host = service.url();
    for value in ["t", "1", "", "yes", " true", "truest", "on"] {
        let seen = producer(&[("SUPERSTREAM_HOST", &host), ("SUPERSTREAM_DEBUG", value)]);
        assert_eq!(seen.stderr, "", "SUPERSTREAM_DEBUG={value}");
        assert_eq!(seen.linger, "50");
    }
    for value in ["true", "TRUE", "True"] {
        let seen = producer(&[("SUPERSTREAM_HOST", &host), ("SUPERSTREAM_DEBUG", value)]);
        assert!(seen.stderr.contains("linger.ms 5 -> 50"), "{}", seen.stderr);
        for line in seen.stderr.lines() {
            assert!(line.starts_with("superstream["), "{line}");
        }
    }
}

#[test]
fn disabled_means_plain_librdkafka() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let stock = run(Library::Stock, &[]);
    for value in ["true", "TRUE"] {
        let seen = producer(&[
            ("SUPERSTREAM_HOST", &host),
            ("SUPERSTREAM_DISABLED", value),
            ("SUPERSTREAM_DEBUG", "true"),
        ]);
        assert_eq!(seen.threads, stock.threads);
        assert_eq!(seen.linger, stock.linger);
        assert_eq!(seen.stderr, "");
        assert_eq!(seen.status["superstream"]["on"], false);
    }
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().expect_err("somebody connected");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// Nothing of ours: no thread, no descriptor, no word.
#[test]
fn without_a_host_it_is_plain_librdkafka() {
    let environments: [&[(&str, &str)]; 3] = [
        &[],
        &[("SUPERSTREAM_HOST", "")],
        &[("SUPERSTREAM_TOKEN", "t"), ("SUPERSTREAM_DEBUG", "true")],
    ];
    let about = |library, environment: &[(&str, &str)]| {
        let mut driver = Driver::start(library, environment);
        driver.wait_for_threads("driver");
        let mut seen = vec![driver.say("descriptors")];
        for (kind, threads) in [
            ("producer", "driver,rdk:broker-1,rdk:main"),
            (
                "consumer",
                "driver,rdk:broker-1,rdk:broker-1,rdk:main,rdk:main",
            ),
        ] {
            seen.push(driver.say(&format!("new {kind}")));
            driver.wait_for_threads(threads);
            seen.push(driver.say("descriptors"));
            seen.push(driver.say("logs"));
        }
        driver.expect("destroy 0", "destroyed");
        driver.expect("destroy 1", "destroyed");
        driver.wait_for_threads("driver");
        seen.push(driver.say("descriptors"));
        driver.end_quietly();
        seen
    };
    let stock = about(Library::Stock, &[]);
    for environment in environments {
        assert_eq!(
            about(Library::DropIn, environment),
            stock,
            "{environment:?}"
        );
    }
}

/// Planned, told, not done.
#[track_caller]
fn observes(seen: &Seen, service: &FaultService) {
    assert_eq!((seen.linger.as_str(), seen.codec.as_str()), ("5", "none"));
    assert_eq!(seen.status["superstream"]["mode"], "observe");
    let changes = seen.status["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{:#}", seen.status);
    let report = service.wait_for_report("client-0").json();
    assert_eq!(report["mode"], "observe");
    assert_eq!(report["changes"].as_array().unwrap().len(), 2);
    assert_eq!(report["config"]["queue.buffering.max.ms"], "5");
}

#[test]
fn observe_mode_of_the_environment() {
    let service = FaultService::advising(advice());
    let seen = producer_of(&service, &[("SUPERSTREAM_MODE", "observe")]);
    observes(&seen, &service);
}

/// A mode that nobody knows does not mean "change everything".
#[test]
fn observe_mode_of_the_service() {
    for mode in ["observe", "aggressive"] {
        let service = FaultService::start(move |_, stream| {
            let answer = json!({"client_hash": "client-0", "start": true, "mode": mode,
                                "optimized_configuration": advice()});
            reply(stream, "200 OK", &answer.to_string())
        });
        // `active` is what holds without a word; it does not overrule the service.
        let seen = producer_of(&service, &[("SUPERSTREAM_MODE", "active")]);
        observes(&seen, &service);
    }
}

#[test]
fn an_application_in_a_hurry_keeps_its_linger() {
    let service = FaultService::advising(advice());
    let seen = producer(&[
        ("SUPERSTREAM_HOST", &service.url()),
        ("SUPERSTREAM_LATENCY_SENSITIVE", "true"),
    ]);
    assert_eq!((seen.linger.as_str(), seen.codec.as_str()), ("5", "lz4"));
    let refusals = seen.status["refusals"].as_array().unwrap();
    assert!(
        refusals.iter().any(|refusal| refusal["key"] == "linger.ms"),
        "{refusals:?}"
    );
}

#[test]
fn the_token_goes_to_the_service_and_nowhere_else() {
    let service = FaultService::advising(advice());
    let environment = [
        ("SUPERSTREAM_TOKEN", "the-token"),
        ("SUPERSTREAM_TAGS", r#"{"team":"orders"}"#),
        ("SUPERSTREAM_DEBUG", "true"),
    ];
    let seen = producer_of(&service, &environment);
    for request in service.requests() {
        assert_eq!(request.headers["authorization"], "Bearer the-token");
        assert!(!String::from_utf8_lossy(&request.body).contains("the-token"));
        assert!(!request.path.contains("the-token"));
    }
    assert_eq!(service.requests()[0].json()["tags"], r#"{"team":"orders"}"#);
    assert!(!seen.stderr.contains("the-token"), "{}", seen.stderr);
    assert!(!seen.status.to_string().contains("the-token"));
}

/// A careless service repeats the token, wherever its answer has room for it.
#[test]
fn a_token_that_the_service_repeats_is_not_shown() {
    let long = "x".repeat(290);
    for (status, answer) in [
        ("401 Unauthorized", json!({"error": "bad TOKEN"})),
        ("500 Internal Server Error", json!({"error": "bad TOKEN"})),
        ("400 Bad Request", json!({"error": format!("{long}TOKEN")})),
        ("200 OK", json!({"client_hash": "a", "start": "TOKEN"})),
        (
            "200 OK",
            json!({"client_hash": "a", "start": false, "error": "TOKEN"}),
        ),
        (
            "200 OK",
            json!({"client_hash": "a", "start": true,
                          "optimized_configuration": {"sasl.password": "TOKEN"}}),
        ),
    ] {
        let service = FaultService::start(move |request, stream| {
            let token = &request.headers["authorization"];
            reply(stream, status, &answer.to_string().replace("TOKEN", token))
        });
        let seen = producer(&[
            ("SUPERSTREAM_HOST", &service.url()),
            ("SUPERSTREAM_TOKEN", "the-token"),
            ("SUPERSTREAM_DEBUG", "true"),
        ]);
        // Cut off at some length, its beginning would be there still.
        for (place, text) in [("log", seen.stderr), ("status", seen.status.to_string())] {
            assert!(!text.contains("the-to"), "{status}, in the {place}: {text}");
        }
    }
}

#[test]
fn a_service_at_a_path() {
    let service = FaultService::start(|request, stream| {
        let answer = json!({"client_hash": "a", "start": true});
        assert!(
            request.path.starts_with("/behind/a/proxy/v1/clients"),
            "{}",
            request.path
        );
        reply(stream, "200 OK", &answer.to_string())
    });
    let host = format!("{}/behind/a/proxy/", service.url());
    let seen = producer(&[("SUPERSTREAM_HOST", &host)]);
    assert_eq!(seen.status["service"]["state"], "up", "{:#}", seen.status);
}

/// The token would be shown to a proxy that somebody set for other programs.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let service = FaultService::advising(advice());
    let host = service.url();
    let mut environment = vec![("SUPERSTREAM_HOST", host.as_str())];
    environment.extend(PROXY_VARIABLES.map(|name| (name, address.as_str())));
    assert_eq!(producer(&environment).linger, "50");
    assert!(service.requests().iter().any(Request::registers));
    proxy.set_nonblocking(true).unwrap();
    let error = proxy.accept().expect_err("the proxy was used");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// A timeout of 0 asks, and does not wait for the answer.
#[test]
fn a_timeout_of_zero_does_not_wait() {
    let service = FaultService::start(|_, _| fault_service::silence());
    let environment = [
        ("SUPERSTREAM_HOST", &*service.url()),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "0"),
    ];
    let mut driver = Driver::start(Library::DropIn, &environment);
    driver.create("producer");
    // A client that is gone before its turn has come is not registered.
    service.wait_for("the registration", Request::registers);
    assert_eq!(driver.get(0, "linger.ms"), "5");
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}
