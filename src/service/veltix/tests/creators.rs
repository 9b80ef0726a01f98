//! The session's own thread, between clients and the service.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_nats_server::wait_until;
use superstream_protocol::ClientKind;
use superstream_protocol::link::{GOODBYE, HELLO, REPORT, REPORT_NOW, RESUME, UPDATE};
use superstream_protocol::measured::Measured;

use super::service::Service;
use super::{codec_for, registration, zstd};
use crate::report::record::Client;
use crate::service::session::{Asked, Session};
use crate::settings::{Reading, Settings};

fn settings(port: u16) -> Settings {
    let read = superstream_settings::parse(|name| match name {
        "SUPERSTREAM_HOST" => Some(format!("veltix://127.0.0.1:{port}").into()),
        "SUPERSTREAM_RESPONSE_TIMEOUT" => Some("60000".into()),
        _ => None,
    });
    let Reading::On { settings, .. } = read else {
        panic!("it is on");
    };
    *settings
}

pub(super) fn session(port: u16) -> Session {
    Session::new(&settings(port), || {})
}

/// A client that has done nothing: it has no news.
pub(super) fn created(session: &Session, id: &str) -> Arc<Client> {
    let client = Client::new(registration(id), ClientKind::Producer, String::new());
    let client = Arc::new(client);
    client.measured_in_test(Measured::default());
    let asked = session.ask(&client, Instant::now() + Duration::from_secs(60));
    assert!(matches!(asked, Asked::Answered(_)), "{asked:?}");
    client.update(|outcome| outcome.created = true);
    session.created(&client);
    client
}

#[test]
fn what_is_asked_for_comes_at_once_even_without_news() {
    let service = Service::start();
    let session = session(service.port());
    let first = created(&session, "1");
    let _second = created(&session, "2");
    let reported = |names: &[&str]| {
        let reports = service.told(REPORT);
        let told = |report: &serde_json::Value| {
            let reports = report["reports"].as_array().unwrap().iter();
            let names: Vec<_> = reports.map(|one| one["client_hash"].clone()).collect();
            names
        };
        reports.iter().any(|report| told(report) == names)
    };
    service.say(REPORT_NOW, &json!({"client_hashes": ["h2", "another"]}));
    wait_until("the report of one", || reported(&["h2"]));
    service.say(REPORT_NOW, &json!({}));
    wait_until("the reports of all", || reported(&["h1", "h2"]));
    service.say(UPDATE, &zstd("h1"));
    wait_until("the codec", || first.outcome().next_advice.is_some());
    session.goodbye(&first);
    wait_until("its goodbye", || service.told(GOODBYE).len() == 1);
    assert_eq!(service.told(HELLO).len(), 1);
}

/// Each is looked at by itself, so that the looks have to rest before long.
#[test]
fn what_comes_after_a_burst_is_heard_as_soon() {
    // A look has to wait for 50 ms; nothing else is done for seconds.
    const LONG: Duration = Duration::from_secs(4);
    let service = Service::start();
    let session = session(service.port());
    let client = created(&session, "1");
    let next = || client.outcome().next_advice?.optimized_configuration;
    for update in 0..100 {
        let codec = ["zstd", "lz4"][update % 2];
        let begin = Instant::now();
        service.say(UPDATE, &codec_for("h1", codec));
        wait_until("the update", || {
            next().is_some_and(|next| next["compression.type"] == codec)
        });
        assert!(begin.elapsed() < LONG, "{update}: {:?}", begin.elapsed());
    }
}

/// Nobody has anything to say: the thread finds out by the socket alone.
#[test]
fn a_link_that_broke_is_made_again() {
    let service = Service::start();
    let session = session(service.port());
    let _client = created(&session, "1");
    service.break_off();
    wait_until("who is here", || service.told(RESUME).len() == 1);
    service.break_off();
    wait_until("who is here, again", || service.told(RESUME).len() == 2);
}

#[test]
fn no_creator_waits_longer_than_it_will() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let session = session(silent.local_addr().unwrap().port());
    let client = Client::new(registration("1"), ClientKind::Producer, String::new());
    let begin = Instant::now();
    let brief = begin + Duration::from_millis(100);
    let asked = session.ask(&Arc::new(client), brief);
    assert!(matches!(asked, Asked::Nothing(_)), "{asked:?}");
    // The thread goes on for a minute. This is a promise, and no measurement.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// However much is said and asked for, creators are served.
#[test]
fn a_flood_starves_no_creator() {
    let service = Service::start();
    let session = session(service.port());
    let _first = created(&session, "0");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                service.flood(UPDATE, &zstd("h0"));
                service.flood(REPORT_NOW, &json!({}));
            }
        });
        for id in 1..20 {
            created(&session, &id.to_string());
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
