//! The end of a client, and of its process, while reports are due: nothing waits, nothing breaks,
//! and where there is time the last report comes.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use serde_json::{Value, json};
use superstream_tests::driver::{Driver, PROMPTLY};
use superstream_tests::fault_service::{FaultService, advise, advise_reports, reply, silence};
use superstream_tests::ledger::{Ledger, delivered};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport, run, tool};

over_each_transport!(
    every_way_to_destroy_a_client,
    every_way_to_end_a_process,
    a_fork_while_reports_are_due,
    an_exec_while_reports_are_due,
);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// `RD_KAFKA_DESTROY_F_IMMEDIATE` of rdkafka_int.h, and `RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE`.
const IMMEDIATE: u32 = 0x4;
const NO_CONSUMER_CLOSE: u32 = 0x8;

/// A service that wants a report each second.
fn service(transport: Transport) -> (FaultService, Ledger) {
    let ledger = Ledger::default();
    let taking = ledger.clone();
    let service = transport.serve(move |request, stream| {
        if request.reports() {
            let answer = taking.take(&request.json());
            return reply(stream, "200 OK", &answer.to_string());
        }
        advise_reports(request, stream, &json!({}))
    });
    (service, ledger)
}

fn start(service: &FaultService) -> Driver {
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")]);
    Driver::start(Library::DropIn, &environment)
}

/// A producer that works.
fn producer(driver: &mut Driver) {
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
}

#[track_caller]
fn produce(driver: &mut Driver, client: u32, records: u32) {
    for _ in 0..records {
        driver.expect(&format!("produce {client} orders"), "NO_ERROR");
    }
}

#[track_caller]
fn deliver(driver: &mut Driver, client: u32, records: u32) {
    produce(driver, client, records);
    let flushed = driver.say(&format!("flush {client}"));
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
}

/// All reports up to now, with the connection that each came on.
fn reports(service: &FaultService) -> Vec<(usize, Value)> {
    let requests = service.requests();
    let requests = requests.iter().filter(|request| request.reports());
    let all = requests.flat_map(|request| {
        let reports = request.json()["reports"].as_array().unwrap().clone();
        reports
            .into_iter()
            .map(|report| (request.connection, report))
    });
    all.collect()
}

/// The reports on each client count up, and no other process's connection carries any.
#[track_caller]
fn assert_in_order(service: &FaultService) {
    let mut owners = BTreeMap::new();
    let registrations = service.requests();
    for (number, request) in registrations
        .iter()
        .filter(|one| one.registers())
        .enumerate()
    {
        owners.insert(format!("client-{number}"), request.json()["pid"].clone());
    }
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut speakers: BTreeMap<usize, Value> = BTreeMap::new();
    for (connection, report) in reports(service) {
        let hash = report["client_hash"].as_str().unwrap().to_owned();
        let speaker = speakers.entry(connection).or_insert(owners[&hash].clone());
        assert_eq!(
            *speaker, owners[&hash],
            "{hash} was reported by another process"
        );
        let now = (report["sequence"].as_u64().unwrap(), delivered(&report));
        let before = last.insert(hash.clone(), now).unwrap_or((0, 0));
        assert!(
            before.0 < now.0 && before.1 <= now.1,
            "{hash}: {before:?}, then {now:?}"
        );
    }
}

/// A client that is destroyed with records under way tells what became of them.
fn every_way_to_destroy_a_client(transport: Transport) {
    let (service, ledger) = service(transport);
    let mut driver = start(&service);
    for (client, end) in [
        "destroy 0".to_owned(),
        "destroy-flags 1 0".to_owned(),
        format!("destroy-flags 2 {IMMEDIATE}"),
        format!("destroy-flags 3 {NO_CONSUMER_CLOSE}"),
    ]
    .iter()
    .enumerate()
    {
        producer(&mut driver);
        deliver(&mut driver, client as u32, 5);
        produce(&mut driver, client as u32, 3);
        driver.expect(end, "destroyed");
        let hash = format!("client-{client}");
        service.wait_for_goodbye(&hash);
        let orders = service.measured(&hash).unwrap()["topics"]["orders"].clone();
        assert_eq!(orders["accepted"]["records"], 8, "{end}: {orders}");
        assert!(ledger.delivered(&hash) >= 5, "{end}: {orders}");
    }
    for (client, flags) in [(4, 0), (5, NO_CONSUMER_CLOSE), (6, IMMEDIATE)] {
        driver.set(&[("test.mock.num.brokers", "1"), ("group.id", "g")]);
        driver.create("consumer");
        driver.expect(&format!("destroy-flags {client} {flags}"), "destroyed");
        service.wait_for_goodbye(&format!("client-{client}"));
    }
    assert_in_order(&service);
    driver.end_quietly();
}

/// The process ends while reports come each second, with clients at work, or while the service keeps
/// it waiting.
fn every_way_to_end_a_process(transport: Transport) {
    let silent = || {
        transport.serve(|request, stream| match request.reports() {
            true => silence(),
            false => advise(request, stream, &json!({})),
        })
    };
    for (service, is_silent) in [(service(transport).0, false), (silent(), true)] {
        for (end, signal) in [
            ("exit", None),
            ("_exit", None),
            ("TERM", Some(SIGTERM)),
            ("KILL", Some(SIGKILL)),
        ] {
            let mut driver = start(&service);
            let before = reports(&service).len();
            producer(&mut driver);
            driver.set(&[("test.mock.num.brokers", "1"), ("group.id", "g")]);
            driver.create("consumer");
            deliver(&mut driver, 0, 5);
            let came = || reports(&service).len() > before;
            service.wait_until("a report", came);
            produce(&mut driver, 0, 5);
            let begin = Instant::now();
            match signal {
                None => driver.begin(end),
                Some(_) => {
                    run(tool("kill").args([&format!("-{end}"), &driver.pid()]));
                }
            }
            let ended = driver.end();
            let has_waited = is_silent && begin.elapsed() >= PROMPTLY;
            assert!(!has_waited, "{end} waited for the service");
            assert_eq!(ended.status.signal(), signal, "{end}: {ended:?}");
            assert_eq!(ended.status.code(), signal.is_none().then_some(0), "{end}");
            assert_eq!((&*ended.stderr, ended.stdout.len()), ("", 0), "{end}");
        }
    }
}

/// The child has a client of its own and uses its parent's too, as programs that fork early and
/// carelessly do.
fn a_fork_while_reports_are_due(transport: Transport) {
    for end in ["exit", "_exit"] {
        let (service, ledger) = service(transport);
        let mut driver = start(&service);
        producer(&mut driver);
        deliver(&mut driver, 0, 5);
        service.wait_until("a report of the parent", || {
            ledger.delivered("client-0") == 5
        });

        driver.expect("fork", "child");
        produce(&mut driver, 0, 4);
        producer(&mut driver);
        deliver(&mut driver, 1, 2);
        service.wait_until("a report of the child", || {
            ledger.delivered("client-1") == 2
        });
        // The parent's thread goes on meanwhile.
        let of_parent = || {
            reports(&service)
                .iter()
                .filter(|(_, one)| is_of(one, "client-0"))
                .count()
        };
        let before = of_parent();
        service.wait_until("the parent's next report", || of_parent() > before + 1);
        driver.expect(end, "the child exited with 0");

        deliver(&mut driver, 0, 3);
        service.wait_until("the parent's last", || ledger.delivered("client-0") == 8);
        driver.expect("destroy 0", "destroyed");
        service.wait_for_goodbye("client-0");
        let orders = &service.measured("client-0").unwrap()["topics"]["orders"];
        assert_eq!(
            orders["accepted"]["records"], 8,
            "the child's are not the parent's"
        );
        assert_eq!(ledger.delivered("client-1"), 2);
        assert_in_order(&service);
        driver.end_quietly();
    }
}

/// Of a child that becomes another program nobody hears.
fn an_exec_while_reports_are_due(transport: Transport) {
    let (service, ledger) = service(transport);
    let mut driver = start(&service);
    producer(&mut driver);
    deliver(&mut driver, 0, 5);
    service.wait_until("a report", || ledger.delivered("client-0") == 5);
    driver.say("exec");
    deliver(&mut driver, 0, 3);
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    assert_eq!(ledger.delivered("client-0"), 8);
    assert_eq!(service.connections(), 1);
    let registrations = service.requests();
    let registrations = registrations.iter().filter(|request| request.registers());
    assert_eq!(registrations.count(), 1);
    assert_in_order(&service);
    driver.end_quietly();
}

fn is_of(report: &Value, hash: &str) -> bool {
    report["client_hash"] == hash
}
