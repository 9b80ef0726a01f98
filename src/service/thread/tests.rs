use superstream_protocol::{Reports, ReportsTaken};

use super::*;
use crate::service::scripted::Scripted;

fn shared() -> Shared {
    Shared::new(Duration::from_secs(3), || {})
}

fn takes_all(_: &Reports) -> Result<ReportsTaken, Failure> {
    Ok(ReportsTaken::default())
}

/// Sends what may be sent now.
fn send_all(shared: &Shared, transport: &mut dyn Transport) {
    loop {
        let mut state = lock(&shared.state);
        match state.next_work(Instant::now()) {
            Some(Work::Send(waiting)) => {
                drop(state);
                tell(shared, transport, waiting);
            }
            Some(Work::Publish) => {}
            Some(Work::Report) | None => return,
        }
    }
}

fn goodbyes(shared: &Shared, count: usize) {
    let gone = (0..count).map(|number| Client::of_test(&format!("client-{number}")));
    lock(&shared.state).say_goodbye(gone.collect());
}

/// However many messages wait, one of them finds out.
#[test]
fn a_service_that_is_away_is_tried_once_and_then_after_a_pause() {
    let (shared, begin) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("connection refused".to_owned()));
    goodbyes(&shared, 100);
    send_all(&shared, &mut transport);
    assert_eq!(transport.other_messages, 1);
    let next = lock(&shared.state).next_at();
    assert!(next.is_some_and(|at| at >= begin + Duration::from_millis(750)));

    // A creator is there, and its registration gets through: so do the others.
    transport.others = Ok(());
    let client = Client::new(
        superstream_protocol::RegisterClient::default(),
        superstream_protocol::ClientKind::Producer,
        String::new(),
    );
    let message = Message::Register(Arc::new(client));
    lock(&shared.state).queue.push(message);
    send_all(&shared, &mut transport);
    assert!(
        transport.other_messages > 101,
        "{}",
        transport.other_messages
    );
}

/// Creators had no answer: the next ones need not wait, and their registrations neither.
#[test]
fn registrations_wait_for_a_service_that_has_failed_at_one() {
    let shared = shared();
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("connection refused".to_owned()));
    for _ in 0..10 {
        let client = Client::new(
            superstream_protocol::RegisterClient::default(),
            superstream_protocol::ClientKind::Producer,
            String::new(),
        );
        let message = Message::Register(Arc::new(client));
        lock(&shared.state).queue.push(message);
        send_all(&shared, &mut transport);
    }
    assert_eq!(transport.other_messages, 1);
    assert!(lock(&shared.state).line.down().is_some());
}

/// An error of our own in a round of reports is not the end of reporting.
#[test]
fn a_round_that_breaks_off_comes_again() {
    let (shared, begin) = (shared(), Instant::now());
    let client = Client::of_test("client-0");
    client.measured_in_test(superstream_protocol::measured::Measured {
        transport_errors: [(-195, 1)].into(),
        ..superstream_protocol::measured::Measured::default()
    });
    let mut state = lock(&shared.state);
    state.members.join(&client);
    state.members.close(&client);
    state.members.tidy(|_| true);
    drop(state);
    let breaks = |_: &Reports| -> Result<ReportsTaken, Failure> { panic!("an error of our own") };
    assert!(!report(&shared, &mut Scripted::new(breaks)));
    let due = lock(&shared.state).members.due();
    assert!(due.is_some_and(|at| at >= begin + Duration::from_millis(750)));
    let mut transport = Scripted::new(takes_all);
    report(&shared, &mut transport);
    assert_eq!(transport.told, [["client-0"]]);
}
