use superstream_protocol::measured::Measured;
use superstream_protocol::{ClientKind, Reports, ReportsTaken};

use super::*;
use crate::service::scripted::Scripted;

fn shared() -> Shared {
    Shared::new(Duration::from_secs(3), || {})
}

fn takes_all(_: &Reports) -> Result<ReportsTaken, Failure> {
    Ok(ReportsTaken::default())
}

/// Sends what may be sent at a time. However long that takes, no pause is over meanwhile.
fn send_all(shared: &Shared, transport: &mut dyn Transport, now: Instant) {
    loop {
        let mut state = lock(&shared.state);
        match state.next_work(now) {
            Some(Work::Send(waiting)) => {
                drop(state);
                tell(shared, transport, waiting);
            }
            Some(Work::Forget(clients)) => {
                drop(state);
                forget(transport, &clients);
            }
            Some(Work::Publish) => {}
            Some(Work::Report | Work::Look) | None => return,
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
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("connection refused".to_owned()));
    goodbyes(&shared, 100);
    send_all(&shared, &mut transport, now);
    assert_eq!(transport.other_messages, 1);
    let next = lock(&shared.state).next_at();
    assert!(next.is_some_and(|at| at >= now + Duration::from_millis(750)));

    // A creator is there, and its registration gets through: so do the others, but the one that
    // has failed.
    transport.others = Ok(Said::Yes);
    creator(&shared);
    send_all(&shared, &mut transport, now);
    assert_eq!(transport.other_messages, 1 + 1 + 99);
}

/// What is never said to the service is said to the transport, which would speak for them for ever.
#[test]
fn clients_whose_goodbye_is_given_up_are_forgotten() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("connection refused".to_owned()));
    goodbyes(&shared, 1000);
    send_all(&shared, &mut transport, now);
    let beyond: Vec<_> = (128..1000 - 256).map(|it| format!("client-{it}")).collect();
    assert_eq!(transport.forgotten, beyond);
    let mut state = lock(&shared.state);
    let later = Instant::now() + Duration::from_secs(9);
    let mut waiting = state.queue.take_due(later).unwrap();
    waiting.bad_answers = MAX_TRIES - 1;
    settle(
        &mut state,
        waiting,
        Err(Failure::Failed("an error".to_owned())),
    );
    assert_eq!(state.queue.take_unsaid().len(), 1);
}

/// Creators had no answer: the next ones need not wait, and their registrations neither.
#[test]
fn registrations_wait_for_a_service_that_has_failed_at_one() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("connection refused".to_owned()));
    for _ in 0..10 {
        creator(&shared);
        send_all(&shared, &mut transport, now);
    }
    assert_eq!(transport.other_messages, 1);
    assert!(lock(&shared.state).line.down().is_some());
}

/// One that the service cannot digest is no reason to send the others late, or creators away.
#[test]
fn a_message_that_fails_holds_up_no_other() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Failed("an error".to_owned()));
    goodbyes(&shared, 10);
    send_all(&shared, &mut transport, now);
    assert_eq!(transport.other_messages, 10);
    assert_eq!(lock(&shared.state).line.down(), None);
}

/// It answers everything else.
#[test]
fn reports_that_hang_are_tried_ever_more_seldom() {
    let (shared, now) = (shared(), Instant::now());
    with_figures(&shared);
    let hangs = |_: &Reports| Err(Failure::Unavailable("no answer in time".to_owned()));
    let mut transport = Scripted::new(hangs);
    for reports in 1..=3 {
        assert!(round::report(&shared, &mut transport).is_some());
        // Others get through, and bring no report with them.
        lock(&shared.state).line.reached();
        goodbyes(&shared, 1);
        send_all(&shared, &mut transport, now);
        assert!(transport.other_messages >= reports);
    }
    let next = lock(&shared.state).next_at();
    assert!(
        next.is_some_and(|at| at >= now + Duration::from_secs(3)),
        "{next:?}"
    );
}

/// The service is well, but for one registration that it never answers.
#[test]
fn a_registration_that_hangs_holds_up_no_report() {
    let (shared, now) = (shared(), Instant::now());
    with_figures(&shared);
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("no answer in time".to_owned()));
    creator(&shared);
    send_all(&shared, &mut transport, now);
    assert_eq!(transport.other_messages, 1);
    let mut state = lock(&shared.state);
    let later = Instant::now() + Duration::from_secs(2);
    assert!(matches!(state.next_work(later), Some(Work::Report)));
    assert!(matches!(state.next_work(later), Some(Work::Send(_))));
    drop(state);

    // And no creator: the next one goes first, whatever was tried before.
    creator(&shared);
    let urgent = lock(&shared.state).queue.take_urgent();
    let urgent = urgent.expect("it was never tried");
    assert_eq!(urgent.backoff.failures(), 0);
}

/// However many clients are created while the service registers none.
#[test]
fn reports_have_their_turn_while_nobody_is_registered() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    transport.others = Err(Failure::Unavailable("no answer in time".to_owned()));
    creator(&shared);
    creator(&shared);
    with_figures(&shared);
    send_all(&shared, &mut transport, now);
    let later = Instant::now() + Duration::from_secs(2);
    let work = lock(&shared.state).next_work(later);
    assert!(matches!(work, Some(Work::Report)));
    round::report(&shared, &mut transport);
    assert_eq!(transport.told, [["client-0"]]);
}

/// One registration that the service never answers keeps no creator from asking.
#[test]
fn a_registration_that_was_tried_before_is_no_news_of_the_service() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    let away = Failure::Unavailable("no answer in time".to_owned());
    transport.others = Err(away.clone());
    creator(&shared);
    send_all(&shared, &mut transport, now);
    let mut state = lock(&shared.state);
    state.line.reached();
    let waiting = state
        .queue
        .take_due(Instant::now() + Duration::from_secs(2));
    settle(&mut state, waiting.unwrap(), Err(away));
    assert_eq!(state.line.down(), None);
}

#[test]
fn an_error_waits_until_its_client_is_registered() {
    let shared = shared();
    let client = creator(&shared);
    let mut state = lock(&shared.state);
    let mut registration = state.queue.take_urgent().unwrap();
    registration.backoff.failed();
    let error = Message::Error(Arc::clone(&client), "an error".to_owned());
    state.queue.push(error);
    state.queue.put_back(registration);
    assert!(state.queue.take_due(Instant::now()).is_none());
    assert!(state.queue.due().is_some_and(|at| at > Instant::now()));
    drop(state);

    // It went while the thread had its registration in hand.
    let mut state = lock(&shared.state);
    let later = Instant::now() + Duration::from_secs(2);
    let registration = state.queue.take_due(later).unwrap();
    state.say_goodbye(vec![client]);
    state.queue.put_back(registration);
    assert!(!state.queue.has_first_registration());
}

#[test]
fn a_client_that_is_gone_is_not_registered() {
    let (shared, now) = (shared(), Instant::now());
    let mut transport = Scripted::new(takes_all);
    let client = creator(&shared);
    lock(&shared.state).say_goodbye(vec![client]);
    send_all(&shared, &mut transport, now);
    assert_eq!(transport.other_messages, 0);
}

/// An error of our own is not the end of reporting, and nobody waits because of one.
#[test]
fn a_turn_that_breaks_off_loses_nothing() {
    let shared = shared();
    with_figures(&shared);
    let breaks = |_: &Reports| -> Result<ReportsTaken, Failure> { panic!("an error of our own") };
    let mut transport = Scripted::new(breaks);
    assert!(boundary::catch(|| round::report(&shared, &mut transport)).is_none());
    let mut transport = Scripted::new(takes_all);
    round::report(&shared, &mut transport);
    assert_eq!(transport.told, [["client-0"]]);

    let client = creator(&shared);
    let waiting = lock(&shared.state).queue.take_urgent();
    assert!(client.answer().is_none());
    assert!(boundary::catch(|| drop_in_panic(waiting)).is_none());
    assert!(client.answer().is_some_and(Result::is_err));
}

fn drop_in_panic(_waiting: Option<Waiting>) {
    panic!("an error of our own");
}

/// A client that waits for its registration.
fn creator(shared: &Shared) -> Arc<Client> {
    let client = Client::unregistered(ClientKind::Producer);
    let message = Message::Register(Arc::clone(&client));
    lock(&shared.state).queue.push(message);
    client
}

/// A closed client that has something to report.
fn with_figures(shared: &Shared) {
    let client = Client::of_test("client-0");
    client.measured_in_test(Measured {
        transport_errors: [(-195, 1)].into(),
        ..Measured::default()
    });
    let mut state = lock(&shared.state);
    state.members.join(&client);
    state.members.close(&client);
    state.members.tidy(|_| true);
}
