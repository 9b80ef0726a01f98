//! Many clients, one after the other, in one process: memory, threads and descriptors stay as they
//! are, and no record of any client is lost, whether the service is there or away.
//!
//! `SUPERSTREAM_PROOF=1` makes ten thousand of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_tests::driver::{Driver, PATIENCE};
use superstream_tests::fault_service::{FaultService, Then, advise, reply};
use superstream_tests::ledger::Ledger;
use superstream_tests::{Cluster, Library, compile, with_library};

/// After so many clients everything that is kept for a while has its full size.
const WARM: u32 = 1000;
/// The least that there is of a client, without its configuration, is a KiB: lost once for each, it
/// would be a MiB and more.
const GROWTH_KIB: u64 = 512;
/// What is kept for a service that is away, some hundred clients with their configurations, comes and
/// goes in pieces of all sizes: it is 15 MiB, and wandered by 0.5 to 1.6. What is lost for each client
/// shows here where ten thousand are made.
const GROWTH_KIB_AWAY: u64 = 4096;

fn clients() -> u32 {
    match std::env::var_os("SUPERSTREAM_PROOF").is_some_and(|value| value == "1") {
        true => 10_000,
        false => 2000,
    }
}

/// A service that comes and goes.
struct Scene {
    cluster: Cluster,
    service: FaultService,
    is_away: Arc<AtomicBool>,
    ledger: Ledger,
}

impl Scene {
    fn new() -> Self {
        let (is_away, ledger) = (Arc::<AtomicBool>::default(), Ledger::default());
        let (away, taking) = (Arc::clone(&is_away), ledger.clone());
        let service = FaultService::start(move |request, stream| {
            if away.load(Ordering::SeqCst) {
                return Ok(Then::Close);
            }
            if request.reports() {
                let answer = taking.take(&request.json());
                return reply(stream, "200 OK", &answer.to_string());
            }
            advise(request, stream, &json!({"linger.ms": 1}))
        });
        service.forget();
        Self {
            cluster: Cluster::start(&["orders:1"]),
            service,
            is_away,
            ledger,
        }
    }

    fn is_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn application(&self) -> Driver {
        let mut command = with_library(Library::DropIn, compile("tests/c/crowd.c"));
        command
            .arg(&self.cluster.brokers)
            .env("SUPERSTREAM_HOST", self.service.url())
            .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
        Driver::spawn(&mut command)
    }

    #[track_caller]
    fn wait_for_all(&self, records: u64) {
        let all = || self.ledger.total() >= records;
        self.service.wait_until("all records are told", all);
        assert_eq!(self.ledger.total(), records);
    }
}

/// Makes clients; the records that all clients have delivered up to now.
#[track_caller]
fn make(driver: &mut Driver, count: u32) -> u64 {
    driver.begin(&format!("make {count}"));
    driver
        .answer_within(Duration::from_secs(1800))
        .parse()
        .unwrap()
}

/// KiB in memory, threads, our threads, descriptors.
#[track_caller]
fn measure(driver: &mut Driver) -> [u64; 4] {
    let said = driver.say("measure");
    let numbers: Vec<u64> = said
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

/// The same once the last client's threads are gone, and what is open stays so.
#[track_caller]
fn settled(driver: &mut Driver) -> [u64; 4] {
    let deadline = Instant::now() + PATIENCE;
    let mut before = measure(driver);
    loop {
        let now = measure(driver);
        // The application's own one and ours.
        if now[1] == 2 && now[1..] == before[1..] {
            return now;
        }
        assert!(Instant::now() < deadline, "{before:?}, then {now:?}");
        before = now;
        thread::sleep(Duration::from_millis(500));
    }
}

/// The last of the work on closed clients is done in the background.
#[track_caller]
fn stays(driver: &mut Driver, before: [u64; 4], growth: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = measure(driver);
        eprintln!("KiB, threads, ours, descriptors: {before:?}, then {now:?}");
        let grown = now[0].saturating_sub(before[0]);
        if grown < growth && now[1..] == before[1..] {
            assert_eq!(now[2], 1, "our threads");
            return;
        }
        assert!(Instant::now() < deadline, "{before:?} became {now:?}");
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn clients_come_and_go() {
    let scene = Scene::new();
    let mut driver = scene.application();
    let records = make(&mut driver, WARM);
    scene.wait_for_all(records);
    let before = settled(&mut driver);
    let records = make(&mut driver, clients() - WARM);
    scene.wait_for_all(records);
    stays(&mut driver, before, GROWTH_KIB);
    driver.end_quietly();
}

#[test]
fn clients_come_and_go_while_the_service_is_away() {
    let scene = Scene::new();
    scene.is_away(true);
    let mut driver = scene.application();
    make(&mut driver, WARM);
    let before = settled(&mut driver);
    let records = make(&mut driver, clients() - WARM);
    stays(&mut driver, before, GROWTH_KIB_AWAY);
    scene.is_away(false);
    scene.wait_for_all(records);
    driver.end_quietly();
}
