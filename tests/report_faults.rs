//! A service that fails at reports, in every way that it may fail at registrations and in some of
//! their own. Whatever it does, the application notices nothing, and every record is told once the
//! service is well.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use superstream_tests::driver::{Driver, THREADS_TIMEOUT};
use superstream_tests::fault_service::{
    FaultService, Request, Stream, Then, advise_reports, reply, taken,
};
use superstream_tests::faulty::{self, Fault};
use superstream_tests::ledger::Ledger;
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport};

const TIMEOUT: Duration = Duration::from_millis(1500);
/// A creator that is hung up on has waited for that, and not for its timeout of twice as long.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

over_each_transport!(
    every_fault_of_a_service,
    a_service_that_acknowledges_late,
    a_service_that_acknowledges_twice,
    a_service_that_refuses_the_reports_of_one_client,
    a_service_that_acknowledges_what_was_not_reported,
    a_service_that_adds_odd_things_to_its_answer,
);

/// A service that wants a report each second, answers it by a script while it is not well, and takes
/// it afterwards.
struct Scene {
    service: FaultService,
    ledger: Ledger,
    is_well: Arc<AtomicBool>,
    /// It hangs up on whoever registers.
    is_closed: Arc<AtomicBool>,
}

impl Scene {
    fn new(
        transport: Transport,
        script: impl Fn(&Request, &mut dyn Stream, &Ledger) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let (ledger, is_well) = (Ledger::default(), Arc::<AtomicBool>::default());
        let is_closed = Arc::<AtomicBool>::default();
        let (taking, well) = (ledger.clone(), Arc::clone(&is_well));
        let closed = Arc::clone(&is_closed);
        let service = transport.serve(move |request, stream| match request.reports() {
            false if request.registers() && closed.load(Ordering::SeqCst) => Ok(Then::Close),
            false => advise_reports(request, stream, &json!({})),
            true if well.load(Ordering::SeqCst) => {
                let answer = taking.take(&request.json());
                reply(stream, "200 OK", &answer.to_string())
            }
            true => script(request, stream, &taking),
        });
        Self {
            service,
            ledger,
            is_well,
            is_closed,
        }
    }

    fn of(transport: Transport, fault: Fault) -> Self {
        Self::new(transport, move |request, stream, _| {
            fault.answer(request, stream)
        })
    }

    fn application(&self) -> Driver {
        self.application_that_waits(TIMEOUT)
    }

    fn application_that_waits(&self, timeout: Duration) -> Driver {
        let timeout = timeout.as_millis().to_string();
        let timeout = [("SUPERSTREAM_RESPONSE_TIMEOUT", &*timeout)];
        Driver::start(Library::DropIn, &self.service.environment(&timeout))
    }

    /// Two clients work while the service fails, and one of them ends. The driver, with the other
    /// one, which has delivered 7 records; the one that ended has delivered 2.
    #[track_caller]
    fn live_through(&self) -> Driver {
        let mut driver = self.application();
        producer(&mut driver);
        produce(&mut driver, 0, 3);
        let before = high_water(&mut driver);
        self.reports_came(1);
        let took = producer(&mut driver);
        assert!(took < THREADS_TIMEOUT, "creation took {took:?}");
        produce(&mut driver, 1, 2);
        driver.expect("destroy 1", "destroyed");
        produce(&mut driver, 0, 4);
        self.reports_came(3);
        let after = high_water(&mut driver);
        assert!(
            after.saturating_sub(before) < 16 * 1024,
            "{before} KiB grew to {after} KiB"
        );
        driver
    }

    #[track_caller]
    fn reports_came(&self, count: usize) {
        let service = &self.service;
        service.wait_for_several(count, "reports", Request::reports);
    }

    /// The service is well again: it hears of everything, and of nothing twice.
    #[track_caller]
    fn recover(&self, mut driver: Driver, is_told: impl Fn(&Ledger) -> bool) {
        self.is_well.store(true, Ordering::SeqCst);
        let all = || is_told(&self.ledger);
        self.service.wait_until("everything is told", all);
        driver.expect("destroy 0", "destroyed");
        self.service.wait_for("the end", |request| {
            request.is("DELETE", "/v1/clients/client-0")
        });
        assert!(is_told(&self.ledger));
        driver.end_quietly();
    }
}

fn producer(driver: &mut Driver) -> Duration {
    driver.set(&[("test.mock.num.brokers", "1")]);
    driver.create("producer")
}

#[track_caller]
fn produce(driver: &mut Driver, client: u32, records: u32) {
    for _ in 0..records {
        driver.expect(&format!("produce {client} orders"), "NO_ERROR");
    }
    let flushed = driver.say(&format!("flush {client}"));
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
}

#[track_caller]
fn high_water(driver: &mut Driver) -> u64 {
    driver.say("high-water").parse().unwrap()
}

fn all_are_told(ledger: &Ledger) -> bool {
    ledger.total() == 9
}

fn every_fault_of_a_service(transport: Transport) {
    faulty::each(&faulty::all(transport), |fault| {
        let scene = Scene::of(transport, fault);
        let driver = scene.live_through();
        scene.recover(driver, all_are_told);
    });
}

/// The service takes reports and says so when nobody listens any more.
fn a_service_that_acknowledges_late(transport: Transport) {
    let scene = Scene::new(transport, |request, stream, ledger| {
        let answer = ledger.take(&request.json());
        // Until the library gives up and hangs up.
        let _ = io::copy(stream, &mut io::sink());
        reply(stream, "200 OK", &answer.to_string())
    });
    let driver = scene.live_through();
    scene.recover(driver, all_are_told);
}

fn a_service_that_acknowledges_twice(transport: Transport) {
    let scene = Scene::new(transport, |request, stream, ledger| {
        let mut answer = ledger.take(&request.json());
        let reports = answer["reports"].as_array_mut().unwrap();
        reports.extend(reports.clone());
        reply(stream, "200 OK", &answer.to_string())
    });
    let driver = scene.live_through();
    scene.recover(driver, all_are_told);
}

/// What it does not take of one client, it takes of the others.
fn a_service_that_refuses_the_reports_of_one_client(transport: Transport) {
    let scene = Scene::new(transport, |request, stream, ledger| {
        let reports = request.json();
        let all = reports["reports"].as_array().unwrap();
        match all.iter().any(|report| report["client_hash"] == "client-0") {
            true => reply(stream, "403 Forbidden", ""),
            false => reply(stream, "200 OK", &ledger.take(&reports).to_string()),
        }
    });
    let driver = scene.live_through();
    let is_told = || scene.ledger.delivered("client-1") == 2;
    scene.service.wait_until("the other one is told", is_told);
    scene.recover(driver, all_are_told);
}

/// None of these is an answer to a report that was sent: what it told is told again.
fn a_service_that_acknowledges_what_was_not_reported(transport: Transport) {
    let odd: [fn(&Value) -> Option<Value>; 5] = [
        |_| None,
        |taken| {
            let sequence = taken["sequence"].as_u64().unwrap();
            Some(with(taken, "sequence", json!(sequence - 1)))
        },
        |taken| Some(with(taken, "sequence", json!(u64::MAX))),
        |taken| Some(with(taken, "client_hash", json!("client-4711"))),
        |taken| Some(with(taken, "client_hash", json!("../../x"))),
    ];
    for answer in odd {
        let scene = Scene::new(transport, move |request, stream, _| {
            let all = taken(&request.json());
            let all = all["reports"].as_array().unwrap();
            let answers: Vec<Value> = all.iter().filter_map(answer).collect();
            reply(stream, "200 OK", &json!({ "reports": answers }).to_string())
        });
        let driver = scene.live_through();
        scene.recover(driver, all_are_told);
    }
}

fn with(taken: &Value, name: &str, value: Value) -> Value {
    let mut other = taken.clone();
    other[name] = value;
    other
}

/// What comes with an answer to reports is trusted as little as an answer to a registration.
fn a_service_that_adds_odd_things_to_its_answer(transport: Transport) {
    let keys = |count: u32| -> serde_json::Map<String, Value> {
        (0..count)
            .map(|number| (format!("some.key.{number}"), json!(number)))
            .collect()
    };
    // What comes, and how much of it the next client refuses.
    let odd = [
        ("report_interval_ms", json!(0), 0),
        ("report_interval_ms", json!(u64::MAX), 0),
        ("report_interval_ms", json!(-1), 0),
        ("report_interval_ms", json!("soon"), 0),
        (
            "advice",
            json!({"start": true, "optimized_configuration": keys(500)}),
            65,
        ),
        // More than is kept of an advice.
        (
            "advice",
            json!({"start": true, "optimized_configuration": keys(1000)}),
            0,
        ),
        (
            "advice",
            json!({"start": true, "optimized_configuration": {"linger.ms": {"a": 1}}}),
            1,
        ),
        (
            "advice",
            json!({"start": true, "optimized_configuration": {"linger.ms": "x".repeat(10_000)}}),
            1,
        ),
        ("advice", json!(5), 0),
        ("advice", json!({"start": "yes"}), 0),
        ("unknown", json!("perhaps"), 0),
    ];
    for (name, value, refused) in odd {
        let is_interval = name == "report_interval_ms";
        eprintln!("{name}: {:.60}", value.to_string());
        let scene = Scene::new(transport, move |request, stream, ledger| {
            let mut answer = ledger.take(&request.json());
            match is_interval {
                true => answer[name] = value.clone(),
                false => {
                    for taken in answer["reports"].as_array_mut().unwrap() {
                        taken[name] = value.clone();
                    }
                }
            }
            reply(stream, "200 OK", &answer.to_string())
        });
        // Nobody waits so long here: each answer comes, or the connection is closed.
        let mut driver = scene.application_that_waits(2 * CLOSED_WITHIN);
        producer(&mut driver);
        produce(&mut driver, 0, 3);
        // By the second one the answer to the first was read. An odd interval may be a long one.
        scene.reports_came(if is_interval { 1 } else { 2 });
        assert!(driver.status(0)["client"].is_object());
        // The next client has nothing but what came with the answer.
        scene.is_closed.store(true, Ordering::SeqCst);
        let took = producer(&mut driver);
        assert!(took < CLOSED_WITHIN, "creation took {took:?}");
        assert_eq!(driver.get(1, "linger.ms"), "5");
        let status = driver.status(1);
        assert_eq!(status["changes"], json!([]), "{status:#}");
        let refusals = status["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), refused, "{status:#}");
        scene.is_closed.store(false, Ordering::SeqCst);
        produce(&mut driver, 1, 2);
        driver.expect("destroy 1", "destroyed");
        scene.is_well.store(true, Ordering::SeqCst);
        driver.expect("destroy 0", "destroyed");
        let all = || scene.ledger.total() == 5;
        scene.service.wait_until("everything is told", all);
        scene.service.wait_for_goodbye("client-0");
        driver.end_quietly();
    }
}
