//! A creation that fails because of the application: it hears what stock librdkafka says, word
//! for word, its configuration stays its own, and nobody blames the advice.
//!
//! Each script runs with the stock engine and with ours; the answers must be the same.

use serde_json::{Value, json};
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, Request};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, engine_has, other_engine, over_each_transport};

over_each_transport!(
    advice_that_the_engine_refuses_is_taken_back,
    the_service_forgets_a_client_that_failed,
    the_advice_is_not_blamed_for_the_applications_mistake,
);

fn advice() -> Value {
    json!({"linger.ms": 100, "compression.type": "lz4", "fetch.min.bytes": 1000})
}

fn start(library: Library, host: &str) -> Driver {
    let environment = [
        ("SUPERSTREAM_HOST", host),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
    ];
    Driver::start(library, &environment)
}

/// The script's answers with one library.
fn answers(library: Library, host: &str, script: &[&str]) -> Vec<String> {
    let mut driver = start(library, host);
    let said = script.iter().map(|command| driver.say(command)).collect();
    driver.end_quietly();
    said
}

/// The script's answers, which are the same with both libraries; what the service saw.
#[track_caller]
fn same(script: &[&str]) -> (Vec<String>, FaultService) {
    let service = FaultService::advising(advice());
    let stock = answers(Library::Stock, "", script);
    let ours = answers(Library::DropIn, &service.url(), script);
    for ((command, stock), ours) in script.iter().zip(&stock).zip(&ours) {
        // Of a whole configuration only what differs is worth reading.
        let only = |one: &str, other: &str| {
            let other: Vec<_> = other.split("; ").collect();
            let found = one.split("; ").filter(|part| !other.contains(part));
            found.collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            only(ours, stock),
            only(stock, ours),
            "{command} of {script:?}"
        );
        assert_eq!(ours, stock, "{command} of {script:?}");
    }
    assert!(
        service.requests().iter().any(Request::registers),
        "the service was not asked"
    );
    (ours, service)
}

/// Configurations that fail after the engine has accepted them, when `on_new` has run.
const LATE: &[&[&str]] = &[
    &[
        "set security.protocol ssl",
        "set ssl.ca.location /no/such/file",
    ],
    &[
        "set security.protocol ssl",
        "set ssl.certificate.location /no/such/file",
    ],
    &["set security.protocol ssl", "set ssl.cipher.suites NOPE"],
    &["set security.protocol sasl_ssl", "set sasl.mechanism NOPE"],
    &[
        "set security.protocol sasl_plaintext",
        "set sasl.mechanism SCRAM-SHA-256",
    ],
];

/// Configurations that the engine does not accept in the first place.
const EARLY: &[&[&str]] = &[
    &["set enable.idempotence true", "set acks 1"],
    &["set transactional.id t", "set enable.idempotence false"],
    &[
        "set message.timeout.ms 5000",
        "set transactional.id t",
        "set transaction.timeout.ms 1000",
    ],
];

/// As [`EARLY`], for engines since the version.
const EARLY_SINCE: &[([u32; 2], &[&str])] = &[
    (
        [1, 6],
        &["set linger.ms 1000", "set message.timeout.ms 500"],
    ),
    ([2, 11], &["set https.ca.location /a", "set https.ca.pem b"]),
];

fn failing() -> Vec<&'static [&'static str]> {
    let known = EARLY_SINCE.iter().filter(|(since, _)| engine_has(*since));
    let since = known.map(|(_, properties)| *properties).collect();
    [LATE.to_vec(), EARLY.to_vec(), since].concat()
}

fn script<'s>(properties: &[&'s str], rest: &[&'s str]) -> Vec<&'s str> {
    [properties, rest].concat()
}

#[test]
fn the_application_hears_what_stock_says() {
    for properties in failing() {
        let (answers, _) = same(&script(
            properties,
            &[
                "new producer",
                "conf-dump",
                "new producer",
                "new consumer",
                "conf-destroy",
            ],
        ));
        let first = &answers[properties.len()];
        assert!(first.starts_with("failed"), "{properties:?}: {first}");
    }
}

/// The text is cut where the application's room ends, and nothing is written beyond it.
#[test]
fn little_room_for_the_text() {
    for properties in failing() {
        let rooms = ["1", "2", "8", "40", "512"].map(|room| format!("new producer {room}"));
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        same(&script(properties, &rooms));
    }
}

/// No room at all. Where TLS fails, the stock engine itself writes through the null.
#[test]
fn no_room_for_the_text() {
    for properties in [&LATE[3..], EARLY].concat() {
        same(&script(properties, &["new producer 0", "new consumer 0"]));
    }
}

#[test]
fn a_copy_of_the_configuration_after_the_failure() {
    for properties in failing() {
        same(&script(
            properties,
            &["new producer", "conf-dup", "conf-dump", "new producer"],
        ));
    }
}

#[test]
fn the_configuration_is_destroyed_after_the_failure() {
    for properties in failing() {
        same(&script(
            properties,
            &[
                "new producer",
                "conf-destroy",
                "set client.id next",
                "new consumer",
                "destroy 0",
            ],
        ));
    }
}

/// The application puts its mistake right and tries again: with advice.
#[test]
fn the_same_configuration_once_it_is_right() {
    for (mistake, correction) in [
        (LATE[0], "set security.protocol plaintext"),
        (LATE[3], "set security.protocol plaintext"),
        (EARLY[0], "set acks all"),
        (EARLY[1], "set enable.idempotence true"),
    ] {
        let service = FaultService::advising(advice());
        let mut driver = start(Library::DropIn, &service.url());
        for property in mistake {
            driver.expect(property, "set");
        }
        for _ in 0..2 {
            let answer = driver.say("new producer");
            assert!(answer.starts_with("failed"), "{answer}");
            driver.expect("conf-get linger.ms", "5");
            driver.expect("conf-get compression.codec", "none");
        }
        driver.expect(correction, "set");
        driver.create("producer");
        assert_eq!(driver.get(0, "linger.ms"), "100");
        // Before 1.6 an engine does not tell the codec of its topic configuration, so that of an
        // application that has one is left alone.
        if engine_has([1, 6]) {
            assert_eq!(driver.get(0, "compression.codec"), "lz4");
        }
        driver.expect("destroy 0", "destroyed");
        driver.end_quietly();
    }
}

/// The engine is called once: it says each thing once, and the application's `on_new` runs once.
#[test]
fn a_late_failure_is_not_tried_again() {
    for properties in LATE {
        // The stock engine could not destroy this configuration (librdkafka issue 4142).
        let rest = script(properties, &["new producer", "logs", "counted-new"]);
        let (answers, _) = same(&script(&["count-new"], &rest));
        assert_eq!(answers.last().unwrap(), "1", "{properties:?}");
    }
}

/// Where the stock engine frees interceptors twice, ours is mended: with advice and without.
#[test]
fn interceptors_of_the_application_outlive_a_late_failure() {
    if !engine_has([2, 13]) {
        // Not ours to mend: without us it crashes too.
        return;
    }
    for properties in LATE {
        let service = FaultService::advising(advice());
        for host in [service.url(), String::new()] {
            let mut driver = start(Library::DropIn, &host);
            driver.expect("count-new", "added");
            for property in *properties {
                driver.expect(property, "set");
            }
            for count in ["1", "2"] {
                let answer = driver.say("new producer");
                assert!(answer.starts_with("failed"), "{answer}");
                driver.expect("counted-new", count);
            }
            driver.expect("conf-destroy", "destroyed");
            driver.end_quietly();
        }
    }
}

/// An interceptor of the application makes of our linger what the engine refuses: the old
/// values come back, the client is created without the advice, and the service hears why.
fn advice_that_the_engine_refuses_is_taken_back(transport: Transport) {
    if !engine_has([1, 6]) {
        // It refuses none: it lowers linger instead.
        return;
    }
    let service = transport.advising(advice());
    let mut driver = start(Library::DropIn, &service.url());
    driver.expect("tie", "added");
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    assert_eq!(driver.get(0, "compression.codec"), "none");
    if other_engine().is_none() {
        // Others tell it only where the application made a topic configuration.
        assert_eq!(driver.get(0, "message.timeout.ms"), "300000");
    }
    let status = driver.status(0);
    assert_eq!(status["changes"], json!([]));
    let refusals = status["refusals"].as_array().unwrap();
    let blamed = |refusal: &&Value| {
        let reason = refusal["reason"].as_str().unwrap();
        reason.contains("librdkafka refused the configuration with it")
    };
    assert_eq!(refusals.iter().filter(blamed).count(), 2, "{status:#}");
    let told = service.wait_for("the error", |request| {
        request.is("POST", "/v1/clients/client-0/errors")
    });
    let error = told.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("message.timeout.ms"), "{error}");
    service.wait_for_report("client-0");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

/// A client that never came to be does not stay with the service.
fn the_service_forgets_a_client_that_failed(transport: Transport) {
    for properties in failing() {
        let service = transport.advising(advice());
        let mut driver = start(Library::DropIn, &service.url());
        for property in properties {
            driver.expect(property, "set");
        }
        driver.say("new producer");
        service.wait_for_goodbye("client-0");
        for request in service.requests() {
            assert_ne!(
                request.method, "PUT",
                "{properties:?}: a client was reported"
            );
        }
        driver.end_quietly();
    }
}

/// What stock refuses too is not the advice's fault: the service hears of no error.
fn the_advice_is_not_blamed_for_the_applications_mistake(transport: Transport) {
    for properties in failing() {
        let service = transport.advising(advice());
        let debug = [
            ("SUPERSTREAM_HOST", service.url()),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000".to_owned()),
            ("SUPERSTREAM_DEBUG", "true".to_owned()),
        ];
        let debug: Vec<_> = debug
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut driver = Driver::start(Library::DropIn, &debug);
        for property in properties {
            driver.expect(property, "set");
        }
        let answer = driver.say("new producer");
        assert!(answer.starts_with("failed"), "{answer}");
        // A client that works, so that everything about the first has been told.
        driver.expect("conf-destroy", "destroyed");
        driver.create("producer");
        service.wait_for_report("client-1");
        let stderr = driver.end().stderr;
        let errors: Vec<_> = service
            .requests()
            .into_iter()
            .filter(|request| request.path.ends_with("/errors"))
            .map(|request| String::from_utf8_lossy(&request.body).into_owned())
            .collect();
        assert_eq!(errors, [""; 0], "{properties:?}");
        assert!(
            !stderr.contains("refused the configuration with it"),
            "{properties:?}: {stderr}"
        );
    }
}
