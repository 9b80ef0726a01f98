use superstream_protocol::measured::{Records, TopicFigures};

use superstream_protocol::ClientKind;

use super::*;

#[test]
fn what_the_service_asks_for_is_kept_within_reason() {
    let mut members = Members::default();
    for (asked_ms, interval) in [(0, 1), (1, 1), (60_000, 60), (u64::MAX, 24 * 3600)] {
        members.report_every(asked_ms);
        assert_eq!(
            members.interval,
            Duration::from_secs(interval),
            "{asked_ms}"
        );
    }
}

#[test]
fn processes_that_began_together_do_not_report_together() {
    let interval = Duration::from_secs(100);
    let mut seconds: Vec<u64> = (0..1000).map(|_| with_chance(interval).as_secs()).collect();
    seconds.sort_unstable();
    seconds.dedup();
    assert!((15..=21).contains(&seconds.len()), "{seconds:?}");
    assert!(seconds.iter().all(|second| (90..=110).contains(second)));
}

/// A producer that has accepted and delivered so many records.
fn measured(accepted: u64, delivered: u64) -> Measured {
    let records = |records| Records {
        records,
        bytes: records,
    };
    let orders = TopicFigures {
        accepted: records(accepted),
        delivered: records(delivered),
        ..TopicFigures::default()
    };
    Measured {
        topics: [("orders".to_owned(), orders)].into(),
        ..Measured::default()
    }
}

/// The only client, which has measured so much and told nothing.
fn alone(accepted: u64, delivered: u64) -> (Arc<Client>, Members) {
    let client = Client::of_test("client-0");
    client.measured_in_test(measured(accepted, delivered));
    let mut members = Members::default();
    members.join(&client);
    (client, members)
}

/// The report of the only client.
fn draft_of(members: &mut Members) -> Option<Draft> {
    let candidate = members.candidates().pop()?;
    let measured = candidate.news()?;
    members.draft(&candidate, measured)
}

/// The service takes the report of the only client, which has one because of `why`.
#[track_caller]
fn told(members: &mut Members, why: &str) {
    let draft = draft_of(members).expect(why);
    members.taken(&draft);
}

/// A process may end right after its client: what is all told need not wait for the engine's threads.
#[test]
fn a_client_that_awaits_nothing_says_goodbye_once_and_at_once() {
    for (accepted, leaves) in [(5, true), (6, false)] {
        let (client, mut members) = alone(accepted, 5);
        assert!(members.leaving().is_empty(), "it is not closed");
        members.close(&client);
        assert!(
            members.leaving().is_empty(),
            "its last figures are not told"
        );
        let draft = draft_of(&mut members).expect("it is closed and was not told");
        members.sent(&draft);
        members.taken(&draft);
        assert_eq!(members.leaving().len(), usize::from(leaves), "{accepted}");
        assert!(members.leaving().is_empty());
    }
}

#[test]
fn a_report_that_did_not_get_through_is_due_until_it_does() {
    let (_, mut members) = alone(5, 5);
    told(&mut members, "its topic is not told");
    assert!(draft_of(&mut members).is_none(), "all is told");
    members.all_at = Some(Instant::now());
    for _ in 0..2 {
        let draft = draft_of(&mut members).expect("it is everybody's turn");
        members.sent(&draft);
    }
    told(&mut members, "nobody took it");
    assert!(draft_of(&mut members).is_none());
}

#[test]
fn a_topic_that_was_not_told_is_told_before_everybodys_turn() {
    let (client, mut members) = alone(5, 5);
    told(&mut members, "its topic is not told");
    let mut more = measured(6, 5);
    client.measured_in_test(more.clone());
    assert!(draft_of(&mut members).is_none(), "more records are no news");
    more.topics
        .insert("payments".to_owned(), TopicFigures::default());
    client.measured_in_test(more);
    assert!(draft_of(&mut members).is_some());
}

/// As where two instances of a service do not share what they know.
#[test]
fn a_client_that_stays_unknown_rests() {
    let (_, mut members) = alone(5, 5);
    for _ in 0..2 {
        let draft = draft_of(&mut members).expect("it is told after its registration");
        members.unknown(&draft);
    }
    assert!(draft_of(&mut members).is_none());
}

/// The oldest may be the only one of its kind.
#[test]
fn closed_clients_are_merged_whoever_closed_first() {
    let of_kind = |kind| {
        let client = Client::unregistered(kind);
        client.measured_in_test(measured(1, 1));
        client
    };
    let consumer = of_kind(ClientKind::Consumer);
    let producers = (0..2 * closed::MAX_CLOSED).map(|_| of_kind(ClientKind::Producer));
    let all: Vec<_> = [consumer].into_iter().chain(producers).collect();
    let mut members = Members::default();
    for client in &all {
        members.join(client);
        members.close(client);
    }
    members.tidy(|_| true);
    assert_eq!(members.members.len(), closed::MAX_CLOSED);
    let kept = members
        .members
        .iter()
        .filter_map(|member| member.client.measured());
    let records = kept.map(|measured| measured.all_topics().delivered.records);
    assert_eq!(records.sum::<u64>(), all.len() as u64, "nothing is lost");
}

/// However often that is asked, in all not more than once a second.
#[test]
fn reports_that_are_asked_for_come_at_once_and_not_all_the_time() {
    let (client, mut members) = alone(0, 0);
    client.measured_in_test(Measured::default());
    assert!(draft_of(&mut members).is_none(), "it has no news");
    members.report_now(Some(&["another".to_owned()]));
    assert!(draft_of(&mut members).is_none());
    let begin = Instant::now();
    members.report_now(Some(&["client-0".to_owned()]));
    assert!(members.due().is_some_and(|at| at <= Instant::now()));
    let draft = draft_of(&mut members).expect("without news");
    members.taken(&draft);
    assert!(draft_of(&mut members).is_none());
    for _ in 0..1000 {
        members.report_now(None);
        let due = members.due().unwrap();
        assert!(due >= begin + ASKED_EVERY && due <= Instant::now() + ASKED_EVERY);
    }
}
