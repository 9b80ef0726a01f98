//! What a service says unasked to clients that run: what this library can do is for the next client,
//! and the rest harms nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use superstream_tests::deployed::{
    self, connection_ids, next, start, tell_until, tells_kind, update,
};
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::FaultService;
use superstream_tests::over_each_transport;
use superstream_tests::transports::Transport;

over_each_transport!(
    nats, veltix:
    an_update_of_the_codec_is_for_the_next_client,
    updates_that_are_not_for_this_library,
    a_flood_of_updates,
);

/// For what does come: no machine is so busy that it comes too late.
const LONG: Duration = Duration::from_secs(60);

/// A service that speaks unasked and has every client start with this configuration.
fn advising(transport: Transport, configuration: Value) -> FaultService {
    match transport {
        Transport::Nats => deployed::advising(configuration),
        _ => transport.advising(configuration),
    }
}

fn an_update_of_the_codec_is_for_the_next_client(transport: Transport) {
    let service = advising(transport, json!({"linger.ms": 50}));
    let mut driver = start(&service, LONG, &[]);
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
        service.tell("client-0", &update);
    }
    let good = update(
        "CompressionUpdate",
        r#"{"enable_compression":false,"compression_type":"lz4"}"#,
    );
    tell_until(&service, "client-0", &good, || {
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

fn updates_that_are_not_for_this_library(transport: Transport) {
    let service = advising(transport, json!({"linger.ms": 50}));
    let mut driver = start(&service, LONG, &[("SUPERSTREAM_DEBUG", "true")]);
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
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
        service.tell("client-0", payload);
    }
    // The last of them is heard, so all of them were.
    let good = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"lz4"}"#,
    );
    tell_until(&service, "client-0", &good, || {
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

/// The service may give two clients of a connection one name.
#[test]
fn two_clients_of_one_name() {
    let created = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&created);
    let service = deployed::serve(move |client| {
        client.client_hash = "same".to_owned();
        client.is_named()?;
        let start = json!({"start": true, "optimized_configuration": {"linger.ms": 50}});
        // What the one says of itself is no word of the other.
        let before = seen.load(Ordering::SeqCst);
        client.starts_until(&start, || seen.load(Ordering::SeqCst) > before);
        Ok(())
    });
    let mut driver = start(&service, LONG, &[]);
    for client in 0..2 {
        driver.create("producer");
        created.fetch_add(1, Ordering::SeqCst);
        assert_eq!(driver.get(client, "linger.ms"), "50");
        // One that is told while both are there is of both.
        service.wait_for_several(client + 1, "its kind", tells_kind);
    }
    driver.expect("destroy 0", "destroyed");
    let update = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"zstd"}"#,
    );
    tell_until(&service, "same", &update, || {
        next(&mut driver, 1)["compression.type"] == "zstd"
    });
    driver.expect("destroy 1", "destroyed");
    driver.end_quietly();
}

/// The service is told where its clients are now, and its updates reach them there.
#[test]
fn a_server_that_starts_again() {
    let service = deployed::advising(json!({"linger.ms": 50}));
    let mut driver = start(&service, LONG, &[]);
    for kind in ["producer", "consumer"] {
        driver.set(&[("group.id", "g")]);
        driver.create(kind);
    }
    service.wait_for_several(2, "their kinds", tells_kind);
    service.nats().without_server(|| {});
    for hash in ["client-0", "client-1"] {
        let path = format!("/v1/clients/{hash}/reconnected");
        service.wait_until(&path, || {
            let present = connection_ids(&service);
            let requests = service.requests();
            let mut told = requests.iter().filter(|one| one.is("POST", &path));
            present.len() == 1
                && told.any(|one| one.json()["new_nats_connection_id"] == *present[0])
        });
    }
    let update = update(
        "CompressionUpdate",
        r#"{"enable_compression":true,"compression_type":"zstd"}"#,
    );
    tell_until(&service, "client-0", &update, || {
        next(&mut driver, 0)["compression.type"] == "zstd"
    });
    driver.create("producer");
    assert_eq!(driver.get(2, "linger.ms"), "50");
    // The others may have told theirs twice, if the server took its confirmation along.
    service.wait_for("the new one's kind", |request| {
        tells_kind(request) && request.json()["client_hash"] == "client-2"
    });
    driver.end_quietly();
}

/// Nobody asked for any of it, and no client waits for it.
fn a_flood_of_updates(transport: Transport) {
    // 32 MB. Beyond 64 a NATS server ends the connection of a client that does not follow.
    const UPDATES: usize = 4_000;
    let service = transport.advising(json!({"linger.ms": 50}));
    let mut driver = Driver::patient(&service.environment(&[]));
    driver.create("producer");
    service.wait_for_report("client-0");
    let before: u64 = driver.say("high-water").parse().unwrap();
    let update = json!({"type": "SomethingNew", "payload": "A".repeat(8000)}).to_string();
    for _ in 0..UPDATES {
        service.tell("client-0", &update);
    }
    for client in 1..20 {
        let took = driver.create("producer");
        assert!(took < LONG / 2, "creation took {took:?}");
        service.wait_for_report(&format!("client-{client}"));
        assert_eq!(driver.get(client, "linger.ms"), "50");
    }
    let after: u64 = driver.say("high-water").parse().unwrap();
    assert!(
        after.saturating_sub(before) < 16 * 1024,
        "{before} KiB grew to {after} KiB"
    );
    if transport == Transport::Veltix {
        assert_eq!(service.connections(), 1);
    }
    for client in 0..20 {
        driver.expect(&format!("destroy {client}"), "destroyed");
        service.wait_for_goodbye(&format!("client-{client}"));
    }
    driver.end_quietly();
}
