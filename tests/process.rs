//! The process around the clients: threads and signals, fork and exec, exit.

use serde_json::json;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, Request};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport};

over_each_transport!(
    a_forked_child_that_ends_with_exit,
    a_forked_child_that_ends_without_a_word,
    a_forked_child_that_does_nothing,
    a_forked_child_forks_again,
    another_program_inherits_no_descriptor_of_ours,
    our_thread_blocks_all_signals,
    the_callers_signal_mask_is_unchanged,
    many_threads_create_clients_at_once,
    many_clients_one_after_the_other,
    an_exit_with_clients,
    a_thread_that_is_cancelled_while_it_creates_a_client,
);

fn advised(transport: Transport) -> (FaultService, Driver) {
    let service = transport.advising(json!({"linger.ms": 50}));
    let environment = service.environment(&[("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")]);
    let driver = Driver::start(Library::DropIn, &environment);
    (service, driver)
}

/// How many of the names in a list are this one.
fn count(list: &str, name: &str) -> usize {
    list.split(',').filter(|entry| *entry == name).count()
}

fn pid_of(request: &Request) -> String {
    request.json()["pid"].to_string()
}

/// The parent's client is at work when the process forks; the child makes one of its own.
#[track_caller]
fn fork_and_end(transport: Transport, with: &str) {
    let (service, mut driver) = advised(transport);
    driver.create("producer");
    let parent = driver.say("pid");
    driver.expect("fork", "child");
    let child = driver.say("pid");
    assert_ne!(child, parent);
    // The parent's client means nothing here, and is no trap either.
    assert_eq!(driver.status(0)["superstream"]["on"], false);
    driver.create("producer");
    assert_eq!(driver.get(1, "linger.ms"), "50");
    assert_eq!(count(&driver.threads(), "superstream"), 1);
    let registrations = service.wait_for_several(2, "the child's registration", Request::registers);
    assert_eq!(pid_of(&registrations[0]), parent);
    assert_eq!(pid_of(&registrations[1]), child);
    service.wait_for_report("client-1");
    driver.expect(with, "the child exited with 0");

    assert_eq!(driver.say("pid"), parent);
    assert_eq!(driver.status(0)["client"]["client_hash"], "client-0");
    driver.create("consumer");
    assert_eq!(driver.status(1)["client"]["client_hash"], "client-2");
    driver.expect("destroy 0", "destroyed");
    service.wait_for_goodbye("client-0");
    driver.expect("destroy 1", "destroyed");
    driver.end_quietly();
}

fn a_forked_child_that_ends_with_exit(transport: Transport) {
    fork_and_end(transport, "exit");
}

fn a_forked_child_that_ends_without_a_word(transport: Transport) {
    fork_and_end(transport, "_exit");
}

/// A child that makes no client runs no thread and says nothing to the service.
fn a_forked_child_that_does_nothing(transport: Transport) {
    let (service, mut driver) = advised(transport);
    driver.create("producer");
    service.wait_for_report("client-0");
    let before = service.requests().len();
    driver.expect("fork", "child");
    assert_eq!(driver.threads(), "driver");
    driver.expect("exit", "the child exited with 0");
    assert_eq!(service.requests().len(), before);
    driver.end_quietly();
}

/// Child of a child, each with a client of its own.
fn a_forked_child_forks_again(transport: Transport) {
    let (service, mut driver) = advised(transport);
    driver.create("producer");
    for generation in 1..4 {
        driver.expect("fork", "child");
        driver.create("producer");
        assert_eq!(driver.get(generation, "linger.ms"), "50");
    }
    for _ in 1..4 {
        driver.expect("exit", "the child exited with 0");
    }
    let mut pids: Vec<_> = service
        .requests()
        .iter()
        .filter(|r| r.registers())
        .map(pid_of)
        .collect();
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 4);
    driver.end_quietly();
}

/// What a program inherits over fork and exec is what it inherits from the stock engine.
fn another_program_inherits_no_descriptor_of_ours(transport: Transport) {
    let inherited = |driver: &mut Driver| {
        driver.create("producer");
        let own = driver.say("descriptors");
        (own, driver.say("exec"))
    };
    let mut stock = Driver::start(Library::Stock, &[]);
    let (_, from_stock) = inherited(&mut stock);
    stock.end_quietly();
    let (service, mut driver) = advised(transport);
    let (own, from_ours) = inherited(&mut driver);
    assert_eq!(
        count(&own, "socket:"),
        1,
        "the connection to the service is in {own}"
    );
    assert_eq!(from_ours, from_stock);
    assert_eq!(count(&from_ours, "socket:"), 0, "{from_ours}");
    driver.end_quietly();
    assert_eq!(service.connections(), 1);
}

/// No handler of the application runs on our thread: it blocks each signal that can be blocked.
fn our_thread_blocks_all_signals(transport: Transport) {
    let (_service, mut driver) = advised(transport);
    driver.create("producer");
    let mask = driver.say("blocked-signals superstream");
    let mask = u64::from_str_radix(&mask, 16).unwrap();
    const SIGKILL: u32 = 9;
    const SIGSTOP: u32 = 19;
    // 32 and 33 are glibc's own; it leaves them out of every set.
    for signal in (1..=64).filter(|signal| ![SIGKILL, SIGSTOP, 32, 33].contains(signal)) {
        assert!(
            mask >> (signal - 1) & 1 == 1,
            "signal {signal} is not blocked: {mask:x}"
        );
    }
    driver.end_quietly();
}

/// Our own steps leave the caller's mask as it was.
fn the_callers_signal_mask_is_unchanged(transport: Transport) {
    let (_service, mut driver) = advised(transport);
    let before = driver.say("blocked-signals driver");
    driver.create("producer");
    // From here on only the caller's own thread has this name.
    driver.threads();
    assert_eq!(driver.say("blocked-signals driver"), before);
    driver.end_quietly();
}

fn many_threads_create_clients_at_once(transport: Transport) {
    let (service, mut driver) = advised(transport);
    driver.expect("swarm 50 50", "50 of 50");
    driver.wait_for_threads("driver,superstream");
    let hashes: Vec<_> = (0..50).map(|number| format!("client-{number}")).collect();
    for hash in &hashes {
        service.wait_for_goodbye(hash);
    }
    assert_eq!(
        service
            .requests()
            .iter()
            .filter(|request| request.registers())
            .count(),
        50
    );
    driver.end_quietly();
}

/// Clients come and go: one thread, the same descriptors, and no memory that grows with each.
fn many_clients_one_after_the_other(transport: Transport) {
    let (service, mut driver) = advised(transport);
    driver.expect("churn 20 50", "20 of 20");
    driver.wait_for_threads("driver,superstream");
    // What our thread opens for all of them, it has opened by then.
    service.wait_for_goodbye("client-19");
    let descriptors = driver.say("descriptors");
    let before: u64 = driver.say("high-water").parse().unwrap();
    for last in [69, 119, 169, 219] {
        driver.expect("churn 50 50", "50 of 50");
        service.wait_for_goodbye(&format!("client-{last}"));
    }
    let after: u64 = driver.say("high-water").parse().unwrap();
    driver.wait_for_threads("driver,superstream");
    assert_eq!(driver.say("descriptors"), descriptors);
    assert!(
        // The kernel counts in batches: the mark may even fall a little.
        after.saturating_sub(before) < 8 * 1024,
        "{before} KiB grew to {after} KiB"
    );
    driver.end_quietly();
}

/// The application ends as it likes: with clients, with their messages, in the middle.
fn an_exit_with_clients(transport: Transport) {
    for command in ["exit", "_exit"] {
        let (_service, mut driver) = advised(transport);
        driver.create("producer");
        driver.create("consumer");
        driver.begin(command);
        driver.end_quietly();
    }
}

/// A thread may be cancelled while it creates a client. That ends the thread and nothing else,
/// as with stock librdkafka, with and without Superstream.
fn a_thread_that_is_cancelled_while_it_creates_a_client(transport: Transport) {
    let program = superstream_tests::compile("tests/c/cancel.c");
    let service = transport.advising(json!({"linger.ms": 50}));
    for (library, host) in [
        (Library::Stock, String::new()),
        (Library::DropIn, String::new()),
        (Library::DropIn, service.url()),
    ] {
        let mut command = superstream_tests::with_library(library, &program);
        let said = superstream_tests::run(command.env("SUPERSTREAM_HOST", &host));
        assert_eq!(said, "cancelled\n", "{library:?} with {host:?}");
    }
}
