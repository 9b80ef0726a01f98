//! What is not said to anybody shows nothing of the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_nats_server::{NatsServer, wait_until};
use superstream_protocol::{ClientKind, RegisterClient, Reports};

use super::service::Service;
use super::{nats, registration, report};
use crate::lock::lock;
use crate::report::record::Client;
use crate::service::line::Health;
use crate::service::nats::Nats;
use crate::service::queue::{Message, Waiting};
use crate::service::state::Shared;
use crate::service::{Failure, Heard, Registration, Said, Transport, heard, thread};

fn client(id: &str) -> Arc<Client> {
    let mut registration = registration();
    registration.registration_id = Some(id.to_owned());
    let client = Client::new(registration, ClientKind::Producer, String::new());
    Arc::new(client)
}

fn tell(shared: &Shared, nats: &mut Nats, message: Message) -> Option<String> {
    lock(&shared.state).queue.push(message);
    let waiting = take_all(shared).pop().unwrap();
    thread::tell(shared, nats, waiting)
}

/// What is due. Errors of our own that other tests make may be among it.
fn take_all(shared: &Shared) -> Vec<Waiting> {
    let mut state = lock(&shared.state);
    let now = Instant::now();
    std::iter::from_fn(|| state.queue.take_due(now)).collect()
}

fn is_down(shared: &Shared) -> bool {
    let state = lock(&shared.state);
    matches!(state.line.health(), Health::Down { .. }) && state.line.down().is_some()
}

/// The deployed service has no word for a client that is gone.
#[test]
fn a_goodbye_that_nobody_hears_ends_no_outage() {
    let mut server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    let shared = Shared::new(Duration::from_secs(3), || {});
    let gone = client("1");
    let told = tell(&shared, &mut nats, Message::Register(Arc::clone(&gone)));
    assert_eq!((told, gone.hash().as_deref()), (None, Some("9f2c1e7a")));
    drop(service);
    server.kill();
    assert!(tell(&shared, &mut nats, Message::Register(client("2"))).is_some());
    assert!(is_down(&shared));
    tell(&shared, &mut nats, Message::Goodbye(gone));
    assert!(is_down(&shared), "nobody was spoken to");
    assert!(lock(&shared.state).troubles.shown().outage.is_some());
}

/// Its word to start never came: nothing keeps the connection for it.
#[test]
fn a_client_that_is_gone_is_not_waited_for() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    let shared = Shared::new(Duration::from_secs(3), || {});
    let gone = client("1");
    tell(&shared, &mut nats, Message::Register(Arc::clone(&gone)));
    gone.update(|outcome| outcome.created = true);
    lock(&shared.state).say_goodbye(vec![Arc::clone(&gone)]);
    let goodbye = take_all(&shared).pop().unwrap();
    assert!(matches!(goodbye.message, Message::Goodbye(_)));
    assert_eq!(thread::tell(&shared, &mut nats, goodbye), None);
    nats.look().unwrap();
    assert!(nats.unasked.idle_since.is_some(), "nobody is served");

    // It comes after all, and what was still to be said goes nowhere.
    service.say("internal.startClient.9f2c1e7a", r#"{"start":true}"#);
    assert_eq!(heard::look(&shared, &mut nats), None);
    let configures = |waiting: &Waiting| matches!(waiting.message, Message::Configure(_));
    assert!(!take_all(&shared).iter().any(configures));
    let told = tell(&shared, &mut nats, Message::Configure(gone));
    assert_eq!(told, None);
    assert_eq!(lock(&shared.state).troubles.shown().outage, None);
}

/// Reports with nothing new in them are taken by a service that is there alone.
#[test]
fn a_report_without_news_asks_whether_the_server_is_there() {
    let mut server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    let hash = "9f2c1e7a";
    nats.register(&registration(), Duration::from_secs(20))
        .unwrap();
    nats.report(&report(hash, &[0])).unwrap();
    assert!(nats.report(&report(hash, &[0])).is_ok());
    assert!(nats.report(&report("another", &[0])).unwrap().reports[0].unknown);
    drop(service);
    server.kill();
    for hash in [hash, "another"] {
        let away: Reports = report(hash, &[0]);
        let taken = nats.report(&away);
        assert!(matches!(taken, Err(Failure::Unavailable(_))), "{taken:?}");
    }
    assert_eq!(nats.goodbye(hash, "1"), Ok(Said::Nothing));
}

/// It is a client to the deployed service, which is to see its end.
#[test]
fn whoever_only_asks_does_not_keep_the_connection() {
    let server = NatsServer::start();
    let _service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    let asks = RegisterClient {
        dry_run: true,
        ..registration()
    };
    let begin = Instant::now();
    let life = Duration::from_secs(5);
    let named = nats.register(&asks, life).unwrap();
    assert!(matches!(named, Registration::Named(_)), "{named:?}");
    wait_until("nobody to serve", || {
        nats.look().unwrap();
        nats.unasked.idle_since.is_some()
    });
    assert!(begin.elapsed() >= life);
}

/// A service may give a name twice.
#[test]
fn a_word_is_listened_to_once() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    for _ in 0..3 {
        nats.register(&registration(), Duration::from_secs(20))
            .unwrap();
    }
    let subject = "internal.startClient.9f2c1e7a";
    service.say(subject, r#"{"start":false}"#);
    // Those of all subscriptions come before what comes later.
    service.say(subject, r#"{"start":true}"#);
    let mut words = Vec::new();
    wait_until("its words", || {
        let heard = nats.look().unwrap();
        words.extend(heard.into_iter().filter_map(|heard| match heard {
            Heard::Start { start, .. } => Some(start.start),
            _ => None,
        }));
        words.contains(&true)
    });
    assert_eq!(words, [false, true]);
}

/// A server that lets clients in and sends them away is not asked more and more often.
#[test]
fn pauses_grow_while_connections_end_at_once() {
    let server = NatsServer::start();
    let service = Service::deployed(&server);
    let mut nats = nats(&server, None);
    nats.register(&registration(), Duration::from_secs(20))
        .unwrap();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        nats.look().unwrap();
        let (count, begin) = (nats.link.current(), Instant::now());
        assert!(count.is_some());
        nats.link.forget();
        let pause = nats.look_at().unwrap().duration_since(begin);
        pauses.push(pause);
    }
    assert!(pauses[3] >= Duration::from_secs(5), "{pauses:?}");
    drop(service);
}
