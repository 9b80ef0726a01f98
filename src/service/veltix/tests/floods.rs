//! Very much at once, and what is left of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_nats_server::wait_until;
use superstream_protocol::link::{GOODBYE, HELLO, REPORT, REPORT_NOW, RESUME, UPDATE};

use super::service::{self, Service};
use super::{codec_for, config, hear, register, report, veltix, zstd};
use crate::service::veltix::unasked::{BURST, IDLE};
use crate::service::{Heard, Said, Transport};

fn is_codec(heard: &Heard) -> bool {
    matches!(heard, Heard::Codec { .. })
}

/// More than is kept lies before an answer.
#[test]
fn an_answer_is_found_behind_whatever_came_before() {
    const MESSAGES: usize = 100;
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let mut long = zstd("h1");
    long["more"] = Value::from("x".repeat(60_000));
    for _ in 0..MESSAGES {
        service.say(UPDATE, &long);
    }
    service.say(UPDATE, &codec_for("h1", "lz4"));
    service.say(REPORT_NOW, &json!({"client_hashes": ["h1"]}));
    service.say(REPORT_NOW, &json!({"client_hashes": ["h2"]}));
    assert_eq!(veltix.configure(&config("h1")), Ok(Said::Yes));
    assert_eq!(service.told(HELLO).len(), 1, "over the same connection");
    let newest = [
        Heard::Codec {
            client_hash: "h1".to_owned(),
            codec: "lz4",
        },
        Heard::ReportNow {
            client_hashes: Some(vec!["h1".to_owned(), "h2".to_owned()]),
        },
    ];
    assert_eq!(veltix.look().unwrap(), newest);
}

/// It was received, and the service may not say it again.
#[test]
fn what_came_before_the_end_is_heard() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    service.say(UPDATE, &zstd("h1"));
    let port = service.end();
    let service = Service::at(port, service::answer);
    assert_eq!(veltix.configure(&config("h1")), Ok(Said::Yes));
    assert_eq!(service.told(RESUME).len(), 1);
    let heard = veltix.look().unwrap();
    assert!(heard.iter().any(is_codec), "{heard:?}");
}

/// Nobody is told that the client is gone, or here: it is not spoken for any more.
#[test]
fn the_link_is_idle_once_all_are_forgotten() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    veltix.forget("h1");
    veltix.look().unwrap();
    veltix.unasked.idle_since = Instant::now().checked_sub(IDLE);
    veltix.look().unwrap();
    assert_eq!((veltix.link.is_open(), veltix.look_at()), (false, None));
}

/// What its engine counts afterwards is reported still.
#[test]
fn a_client_that_said_goodbye_is_not_found_again() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    veltix.goodbye("h1", "1").unwrap();
    veltix.report(&report("h1")).unwrap();
    assert_eq!(service.told(REPORT).len(), 1);
    assert!(veltix.names.is_empty());
    veltix.look().unwrap();
    assert!(service.told(RESUME).is_empty());
}

/// The service is told nothing, and is to be told nothing.
#[test]
fn a_link_without_clients_is_not_looked_at_all_the_time() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    veltix.report(&report("h1")).unwrap();
    veltix.forget("h1");
    let far = || Instant::now() + Duration::from_secs(10);
    wait_until("a look that finds nothing", || {
        veltix.look().unwrap();
        veltix.look_at().is_some_and(|at| at > far())
    });
    register(&mut veltix, "2").unwrap();
    service.say(UPDATE, &zstd("h2"));
    hear(&mut veltix, "the update", is_codec);
}

/// What is left of a flood is no reason to look without a pause.
#[test]
fn what_is_left_waits_for_its_turn() {
    const UPDATES: usize = 200;
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    for update in 0..UPDATES {
        service.say(UPDATE, &zstd(&format!("another-{update}")));
    }
    assert_eq!(veltix.configure(&config("h1")), Ok(Said::Yes));
    for _ in 0..BURST {
        veltix.unasked.looks(Instant::now());
    }
    veltix.look().unwrap();
    assert!(!veltix.link.inbox.is_empty());
    let rested = veltix.unasked.rested_at();
    assert!(veltix.look_at() >= rested, "{rested:?}");
    wait_until("the end of it", || {
        veltix.look().unwrap();
        let far = Instant::now() + Duration::from_secs(10);
        veltix.look_at().is_some_and(|at| at > far)
    });
}

/// The other one of that name goes on.
#[test]
fn the_goodbye_of_a_name_is_that_of_its_last_client() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    register(&mut veltix, "1").unwrap();
    assert_eq!(veltix.goodbye("h1", "1"), Ok(Said::Nothing));
    assert_eq!(veltix.names.all(), ["h1"]);
    let mut last = report("h1");
    last.reports[0].last = true;
    veltix.report(&last).unwrap();
    let told = service.told(REPORT);
    let says_last = |told: &Value| told["reports"][0]["last"] == true;
    assert!(
        !told.iter().any(says_last),
        "the other one is there: {told:?}"
    );
    assert_eq!(veltix.goodbye("h1", "1"), Ok(Said::Yes));
    assert_eq!(service.told(GOODBYE).len(), 1);
}
