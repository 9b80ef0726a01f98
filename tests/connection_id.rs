//! `SUPERSTREAM_READ_CONNECTION_ID`: the number of the Kafka cluster is read there, by a client of which
//! the application notices nothing, and told.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_tests::driver::{Driver, PATIENCE, PROMPTLY};
use superstream_tests::fault_service::{FaultService, Request, advise_reports};
use superstream_tests::kafka::Kafka;
use superstream_tests::scene::{Authority, SASL_AUTHENTICATE, Scene};
use superstream_tests::silent::Silent;
use superstream_tests::{Cluster, Library};

const TOPIC: &str = "superstream.metadata";
/// What the reader calls itself.
const READER: &str = "superstreamlib-connection-id";

/// A service that wants a report each second.
fn service() -> FaultService {
    FaultService::start(|request, stream| advise_reports(request, stream, &json!({})))
}

fn start(service: &FaultService, more: &[(&str, &str)]) -> Driver {
    let host = service.url();
    let mut environment = vec![
        ("SUPERSTREAM_HOST", &*host),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
    ];
    environment.extend_from_slice(more);
    Driver::start(Library::DropIn, &environment)
}

fn start_reading(service: &FaultService) -> Driver {
    start(service, &[("SUPERSTREAM_READ_CONNECTION_ID", "True")])
}

/// The same with the debug log, which says how a reading ended.
fn start_telling(service: &FaultService) -> Driver {
    let reading = ("SUPERSTREAM_READ_CONNECTION_ID", "true");
    start(service, &[reading, ("SUPERSTREAM_DEBUG", "true")])
}

/// A record as the service writes it.
#[track_caller]
fn write(brokers: &str, value: &str) {
    let mut driver = Driver::start(Library::Stock, &[]);
    driver.set(&[("bootstrap.servers", brokers)]);
    driver.create("producer");
    driver.expect(&format!("produce-value 0 {TOPIC} {value}"), "NO_ERROR");
    let flushed = driver.say("flush 0");
    assert!(flushed.starts_with("NO_ERROR, delivered 1"), "{flushed}");
    driver.expect("destroy 0", "destroyed");
    driver.end_quietly();
}

fn create(driver: &mut Driver, brokers: &str, kind: &str) -> Duration {
    driver.set(&[("bootstrap.servers", brokers)]);
    driver.create(kind)
}

/// Waits until no reading is under way.
#[track_caller]
fn wait_for_reader(driver: &mut Driver) {
    let deadline = Instant::now() + PATIENCE;
    while driver.threads().contains("superstream-id") {
        assert!(Instant::now() < deadline, "the reading does not end");
        thread::yield_now();
    }
}

/// A reading is given up where the cluster takes long to answer, as on a busy machine. An application
/// tries it once in a while: another one does at once.
const ATTEMPTS: usize = 5;

/// An application, and what belongs to it, once a number was read for this client of it; the last one
/// where none ever was.
#[track_caller]
fn until_read<T>(client: usize, attempt: impl Fn() -> (Driver, T)) -> (Driver, T) {
    let mut left = ATTEMPTS;
    loop {
        let (mut driver, its) = attempt();
        wait_for_reader(&mut driver);
        left -= 1;
        if left == 0 || id_of(&mut driver, client) != Value::Null {
            return (driver, its);
        }
    }
}

/// The same with a client of this kind, and the service.
#[track_caller]
fn read_by(kind: &str, brokers: &str) -> (Driver, FaultService) {
    until_read(0, || {
        let service = service();
        let mut driver = start_reading(&service);
        create(&mut driver, brokers, kind);
        (driver, service)
    })
}

fn id_of(driver: &mut Driver, client: usize) -> Value {
    driver.status(client)["client"]["connection_id"].clone()
}

/// The `connection_id` of each registration.
fn registered(service: &FaultService) -> Vec<Value> {
    let requests = service.requests();
    let registrations = requests.iter().filter(|request| request.registers());
    registrations
        .map(|request| request.json()["connection_id"].clone())
        .collect()
}

/// Whether it is a report with this number.
fn reports(request: &Request, id: i64) -> bool {
    request.reports() && request.json()["reports"][0]["connection_id"] == id
}

/// Ends an application that has no client any more, where nothing of ours may be left.
#[track_caller]
fn end_with_nothing_left(mut driver: Driver) {
    driver.expect("wait-destroyed 60000", "0");
    driver.expect("thread-count", "0");
    driver.end_quietly();
}

#[test]
fn the_number_is_read_once_and_told() {
    let cluster = Cluster::start(&["superstream.metadata:1", "orders:1"]);
    write(&cluster.brokers, "42");
    let (mut driver, service) = read_by("producer", &cluster.brokers);
    assert_eq!(id_of(&mut driver, 0), 42);
    driver.expect("produce 0 orders", "NO_ERROR");
    service.wait_for("a report with it", |request| reports(request, 42));
    // A later client has it from the first: the reader's handle is the second, and the last.
    create(&mut driver, &cluster.brokers, "consumer");
    create(&mut driver, &cluster.brokers, "producer");
    assert_eq!(registered(&service), [0, 42, 42]);
    assert_eq!(id_of(&mut driver, 2), 42);
    driver.expect("name 0", "rdkafka#producer-1");
    driver.expect("name 1", "rdkafka#consumer-3");
    driver.expect("name 2", "rdkafka#producer-4");
    for client in 0..3 {
        driver.expect(&format!("destroy {client}"), "destroyed");
    }
    end_with_nothing_left(driver);
}

#[test]
fn nothing_is_read_unless_it_is_wanted() {
    for value in [None, Some("false"), Some("1"), Some("")] {
        let cluster = Cluster::start(&["superstream.metadata:1", "orders:1"]);
        let service = service();
        let more = value.map(|value| ("SUPERSTREAM_READ_CONNECTION_ID", value));
        let mut driver = start(&service, more.as_slice());
        create(&mut driver, &cluster.brokers, "producer");
        assert!(!driver.threads().contains("superstream-id"));
        driver.expect("produce 0 orders", "NO_ERROR");
        service.wait_for("a report without it", |request| reports(request, 0));
        assert_eq!(registered(&service), [0]);
        assert_eq!(id_of(&mut driver, 0), Value::Null);
        create(&mut driver, &cluster.brokers, "producer");
        driver.expect("name 1", "rdkafka#producer-2");
        for client in 0..2 {
            driver.expect(&format!("destroy {client}"), "destroyed");
        }
        end_with_nothing_left(driver);
        let asked: Value = serde_json::from_str(cluster.stop().trim()).unwrap();
        assert_eq!(asked["Fetch"], 0, "with {value:?}: {asked}");
    }
}

#[test]
fn without_a_good_record_the_number_is_not_known() {
    for (topics, records) in [
        (&["orders:1"][..], &[][..]),
        (&["superstream.metadata:1"], &[]),
        (&["superstream.metadata:3"], &[]),
        (&["superstream.metadata:1"], &["hello"]),
        (&["superstream.metadata:1"], &["42", "-1"]),
        (&["superstream.metadata:1"], &["42", "9223372036854775808"]),
    ] {
        let cluster = Cluster::start(topics);
        for record in records {
            write(&cluster.brokers, record);
        }
        let service = service();
        let mut driver = start_telling(&service);
        create(&mut driver, &cluster.brokers, "producer");
        wait_for_reader(&mut driver);
        assert_eq!(id_of(&mut driver, 0), Value::Null, "{topics:?} {records:?}");
        // It was looked for just now.
        create(&mut driver, &cluster.brokers, "producer");
        driver.expect("name 1", "rdkafka#producer-3");
        assert!(!driver.threads().contains("superstream-id"));
        assert_eq!(registered(&service), [0, 0]);
        let ended = driver.end();
        assert!(ended.status.success(), "{ended:?}");
        let told = ended.stderr.matches("tells no connection_id").count();
        assert_eq!(told, 1, "{ended:?}");
    }
}

#[test]
fn the_newest_record_of_all_partitions_holds() {
    let cluster = Cluster::start(&["superstream.metadata:5"]);
    for value in 1..=8 {
        write(&cluster.brokers, &value.to_string());
    }
    let (mut driver, _service) = read_by("consumer", &cluster.brokers);
    assert_eq!(id_of(&mut driver, 0), 8);
    driver.expect("destroy 0", "destroyed");
    end_with_nothing_left(driver);
}

/// Its log callback has the application's own handles alone, its interceptor runs for its own client
/// alone, and nothing is printed.
#[test]
fn the_application_hears_nothing_of_the_reader() {
    let cluster = Cluster::start(&["superstream.metadata:1"]);
    write(&cluster.brokers, "42");
    let (mut driver, _service) = until_read(0, || {
        let service = service();
        let mut driver = start_reading(&service);
        driver.set(&[("debug", "all"), ("statistics.interval.ms", "10")]);
        driver.expect("count-new", "added");
        create(&mut driver, &cluster.brokers, "producer");
        (driver, service)
    });
    assert_eq!(id_of(&mut driver, 0), 42);
    driver.expect("strangers", "0 of 1");
    driver.expect("counted-new", "1");
    assert!(!driver.say("logs").contains(READER));
    driver.expect("destroy 0", "destroyed");
    end_with_nothing_left(driver);
}

/// Where the application itself is the way to the cluster, nobody else takes it.
#[test]
fn callbacks_of_the_application_are_never_needed() {
    let cluster = Cluster::start(&["superstream.metadata:1"]);
    write(&cluster.brokers, "42");
    let sasl = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
    ];
    for (callback, properties, reason) in [
        (true, &[][..], "connect_cb is set"),
        (
            false,
            &[("test.mock.num.brokers", "1")],
            "test.mock.num.brokers is set",
        ),
        (false, &sasl, "the login needs more than strings"),
    ] {
        let service = service();
        let mut driver = start_telling(&service);
        if callback {
            driver.expect("count-connect", "set");
        }
        driver.set(properties);
        create(&mut driver, &cluster.brokers, "producer");
        assert!(!driver.threads().contains("superstream-id"), "{reason}");
        driver.expect("destroy 0", "destroyed");
        let ended = driver.end();
        assert!(ended.status.success(), "{ended:?}");
        let line = format!("connection_id is not read: {reason}");
        assert!(ended.stderr.contains(&line), "no {line:?} in {ended:?}");
    }
}

/// An application in the middle of a reading that nobody answers.
fn in_the_middle(service: &FaultService) -> (Driver, Silent) {
    let silent = Silent::start();
    let mut driver = start_reading(service);
    let took = create(&mut driver, &silent.brokers, "producer");
    assert!(took < PROMPTLY, "the creator has waited: {took:?}");
    silent.wait_for(READER);
    (driver, silent)
}

#[test]
fn a_kafka_that_hangs_holds_up_nobody() {
    let service = service();
    let (mut driver, silent) = in_the_middle(&service);
    driver.expect("blocked-signals superstream-id", "fffffffe7ffbfeff");
    // Other clients come and go meanwhile, and report.
    for client in 1..4 {
        let took = create(&mut driver, &silent.brokers, "producer");
        assert!(took < PROMPTLY, "client {client} has waited: {took:?}");
        driver.expect(&format!("destroy {client}"), "destroyed");
        service.wait_for_goodbye(&format!("client-{client}"));
    }
    assert_eq!(registered(&service), [0; 4]);
    driver.expect("destroy 0", "destroyed");
    end_with_nothing_left(driver);
}

#[test]
fn the_end_of_the_last_client_is_the_end_of_the_reading() {
    let service = service();
    let (mut driver, silent) = in_the_middle(&service);
    driver.expect("destroy 0", "destroyed");
    wait_for_reader(&mut driver);
    driver.expect("wait-destroyed 60000", "0");
    // What was given up is begun anew for the next client.
    create(&mut driver, &silent.brokers, "producer");
    driver.expect("name 1", "rdkafka#producer-3");
    assert!(driver.threads().contains("superstream-id"));
    driver.expect("destroy 1", "destroyed");
    end_with_nothing_left(driver);
}

#[test]
fn a_process_ends_in_the_middle_as_it_likes() {
    for how in ["exit", "_exit", "end"] {
        let service = service();
        let (mut driver, _silent) = in_the_middle(&service);
        if how != "end" {
            driver.begin(how);
        }
        driver.end_quietly();
    }
}

#[test]
fn a_process_forks_in_the_middle_as_it_likes() {
    let cluster = Cluster::start(&["superstream.metadata:1"]);
    write(&cluster.brokers, "42");
    let (mut driver, _others) = until_read(1, || {
        let service = service();
        let (mut driver, silent) = in_the_middle(&service);
        driver.expect("many-forks 20", "20 children");
        driver.expect("fork", "child");
        // The child reads for itself.
        create(&mut driver, &cluster.brokers, "producer");
        (driver, (service, silent))
    });
    assert_eq!(id_of(&mut driver, 1), 42);
    driver.expect("destroy 1", "destroyed");
    driver.begin("_exit");
    assert_eq!(driver.answer(), "the child exited with 0");
    driver.expect("destroy 0", "destroyed");
    end_with_nothing_left(driver);
}

/// Readings that begin and end all the time, and forks between them.
#[test]
fn a_process_forks_while_readings_come_and_go() {
    let cluster = Cluster::start(&["superstream.metadata:1"]);
    write(&cluster.brokers, "42");
    let service = service();
    let mut driver = start_reading(&service);
    for round in 0..20 {
        // Other brokers are another cluster to whoever cannot know better.
        let brokers = cluster.brokers.clone() + &",127.0.0.1:1".repeat(round);
        create(&mut driver, &brokers, "consumer");
        driver.expect("many-forks 3", "3 children");
        driver.expect(&format!("destroy {round}"), "destroyed");
    }
    end_with_nothing_left(driver);
}

/// A login inside TLS, by an authority that only the application's configuration knows: the reader
/// trusts it and logs in as the application does.
#[test]
fn the_reader_logs_in_as_the_application_does() {
    let mut scene = Scene::new();
    let authority = Authority::new("the reader's");
    let broker = scene.broker(Some(authority.server()), "PLAIN");
    let service = service();
    let mut driver = start_reading(&service);
    driver.set(&[
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-secret"),
        ("ssl.ca.location", authority.certificate().to_str().unwrap()),
    ]);
    create(&mut driver, &broker, "producer");
    let body = scene.wait_for("login of the reader", |event| {
        event.body_of(READER, SASL_AUTHENTICATE)
    });
    let login = String::from_utf8_lossy(&body);
    assert!(login.ends_with("\0alice\0alice-secret"), "{login:?}");
    driver.expect("destroy 0", "destroyed");
    end_with_nothing_left(driver);
    assert!(!service.received().contains("alice"));
}

/// Apache Kafka itself, with and without a login.
#[test]
fn kafka_itself_tells_the_number() {
    let kafka = Kafka::shared();
    write(&kafka.brokers, "7");
    let login = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanisms", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-secret"),
    ];
    for (brokers, properties) in [(&kafka.brokers, &[][..]), (&kafka.sasl, &login)] {
        let (mut driver, service) = until_read(0, || {
            let service = service();
            let mut driver = start_telling(&service);
            driver.set(properties);
            create(&mut driver, brokers, "consumer");
            (driver, service)
        });
        assert_eq!(id_of(&mut driver, 0), 7);
        driver.set(properties);
        create(&mut driver, brokers, "producer");
        assert_eq!(registered(&service), [0, 7]);
        for client in 0..2 {
            driver.expect(&format!("destroy {client}"), "destroyed");
        }
        let ended = driver.end();
        assert!(ended.stderr.contains("connection_id is 7"), "{ended:?}");
        assert!(!ended.stderr.contains("alice-secret"), "{ended:?}");
        assert!(!service.received().contains("alice-secret"));
    }
}
