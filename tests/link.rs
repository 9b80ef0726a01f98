//! What is only so over Veltix: one link for all that a process says, which is made again where it
//! breaks, and whose end is the service's to see.

use std::ffi::OsStr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use superstream_nats_server::wait_until;
use superstream_tests::deployed::next;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::calm::{self, codec, deliver, producer, start};
use superstream_tests::fault_service::links::RESUME;
use superstream_tests::fault_service::{FaultService, Request, Veltix};
use superstream_tests::ledger::Ledger;
use superstream_tests::service::{RULES, Service, TOKEN};
use superstream_tests::transports::Transport;
use superstream_tests::{run, scratch, tool, unique};

/// As many threads as over HTTP, and a single socket.
#[test]
fn one_link_whatever_the_number_of_clients() {
    let threads = [Transport::Http, Transport::Veltix].map(|transport| {
        let service = transport.advising(json!({"linger.ms": 50}));
        let mut driver = start(&service);
        for client in 0..20 {
            driver.create(["producer", "consumer"][client % 2]);
            service.wait_for_report(&format!("client-{client}"));
        }
        let threads = driver.threads();
        assert_eq!(threads.matches("superstream").count(), 1, "{threads}");
        let descriptors = driver.say("descriptors");
        assert_eq!(descriptors.matches("socket:").count(), 1, "{descriptors}");
        for client in 0..20 {
            driver.expect(&format!("destroy {client}"), "destroyed");
            service.wait_for_goodbye(&format!("client-{client}"));
        }
        assert_eq!(service.connections(), 1);
        driver.end_quietly();
        threads
    });
    assert_eq!(threads[0], threads[1]);
}

#[test]
fn what_a_process_says_of_itself() {
    let service = Transport::Veltix.advising(json!({}));
    let file = unique(scratch(), "token");
    std::fs::write(&file, "from-a-file\n").unwrap();
    for (name, value, expected) in [
        ("SUPERSTREAM_TAGS", "", json!(null)),
        ("SUPERSTREAM_TOKEN", "the-token", json!("the-token")),
        (
            "SUPERSTREAM_TOKEN",
            "quoted\"and\\more",
            json!("quoted\"and\\more"),
        ),
        (
            "SUPERSTREAM_TOKEN_FILE",
            file.to_str().unwrap(),
            json!("from-a-file"),
        ),
    ] {
        let mut driver = Driver::patient(&service.environment(&[(name, value)]));
        driver.create("producer");
        let link = service.links().only();
        let said = link.hello().unwrap();
        assert_eq!(said["token"], expected, "{said:#}");
        let sdk = said["sdk"].as_str().unwrap();
        assert!(sdk.contains("superstream"), "{said:#}");
        assert_eq!(link.resumptions(), [Value::Null; 0]);
        driver.end_quietly();
        service.wait_until("its end", || link.is_over());
    }
}

/// Its end is seen, though it said no word.
#[test]
fn a_process_that_is_killed() {
    let (service, _ledger) = calm::service();
    let mut driver = start(&service);
    producer(&mut driver, "orders");
    service.wait_for_report("client-0");
    let link = service.links().only();
    run(tool("kill").args(["-KILL", &driver.pid()]));
    service.wait_until("the end of the link", || link.is_over());
    assert!(link.has("client-0"), "it said goodbye");
    driver.end();
}

/// It reports every ten minutes, so that nothing else would tell for a long time.
#[test]
fn the_reference_service_knows_at_once_who_was_killed() {
    let options = ["--report-interval", "10m"].map(OsStr::new);
    let service = Service::over(Transport::Veltix, RULES, TOKEN, &options, Stdio::inherit());
    let environment = [
        ("SUPERSTREAM_HOST", &*service.host),
        ("SUPERSTREAM_TOKEN", TOKEN),
    ];
    let mut drivers = ["stays", "goes"].map(|client_id| {
        let mut driver = Driver::patient(&environment);
        producer(&mut driver, client_id);
        driver
    });
    let are_alive = |expected: [bool; 2]| {
        let clients = service.clients();
        let is_alive = |name: &str| {
            let mut its = clients.iter().filter(|client| client["client_id"] == name);
            its.next().is_some_and(|client| client["alive"] == true)
        };
        ["stays", "goes"].map(is_alive) == expected
    };
    wait_until("both are alive", || are_alive([true, true]));
    run(tool("kill").args(["-KILL", &drivers[1].pid()]));
    wait_until("one of them is gone", || are_alive([true, false]));
    drivers[0].expect("destroy 0", "destroyed");
    wait_until("so is the other", || are_alive([false, false]));
}

/// The child has a link of its own, and the parent's outlives it.
#[test]
fn a_fork_takes_no_link_along() {
    for end in ["exit", "_exit"] {
        let (service, ledger) = calm::service();
        let mut driver = start(&service);
        producer(&mut driver, "orders");
        service.wait_for_report("client-0");
        let parents = service.links().only();
        driver.expect("fork", "child");
        producer(&mut driver, "orders");
        service.wait_for_report("client-1");
        assert_eq!(service.connections(), 2);
        let childs = service.links().all()[1].clone();
        assert!(childs.has("client-1") && !parents.has("client-1"));
        assert_eq!(childs.resumptions(), [Value::Null; 0]);
        // What is said to one of them is not the other's.
        service.tell("client-0", &codec("zstd"));
        service.tell("client-1", &codec("lz4"));
        wait_until("the child's update", || {
            next(&mut driver, 1)["compression.type"] == "lz4"
        });
        driver.expect(end, "the child exited with 0");
        service.wait_until("the end of the child's", || childs.is_over());

        wait_until("the parent's update", || {
            next(&mut driver, 0)["compression.type"] == "zstd"
        });
        deliver(&mut driver, 0, 3);
        parents.report_now(&json!({})).unwrap();
        service.wait_until("the parent's report", || ledger.delivered("client-0") == 3);
        producer(&mut driver, "orders");
        service.wait_for_report("client-2");
        assert!(parents.has("client-2") && !parents.is_over());
        assert_eq!(service.connections(), 2, "the parent had to connect again");
        driver.end_quietly();
    }
}

/// Without clients there is nothing to say, though somebody may be about to come.
#[test]
fn the_link_ends_after_the_last_client() {
    let (service, _ledger) = calm::service();
    let mut driver = start(&service);
    for client in 0..2 {
        producer(&mut driver, "orders");
        service.wait_for_report(&format!("client-{client}"));
    }
    let link = service.links().only();
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    // It is still there for the other one.
    service.tell("client-1", &codec("lz4"));
    wait_until("the update", || {
        next(&mut driver, 1)["compression.type"] == "lz4"
    });
    assert!(!link.is_over());
    driver.expect("destroy 1", "destroyed");
    service.wait_for_goodbye("client-1");
    service.wait_until("its end", || link.is_over());
    wait_until("its socket is closed", || {
        !driver.say("descriptors").contains("socket:")
    });
    assert_eq!(service.connections(), 1);
    producer(&mut driver, "orders");
    service.wait_for_report("client-2");
    let link = service.links().only();
    assert_eq!((link.number, link.resumptions().len()), (1, 0));
    driver.end_quietly();
}

/// Nobody creates a client or reports: it is made again for those that are there.
#[test]
fn a_link_that_breaks_is_made_again() {
    let (service, ledger) = calm::service();
    let mut driver = start(&service);
    for client in 0..3 {
        producer(&mut driver, &format!("client-id-{client}"));
        deliver(&mut driver, client, 2);
        service.wait_for_report(&format!("client-{client}"));
    }
    driver.expect("destroy 1", "destroyed");
    service.wait_for_goodbye("client-1");
    // Whoever hears this has the answer to that.
    service.tell("client-2", &codec("snappy"));
    wait_until("the update", || {
        next(&mut driver, 2)["compression.type"] == "snappy"
    });
    let registered = service
        .requests()
        .iter()
        .filter(|one| one.registers())
        .count();
    for round in 1..3 {
        let link = service.links().only();
        match round {
            1 => link.close(),
            _ => link.reset(),
        }
        let resumed = || {
            let all = service.links().all();
            let last = all.last().unwrap();
            last.number > link.number && !last.resumptions().is_empty()
        };
        service.wait_until("a new link", resumed);
        let link = service.links().only();
        let mut named: Vec<Value> = link.resumptions()[0].as_array().unwrap().clone();
        named.sort_by_key(Value::to_string);
        assert_eq!(named, ["client-0", "client-2"]);
        // What is for them finds them there.
        let name = ["gzip", "lz4"][round - 1];
        service.tell("client-2", &codec(name));
        wait_until("the update", || {
            next(&mut driver, 2)["compression.type"] == name
        });
        deliver(&mut driver, 0, 3);
        link.report_now(&json!({})).unwrap();
        let delivered = 2 + 3 * round as u64;
        service.wait_until("a report", || ledger.delivered("client-0") == delivered);
    }
    let again = service
        .requests()
        .iter()
        .filter(|one| one.registers())
        .count();
    assert_eq!(again, registered, "the service knows them");
    driver.end_quietly();
}

/// Whom the service has forgotten meanwhile, it is told of anew.
#[test]
fn a_client_that_the_service_forgot_while_there_was_no_link() {
    let ledger = Ledger::default();
    let taking = ledger.clone();
    let forgotten = Arc::<Mutex<Vec<&str>>>::default();
    let forgets = Arc::clone(&forgotten);
    let veltix = Veltix::new().welcoming(move |code, _| match code {
        RESUME => json!({ "unknown": *forgets.lock().unwrap() }),
        _ => json!({}),
    });
    let service = FaultService::over_veltix(veltix, move |request, stream| {
        calm::answer(request, stream, &taking)
    });
    let mut driver = start(&service);
    for client in 0..2 {
        producer(&mut driver, &format!("client-id-{client}"));
        deliver(&mut driver, client, 2);
        service.wait_for_report(&format!("client-{client}"));
    }
    service.links().only().report_now(&json!({})).unwrap();
    service.wait_until("the reports of both", || {
        ledger.delivered("client-0") == 2 && ledger.delivered("client-1") == 2
    });
    forgotten.lock().unwrap().push("client-1");
    service.links().only().close();
    service.wait_for_report("client-2");
    let registrations = service.wait_for_several(3, "a registration", Request::registers);
    let [first, second] = [1, 2].map(|number| registrations[number].json());
    assert_eq!(first["registration_id"], second["registration_id"]);
    assert_eq!(second["config"]["client.id"], "client-id-1");
    assert_eq!(driver.status(0)["client"]["client_hash"], "client-0");
    assert_eq!(driver.status(1)["client"]["client_hash"], "client-2");
    // Nobody asks for it: all that it was told before is gone.
    service.wait_until("what it is to know anew", || {
        ledger.delivered("client-2") == 2
    });
    driver.end_quietly();
}
