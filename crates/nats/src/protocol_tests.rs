use proptest::prelude::*;

use super::*;

/// Feeds pieces that end where it is said, and takes all events that there are.
fn events(bytes: &[u8], cuts: &[usize]) -> (Vec<Event>, Option<Malformed>) {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut parser, mut events, mut begin) = (Parser::new(), Vec::new(), 0);
    for end in ends {
        parser.feed(&bytes[begin..end]);
        begin = end;
        loop {
            match parser.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(malformed) => return (events, Some(malformed)),
            }
        }
    }
    (events, None)
}

fn all(text: &str) -> Vec<Event> {
    let (events, malformed) = events(text.as_bytes(), &[]);
    assert_eq!(malformed, None, "{text:?}");
    events
}

fn malformed(text: &str) -> Malformed {
    let (events, malformed) = events(text.as_bytes(), &[]);
    malformed.unwrap_or_else(|| panic!("{text:?} is understood: {events:?}"))
}

fn delivery(subject: &str, subscription: u64, reply: Option<&str>, payload: &str) -> Delivery {
    Delivery {
        subject: subject.to_owned(),
        subscription,
        reply: reply.map(str::to_owned),
        status: None,
        payload: payload.as_bytes().to_vec(),
    }
}

#[test]
fn every_word_is_understood() {
    let info = Info {
        server_name: Some("n".to_owned()),
        client_id: Some(7),
        max_payload: Some(1024),
        connect_urls: Some(vec!["10.0.0.1:4222".to_owned()]),
        ..Info::default()
    };
    let text = "INFO {\"server_name\":\"n\",\"client_id\":7,\"max_payload\":1024,\"x\":[{}],\
                \"connect_urls\":[\"10.0.0.1:4222\"]} \r\nPING\r\nping\r\nPONG\r\n+OK\r\n\
                -ERR 'Stale Connection'\r\nMSG a.b 1 5\r\na\r\nbc\r\nMSG a 2 r.1 0\r\n\r\n\
                msg\ta 18446744073709551615  \t0\r\n\r\n";
    assert_eq!(
        all(text),
        [
            Event::Info(Box::new(info)),
            Event::Ping,
            Event::Ping,
            Event::Pong,
            Event::Ok,
            Event::Err("Stale Connection".to_owned()),
            Event::Message(delivery("a.b", 1, None, "a\r\nbc")),
            Event::Message(delivery("a", 2, Some("r.1"), "")),
            Event::Message(delivery("a", u64::MAX, None, "")),
        ]
    );
}

#[test]
fn of_headers_the_status_is_read() {
    for (headers, status) in [
        ("NATS/1.0 503\r\n\r\n", Some(503)),
        ("NATS/1.0 503 No Responders\r\na: b\r\n\r\n", Some(503)),
        ("NATS/1.0\r\na: 503\r\n\r\n", None),
        ("NATS/1.0 5\r\n\r\n", None),
        ("", None),
        ("503", None),
    ] {
        let (length, total) = (headers.len(), headers.len() + 2);
        let text = format!("HMSG a 1 r {length} {total}\r\n{headers}hi\r\n");
        let message = Delivery {
            status,
            ..delivery("a", 1, Some("r"), "hi")
        };
        assert_eq!(all(&text), [Event::Message(message)], "{headers:?}");
    }
}

#[test]
fn what_is_no_nats_is_an_error() {
    for text in [
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "\n",
        "INFO\r\n",
        "INFO {\r\n",
        "INFO 7\r\n",
        "INFO {\"client_id\":-1}\r\n",
        "MSG\r\n",
        "MSG a 1\r\n",
        "MSG a x 1\r\n",
        "MSG a 1 r s 1\r\n",
        "MSG a 1 -1\r\n",
        "MSG a 1 +1\r\n",
        "MSG a -1 1\r\n",
        "HMSG a 1 1\r\n",
        "HMSG a 1 2 1\r\n",
        "MSG a 1 99999999999999999999999\r\n",
        "MSG a 1 1\r\nabc\r\n",
        "MSG a 1 1\r\na\n\n",
    ] {
        malformed(text);
    }
}

#[test]
fn lines_and_payloads_are_bounded_whatever_info_says() {
    malformed(&"x".repeat(MAX_LINE + 1));
    malformed(&format!("PING {}\r\n", " ".repeat(MAX_LINE)));
    let info = "INFO {\"max_payload\":1000000000000}\r\n";
    assert_eq!(all(&format!("{info}MSG a 1 {MAX_MESSAGE}\r\n")).len(), 1);
    malformed(&format!("{info}MSG a 1 {}\r\n", MAX_MESSAGE + 1));
    // With headers a message may be a little longer than what a payload may be, and no more.
    let info = "INFO {\"max_payload\":1048576}\r\n";
    let longest = 1_048_576 + MAX_HEADERS;
    assert_eq!(all(&format!("{info}MSG a 1 {longest}\r\n")).len(), 1);
    malformed(&format!("{info}MSG a 1 {}\r\n", longest + 1));
}

#[test]
fn a_buffer_is_given_back_after_a_long_message() {
    let mut parser = Parser::new();
    parser.feed(b"INFO {}\r\nMSG a 1 1000000\r\n");
    assert!(parser.next().unwrap().is_some());
    parser.feed(&vec![b'x'; 1_000_000]);
    assert!(parser.next().unwrap().is_none());
    parser.feed(b"\r\n");
    assert!(parser.next().unwrap().is_some());
    parser.feed(b"PI");
    assert!(parser.buffer.capacity() <= KEPT_CAPACITY);
}

prop_compose! {
    fn any_delivery()(
        subject in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
        subscription in any::<u64>(),
        reply in proptest::option::of("_INBOX\\.[a-z0-9]{1,8}"),
        status in proptest::option::of(100_u16..999),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) -> Delivery {
        Delivery { subject, subscription, reply, status, payload }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any_delivery().prop_map(Event::Message),
        Just(Event::Ping),
        Just(Event::Pong),
        Just(Event::Ok),
        "[a-zA-Z\" ]{1,30}[a-z]".prop_map(|text| Event::Err(text.trim().to_owned())),
    ]
}

fn written(event: &Event) -> Vec<u8> {
    match event {
        Event::Ping => b"PING\r\n".to_vec(),
        Event::Pong => b"PONG\r\n".to_vec(),
        Event::Ok => b"+OK\r\n".to_vec(),
        Event::Err(text) => format!("-ERR '{text}'\r\n").into_bytes(),
        Event::Info(_) => unreachable!("not among them"),
        Event::Message(message) => {
            let (word, headers) = match message.status {
                Some(status) => ("HMSG", format!("NATS/1.0 {status}\r\n\r\n")),
                None => ("MSG", String::new()),
            };
            let mut line = format!("{word} {} {}", message.subject, message.subscription);
            if let Some(reply) = &message.reply {
                line += &format!(" {reply}");
            }
            if message.status.is_some() {
                line += &format!(" {}", headers.len());
            }
            line += &format!(" {}\r\n{headers}", headers.len() + message.payload.len());
            let mut bytes = line.into_bytes();
            bytes.extend_from_slice(&message.payload);
            bytes.extend_from_slice(b"\r\n");
            bytes
        }
    }
}

proptest! {
    #[test]
    fn pieces_of_any_length_give_the_same_events(
        expected in proptest::collection::vec(any_event(), 0..12),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let bytes: Vec<u8> = expected.iter().flat_map(written).collect();
        prop_assert_eq!(events(&bytes, &cuts), (expected.clone(), None));
        let each: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(events(&bytes, &each), (expected, None));
    }

    #[test]
    fn whatever_comes_the_parser_goes_on_or_says_no(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        cuts in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        events(&bytes, &cuts);
    }

    /// Nearly right is more dangerous than noise.
    #[test]
    fn nearly_nats_gives_the_same_in_pieces(
        words in proptest::collection::vec(prop_oneof![
            Just("MSG"), Just("HMSG"), Just("INFO"), Just("{}"), Just("PING"), Just("-ERR"),
            Just("'"), Just(" "), Just("\t"), Just("\r\n"), Just("\n"), Just("a"), Just("0"), Just("1"),
            Just("12"), Just("NATS/1.0"), Just("18446744073709551616"), Just("\u{fffd}"),
        ], 0..60),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let text = words.concat();
        prop_assert_eq!(events(text.as_bytes(), &cuts), events(text.as_bytes(), &[]));
    }
}
