use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_protocol::{
    ClientReport, Configuration, Registered, ReportTaken, Reports, ReportsTaken, StartClient,
};

use super::*;
use crate::report::record::Client;
use crate::service::line::Health;
use crate::service::scripted::Scripted;
use crate::service::work::Work;
use crate::service::{Registration, round, thread};

fn shared() -> Shared {
    Shared::new(Duration::from_secs(3), || {})
}

/// A service that names clients, and takes reports.
fn naming(hash: &str) -> Scripted<impl FnMut(&Reports) -> Result<ReportsTaken, Failure> + Send> {
    let taken = |report: &ClientReport| ReportTaken {
        client_hash: report.client_hash.clone(),
        sequence: report.sequence,
        ..ReportTaken::default()
    };
    let takes = move |reports: &Reports| {
        Ok(ReportsTaken {
            reports: reports.reports.iter().map(taken).collect(),
            ..ReportsTaken::default()
        })
    };
    let mut transport = Scripted::new(takes);
    transport.registration = Registration::Named(Registered {
        client_hash: hash.to_owned(),
        ..Registered::default()
    });
    transport
}

/// A client whose creator waits, and that the service has given its name.
fn named(shared: &Shared, transport: &mut dyn Transport) -> Arc<Client> {
    let client = Client::unregistered(ClientKind::Producer);
    let message = Message::Register(Arc::clone(&client));
    lock(&shared.state).queue.push(message);
    let waiting = lock(&shared.state).queue.take_urgent().unwrap();
    assert_eq!(thread::tell(shared, transport, waiting), None);
    client
}

fn start(hash: &str, configuration: Value) -> Heard {
    Heard::Start {
        client_hash: hash.to_owned(),
        start: StartClient {
            start: true,
            optimized_configuration: configuration.as_object().cloned(),
            ..StartClient::default()
        },
    }
}

fn refused(hash: &str, error: &str) -> Heard {
    Heard::Start {
        client_hash: hash.to_owned(),
        start: StartClient {
            error: Some(error.to_owned()),
            ..StartClient::default()
        },
    }
}

fn codec(hash: &str, codec: &'static str) -> Heard {
    Heard::Codec {
        client_hash: hash.to_owned(),
        codec,
    }
}

/// Nobody waits any more for the word to start of a client that has its name.
fn no_word_comes(state: &mut State, client: &Arc<Client>) {
    let registered = Registered {
        client_hash: client.hash().unwrap(),
        ..Registered::default()
    };
    let (now, at_once) = (Instant::now(), Duration::ZERO);
    state.starting.push(client, registered, now, at_once);
    state.tidy_starting();
    assert!(client.answer().is_some());
}

/// The advice that a client was given.
fn advice(client: &Client) -> Configuration {
    let answer = client.answer().unwrap().as_ref().unwrap();
    let configuration = answer.start.optimized_configuration.clone();
    configuration.unwrap_or_default()
}

fn creation_succeeds(shared: &Shared, client: &Arc<Client>) {
    client.update(|outcome| {
        outcome.created = true;
        outcome.advice = client.registered_advice();
    });
    lock(&shared.state).members.join(client);
}

#[test]
fn a_client_that_has_its_name_waits_for_its_word_alone() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    assert_eq!(client.hash().as_deref(), Some("h"));
    assert!(client.answer().is_none());
    let other = named(&shared, &mut transport);

    transport.unasked = vec![refused("h", "not yet"), start("i", json!({}))];
    look(&shared, &mut transport);
    assert!(client.answer().is_none(), "it goes on waiting");
    transport.unasked = vec![start("h", json!({"linger.ms": 100}))];
    look(&shared, &mut transport);
    // Two clients may go by one name.
    for client in [client, other] {
        assert_eq!(advice(&client)["linger.ms"], 100);
    }
    assert_eq!(lock(&shared.state).line.health(), Health::Up);
}

#[test]
fn one_lost_word_costs_the_next_client_nothing() {
    let (shared, mut transport) = (shared(), naming("h"));
    let first = named(&shared, &mut transport);
    transport.unasked = vec![refused("h", "account suspended")];
    look(&shared, &mut transport);
    let mut state = lock(&shared.state);
    let reason = state.gives_up(&first);
    assert!(reason.contains("account suspended"), "{reason}");
    assert_eq!(state.line.down(), None, "the next one waits for its own");
    drop(state);

    // It comes after all: the next client like that one has it at once.
    transport.unasked = vec![start("h", json!({"linger.ms": 100}))];
    let late = Shared::new(Duration::ZERO, || {});
    std::mem::swap(&mut *lock(&late.state), &mut *lock(&shared.state));
    look(&late, &mut transport);
    let state = lock(&late.state);
    let kept = state.late.of(&first).unwrap();
    assert_eq!(kept.optimized_configuration.unwrap()["linger.ms"], 100);
    assert!(state.line.is_slow());
}

#[test]
fn words_that_never_come_keep_the_next_creators_from_waiting() {
    let (shared, mut transport) = (shared(), naming("h"));
    for _ in 0..2 {
        let client = named(&shared, &mut transport);
        lock(&shared.state).gives_up(&client);
    }
    let down = lock(&shared.state).line.down().map(str::to_owned);
    assert!(down.is_some_and(|reason| reason.contains("no word to start")));
    transport.unasked = vec![start("h", json!({}))];
    look(&shared, &mut transport);
    assert_eq!(lock(&shared.state).line.down(), None);
}

#[test]
fn nobody_waits_for_ever_for_a_word() {
    let shared = shared();
    let (client, registered) = (
        Client::unregistered(ClientKind::Producer),
        Registered::default(),
    );
    let mut state = lock(&shared.state);
    state
        .starting
        .push(&client, registered, Instant::now(), Duration::ZERO);
    assert!(state.starting.tidy_at().is_some());
    state.starting.tidy();
    assert!(state.starting.tidy_at().is_none());
    let answer = client.answer().unwrap().as_ref();
    assert!(answer.is_err_and(|reason| reason.contains("no word to start came")));
}

/// Sends what is due: how many configurations that was, and how many reports.
fn tell_all<A>(shared: &Shared, transport: &mut Scripted<A>) -> (usize, usize)
where
    A: FnMut(&Reports) -> Result<ReportsTaken, Failure> + Send,
{
    (transport.configurations, transport.told) = (0, Vec::new());
    let take_due = || lock(&shared.state).queue.take_due(Instant::now());
    while let Some(waiting) = take_due() {
        thread::tell(shared, transport, waiting);
    }
    lock(&shared.state).members.all_report();
    round::report(shared, transport);
    (transport.configurations, transport.told.len())
}

/// The deployed service says the word no more once it has seen them.
#[test]
fn configuration_and_topics_wait_for_the_word_to_start() {
    for end in ["its word", "nobody waits", "it closes"] {
        let (shared, mut transport) = (shared(), naming("h"));
        let client = named(&shared, &mut transport);
        creation_succeeds(&shared, &client);
        client.measured_in_test(Default::default());
        let configure = Message::Configure(Arc::clone(&client));
        lock(&shared.state).queue.push(configure);
        assert_eq!(tell_all(&shared, &mut transport), (0, 0));
        transport.unasked = vec![refused("h", "not yet")];
        look(&shared, &mut transport);
        assert_eq!(tell_all(&shared, &mut transport), (0, 0));
        match end {
            "its word" => {
                transport.unasked = vec![start("h", json!({}))];
                look(&shared, &mut transport);
            }
            "nobody waits" => no_word_comes(&mut lock(&shared.state), &client),
            _ => lock(&shared.state).closes(&client),
        }
        assert_eq!(tell_all(&shared, &mut transport), (1, 1), "{end}");
        assert_eq!(tell_all(&shared, &mut transport), (0, 1), "{end}");
    }
}

#[test]
fn a_client_that_is_gone_hears_no_word() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    creation_succeeds(&shared, &client);
    lock(&shared.state).say_goodbye(vec![client]);
    transport.unasked = vec![start("h", json!({}))];
    look(&shared, &mut transport);
    assert_eq!(tell_all(&shared, &mut transport).0, 0);
}

/// The service has advised nothing: what it said late to an earlier client still serves the next one.
#[test]
fn a_word_that_never_came_is_no_advice() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    creation_succeeds(&shared, &client);
    let kept = StartClient {
        start: true,
        ..StartClient::default()
    };
    let mut state = lock(&shared.state);
    state.late.keep(&client, kept.clone());
    no_word_comes(&mut state, &client);
    drop(state);
    client.measured_in_test(Default::default());
    lock(&shared.state).members.all_report();
    round::report(&shared, &mut transport);
    assert_eq!(transport.told, [["h"]]);
    assert_eq!(client.outcome().next_advice, None);
    assert_eq!(lock(&shared.state).late.of(&client), Some(kept));
}

#[test]
fn a_codec_serves_the_next_client_and_a_report_does_not_undo_it() {
    let (shared, mut transport) = (shared(), naming("h"));
    let running = named(&shared, &mut transport);
    transport.unasked = vec![start(
        "h",
        json!({"linger.ms": 100, "compression.codec": "lz4"}),
    )];
    look(&shared, &mut transport);
    creation_succeeds(&shared, &running);
    let merged = json!({"linger.ms": 100, "compression.type": "zstd"});
    for _ in 0..2 {
        // It says so twice.
        transport.unasked = vec![codec("h", "zstd")];
        look(&shared, &mut transport);
        running.measured_in_test(Default::default());
        lock(&shared.state).members.close(&running);
        round::report(&shared, &mut transport);
        let next = running.outcome().next_advice.unwrap();
        assert_eq!(next.optimized_configuration, merged.as_object().cloned());
    }

    let next = named(&shared, &mut transport);
    transport.unasked = vec![start("h", json!({"linger.ms": 5}))];
    look(&shared, &mut transport);
    assert_eq!(advice(&next)["compression.type"], "zstd");
    let named_codec = named(&shared, &mut transport);
    transport.unasked = vec![start("h", json!({"compression.codec": "gzip"}))];
    look(&shared, &mut transport);
    assert_eq!(advice(&named_codec).get("compression.type"), None);
}

#[test]
fn a_codec_makes_no_advice_of_what_came_with_a_no() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = Client::unregistered(ClientKind::Producer);
    client.answered(Ok(Registered {
        client_hash: "h".to_owned(),
        start: StartClient {
            optimized_configuration: json!({"linger.ms": 100}).as_object().cloned(),
            ..StartClient::default()
        },
        ..Registered::default()
    }));
    creation_succeeds(&shared, &client);
    transport.unasked = vec![codec("h", "zstd")];
    look(&shared, &mut transport);
    let next = client.outcome().next_advice.unwrap();
    let alone = json!({"compression.type": "zstd"});
    assert_eq!(next.optimized_configuration, alone.as_object().cloned());
}

#[test]
fn a_client_that_is_not_known_any_more_registers_again() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    transport.unasked = vec![start("h", json!({}))];
    look(&shared, &mut transport);
    creation_succeeds(&shared, &client);
    transport.unasked = vec![Heard::Unknown {
        client_hash: "h".to_owned(),
    }];
    look(&shared, &mut transport);
    assert_eq!(client.hash(), None);
    let waiting = lock(&shared.state).queue.take_due(Instant::now()).unwrap();
    assert!(matches!(waiting.message, Message::Register(_)));
}

/// Its last figures are reported, and its goodbye is said: it is not worth another registration.
#[test]
fn a_client_that_said_goodbye_does_not_register_again() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    creation_succeeds(&shared, &client);
    client.measured_in_test(Default::default());
    let mut state = lock(&shared.state);
    state.members.close(&client);
    assert_eq!(state.members.leaving().len(), 1);
    drop(state);
    transport.unasked = vec![Heard::Unknown {
        client_hash: "h".to_owned(),
    }];
    look(&shared, &mut transport);
    while let Some(due) = lock(&shared.state).queue.take_due(Instant::now()) {
        let registers = matches!(due.message, Message::Register(_));
        assert!(!registers, "it said goodbye");
    }
}

/// A service that says the same over and over again has nothing published.
#[test]
fn what_changes_nothing_is_no_news() {
    let (shared, mut transport) = (shared(), naming("h"));
    let client = named(&shared, &mut transport);
    transport.unasked = vec![start("h", json!({}))];
    look(&shared, &mut transport);
    creation_succeeds(&shared, &client);
    for is_first in [true, false] {
        lock(&shared.state).has_news = false;
        transport.unasked = vec![codec("h", "zstd")];
        look(&shared, &mut transport);
        assert_eq!(lock(&shared.state).has_news, is_first);
    }
}

/// A flood of what nobody asked for holds up nothing.
#[test]
fn looks_and_other_work_take_turns() {
    let shared = shared();
    let gone = (0..3).map(|number| Client::of_test(&format!("client-{number}")));
    let mut state = lock(&shared.state);
    state.say_goodbye(gone.collect());
    let now = Instant::now();
    state.look_at = Some(now);
    let mut turns = String::new();
    for _ in 0..8 {
        turns.push(match state.next_work(now) {
            Some(Work::Look) => 'l',
            Some(Work::Send(_)) => 's',
            _ => '?',
        });
    }
    assert_eq!(turns, "lslslsll");
    // A creator that waits for an answer goes first.
    let creator = Client::unregistered(ClientKind::Producer);
    state.queue.push(Message::Register(creator));
    assert!(matches!(state.next_work(now), Some(Work::Send(_))));
}
