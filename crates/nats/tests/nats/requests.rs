//! Messages, requests and their answers.

use std::thread;

use superstream_nats::{Connection, Error};

use crate::common::{NatsServer, connect, shortly, soon};

/// Answers requests to a subject with what they say, turned round, until the server is gone.
fn answer(mut connection: Connection, subject: &str) -> thread::JoinHandle<()> {
    connection.subscribe(subject, None, soon()).unwrap();
    connection.flush(soon()).unwrap();
    thread::spawn(move || {
        while let Ok(Some(mut message)) = connection.next(soon()) {
            message.payload.reverse();
            let reply = message.reply.unwrap();
            connection
                .publish(&reply, None, &message.payload, soon())
                .unwrap();
        }
    })
}

#[test]
fn a_request_gets_its_answer() {
    let server = NatsServer::start();
    answer(connect(&server), "reverse");
    let mut connection = connect(&server);
    for text in ["abc", "", "x\r\ny"] {
        let answer = connection.request("reverse", text.as_bytes(), soon());
        let expected: Vec<u8> = text.bytes().rev().collect();
        assert_eq!(answer.unwrap(), expected);
    }
}

#[test]
fn a_request_that_nobody_listens_to_fails_at_once() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    let answer = connection.request("nobody", b"", soon());
    assert!(matches!(answer, Err(Error::NoResponders)), "{answer:?}");
    assert_eq!(connection.closed(), None);
}

#[test]
fn messages_come_in_their_order_and_by_subscription() {
    let server = NatsServer::start();
    let mut connection = connect(&server);
    let a = connection.subscribe("a.*", None, soon()).unwrap();
    let b = connection.subscribe("b.>", None, soon()).unwrap();
    for (subject, text) in [("a.1", "1"), ("b.x.y", "2"), ("a.2", "3"), ("b.z", "4")] {
        connection
            .publish(subject, None, text.as_bytes(), soon())
            .unwrap();
    }
    connection.publish("c", None, b"nobody's", soon()).unwrap();
    connection.flush(soon()).unwrap();
    let of_b = connection.next_of(b, soon()).unwrap().unwrap();
    assert_eq!(
        (of_b.subject.as_str(), of_b.payload),
        ("b.x.y", b"2".to_vec())
    );
    let mut rest = Vec::new();
    while let Some(message) = connection.next(shortly()).unwrap() {
        rest.push((message.subject, message.subscription));
    }
    assert_eq!(
        rest,
        [
            ("a.1".to_owned(), a),
            ("a.2".to_owned(), a),
            ("b.z".to_owned(), b)
        ]
    );
}

#[test]
fn an_answer_that_comes_late_answers_nothing() {
    let server = NatsServer::start();
    let (mut responder, mut connection) = (connect(&server), connect(&server));
    responder.subscribe("slow", None, soon()).unwrap();
    responder.flush(soon()).unwrap();
    let answer = connection.request("slow", b"first", shortly());
    assert!(matches!(answer, Err(Error::TimedOut)), "{answer:?}");
    let answering = thread::spawn(move || {
        for _ in 0..2 {
            let message = responder.next(soon()).unwrap().unwrap();
            let reply = message.reply.unwrap();
            responder
                .publish(&reply, None, &message.payload, soon())
                .unwrap();
        }
        responder.flush(soon()).unwrap();
    });
    assert_eq!(
        connection.request("slow", b"second", soon()).unwrap(),
        b"second"
    );
    answering.join().unwrap();
    connection.flush(soon()).unwrap();
    assert_eq!(connection.next(shortly()).unwrap(), None);
    assert_eq!(connection.dropped(), 0);
}

#[test]
fn what_comes_during_a_request_is_kept() {
    let server = NatsServer::start();
    answer(connect(&server), "reverse");
    let mut connection = connect(&server);
    connection.subscribe(">", None, soon()).unwrap();
    connection.publish("news", None, b"1", soon()).unwrap();
    assert_eq!(connection.request("reverse", b"ab", soon()).unwrap(), b"ba");
    let subjects: Vec<String> = (0..3)
        .map(|_| connection.next(soon()).unwrap().unwrap().subject)
        .collect();
    // One who listens to all gets the answer, too.
    assert_eq!(subjects[..2], ["news", "reverse"]);
    assert!(subjects[2].starts_with("_INBOX."), "{subjects:?}");
}

#[test]
fn one_subscription_serves_all_requests() {
    let server = NatsServer::start();
    answer(connect(&server), "reverse");
    let mut connection = connect(&server);
    for _ in 0..10 {
        connection.request("reverse", b"ab", soon()).unwrap();
    }
    let mut lists = server
        .connections()
        .into_iter()
        .map(|one| one["subscriptions_list"].clone());
    let inboxes = lists.find(|list| {
        list[0]
            .as_str()
            .is_some_and(|subject| subject.starts_with("_INBOX."))
    });
    assert_eq!(inboxes.unwrap().as_array().unwrap().len(), 1);
}
