//! A service as the deployed one is: it is told no more than that one understands, and what it says
//! late, twice, badly or never harms nobody.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_tests::Library;
use superstream_tests::deployed::{self, start_of, tells_kind};
use superstream_tests::driver::{Driver, PATIENCE, THREADS_TIMEOUT};
use superstream_tests::fault_service::{FaultService, Request};

/// What waiting for a word that never comes costs.
const TIMEOUT: Duration = Duration::from_secs(2);
/// For one that does come: no machine is so busy that it comes too late.
const LONG: Duration = Duration::from_secs(60);

fn start(service: &FaultService, timeout: Duration) -> Driver {
    start_with(service, timeout, &[])
}

fn start_with(service: &FaultService, timeout: Duration, more: &[(&str, &str)]) -> Driver {
    let timeout = timeout.as_millis().to_string();
    let mut all = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", &timeout)]);
    all.extend_from_slice(more);
    Driver::start(Library::DropIn, &all)
}

fn advice() -> Value {
    json!({"start": true, "optimized_configuration": {"linger.ms": 50}})
}

/// What the next client of this one's kind is to get.
fn next(driver: &mut Driver, client: usize) -> Value {
    driver.status(client)["at_next_start"]["optimized_configuration"].clone()
}

/// Says something until it has shown an effect: who does not listen yet has not heard it.
#[track_caller]
fn say_until(
    service: &FaultService,
    subject: &str,
    payload: &str,
    mut is_heard: impl FnMut() -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while !is_heard() {
        assert!(Instant::now() < deadline, "{payload} has no effect");
        service.nats().publish(subject, payload);
        // Nor does it hear everything who is told more than he keeps.
        thread::sleep(Duration::from_millis(50));
    }
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
    let mut driver = start_with(&service, LONG, &tags);
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

/// What the server itself calls it.
fn connection_id(service: &FaultService) -> String {
    let server = service.nats().server();
    let name = server.monitor("/varz")["server_name"].clone();
    let connections = server.connections();
    let ours = |one: &&Value| {
        let name = one["name"].as_str().unwrap_or_default();
        name.starts_with("superstream-librdkafka/")
    };
    let ours: Vec<&Value> = connections.iter().filter(ours).collect();
    assert_eq!(ours.len(), 1, "{connections:#?}");
    format!("{}:{}", name.as_str().unwrap(), ours[0]["cid"])
}

#[test]
fn a_consumer_takes_only_what_is_for_consumers() {
    let service = deployed::advising(json!({"fetch.min.bytes": 1000, "linger.ms": 50}));
    let mut driver = start(&service, LONG);
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
    let mut driver = start(&service, LONG);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn a_word_that_comes_late_serves_the_next_client() {
    let service = deployed::serve(|client| client.is_named());
    let mut driver = start(&service, TIMEOUT);
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

#[test]
fn a_word_that_never_comes_costs_one_timeout() {
    let service = deployed::serve(|client| client.is_named());
    // Whoever waits takes all of this.
    let waited = Duration::from_secs(5);
    let mut driver = start(&service, waited);
    let first = driver.create("producer");
    assert!(first >= waited && first < THREADS_TIMEOUT, "{first:?}");
    let second = driver.create("producer");
    assert!(second < waited, "the second waited too: {second:?}");
    for client in 0..2 {
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
    let mut driver = start(&service, LONG);
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
    let mut driver = start(&service, TIMEOUT);
    let took = driver.create("producer");
    assert!(took < THREADS_TIMEOUT, "{took:?}");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    let status = driver.status(0);
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("account suspended"), "{status:#}");
    driver.end_quietly();
}

/// The service may give two clients of a connection one name.
#[test]
fn two_clients_of_one_name() {
    let service = deployed::serve(|client| {
        client.client_hash = "same".to_owned();
        client.is_named()?;
        client.starts(&advice());
        Ok(())
    });
    let mut driver = start(&service, LONG);
    for client in 0..2 {
        driver.create("producer");
        assert_eq!(driver.get(client, "linger.ms"), "50");
    }
    driver.expect("destroy 0", "destroyed");
    let update = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"zstd"}"#,
    );
    say_until(&service, "internal.updates.same", &update, || {
        next(&mut driver, 1)["compression.type"] == "zstd"
    });
    driver.expect("destroy 1", "destroyed");
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
        let mut driver = start(&service, LONG);
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
        let mut driver = start(&service, LONG);
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
    let mut driver = start(&service, LONG);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    driver.end_quietly();
}

/// An update as it comes over the wire.
fn update(kind: &str, body: &str) -> String {
    json!({"type": kind, "payload": base64(body.as_bytes())}).to_string()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let number = bytes
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let number = number << (8 * (3 - bytes.len()));
        let digit = |place: usize| match place <= bytes.len() {
            true => DIGITS[(number >> (18 - 6 * place)) as usize & 63] as char,
            false => '=',
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn an_update_of_the_codec_is_for_the_next_client() {
    let service = deployed::advising(json!({"linger.ms": 50}));
    let mut driver = start(&service, LONG);
    driver.set(&[("client.id", "same")]);
    driver.create("producer");
    assert_eq!(driver.get(0, "compression.codec"), "none");
    // None of these names a codec.
    let odd = [
        r#"{"enable_compression":true,"compression_type":null}"#,
        r#"{"enable_compression":true,"compression_type":"brotli"}"#,
        r#"{"enable_compression":true,"compression_type":5}"#,
        r#"{"enable_compression":true}"#,
        "5",
    ];
    for body in odd {
        let update = update("CompressionUpdate", body);
        service.nats().publish("internal.updates.client-0", &update);
    }
    let good = update(
        "CompressionUpdate",
        r#"{"enable_compression":false,"compression_type":"lz4"}"#,
    );
    say_until(&service, "internal.updates.client-0", &good, || {
        next(&mut driver, 0)["compression.type"] == "lz4"
    });
    assert_eq!(
        driver.get(0, "compression.codec"),
        "none",
        "it runs already"
    );

    driver.set(&[("client.id", "same")]);
    driver.create("producer");
    assert_eq!(driver.get(1, "compression.codec"), "lz4");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    driver.set(&[("client.id", "other")]);
    driver.create("producer");
    assert_eq!(driver.get(2, "compression.codec"), "none");
    driver.end_quietly();
}

#[test]
fn updates_that_are_not_for_this_library() {
    let service = deployed::advising(json!({"linger.ms": 50}));
    let mut driver = start_with(&service, LONG, &[("SUPERSTREAM_DEBUG", "true")]);
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
    let subject = "internal.updates.client-0";
    let schema = json!({"master_msg_name": "Order", "file_name": "orders.proto",
                        "schema_id": "7", "desc": "CgA="});
    let garbage = [
        "",
        "garbage",
        "{}",
        "[]",
        r#"{"type":5,"payload":""}"#,
        r#"{"type":"CompressionUpdate","payload":"!!!"}"#,
        r#"{"type":"CompressionUpdate","payload":"AAAA"}"#,
        r#"{"type":"SomethingNew","payload":"e30="}"#,
        &"x".repeat(500_000),
    ]
    .map(str::to_owned);
    let toggle = update("ToggleReduction", r#"{"enable_reduction":true}"#);
    let learned = update("LearnedSchema", &schema.to_string());
    for payload in garbage.iter().chain([&toggle, &learned]) {
        service.nats().publish(subject, payload);
    }
    // The last of them is heard, so all of them were.
    let good = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"lz4"}"#,
    );
    say_until(&service, subject, &good, || {
        next(&mut driver, 0)["compression.type"] == "lz4"
    });
    service.wait_for("the service hears of what is no update", |request| {
        request.path == "/v1/clients/client-0/errors"
    });
    driver.expect("produce 0 orders", "NO_ERROR");
    let flushed = driver.say("flush 0");
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
    let log = driver.end().stderr;
    for kind in ["ToggleReduction", "LearnedSchema"] {
        assert!(
            log.contains(&format!("{kind} is not supported")),
            "{kind}: {log}"
        );
    }
}

/// The service is told where its clients are now, and its updates reach them there.
#[test]
fn a_server_that_starts_again() {
    let service = deployed::advising(json!({"linger.ms": 50}));
    let mut driver = start(&service, LONG);
    for kind in ["producer", "consumer"] {
        driver.set(&[("group.id", "g")]);
        driver.create(kind);
    }
    service.wait_for_several(2, "their kinds", tells_kind);
    service.nats().without_server(|| {});
    for hash in ["client-0", "client-1"] {
        let path = format!("/v1/clients/{hash}/reconnected");
        let told = service
            .wait_for(&path, |request| request.is("POST", &path))
            .json();
        assert_eq!(told["new_nats_connection_id"], connection_id(&service));
    }
    let update = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"zstd"}"#,
    );
    say_until(&service, "internal.updates.client-0", &update, || {
        next(&mut driver, 0)["compression.type"] == "zstd"
    });
    driver.create("producer");
    assert_eq!(driver.get(2, "linger.ms"), "50");
    let kinds = service.wait_for_several(3, "the new one's kind", tells_kind);
    assert_eq!(kinds.len(), 3, "a kind is told once");
    driver.end_quietly();
}
