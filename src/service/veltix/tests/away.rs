//! Services that are away, or not what they should be.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_nats_server::wait_until;
use superstream_protocol::link::{GOODBYE, HELLO, RESUME};
use superstream_veltix::Address;

use super::service::{self, Service};
use super::{hear, register, veltix, veltix_at};
use crate::lock::lock;
use crate::service::veltix::Veltix;
use crate::service::veltix::unasked::IDLE;
use crate::service::{Failure, Heard, Transport};
use crate::settings::Token;

/// It accepts, by the system's hand, and says nothing.
#[test]
fn a_server_that_says_nothing_costs_the_time_that_is_given() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut veltix = veltix_at(listener.local_addr().unwrap().port(), None);
    let (begin, limit) = (Instant::now(), Duration::from_millis(200));
    let failure = veltix
        .register(&super::registration("1"), limit)
        .unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    let took = begin.elapsed();
    assert!((limit..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(veltix.look_at(), None, "there is nothing to look for");
}

#[test]
fn a_service_that_greets_nobody_is_away() {
    let service = Service::with(|_, _| None);
    let mut veltix = veltix(&service);
    let limit = Duration::from_millis(200);
    wait_until("the first word", || {
        let registered = veltix.register(&super::registration("1"), limit);
        let failure = registered.unwrap_err();
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
        !service.kinds().is_empty()
    });
    let kinds = service.kinds();
    let are_greetings = kinds.iter().all(|kind| *kind == HELLO);
    assert!(are_greetings, "before it has answered: {kinds:?}");
}

/// What is to be encrypted never goes without.
#[test]
fn nothing_is_said_to_a_server_without_tls() {
    let service = Service::start();
    let server = Address {
        tls: true,
        ..Address::new("127.0.0.1", service.port())
    };
    let token = Token::parse("very-secret").ok();
    let mut veltix = Veltix::new(&server, token, Duration::from_secs(3));
    let failure = register(&mut veltix, "1").unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
    assert!(service.kinds().is_empty());
}

/// A server that lets clients in and sends them away is not asked more and more often.
#[test]
fn pauses_grow_while_connections_end_at_once() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        veltix
            .open(Instant::now() + Duration::from_secs(60))
            .unwrap();
        let begin = Instant::now();
        veltix.link.forget();
        veltix.unasked.heard.clear();
        let pause = veltix.look_at().unwrap().duration_since(begin);
        pauses.push(pause);
    }
    assert!(pauses[3] >= Duration::from_secs(5), "{pauses:?}");
}

#[test]
fn a_service_that_cannot_say_who_is_known_is_asked_again() {
    let asked = AtomicU32::new(0);
    let service = Service::with(move |kind, message| {
        let is_first = kind == RESUME && asked.fetch_add(1, Ordering::Relaxed) == 0;
        match is_first {
            true => Some(json!({"error": "starting", "status": 503})),
            false => service::answer(kind, message),
        }
    });
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    service.break_off();
    // It is no reason to say nothing else.
    wait_until("the next connection", || {
        register(&mut veltix, "2").unwrap();
        service.told(HELLO).len() == 2
    });
    hear(&mut veltix, "the service again", |heard| {
        *heard == Heard::Reached
    });
    let last = service.told(RESUME).pop();
    assert_eq!(last, Some(json!({"client_hashes": ["h1", "h2"]})));
}

#[test]
fn a_connection_that_serves_nobody_is_closed_after_a_while() {
    let service = Service::start();
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    veltix.goodbye("h1", "1").unwrap();
    veltix.look().unwrap();
    assert!(veltix.link.is_open(), "the next client may come soon");
    assert!(veltix.look_at().is_some());
    veltix.unasked.idle_since = Instant::now().checked_sub(IDLE);
    veltix.look().unwrap();
    assert_eq!((veltix.link.is_open(), veltix.look_at()), (false, None));
    wait_until("its end at the server", || service.connections() == 0);
    assert!(register(&mut veltix, "2").is_ok());
    assert!(service.told(RESUME).is_empty(), "nobody was left");
}

/// Whatever was waited for in vain, the answer that comes too late answers nothing else.
#[test]
fn an_answer_that_comes_too_late_is_none() {
    let (closed, door) = mpsc::channel::<()>();
    let door = Mutex::new(door);
    let service = Service::with(move |kind, message| {
        if message["registration_id"] == "late" {
            // Until it is open.
            let _ = lock(&door).recv();
        }
        service::answer(kind, message)
    });
    let mut veltix = veltix(&service);
    register(&mut veltix, "1").unwrap();
    let limit = Duration::from_millis(50);
    let late = veltix.register(&super::registration("late"), limit);
    assert!(matches!(late, Err(Failure::Unavailable(_))), "{late:?}");
    drop(closed);
    register(&mut veltix, "2").unwrap();
    wait_until("its goodbye", || {
        veltix.look().unwrap();
        !service.told(GOODBYE).is_empty()
    });
    assert_eq!(veltix.names.all(), ["h1", "h2"]);
    // Nobody may go by it: the service need not keep it.
    assert_eq!(service.told(GOODBYE), [json!({"client_hash": "hlate"})]);
}
