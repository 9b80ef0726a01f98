//! The life of a report: as often as the service asks, lost or repeated or answered badly, and
//! through a time without a service. Reports carry totals, so the last one of each client counts.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use superstream_nats_server::wait_until;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{
    FaultService, Request, Stream, Then, advise, advise_reports, reply, taken, taken_with_advice,
};
use superstream_tests::ledger::Ledger;
use superstream_tests::service::{Service, TOKEN};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport};

over_each_transport!(
    reports_come_as_often_as_the_service_asks,
    a_report_that_is_lost_loses_nothing,
    an_answer_that_fits_no_report_is_none,
    a_client_that_the_service_forgot_registers_again,
    other_advice_applies_at_the_next_start,
    a_time_without_a_service_loses_nothing,
);

/// A service that answers reports by a script, and everything else as usual. It wants a report each
/// second.
fn service(
    transport: Transport,
    script: impl Fn(usize, &Value, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
) -> FaultService {
    let rounds = AtomicUsize::new(0);
    transport.serve(move |request, stream| {
        if request.reports() {
            return script(
                rounds.fetch_add(1, Ordering::SeqCst),
                &request.json(),
                stream,
            );
        }
        advise_reports(request, stream, &json!({"linger.ms": 10}))
    })
}

fn take(reports: &Value, stream: &mut dyn Stream) -> io::Result<Then> {
    reply(stream, "200 OK", &taken(reports).to_string())
}

fn start(service: &FaultService) -> Driver {
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")]);
    Driver::start(Library::DropIn, &environment)
}

/// A producer that works, and has delivered so many records.
fn producer(driver: &mut Driver, records: u32) {
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer");
    produce(driver, 0, records);
}

fn produce(driver: &mut Driver, client: u32, records: u32) {
    for _ in 0..records {
        driver.expect(&format!("produce {client} orders"), "NO_ERROR");
    }
    let flushed = driver.say(&format!("flush {client}"));
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
}

fn delivered(measured: &Value) -> u64 {
    let records = &measured["topics"]["orders"]["delivered"]["records"];
    records.as_u64().unwrap_or_default()
}

fn rounds(service: &FaultService, count: usize) -> Vec<Value> {
    let found = service.wait_for_several(count, "reports", Request::reports);
    found.iter().map(Request::json).collect()
}

fn reports_come_as_often_as_the_service_asks(transport: Transport) {
    let service = service(transport, |_, reports, stream| take(reports, stream));
    let mut driver = start(&service);
    producer(&mut driver, 5);
    // The first ones may be due before everything is delivered.
    let of_all = || {
        let rounds = rounds(&service, 0).into_iter();
        let mut reports = rounds.map(|round| round["reports"][0].clone());
        reports.find(|report| delivered(&report["measured"]) == 5)
    };
    service.wait_until("all records are told", || of_all().is_some());
    let report = of_all().unwrap();
    let partitions = &report["producer_topics_partitions"]["orders"];
    assert!(
        !partitions.as_array().unwrap().is_empty(),
        "no partitions in {report:#}"
    );
    let came = rounds(&service, 3);
    let sequences: Vec<u64> = came
        .iter()
        .map(|round| round["reports"][0]["sequence"].as_u64().unwrap())
        .collect();
    assert!(
        sequences.is_sorted_by(|one, next| one < next),
        "{sequences:?}"
    );
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.end_quietly();
}

fn a_report_that_is_lost_loses_nothing(transport: Transport) {
    let (ledger, are_lost) = (Ledger::default(), Arc::<AtomicBool>::default());
    let (taking, lost) = (ledger.clone(), Arc::clone(&are_lost));
    let service = service(transport, move |_, reports, stream| {
        match lost.load(Ordering::SeqCst) {
            true => Ok(Then::Close),
            false => reply(stream, "200 OK", &taking.take(reports).to_string()),
        }
    });
    let mut driver = start(&service);
    producer(&mut driver, 5);
    service.wait_until("it has begun", || ledger.delivered("client-0") == 5);
    are_lost.store(true, Ordering::SeqCst);
    produce(&mut driver, 0, 7);
    driver.expect("destroy 0", "destroyed");
    // Each that is cut off is tried once more at once: so many are two.
    let before = rounds(&service, 0).len();
    rounds(&service, before + 4);
    assert_eq!(ledger.delivered("client-0"), 5);
    are_lost.store(false, Ordering::SeqCst);
    service.wait_for_goodbye("client-0");
    assert_eq!(ledger.delivered("client-0"), 12);
    driver.end_quietly();
}

fn an_answer_that_fits_no_report_is_none(transport: Transport) {
    let service = service(transport, |round, reports, stream| {
        let report = &reports["reports"][0];
        let answer = match round {
            0 => json!([{"client_hash": "client-4711", "sequence": report["sequence"]}]),
            1 => json!([{"client_hash": report["client_hash"], "sequence": 4711}]),
            2 => json!([]),
            3 => return reply(stream, "200 OK", "{\"reports\": 7}"),
            _ => return take(reports, stream),
        };
        reply(stream, "200 OK", &json!({ "reports": answer }).to_string())
    });
    let mut driver = start(&service);
    producer(&mut driver, 5);
    // None of the four counts as taken: the closed client reports until one is.
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    assert!(
        service
            .requests()
            .iter()
            .filter(|request| request.reports())
            .count()
            >= 5
    );
    assert_eq!(delivered(&service.measured("client-0").unwrap()), 5);
    driver.end_quietly();
}

fn a_client_that_the_service_forgot_registers_again(transport: Transport) {
    let service = service(transport, |round, reports, stream| match round {
        0 => {
            let hash = &reports["reports"][0]["client_hash"];
            let unknown = json!({"reports": [{"client_hash": hash, "unknown": true}]});
            reply(stream, "200 OK", &unknown.to_string())
        }
        _ => take(reports, stream),
    });
    let mut driver = start(&service);
    producer(&mut driver, 5);
    service.wait_for_report("client-1");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-1");
    assert_eq!(delivered(&service.measured("client-1").unwrap()), 5);
    driver.end_quietly();
}

fn other_advice_applies_at_the_next_start(transport: Transport) {
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let service = transport.serve(move |request, stream| {
        if down.load(Ordering::SeqCst) {
            return Ok(Then::Close);
        }
        if request.reports() {
            let answer = taken_with_advice(&request.json(), &json!({"linger.ms": 80}));
            return reply(stream, "200 OK", &answer.to_string());
        }
        advise_reports(request, stream, &json!({"linger.ms": 10}))
    });
    let mut driver = start(&service);
    producer(&mut driver, 5);
    rounds(&service, 2);
    assert_eq!(
        driver.get(0, "linger.ms"),
        "10",
        "the running client is left alone"
    );
    let next = &driver.status(0)["at_next_start"]["optimized_configuration"];
    assert_eq!(next["linger.ms"], 80);

    is_down.store(true, Ordering::SeqCst);
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "80");
}

/// More clients than are kept apart come and go while there is no service, and none of their
/// records is lost.
fn a_time_without_a_service_loses_nothing(transport: Transport) {
    const CLIENTS: u32 = 300;
    let (ledger, is_down) = (Ledger::default(), Arc::<AtomicBool>::default());
    let (taking, down) = (ledger.clone(), Arc::clone(&is_down));
    let service = transport.serve(move |request, stream| {
        if down.load(Ordering::SeqCst) {
            return Ok(Then::Close);
        }
        if request.reports() {
            let answer = taking.take(&request.json());
            return reply(stream, "200 OK", &answer.to_string());
        }
        advise(request, stream, &json!({}))
    });
    let mut driver = start(&service);
    producer(&mut driver, 1);
    is_down.store(true, Ordering::SeqCst);
    for client in 1..=CLIENTS {
        driver.set(&[("test.mock.num.brokers", "1")]);
        driver.create("producer");
        produce(&mut driver, client, 2);
        driver.expect(&format!("destroy {client}"), "destroyed");
    }
    is_down.store(false, Ordering::SeqCst);
    let all = u64::from(2 * CLIENTS);
    service.wait_until("all records are told", || ledger.total() >= all);
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    assert_eq!(ledger.total(), all + 1);
    driver.end_quietly();
}

/// Whatever they speak over, the reference service knows the same of a client: what it registered with,
/// what it was advised and made of that, what it did, and that it went.
#[test]
fn the_reference_service_knows_the_same_over_each_transport() {
    let transports = [Transport::Http, Transport::Nats, Transport::Veltix];
    let [http, nats, veltix] = transports.map(what_the_service_knows);
    assert_eq!(http, nats);
    assert_eq!(http, veltix);
}

fn what_the_service_knows(transport: Transport) -> Value {
    let rules = "[[rule]]\n[rule.configuration]\n\"linger.ms\" = 50\n";
    let options = ["--report-interval", "1s"].map(OsStr::new);
    let service = Service::over(transport, rules, TOKEN, &options, Stdio::inherit());
    let mut driver = Driver::start(
        Library::DropIn,
        &[
            ("SUPERSTREAM_HOST", &service.host),
            ("SUPERSTREAM_TOKEN", TOKEN),
            ("SUPERSTREAM_TAGS", r#"{"team":"pay"}"#),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000"),
        ],
    );
    driver.set(&[("client.id", "shop")]);
    producer(&mut driver, 5);
    assert_eq!(driver.get(0, "linger.ms"), "50");
    let known = || service.clients().pop().unwrap_or_default();
    let has_told = |client: &Value| client["figures"]["produced"]["records"] == 5;
    wait_until("its records are counted", || has_told(&known()));
    wait_until("it is alive", || known()["alive"] == true);
    driver.expect("destroy 0", "destroyed");
    wait_until("it has gone", || known()["gone_at_ms"].is_i64());
    driver.end_quietly();

    let client = known();
    assert_eq!(service.clients().len(), 1, "it has registered once");
    let produced = &client["figures"]["produced"];
    let topics = client["producer_topics_partitions"].as_object().unwrap();
    // Ports, times, and how the records were spread are of each run.
    let mut told = json!({
        "figures": [produced["records"], produced["bytes"], produced["failed_records"]],
        "topics": topics.keys().collect::<Vec<_>>(),
        "configured": client["effective_config"]["linger.ms"],
    });
    for name in [
        "type",
        "client_id",
        "tags",
        "language",
        "version",
        "mode",
        "applied_mode",
        "advice",
        "changes",
        "refusals",
        "changed",
        "errors_total",
        "alive",
        "start",
        "engine_version",
        "client_software_name",
        "connection_id",
    ] {
        told[name] = client[name].clone();
    }
    assert_eq!(told["changes"][0]["key"], "linger.ms", "{told:#}");
    told
}
