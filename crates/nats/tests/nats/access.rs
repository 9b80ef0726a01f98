//! Who is let in, and what he may do.

use superstream_nats::{Connection, Error};

use crate::common::{NatsServer, open, options_for, shortly, soon};

const USERS: &str = r#"
authorization {
  timeout: 60
  users = [
    { user: "u", password: "hunter2" }
    { user: "bound", password: "hunter2", permissions: {
      publish: { deny: "forbidden.>" }, subscribe: { deny: "secret" } } }
    { user: "deaf", password: "hunter2", permissions: { subscribe: { deny: ">" } } }
  ]
}"#;

fn open_as(server: &NatsServer, user: &str, password: &str) -> Result<Connection, Error> {
    let mut options = options_for(server);
    options.user = Some(user.to_owned());
    options.password = Some(password.to_owned());
    open(&options)
}

fn denied<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Denied(text)) => text,
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn the_password_opens_and_a_wrong_one_does_not() {
    let server = NatsServer::with(USERS);
    open_as(&server, "u", "hunter2").unwrap();
    for (user, password) in [("u", "hunter3"), ("nobody", "hunter2"), ("", "")] {
        let error = open_as(&server, user, password).map(drop).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(matches!(error, Error::Unauthorized(_)), "{told}");
        assert!(told.contains("Authorization Violation"), "{told}");
        assert!(!told.contains("hunter"), "{told}");
    }
    let error = open(&options_for(&server)).map(drop).unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
}

#[test]
fn a_server_that_asks_for_no_password_is_told_it_all_the_same() {
    let server = NatsServer::start();
    let _connection = open_as(&server, "superstream_internal", "no-auth").unwrap();
    let connection = &server.connections()[0];
    assert_eq!(connection["name"], "a test");
    assert_eq!(connection["lang"], "rust");
    assert_eq!(connection["authorized_user"], "superstream_internal");
}

#[test]
fn the_server_says_who_it_is_and_who_we_are() {
    let server = NatsServer::with("server_name: its-name");
    let first = open(&options_for(&server)).unwrap();
    let second = open(&options_for(&server)).unwrap();
    assert_eq!(first.info().server_name, "its-name");
    assert_eq!(first.info().max_payload, 1024 * 1024);
    assert_ne!(first.info().client_id, second.info().client_id);
    let ids: Vec<_> = server
        .connections()
        .iter()
        .map(|one| one["cid"].as_u64())
        .collect();
    assert!(ids.contains(&Some(first.info().client_id)), "{ids:?}");
}

#[test]
fn a_refusal_is_told_to_whom_it_concerns() {
    let server = NatsServer::with(USERS);
    let mut responder = open_as(&server, "u", "hunter2").unwrap();
    responder.subscribe("open", None, soon()).unwrap();
    responder.flush(soon()).unwrap();
    let answering = std::thread::spawn(move || {
        let message = responder.next(soon()).unwrap().unwrap();
        responder
            .publish(&message.reply.unwrap(), None, b"yes", soon())
            .unwrap();
        responder.flush(soon()).unwrap();
    });

    let mut connection = open_as(&server, "bound", "hunter2").unwrap();
    connection
        .publish("forbidden.a", None, b"", soon())
        .unwrap();
    connection
        .publish("forbidden.b", None, b"", soon())
        .unwrap();
    assert_eq!(connection.request("open", b"?", soon()).unwrap(), b"yes");
    let of_request = denied(connection.request("forbidden.c", b"", soon()));
    assert!(of_request.contains("forbidden.c"), "{of_request}");
    let of_flush = denied(connection.flush(soon()));
    assert!(of_flush.contains("forbidden.a"), "{of_flush}");
    assert!(of_flush.contains("1 more"), "{of_flush}");
    connection.flush(soon()).unwrap();
    connection.subscribe("secret", None, soon()).unwrap();
    let of_subscription = denied(connection.flush(soon()));
    assert!(of_subscription.contains("secret"), "{of_subscription}");
    assert_eq!(connection.closed(), None);
    answering.join().unwrap();
}

#[test]
fn a_request_without_the_right_to_an_answer_is_denied() {
    let server = NatsServer::with(USERS);
    let mut connection = open_as(&server, "deaf", "hunter2").unwrap();
    for _ in 0..2 {
        let text = denied(connection.request("open", b"", soon()));
        assert!(text.contains("_INBOX."), "{text}");
    }
    assert_eq!(connection.closed(), None);
}

#[test]
fn each_message_goes_to_one_member_of_a_group() {
    let server = NatsServer::start();
    let mut members = [
        open(&options_for(&server)).unwrap(),
        open(&options_for(&server)).unwrap(),
    ];
    for member in &mut members {
        member.subscribe("work", Some("group"), soon()).unwrap();
        member.flush(soon()).unwrap();
    }
    let mut publisher = open(&options_for(&server)).unwrap();
    for number in 0..50_u8 {
        publisher.publish("work", None, &[number], soon()).unwrap();
    }
    publisher.flush(soon()).unwrap();
    let mut came: Vec<u8> = Vec::new();
    while came.len() < 50 {
        for member in &mut members {
            while let Some(message) = member.next(shortly()).unwrap() {
                came.extend(message.payload);
            }
        }
    }
    came.sort_unstable();
    assert_eq!(came, (0..50).collect::<Vec<_>>());
}
