//! A service as the deployed one is: it is told no more than that one understands, and what it says
//! late, twice, badly or never harms nobody.

use std::time::Duration;

use serde_json::{Value, json};
use superstream_tests::deployed::{
    self, connection_id, next, say_until, start, start_of, tells_kind,
};
use superstream_tests::driver::THREADS_TIMEOUT;
use superstream_tests::fault_service::Request;

/// What waiting for a word that never comes costs.
const TIMEOUT: Duration = Duration::from_secs(2);
/// For one that does come: no machine is so busy that it comes too late.
const LONG: Duration = Duration::from_secs(60);

fn advice() -> Value {
    json!({"start": true, "optimized_configuration": {"linger.ms": 50}})
}

/// The subjects that a deployed service has.
fn is_known(request: &Request) -> bool {
    let is_published = request.method == "PUB"
        && (request.path == "internal.clientTypeUpdate"
            || request
                .path
                .starts_with("internal_tasks.clientsUpdate.config."));
    request.registers()
        || is_published
        || (request.method == "PUT" && request.path.ends_with("/config"))
        || (request.method == "POST"
            && (request.path.ends_with("/errors") || request.path.ends_with("/reconnected")))
}

#[test]
fn a_producer_from_its_registration_to_its_end() {
    let service = deployed::advising(json!({
        "linger.ms": 50,
        "compression.type": "lz4",
        "acks": "0",
        "bootstrap.servers": "elsewhere:9092",
    }));
    let tags = [
        ("SUPERSTREAM_TAGS", r#"{"team":"orders"}"#),
        ("SUPERSTREAM_TOKEN", "the-token"),
    ];
    let mut driver = start(&service, LONG, &tags);
    driver.set(&[
        ("client.id", "orders"),
        ("sasl.password", "very-secret"),
        ("test.mock.num.brokers", "1"),
    ]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    assert_eq!(driver.get(0, "compression.codec"), "lz4");

    let asked = service
        .wait_for("the registration", Request::registers)
        .json();
    assert_eq!(asked["nats_connection_id"], connection_id(&service));
    assert_eq!(asked["reduction_enabled"], false);
    assert_eq!(asked["connection_id"], 0);
    assert_eq!(asked["tags"], r#"{"team":"orders"}"#);
    for text in ["language", "version", "client_ip", "client_host"] {
        assert!(asked[text].is_string(), "{text} in {asked:#}");
    }
    assert!(asked["learning_factor"].is_i64(), "{asked:#}");
    assert_eq!(asked["config"]["client.id"], "orders");
    assert_eq!(asked["config"]["sasl.password"], "[masked]");

    let kind = service.wait_for("its kind", tells_kind).json();
    assert_eq!(kind, json!({"client_hash": "client-0", "type": "producer"}));
    let told = service.wait_for_report("client-0").json();
    assert_eq!(told["config"]["queue.buffering.max.ms"], "50");
    assert_eq!(told["config"]["sasl.password"], "[masked]");

    driver.expect("produce 0 orders", "NO_ERROR");
    driver.say("flush 0");
    let topics = service.wait_for("its topics", |request| {
        request.path == "internal_tasks.clientsUpdate.config.client-0"
            && format!("{request:?}").contains("orders")
    });
    let topics = topics.json();
    assert_eq!(topics["connection_id"], 0);
    assert_eq!(topics["consumer_group_topics_partitions"], json!({}));
    let partitions = &topics["producer_topics_partitions"]["orders"];
    assert_eq!(partitions.as_array().unwrap().len(), 1, "{topics:#}");

    let status = driver.status(0);
    assert_eq!(status["service"]["state"], "up", "{status:#}");
    assert_eq!(status["client"]["client_hash"], "client-0");
    let refused = status["refusals"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "{status:#}");
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
    for request in service.requests() {
        assert!(is_known(&request), "{request:?}");
    }
}

#[test]
fn a_consumer_takes_only_what_is_for_consumers() {
    let service = deployed::advising(json!({"fetch.min.bytes": 1000, "linger.ms": 50}));
    let mut driver = start(&service, LONG, &[]);
    driver.set(&[("group.id", "g")]);
    driver.create("consumer");
    assert_eq!(driver.get(0, "fetch.min.bytes"), "1000");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    let kind = service.wait_for("its kind", tells_kind).json();
    assert_eq!(kind["type"], "consumer");
    driver.end_quietly();
}

/// Nobody can listen for a word before he knows his name.
#[test]
fn the_first_words_are_lost() {
    let service = deployed::serve(|client| {
        for _ in 0..3 {
            client.is_told(&advice().to_string());
        }
        client.is_named()?;
        client.starts(&advice());
        Ok(())
    });
    let mut driver = start(&service, LONG, &[]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_word_that_comes_late_serves_the_next_client() {
    let service = deployed::serve(|client| client.is_named());
    let mut driver = start(&service, TIMEOUT, &[]);
    driver.set(&[("client.id", "same")]);
    let took = driver.create("producer");
    assert!(took >= TIMEOUT && took < THREADS_TIMEOUT, "{took:?}");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    let word = advice().to_string();
    say_until(&service, &start_of("client-0"), &word, || {
        next(&mut driver, 0)["linger.ms"] == 50
    });

    driver.set(&[("client.id", "same")]);
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    let note = driver.status(1)["note"].as_str().unwrap().to_owned();
    assert!(note.contains("too late for an earlier client"), "{note}");
    driver.end_quietly();
}

/// One may be lost on its way. Where none ever comes, nobody waits for it any more.
#[test]
fn a_word_that_never_comes() {
    let service = deployed::serve(|client| client.is_named());
    // Whoever waits takes all of this.
    let waited = Duration::from_secs(4);
    let mut driver = start(&service, waited, &[]);
    let first = driver.create("producer");
    assert!(first >= waited && first < THREADS_TIMEOUT, "{first:?}");
    driver.create("producer");
    for _ in 0..5 {
        let later = driver.create("producer");
        assert!(later < waited, "it waited too: {later:?}");
    }
    for client in 0..7 {
        assert_eq!(driver.get(client, "linger.ms"), "5");
    }
    driver.end_quietly();
}

/// Who may not start yet may start later.
#[test]
fn a_no_is_not_the_last_word() {
    let no = r#"{"start":false,"error":"account suspended"}"#;
    let service = deployed::serve(move |client| {
        client.is_named()?;
        for _ in 0..20 {
            client.is_told(no);
        }
        client.starts(&advice());
        Ok(())
    });
    let mut driver = start(&service, LONG, &[]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_no_that_stays_one_is_told() {
    let no = json!({"start": false, "error": "account suspended",
                    "optimized_configuration": {"linger.ms": 50}});
    let service = deployed::serve(move |client| {
        client.is_named()?;
        client.starts(&no);
        Ok(())
    });
    // It has to come within that, on the slowest machine.
    let waited = Duration::from_secs(8);
    let mut driver = start(&service, waited, &[]);
    let took = driver.create("producer");
    assert!(took < 4 * waited, "{took:?}");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    let status = driver.status(0);
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("account suspended"), "{status:#}");
    driver.end_quietly();
}

#[test]
fn registrations_that_are_accepted() {
    for answer in [
        r#"{"account_name":"a","learning_factor":20.0,"client_hash":"client-0"}"#,
        r#"{"account_name":"a","learning_factor":"20","client_hash":"client-0","x":1}"#,
        r#"{"account_name":"","learning_factor":0,"client_hash":"client-0","error":null}"#,
    ] {
        let service = deployed::serve(move |client| {
            client.answer(answer)?;
            client.starts(&advice());
            Ok(())
        });
        let mut driver = start(&service, LONG, &[]);
        driver.create("producer");
        assert_eq!(driver.get(0, "linger.ms"), "50", "{answer}");
        driver.end_quietly();
    }
}

#[test]
fn registrations_that_are_none() {
    for (answer, why) in [
        (r#"{"account_name":"a","client_hash":"h"}"#, ""),
        (
            r#"{"account_name":"a","learning_factor":null,"client_hash":"h"}"#,
            "",
        ),
        (
            r#"{"account_name":1,"learning_factor":1,"client_hash":"h"}"#,
            "",
        ),
        (
            r#"{"account_name":"a","learning_factor":1,"client_hash":""}"#,
            "",
        ),
        (
            r#"{"account_name":"a","learning_factor":1,"client_hash":"a.b"}"#,
            "client_hash",
        ),
        (
            r#"{"account_name":"a","learning_factor":1,"client_hash":"*"}"#,
            "client_hash",
        ),
        (
            r#"{"account_name":"a","learning_factor":1,"client_hash":"a b"}"#,
            "client_hash",
        ),
        (r#"{"error":"account suspended"}"#, "account suspended"),
        ("[]", ""),
        ("", ""),
        ("+OK", ""),
    ] {
        let service = deployed::serve(move |client| client.answer(answer));
        let mut driver = start(&service, LONG, &[]);
        let took = driver.create("producer");
        assert!(took < LONG / 2, "{answer}: it waited {took:?}");
        assert_eq!(driver.get(0, "linger.ms"), "5", "{answer}");
        let status = driver.status(0);
        assert_eq!(status["service"]["state"], "down", "{answer}: {status:#}");
        let note = status["note"].as_str().unwrap();
        assert!(note.contains(why), "{answer}: {note}");
        driver.expect("destroy 0", "destroyed");
        driver.end_quietly();
        for request in service.requests() {
            assert!(request.registers(), "{answer}: {request:?}");
        }
    }
}

/// What is no word to start is not heeded, and the one that follows is.
#[test]
fn words_that_are_none() {
    let deep = "[".repeat(15_000) + &"]".repeat(15_000);
    let bad = [
        "",
        "{",
        "\u{0}",
        "[]",
        "5",
        "null",
        r#"{"optimized_configuration":{"linger.ms":70}}"#,
        r#"{"start":"#,
        &deep,
        &format!(
            r#"{{"start":true,"optimized_configuration":{{"linger.ms":70}},"x":"{}"}}"#,
            "x".repeat(500_000)
        ),
    ]
    .map(str::to_owned);
    let service = deployed::serve(move |client| {
        client.is_named()?;
        for _ in 0..5 {
            for word in &bad {
                client.is_told(word);
            }
        }
        client.starts(&advice());
        Ok(())
    });
    let mut driver = start(&service, LONG, &[]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}
