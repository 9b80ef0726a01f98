//! Over Veltix the service speaks first: it has an update, it wants a report now, or something that
//! nobody understands.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_nats_server::wait_until;
use superstream_tests::deployed::next;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::calm::{self, codec, deliver, producer, start};
use superstream_tests::service::{RULES, Service, TOKEN};
use superstream_tests::transports::Transport;

/// It is not looked for: it is there.
#[test]
fn an_update_arrives_at_once() {
    // Whoever looks now and then, even each second, takes longer than that.
    const UPDATES: usize = 200;
    const PATIENCE: Duration = Duration::from_secs(190);
    let (service, _ledger) = calm::service();
    let mut driver = start(&service);
    producer(&mut driver, "same");
    service.wait_for_report("client-0");
    let before = service.requests().len();
    let deadline = Instant::now() + PATIENCE;
    for update in 0..UPDATES {
        let name = ["zstd", "lz4"][update % 2];
        service.tell("client-0", &codec(name));
        wait_until("the update", || {
            assert!(Instant::now() < deadline, "{update} of {UPDATES} arrived");
            next(&mut driver, 0)["compression.type"] == name
        });
    }
    assert_eq!(
        service.requests().len(),
        before,
        "{:#?}",
        service.requests()
    );
    let codec = driver.get(0, "compression.codec");
    assert_eq!(codec, "none", "it runs already");

    producer(&mut driver, "same");
    assert_eq!(driver.get(1, "compression.codec"), "lz4");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    driver.end_quietly();
}

#[test]
fn reports_come_when_they_are_asked_for() {
    let (service, ledger) = calm::service();
    let mut driver = start(&service);
    for client in 0..2 {
        producer(&mut driver, "orders");
        deliver(&mut driver, client, 5);
        service.wait_for_report(&format!("client-{client}"));
    }
    let link = service.links().only();
    let both = ["client-0", "client-1"];
    // Whoever has reported once has no more to tell by itself.
    service.wait_until("their own reports", || {
        both.iter().all(|hash| ledger.sequence(hash) > 0)
    });
    let own = both.map(|hash| ledger.sequence(hash));
    link.report_now(&json!({})).unwrap();
    service.wait_until("the first reports", || {
        let came = |(hash, own)| ledger.sequence(hash) > own && ledger.delivered(hash) == 5;
        both.into_iter().zip(own).all(came)
    });
    for client in 0..2 {
        deliver(&mut driver, client, 2);
    }
    // Nobody here is called so.
    link.report_now(&json!({"client_hashes": ["client-4711"]}))
        .unwrap();
    link.report_now(&json!({"client_hashes": ["client-1"]}))
        .unwrap();
    service.wait_until("the report", || ledger.delivered("client-1") == 7);
    assert_eq!(ledger.delivered("client-0"), 5, "nobody asked for it");
    link.report_now(&json!({})).unwrap();
    service.wait_until("the reports of all", || ledger.delivered("client-0") == 7);
    // And again: that they were asked for once is not the end of it.
    deliver(&mut driver, 0, 1);
    link.report_now(&json!({})).unwrap();
    service.wait_until("the next reports", || ledger.delivered("client-0") == 8);
    assert_eq!(service.connections(), 1);
    driver.end_quietly();
}

/// The service drops whoever does not answer when it asks.
#[test]
fn a_service_that_asks_often() {
    let (service, _ledger) = calm::service();
    let mut driver = start(&service);
    producer(&mut driver, "orders");
    service.wait_for_report("client-0");
    let link = service.links().only();
    for asked in 1..=20 {
        link.ping().unwrap();
        service.wait_until("an answer to each", || link.pongs() == asked);
    }
    driver.end_quietly();
}

/// What a later service may say harms nobody, nor does what says nothing.
#[test]
fn messages_that_this_library_does_not_know() {
    let (service, ledger) = calm::service();
    let mut driver = start(&service);
    producer(&mut driver, "orders");
    deliver(&mut driver, 0, 5);
    service.wait_for_report("client-0");
    let link = service.links().only();
    for code in [20, 200, 201, 207, 222, 299, 500, u16::MAX] {
        for content in ["", "{}", "garbage", "{\"client_hashes\":7}"] {
            link.send(code, None, content).unwrap();
        }
    }
    link.report_now(&json!({"client_hashes": 7})).unwrap();
    link.send(221, None, "garbage").unwrap();
    link.report_now(&json!({})).unwrap();
    service.wait_until("the report", || ledger.delivered("client-0") == 5);
    assert!(!link.is_over());
    driver.end_quietly();
}

/// An operator wants to know now what the clients of one team did.
#[test]
fn the_reference_service_asks_those_with_a_tag() {
    let options = ["--report-interval", "10m"].map(OsStr::new);
    let service = Service::over(Transport::Veltix, RULES, TOKEN, &options, Stdio::inherit());
    let mut drivers = ["pay", "ship"].map(|team| {
        let tags = json!({ "team": team }).to_string();
        let mut driver = Driver::patient(&[
            ("SUPERSTREAM_HOST", &service.host),
            ("SUPERSTREAM_TOKEN", TOKEN),
            ("SUPERSTREAM_TAGS", &tags),
        ]);
        producer(&mut driver, team);
        deliver(&mut driver, 0, 1);
        driver
    });
    let produced = |team: &str| {
        let clients = service.clients();
        let mut its = clients.iter().filter(|client| client["client_id"] == team);
        its.next().unwrap()["figures"]["produced"]["records"].clone()
    };
    wait_until("both are alive", || {
        service
            .clients()
            .iter()
            .all(|client| client["alive"] == true)
    });
    // Each tells of its first record by itself, and of more of them in minutes.
    wait_until("the first records of both", || {
        let told = ["pay", "ship"].map(produced);
        told.iter().all(|records| !records.is_null())
    });
    for driver in &mut drivers {
        deliver(driver, 0, 4);
    }
    let none = ["pay", "ship"].map(produced);
    assert!(none.iter().all(|records| *records != 5), "{none:?}");
    let reached = service.post("/v1/report-now?tag=team%3Dpay", &json!({}));
    assert_eq!(reached, json!({"clients": 1, "reached": 1, "elsewhere": 0}));
    wait_until("its report", || produced("pay") == 5);
    assert_ne!(produced("ship"), 5, "nobody asked the other one");

    for driver in &mut drivers {
        deliver(driver, 0, 2);
    }
    let reached = service.post("/v1/report-now?all=true", &json!({}));
    assert_eq!(reached, json!({"clients": 2, "reached": 2, "elsewhere": 0}));
    wait_until("both reports", || {
        ["pay", "ship"]
            .map(produced)
            .iter()
            .all(|records| *records == 7)
    });
    drivers.into_iter().for_each(Driver::end_quietly);
}
