//! The life of a client with advice: changes in place, reports, the end. And what must stay as
//! it is: secrets, other people's interceptors, topics, our own clients.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, Request};
use superstream_tests::transports::Transport;
use superstream_tests::{Cluster, Library, engine_has, over_each_transport, run, tool};

over_each_transport!(
    a_producer_from_its_registration_to_its_end,
    a_consumer_takes_only_what_is_for_consumers,
    a_client_without_a_configuration,
    no_secret_leaves_the_process,
    clients_of_superstream_itself_are_left_alone,
    records_arrive_with_advice,
    errno_and_errstr_of_a_success_are_those_of_the_engine,
);

/// An application whose service has this advice.
fn advised(transport: Transport, configuration: Value) -> (FaultService, Driver) {
    let service = transport.advising(configuration);
    let driver = in_front_of(&service, &[]);
    (service, driver)
}

fn in_front_of(service: &FaultService, environment: &[(&str, &str)]) -> Driver {
    let mut all = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")]);
    all.extend_from_slice(environment);
    Driver::start(Library::DropIn, &all)
}

fn entry<'v>(list: &'v Value, key: &str) -> &'v Value {
    let found = list
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["key"] == key);
    found.unwrap_or_else(|| panic!("{key} is not in {list:#}"))
}

fn a_producer_from_its_registration_to_its_end(transport: Transport) {
    let (service, mut driver) = advised(
        transport,
        json!({
            "linger.ms": 50,
            "compression.type": "zstd",
            "batch.size": 16384,
            "acks": "0",
        }),
    );
    driver.set(&[("client.id", "orders"), ("message.max.bytes", "900000")]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    assert_eq!(driver.get(0, "compression.codec"), "zstd");
    assert_eq!(driver.get(0, "batch.size"), "1000000");
    assert_eq!(driver.get(0, "request.required.acks"), "unknown");

    let asked = service
        .wait_for("the registration", Request::registers)
        .json();
    assert_eq!(asked["type"], "producer");
    assert_eq!(asked["language"], "c");
    assert_eq!(asked["client_software_name"], "librdkafka");
    assert_eq!(asked["client_software_version"], asked["engine_version"]);
    assert!(asked["engine_file"].as_str().unwrap().contains("rdkafka"));
    assert_eq!(asked["reduction_enabled"], false);
    assert_eq!(asked["pid"].to_string(), driver.say("pid"));
    assert_eq!(addresses(&asked), addresses_of_this_host());
    assert_eq!(asked["config"]["client.id"], "orders");
    assert_eq!(asked["config"]["queue.buffering.max.ms"], "5");
    assert_eq!(asked["config"]["message.max.bytes"], "900000");

    let told = service.wait_for_report("client-0").json();
    assert_eq!(told["client_hash"], "client-0");
    assert_eq!(told["mode"], "active");
    assert_eq!(told["config"]["queue.buffering.max.ms"], "50");
    let linger = entry(&told["changes"], "linger.ms");
    assert_eq!(
        (&linger["old"], &linger["new"]),
        (&json!("5"), &json!("50"))
    );
    entry(&told["refusals"], "batch.size");
    entry(&told["refusals"], "acks");

    let status = driver.status(0);
    assert_eq!(status["superstream"]["on"], true);
    assert_eq!(status["service"]["state"], "up");
    assert_eq!(status["service"]["host"], service.url());
    assert_eq!(status["client"]["client_hash"], "client-0");
    assert_eq!(status["client"]["client_id"], "orders");
    assert_eq!(status["changes"], told["changes"]);
    assert_eq!(status["refusals"], told["refusals"]);
    assert_eq!(status["errors"], json!([]));

    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

fn a_consumer_takes_only_what_is_for_consumers(transport: Transport) {
    let (service, mut driver) = advised(
        transport,
        json!({
            "fetch.min.bytes": 1000,
            "linger.ms": 50,
            "compression.type": "zstd",
        }),
    );
    driver.set(&[("group.id", "g")]);
    driver.create("consumer");
    assert_eq!(driver.get(0, "fetch.min.bytes"), "1000");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    let told = service.wait_for_report("client-0").json();
    entry(&told["changes"], "fetch.min.bytes");
    entry(&told["refusals"], "linger.ms");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

/// `rd_kafka_new(type, NULL, …)`: the engine's defaults are tuned too.
fn a_client_without_a_configuration(transport: Transport) {
    let (service, mut driver) = advised(transport, json!({"linger.ms": 50}));
    let answer = driver.say("new-default producer");
    assert!(answer.starts_with("created"), "{answer}");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    service.wait_for_report("client-0");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end();
}

/// Each value is a marker. None may be in anything that leaves the process.
fn no_secret_leaves_the_process(transport: Transport) {
    let secrets = [
        "sasl.username",
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.certificate.pem",
        "ssl.ca.pem",
        "ssl.key.location",
        "ssl.certificate.location",
        "ssl.ca.location",
        "ssl.crl.location",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "sasl.kerberos.keytab",
        "sasl.kerberos.principal",
        "sasl.kerberos.kinit.cmd",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.scope",
        "sasl.oauthbearer.extensions",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.assertion.private.key.file",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "ssl.engine.id",
        "ssl.providers",
    ];
    let service = transport.advising(json!({
        "linger.ms": 50,
        "sasl.password": "secret-of-the-service",
    }));
    let debug = [("SUPERSTREAM_DEBUG", "true")];
    let mut driver = in_front_of(&service, &debug);
    let mut set = 0;
    for (number, name) in secrets.iter().enumerate() {
        let answer = driver.say(&format!("set {name} marker-{number}-marker"));
        set += usize::from(answer == "set");
    }
    // Engines of years ago have fewer.
    let least = if engine_has([2, 12]) { 20 } else { 10 };
    assert!(set > least, "only {set} of the properties were set");
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "50");
    let status = driver.status(0).to_string();
    service.wait_for_report("client-0");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    let stderr = driver.end().stderr;
    assert!(stderr.contains("linger.ms 5 -> 50"), "{stderr}");
    for (place, text) in [
        ("the service", service.received()),
        ("the status", status),
        ("the debug log", stderr),
    ] {
        assert!(
            !text.contains("marker"),
            "{place} was told a secret: {text}"
        );
        assert!(!text.contains("secret-of-the-service"), "{place}: {text}");
    }
    let config = service.requests()[0].json()["config"].clone();
    assert_eq!(config["sasl.password"], "[masked]");
}

fn addresses(registration: &Value) -> BTreeSet<IpAddr> {
    let addresses = registration["addresses"].as_array().unwrap().iter();
    let addresses = addresses.map(|address| address.as_str().unwrap().parse().unwrap());
    addresses.collect()
}

/// As the system's own tool has them: all but loopback, and link-local ones of IPv6.
fn addresses_of_this_host() -> BTreeSet<IpAddr> {
    let told = run(tool("hostname").arg("-I"));
    let addresses = told
        .split_whitespace()
        .map(|address| address.parse().unwrap());
    let is_link_local =
        |address: &IpAddr| matches!(address, IpAddr::V4(address) if address.is_link_local());
    addresses
        .filter(|address| !is_link_local(address))
        .collect()
}

/// The application's interceptor takes our `linger.ms` for itself.
#[test]
fn an_interceptor_that_swallows_a_property() {
    let (service, mut driver) = advised(
        Transport::Http,
        json!({"linger.ms": 50, "compression.type": "lz4"}),
    );
    driver.expect("swallow linger.ms", "added");
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    assert_eq!(driver.get(0, "compression.codec"), "lz4");
    let told = service.wait_for_report("client-0").json();
    let refusal = entry(&told["refusals"], "linger.ms");
    assert!(
        refusal["reason"].as_str().unwrap().contains("reads"),
        "{refusal}"
    );
    assert_eq!(told["changes"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(driver.status(0)["changes"], told["changes"]);
    driver.end_quietly();
}

/// Under whatever name, ours too.
#[test]
fn the_applications_own_on_new_runs_once() {
    for name in ["count", "superstream:client"] {
        let (_service, mut driver) = advised(Transport::Http, json!({"linger.ms": 50}));
        driver.expect(&format!("count-new {name}"), "added");
        driver.set(&[("test.mock.num.brokers", "1")]);
        driver.create("producer");
        driver.expect("counted-new", "1");
        assert_eq!(driver.get(0, "linger.ms"), "50");
        driver.expect("produce 0 orders", "NO_ERROR");
        let measured = &driver.status(0)["measured"];
        let accepted = &measured["topics"]["orders"]["accepted"]["records"];
        assert_eq!(*accepted, 1, "{name}: {measured}");
        driver.end_quietly();
    }
}

fn clients_of_superstream_itself_are_left_alone(transport: Transport) {
    let (service, mut driver) = advised(transport, json!({"linger.ms": 50}));
    driver.set(&[("client.id", "superstreamlib-x")]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "5");
    assert_eq!(driver.status(0)["superstream"]["on"], false);
    assert!(!driver.say("threads").contains("superstream"));
    assert_eq!(service.connections(), 0);
    driver.end_quietly();
}

/// Topics of the application with timeouts that leave no time beside the linger that we set.
#[test]
fn a_topic_that_our_linger_would_forbid() {
    let (service, mut driver) = advised(Transport::Http, json!({"linger.ms": 100}));
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "100");
    for (topic, key, value, expected) in [
        (
            "topic 0 hurried message.timeout.ms 50",
            "hurried",
            "50",
            Some("145"),
        ),
        (
            "topic 0 equal message.timeout.ms 100",
            "equal",
            "100",
            Some("195"),
        ),
        ("topic 0 calm message.timeout.ms 1000", "calm", "1000", None),
        ("topic 0 endless message.timeout.ms 0", "endless", "0", None),
        ("topic 0 plain", "plain", "", None),
    ] {
        driver.expect(topic, "topic");
        let changes = driver.status(0)["changes"].clone();
        let key = format!("message.timeout.ms of topic {key}");
        let found = changes
            .as_array()
            .unwrap()
            .iter()
            .find(|change| change["key"] == key.as_str());
        assert_eq!(
            found.map(|change| change["new"].as_str().unwrap()),
            expected,
            "{changes:#}"
        );
        if let Some(found) = found {
            assert_eq!(found["old"], value);
        }
    }
    service.wait_for("a report on the topic", |request| {
        request.method == "PUT" && String::from_utf8_lossy(&request.body).contains("of topic equal")
    });
    driver.end_quietly();
}

/// What the application's own linger forbids stays forbidden, in the engine's own words.
#[test]
fn a_topic_that_the_applications_own_linger_forbids() {
    let script = |library, host: &str| {
        let mut driver = Driver::start(
            library,
            &[
                ("SUPERSTREAM_HOST", host),
                ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
            ],
        );
        driver.set(&[("linger.ms", "60")]);
        driver.create("producer");
        let linger = driver.get(0, "linger.ms");
        let answer = driver.say("topic 0 hurried message.timeout.ms 50");
        driver.end_quietly();
        (linger, answer)
    };
    let service = FaultService::advising(json!({"linger.ms": 100}));
    let (_, stock) = script(Library::Stock, "");
    let (linger, ours) = script(Library::DropIn, &service.url());
    assert_eq!(linger, "100");
    assert_eq!(stock.starts_with("failed"), engine_has([1, 6]), "{stock}");
    assert_eq!(ours, stock);
}

/// `rd_kafka_producev` makes its topics inside the engine, past our guard.
fn records_arrive_with_advice(transport: Transport) {
    let cluster = Cluster::start(&["orders:2"]);
    let (service, mut driver) = advised(
        transport,
        json!({"linger.ms": 100, "compression.type": "lz4"}),
    );
    driver.set(&[
        ("bootstrap.servers", &cluster.brokers),
        ("message.timeout.ms", "60000"),
    ]);
    driver.create("producer");
    assert_eq!(driver.get(0, "linger.ms"), "100");
    driver.expect("topic 0 orders message.timeout.ms 50000", "topic");
    for _ in 0..100 {
        driver.expect("produce 0 orders", "NO_ERROR");
    }
    driver.expect("flush 0", "NO_ERROR, delivered 100, failed 0");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
    cluster.stop();
}

/// Everything else about the client is as stock has it.
fn errno_and_errstr_of_a_success_are_those_of_the_engine(transport: Transport) {
    let script = |library, host: &str| {
        let mut driver = Driver::start(
            library,
            &[
                ("SUPERSTREAM_HOST", host),
                ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
            ],
        );
        let mut said = Vec::new();
        for command in [
            "new producer",
            "new consumer",
            "new producer 0",
            "new producer 1",
            "logs",
        ] {
            said.push(driver.say(command));
        }
        driver.end_quietly();
        said
    };
    let service = transport.advising(json!({"linger.ms": 100, "fetch.min.bytes": 1000}));
    assert_eq!(
        script(Library::DropIn, &service.url()),
        script(Library::Stock, "")
    );
}

/// The advice changes what it names, and nothing beside it.
#[test]
fn nothing_but_the_advice_is_different() {
    let script = |library, host: &str| {
        let mut driver = Driver::start(
            library,
            &[
                ("SUPERSTREAM_HOST", host),
                ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
            ],
        );
        driver.create("producer");
        let dump = driver.say("client-dump 0");
        driver.end_quietly();
        dump
    };
    let service = FaultService::advising(json!({"linger.ms": 100}));
    let (stock, ours) = (
        script(Library::Stock, ""),
        script(Library::DropIn, &service.url()),
    );
    let differences: Vec<_> = stock
        .split("; ")
        .zip(ours.split("; "))
        .filter(|(stock, ours)| stock != ours)
        .collect();
    // The engine itself derives the second from the first, since 1.6.
    let mut expected = vec![("queue.buffering.max.ms=5", "queue.buffering.max.ms=100")];
    if engine_has([1, 6]) {
        expected.push((
            "sticky.partitioning.linger.ms=10",
            "sticky.partitioning.linger.ms=200",
        ));
    }
    assert_eq!(differences, expected);
}
