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
