//! What is too much: for the server, for the caller, and for the time there is.

use std::time::{Duration, Instant};

use superstream_nats::Error;

use crate::common::{NatsServer, connect, open, options_for, shortly, soon, wait_until};

#[test]
fn a_payload_that_is_too_long_goes_nowhere_and_harms_nothing() {
    let server = NatsServer::with("max_payload: 1000");
    let mut connection = connect(&server);
    assert_eq!(connection.info().max_payload, 1000);
    let subscription = connection.subscribe("a", None, soon()).unwrap();
    for result in [
        connection.publish("a", None, &[b'x'; 1001], soon()),
        connection.request("a", &[b'x'; 1001], soon()).map(drop),
    ] {
        let is_told = matches!(
            result,
            Err(Error::TooLarge {
                size: 1001,
                limit: 1000
            })
        );
        assert!(is_told, "{result:?}");
    }
    connection
        .publish("a", None, &[b'y'; 1000], soon())
        .unwrap();
    let message = connection.next_of(subscription, soon()).unwrap().unwrap();
    assert_eq!(message.payload, [b'y'; 1000]);
    assert_eq!(connection.next(shortly()).unwrap(), None);
}

#[test]
fn a_message_of_a_megabyte_comes_whole() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    connection.subscribe("a", None, soon()).unwrap();
    let payload: Vec<u8> = (0..1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    connection.publish("a", None, &payload, soon()).unwrap();
    let message = connection.next(soon()).unwrap().unwrap();
    assert!(message.payload == payload);
}

#[test]
fn a_subscription_too_many_is_refused_and_costs_no_other() {
    let server = NatsServer::with("max_subscriptions: 2");
    let mut connection = connect(&server);
    let first = connection.subscribe("a", None, soon()).unwrap();
    connection.subscribe("b", None, soon()).unwrap();
    connection.flush(soon()).unwrap();
    connection.subscribe("c", None, soon()).unwrap();
    let refused = connection.flush(soon());
    assert!(
        matches!(&refused, Err(Error::Denied(text)) if text.contains("aximum")),
        "{refused:?}"
    );
    assert_eq!(connection.closed(), None);
    connection.publish("a", None, b"x", soon()).unwrap();
    assert!(connection.next_of(first, soon()).unwrap().is_some());
    // Once there is room again, others are taken.
    connection.unsubscribe(first, soon()).unwrap();
    connection.subscribe("d", None, soon()).unwrap();
    connection.flush(soon()).unwrap();
}

/// Nobody waits for an answer that cannot come, and the next request may have one.
#[test]
fn a_request_without_room_for_its_inbox_is_refused_at_once() {
    let server = NatsServer::with("max_subscriptions: 1");
    let mut connection = connect(&server);
    let first = connection.subscribe("a", None, soon()).unwrap();
    connection.flush(soon()).unwrap();
    let refused = connection.request("b", b"", soon());
    assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    connection.unsubscribe(first, soon()).unwrap();
    let answered = connection.request("b", b"", soon());
    assert!(matches!(answered, Err(Error::NoResponders)), "{answered:?}");
}

#[test]
fn bad_subjects_are_refused_here() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    for result in [
        connection.publish("a b", None, b"", soon()),
        connection.publish("a.*", None, b"", soon()),
        connection.publish("a", Some("x\r\nPUB y 0\r\n"), b"", soon()),
        connection.subscribe("a..b", None, soon()).map(drop),
        connection.subscribe("a", Some("q 9"), soon()).map(drop),
        connection.request(">", b"", soon()).map(drop),
    ] {
        assert!(matches!(result, Err(Error::BadSubject(_))), "{result:?}");
    }
    connection.flush(soon()).unwrap();
}

#[test]
fn one_who_does_not_read_is_cut_off_by_the_server() {
    let server = NatsServer::with("max_payload: 65536\nmax_pending: 65536");
    let mut slow = connect(&server);
    slow.subscribe("a", None, soon()).unwrap();
    slow.flush(soon()).unwrap();
    let mut fast = connect(&server);
    let payload = vec![b'x'; 64 * 1024];
    wait_until("a slow consumer cut off", || {
        fast.publish("a", None, &payload, soon()).unwrap();
        fast.flush(soon()).unwrap();
        server.connections().len() == 1
    });
    let error = loop {
        match slow.next(soon()) {
            Ok(message) => assert!(message.is_some()),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, Error::Io(_) | Error::Closed(_)),
        "{error:?}"
    );
    assert!(slow.closed().is_some());
}

#[test]
fn of_what_nobody_takes_the_newest_is_kept() {
    let server = NatsServer::start();
    let mut options = options_for(&server);
    options.max_kept_bytes = 20_000;
    let mut connection = open(&options).unwrap();
    connection.subscribe("a", None, soon()).unwrap();
    for number in 0..100_u8 {
        connection
            .publish("a", None, &[number; 1000], soon())
            .unwrap();
    }
    connection.flush(soon()).unwrap();
    let mut left = Vec::new();
    while let Some(message) = connection.next(shortly()).unwrap() {
        left.push(message.payload[0]);
    }
    assert!((10..20).contains(&left.len()), "{left:?}");
    assert_eq!(connection.dropped(), 100 - left.len() as u64);
    assert_eq!(left, (100 - left.len() as u8..100).collect::<Vec<_>>());
}

#[test]
fn after_unsubscribing_nothing_comes_any_more() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    let subscription = connection.subscribe("a", None, soon()).unwrap();
    connection.publish("a", None, b"1", soon()).unwrap();
    connection.flush(soon()).unwrap();
    connection.unsubscribe(subscription, soon()).unwrap();
    connection.publish("a", None, b"2", soon()).unwrap();
    connection.flush(soon()).unwrap();
    assert_eq!(connection.next(shortly()).unwrap(), None);
}

#[test]
fn a_deadline_that_has_passed_gives_what_lies_there() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    connection.subscribe("a", None, soon()).unwrap();
    connection.flush(soon()).unwrap();
    assert_eq!(connection.next(Instant::now()).unwrap(), None);
    connect(&server).publish("a", None, b"x", soon()).unwrap();
    wait_until("the message", || {
        connection.next(Instant::now()).unwrap().is_some()
    });
}

#[test]
fn a_server_that_hangs_is_noticed_and_one_that_idles_is_not_mistaken_for_it() {
    let server = NatsServer::start();
    // As short as the machine can keep: who does not answer in that time does hang.
    let kept = [50, 500, 5_000].into_iter().find_map(|millis| {
        let mut options = options_for(&server);
        options.ping_every = Duration::from_millis(millis);
        let mut connection = open(&options).unwrap();
        match connection.next(Instant::now() + 5 * options.ping_every) {
            Ok(None) => Some(connection),
            Err(Error::Closed(reason)) if reason.contains("stale") => None,
            other => panic!("{other:?}"),
        }
    });
    let mut connection = kept.expect("one that idles is taken for one that hangs");
    server.signal("STOP");
    let error = connection.next(soon()).unwrap_err();
    assert!(
        matches!(&error, Error::Closed(reason) if reason.contains("stale")),
        "{error:?}"
    );
    assert!(connection.closed().unwrap().contains("stale"));
}

#[test]
fn the_server_is_answered_in_any_call_and_says_so_when_it_is_not() {
    // As short as the machine can keep: who is not run for so long answers nothing either.
    assert!(
        ["100ms", "1s", "5s"]
            .into_iter()
            .any(is_answered_in_any_call)
    );
}

/// Whether one that is busy is left alone, while one that answers nothing is cut off.
fn is_answered_in_any_call(interval: &str) -> bool {
    let server = NatsServer::with(&format!("ping_interval: \"{interval}\"\nping_max: 2"));
    let (mut busy, mut absent) = (connect(&server), connect(&server));
    let mut is_cut_off = false;
    wait_until("one that answers nothing is cut off", || {
        is_cut_off = busy.publish("a", None, b"", soon()).is_err();
        is_cut_off || server.connections().len() <= 1
    });
    if is_cut_off || busy.flush(soon()).is_err() {
        return false;
    }
    let error = absent.next(soon()).unwrap_err();
    assert!(error.to_string().contains("Stale Connection"), "{error:?}");
    true
}
