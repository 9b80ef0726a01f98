use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::measured::{Measured, Records, TopicFigures};
use superstream_protocol::{ClientKind, ClientReport, Registered, ReportsTaken};

use super::*;
use crate::report::record::Client;
use crate::service::members::closed::{MAX_CLOSED, MAX_KEPT};
use crate::service::queue::Message;
use crate::service::scripted::Scripted;

fn taken(reports: &Reports) -> ReportsTaken {
    let taken = |report: &ClientReport| ReportTaken {
        client_hash: report.client_hash.clone(),
        sequence: report.sequence,
        ..ReportTaken::default()
    };
    ReportsTaken {
        reports: reports.reports.iter().map(taken).collect(),
        ..ReportsTaken::default()
    }
}

fn shared() -> Shared {
    Shared::new(Duration::from_secs(3), || {})
}

/// Clients that have delivered a record each and are closed.
fn closed(shared: &Shared, count: usize) {
    let record = Records {
        records: 1,
        bytes: 1,
    };
    let orders = TopicFigures {
        accepted: record,
        delivered: record,
        ..TopicFigures::default()
    };
    let measured = Measured {
        topics: [("orders".to_owned(), orders)].into(),
        ..Measured::default()
    };
    let mut state = lock(&shared.state);
    for number in 0..count {
        let client = Client::of_test(&format!("client-{number}"));
        client.measured_in_test(measured.clone());
        state.members.join(&client);
        state.members.close(&client);
    }
}

/// As the session's thread does between two rounds.
fn tidy(shared: &Shared) {
    let mut state = lock(&shared.state);
    let gone = state.members.tidy(|_| true);
    state.say_goodbye(gone);
}

#[test]
fn whoever_is_being_created_goes_before_further_reports() {
    let shared = shared();
    closed(&shared, 2 * MAX_REPORTS);
    let creator = Client::unregistered(ClientKind::Producer);
    let comes = |reports: &Reports| {
        lock(&shared.state)
            .queue
            .push(Message::Register(Arc::clone(&creator)));
        Ok(taken(reports))
    };
    let mut transport = Scripted::new(comes);
    report(&shared, &mut transport);
    assert_eq!(transport.told.len(), 1);

    creator.answered(Err("an answer".to_owned()));
    let mut transport = Scripted::new(|reports: &Reports| Ok(taken(reports)));
    report(&shared, &mut transport);
    assert_eq!(transport.told.len(), 1, "the rest comes next");
    assert_eq!(transport.told[0].len(), MAX_REPORTS);
}

/// Its word to start may lie there: it is looked for between two requests.
#[test]
fn whoever_waits_for_a_word_to_start_goes_before_further_reports() {
    let shared = shared();
    closed(&shared, 2 * MAX_REPORTS);
    let creator = Client::unregistered(ClientKind::Producer);
    let (registered, limit) = (Registered::default(), Duration::from_secs(60));
    let mut state = lock(&shared.state);
    state
        .starting
        .push(&creator, registered, Instant::now(), limit);
    drop(state);
    for told in 1..=2 {
        let mut transport = Scripted::new(|reports: &Reports| Ok(taken(reports)));
        report(&shared, &mut transport);
        assert_eq!(transport.told.len(), 1, "{told}");
    }
    assert!(drafts(&shared).is_empty());
}

/// A service that answers one report of each request, and never says a word on the others.
#[test]
fn what_is_never_acknowledged_is_bounded_and_what_is_given_up_is_told() {
    const BEYOND: usize = 3 * MAX_REPORTS;
    let shared = shared();
    closed(&shared, MAX_KEPT + BEYOND);
    let mut transport = Scripted::new(|reports: &Reports| {
        let mut answer = taken(reports);
        answer.reports.truncate(1);
        Ok(answer)
    });
    report(&shared, &mut transport);
    let requests = transport.told.len();
    tidy(&shared);
    let mut state = lock(&shared.state);
    let told = state.troubles.take_news(None).join("; ");
    let given_up = BEYOND - requests;
    assert!(
        told.contains(&format!("{given_up} clients were given up")),
        "{told}"
    );
    assert_eq!(state.troubles.shown().given_up, given_up as u64);
    drop(state);
    assert_eq!(drafts(&shared).len(), MAX_KEPT);
}

/// While a service fails, closed clients come and go, and one report alone tries whether it is well.
#[test]
fn a_service_that_fails_for_long_loses_nothing() {
    const EACH_ROUND: usize = 100;
    let shared = shared();
    let mut failing = Scripted::new(|_: &Reports| Err(Failure::Failed("an error".to_owned())));
    for _ in 0..30 {
        closed(&shared, EACH_ROUND);
        report(&shared, &mut failing);
        tidy(&shared);
    }
    let sizes: Vec<usize> = failing.told.iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().skip(2).max(), Some(&1), "{sizes:?}");
    let kept = drafts(&shared);
    assert!(kept.len() < 2 * MAX_CLOSED, "{}", kept.len());
    let records = kept
        .iter()
        .filter_map(|draft| draft.report.measured.as_ref());
    let records: u64 = records
        .map(|measured| measured.all_topics().delivered.records)
        .sum();
    assert_eq!(records, 30 * EACH_ROUND as u64);
}

#[test]
fn what_was_refused_rests() {
    let shared = shared();
    closed(&shared, 2);
    let refuse = |_: &Reports| Err(Failure::Refused("not this one".to_owned()));
    let mut transport = Scripted::new(refuse);
    report(&shared, &mut transport);
    report(&shared, &mut transport);
    let told = [
        vec!["client-0", "client-1"],
        vec!["client-0"],
        vec!["client-1"],
    ];
    assert_eq!(transport.told, told);
    assert!(drafts(&shared).is_empty());
    closed(&shared, 1);
    assert_eq!(drafts(&shared).len(), 1);
}

#[test]
fn one_report_that_is_refused_takes_no_other_with_it() {
    let shared = shared();
    closed(&shared, MAX_REPORTS);
    let is_refused = |one: &ClientReport| one.client_hash == "client-7";
    let mut transport =
        Scripted::new(
            |reports: &Reports| match reports.reports.iter().any(is_refused) {
                true => Err(Failure::Refused("not this one".to_owned())),
                false => Ok(taken(reports)),
            },
        );
    report(&shared, &mut transport);
    assert!(
        lock(&shared.state)
            .members
            .due()
            .is_some_and(|at| at <= Instant::now())
    );
    report(&shared, &mut transport);
    assert!(
        drafts(&shared).is_empty(),
        "one rests, the others are taken"
    );
    let state = lock(&shared.state);
    assert!(state.troubles.shown().refused.is_some());
    assert_eq!(transport.told.len(), 1 + MAX_REPORTS);
}

/// Another token: few requests tell, whoever reports.
#[test]
fn a_service_that_refuses_all_is_not_asked_for_each() {
    let shared = shared();
    closed(&shared, 10 * MAX_REPORTS);
    let refuse = |_: &Reports| Err(Failure::Refused("another token".to_owned()));
    let mut transport = Scripted::new(refuse);
    while lock(&shared.state).reports.is_over(Instant::now()) {
        report(&shared, &mut transport);
    }
    assert!(transport.told.len() <= MAX_BAD_ANSWERS as usize);
    assert_eq!(lock(&shared.state).troubles.shown().outage, None);
}

#[test]
fn what_the_service_could_not_take_goes_last_and_alone() {
    let shared = shared();
    closed(&shared, 2);
    let mut failing = Scripted::new(|_: &Reports| Err(Failure::Failed("an error".to_owned())));
    report(&shared, &mut failing);
    closed(&shared, 4);
    let mut transport = Scripted::new(|reports: &Reports| Ok(taken(reports)));
    report(&shared, &mut transport);
    let sizes: Vec<usize> = transport.told.iter().map(Vec::len).collect();
    // The first of them shows whether the service is well.
    assert_eq!(sizes, [1, 4, 1]);
}

/// The service is well, but for one report that it cannot take.
#[test]
fn one_report_that_always_fails_holds_up_no_other() {
    let shared = shared();
    closed(&shared, 3);
    let mut transport = Scripted::new(|reports: &Reports| {
        match reports
            .reports
            .iter()
            .any(|one| one.client_hash == "client-0")
        {
            true => Err(Failure::Failed("an error".to_owned())),
            false => Ok(taken(reports)),
        }
    });
    for _ in 0..6 {
        report(&shared, &mut transport);
    }
    let left: Vec<_> = drafts(&shared)
        .iter()
        .map(|draft| draft.client.hash())
        .collect();
    assert_eq!(left, [Some("client-0".to_owned())]);
}

/// It answers, so this is no outage.
#[test]
fn a_service_that_refuses_is_reached() {
    let shared = shared();
    closed(&shared, 1);
    let away = |_: &Reports| Err(Failure::Unavailable("connection refused".to_owned()));
    report(&shared, &mut Scripted::new(away));
    assert!(lock(&shared.state).troubles.shown().outage.is_some());
    let refuse = |_: &Reports| Err(Failure::Refused("another token".to_owned()));
    report(&shared, &mut Scripted::new(refuse));
    let shown = lock(&shared.state).troubles.shown();
    assert_eq!(
        (shown.outage, shown.refused.as_deref()),
        (None, Some("another token"))
    );
    closed(&shared, 1);
    report(
        &shared,
        &mut Scripted::new(|reports: &Reports| Ok(taken(reports))),
    );
    assert_eq!(lock(&shared.state).troubles.shown().refused, None);
}
