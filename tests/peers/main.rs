//! Superstream's own client for Python as it is deployed (superstream-confluent-kafka 2.4.0.4 from PyPI,
//! unchanged), with our service behind a real NATS server, and beside our library.

mod application;
mod compare;
#[cfg(test)]
mod compare_tests;
mod differences;
mod messages;
mod properties;
mod recorder;
mod scene;
mod together;

use serde_json::{Value, json};
use superstream_nats_server::wait_until;
use superstream_tests::kafka::{Kafka, topic};
use superstream_tests::service::TOKEN;
use superstream_tests::{Cluster, broker_log};

use application::Application;
use messages::{CONFIG, RECONNECTED, REGISTER, TYPE, Told};
use scene::{ADVICE, PASSWORD, PATIENT, PATIENT_FOR, Scene};

const RECORDS: usize = 100;
const ZSTD: u8 = 4;

/// Checks that a client of the SDK runs with all the advice, as the service shows it.
#[track_caller]
fn assert_advised(client: &Value, kind: &str) {
    assert_eq!(client["type"], kind, "{client:#}");
    assert_eq!(client["language"], "python", "{client:#}");
    assert_eq!(client["version"], "2.4.0.4", "{client:#}");
    for (_, key, value) in ADVICE.iter().filter(|(of, ..)| *of == kind) {
        let runs_with = &client["effective_config"][key];
        let text = runs_with
            .as_str()
            .map_or_else(|| runs_with.to_string(), str::to_owned);
        assert_eq!(text, *value, "{key} of {client:#}");
    }
}

fn has(told: &Told, kinds: &[&str]) -> bool {
    kinds.iter().all(|kind| told.messages.contains_key(*kind))
}

/// Creates a client, and waits until the SDK says that it is ready: what it does before, it does not
/// tell.
#[track_caller]
fn create(scene: &Scene, application: &mut Application, kind: &str, name: &str) {
    application.create(kind, name);
    scene
        .recorder
        .wait_until(&format!("that {name} is a {kind}"), |told| {
            told.iter()
                .any(|client| client.name() == name && has(client, &[TYPE]))
        });
}

#[test]
fn it_is_advised_and_tells_what_it_does() {
    let kafka = Kafka::shared();
    let (scene, application, topic) = recorder::at_last(|patience| {
        let topic = topic("peers");
        let scene = Scene::with_services(1);
        let mut application = scene.sdk(&kafka.brokers, &topic, &PATIENT);
        create(&scene, &mut application, "producer", "writes");
        application.produce("writes", RECORDS);
        create(&scene, &mut application, "consumer", "reads");
        application.consume("reads", RECORDS);
        scene.recorder.wait_within(patience, |told| {
            let is_complete = |each| has(each, &[CONFIG]) && each.has_topics();
            told.len() == 2 && told.iter().all(is_complete)
        })?;
        Some((scene, application, topic))
    });

    // The broker has what the advice makes of the records.
    let mut batches = broker_log::batches(&kafka.data, &topic);
    // A record alone is not compressed where that would not make it smaller.
    batches.retain(|batch| batch.records > 1);
    assert!(!batches.is_empty());
    let are_advised = batches.iter().all(|batch| batch.codec == ZSTD);
    assert!(are_advised, "{batches:?}");

    wait_until("what both have told, in the service", || {
        ["writes", "reads"].iter().all(|name| {
            let client = scene.shown(name);
            !client["configured_at_ms"].is_null() && client["reports_total"] != 0
        })
    });
    let topics = json!({ topic: [0] });
    let (writes, reads) = (scene.shown("writes"), scene.shown("reads"));
    assert_advised(&writes, "producer");
    assert_advised(&reads, "consumer");
    assert_eq!(writes["producer_topics_partitions"], topics, "{writes:#}");
    assert_eq!(
        reads["consumer_group_topics_partitions"], topics,
        "{reads:#}"
    );
    // The SDK sends its configuration in clear. Nobody gets to see that.
    for text in [writes, reads].map(|client| client.to_string()) {
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
    }
    application.end();
}

#[test]
fn with_a_wrong_token_it_runs_as_it_would_without_us() {
    let cluster = Cluster::start(&["orders:1"]);
    let scene = Scene::with_services(1);
    let wrong = [("SUPERSTREAM_TOKEN", "not-the-token")];
    let mut application = scene.sdk(&cluster.brokers, "orders", &wrong);
    application.create("producer", "writes");
    application.produce("writes", RECORDS);
    application.create("consumer", "reads");
    application.consume("reads", RECORDS);
    application.end();
    assert_eq!(recorder::told(&scene.recorder.heard()), []);
    assert_eq!(scene.services[0].clients(), [] as [Value; 0]);
}

#[test]
fn after_a_restart_of_nats_the_same_client_goes_on() {
    let cluster = Cluster::start(&["orders:1"]);
    let mut scene = Scene::with_services(1);
    let mut application = scene.sdk(&cluster.brokers, "orders", &[]);
    create(&scene, &mut application, "producer", "writes");
    application.produce("writes", RECORDS);
    let before = scene.shown("writes");

    // Only an answer makes it ready again, and only then it tells its topics. Where it is back before the
    // service it has none, and waits for the next reconnection.
    let told = recorder::at_last(|patience| {
        let up_to_now = scene.recorder.heard().len();
        let server = scene.server.as_mut().unwrap();
        server.kill();
        application.produce("writes", RECORDS);
        server.start_again();
        scene.recorder.wait_within(patience, |_| {
            let heard = scene.recorder.heard();
            let of = |part: &str| heard.iter().rposition(|each| each.subject.contains(part));
            of(RECONNECTED) >= Some(up_to_now) && of("clientsUpdate.config.") > of(RECONNECTED)
        })
    });
    let [client] = told.as_slice() else {
        panic!("more than one: {told:#?}");
    };
    assert_ne!(
        client.messages[RECONNECTED]["new_nats_connection_id"],
        client.messages[REGISTER]["nats_connection_id"]
    );
    application.produce("writes", RECORDS);
    let after = scene.shown("writes");
    assert_eq!(before["client_hash"], after["client_hash"]);
    assert_eq!(after["alive"], true, "{after:#}");
    application.end();
}

#[test]
fn ten_at_once_and_three_services() {
    const CLIENTS: usize = 10;
    let cluster = Cluster::start(&["orders:1"]);
    let scene = Scene::with_services(3);
    let names: Vec<_> = (0..CLIENTS)
        .map(|number| format!("client-{number}"))
        .collect();
    let start = |_| scene.sdk(&cluster.brokers, "orders", &PATIENT);
    let mut applications: Vec<_> = names.iter().map(start).collect();
    for (application, name) in applications.iter_mut().zip(&names) {
        application.begin_to_create("producer", name);
    }
    for application in &mut applications {
        application.wait_for_creation();
        // A constructor that is not answered returns when its time is over.
        assert!(
            application.took() < PATIENT_FOR,
            "without its configuration"
        );
    }
    let told = scene
        .recorder
        .wait_until("the types of all of them", |told| {
            told.len() == CLIENTS && told.iter().all(|client| has(client, &[TYPE]))
        });
    for service in &scene.services {
        assert_eq!(
            service.clients().len(),
            CLIENTS,
            "each shows all of them, once"
        );
    }
    // Some never tell what they run with.
    let tell: Vec<_> = told
        .iter()
        .filter(|client| has(client, &[CONFIG]))
        .collect();
    assert!(!tell.is_empty(), "nobody tells what it runs with");
    for client in tell {
        wait_until("what it runs with, in the services", || {
            !scene.shown(client.name())["configured_at_ms"].is_null()
        });
        assert_advised(&scene.shown(client.name()), "producer");
    }
    for (application, name) in applications.iter_mut().zip(&names) {
        application.produce(name, RECORDS);
    }
    applications.into_iter().for_each(Application::end);
}
