use superstream_protocol::measured::Records;

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

/// Clients that come and go do not have a service asked again that just failed.
#[test]
fn nobody_reports_before_the_pause_is_over() {
    let (client, begin) = (Client::of_test("client-0"), Instant::now());
    let pause = Duration::from_secs(30);
    let mut members = Members::default();
    members.join(&client);
    members.try_again_in(pause);
    members.close(&client);
    members.have_news();
    assert!(members.due().is_some_and(|at| at >= begin + pause));
    assert!(members.tidy_at().is_some_and(|at| at < begin + pause));
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

/// A process may end right after its client: what is all told need not wait for the engine's threads.
#[test]
fn a_client_that_awaits_nothing_says_goodbye_once_and_at_once() {
    for (accepted, leaves) in [(5, true), (6, false)] {
        let client = Client::of_test("client-0");
        client.measured_in_test(measured(accepted, 5));
        let mut members = Members::default();
        members.join(&client);
        assert!(members.leaving().is_empty(), "it is not closed");
        members.close(&client);
        assert!(
            members.leaving().is_empty(),
            "its last figures are not told"
        );
        let draft = members.drafts().remove(0);
        members.is_sent(&draft);
        members.taken(&draft);
        assert_eq!(members.leaving().len(), usize::from(leaves), "{accepted}");
        assert!(members.leaving().is_empty());
    }
}
