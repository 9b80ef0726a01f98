//! Clients that say nothing while they run.

use superstream_protocol::ClientKind;
use superstream_protocol::measured::Measured;

use super::*;
use crate::store::quiet::{self, START_WAIT};

const CONNECTION: Manner = Manner::Quiet(Some("NAT1:7"));

fn met(store: &Store) -> String {
    let registration = RegisterClient::default();
    let met = store.register(&registration, false, CONNECTION, |_| StartClient::default());
    met.unwrap().0
}

/// Whom a look at a time is for.
fn sought(store: &Store, now: i64) -> Vec<Sought> {
    store.sought_at(now, 10).unwrap()
}

fn looked(store: &Store, now: i64, sought: &Sought, is_there: bool) {
    store.looked_at(now, &[(sought.clone(), is_there)]).unwrap();
}

fn is_gone(store: &Store, hash: &str) -> bool {
    store
        .client(hash)
        .unwrap()
        .unwrap()
        .summary
        .gone_at_ms
        .is_some()
}

#[test]
fn who_takes_no_start_is_given_up() {
    let store = store();
    let hash = met(&store);
    let begin = now_ms();
    assert!(store.awaits_start(&hash).unwrap());
    assert_eq!(
        sought(&store, begin),
        [],
        "who registered it cares for it first"
    );
    store.hand_over(std::slice::from_ref(&hash)).unwrap();
    let look = sought(&store, begin);
    assert_eq!(look.len(), 1, "another instance does at once, if that ends");
    let later = begin + millis(START_WAIT) / 2;
    let look = sought(&store, later);
    assert_eq!(look[0].start, Some(StartClient::default()));
    assert_eq!(
        sought(&store, later),
        [],
        "another instance does not look too"
    );
    looked(&store, later, &look[0], false);
    assert!(!is_gone(&store, &hash));
    let late = now_ms() + millis(START_WAIT) + 1;
    let look = sought(&store, late);
    looked(&store, late, &look[0], false);
    assert!(is_gone(&store, &hash) && sought(&store, late * 2).is_empty());
    assert!(!store.awaits_start(&hash).unwrap());
}

#[test]
fn who_says_something_does_not_run_for_that() {
    let store = store();
    let hash = met(&store);
    assert!(store.hear(&hash, false).unwrap());
    assert!(store.awaits_start(&hash).unwrap());
    let late = now_ms() + millis(START_WAIT) + 1;
    let look = sought(&store, late);
    looked(&store, late, &look[0], false);
    assert!(is_gone(&store, &hash));
    assert!(store.hear(&hash, false).unwrap());
    let look = sought(&store, now_ms());
    assert!(look[0].start.is_some() && !is_gone(&store, &hash), "again");
    assert!(store.hear(&hash, true).unwrap());
    assert!(!store.awaits_start(&hash).unwrap());
    assert!(store.hear(&hash, false).unwrap());
    let later = now_ms() + millis(store.looks().usual);
    assert_eq!(sought(&store, later)[0].start, None, "it still runs");
}

#[test]
fn two_looks_in_vain_are_needed() {
    let store = store();
    let hash = met(&store);
    assert!(store.hear(&hash, true).unwrap());
    assert!(!store.awaits_start(&hash).unwrap());
    let mut now = now_ms() + millis(store.looks().usual);
    let mut look = |is_there| {
        let look = sought(&store, now);
        assert_eq!(look.len(), 1, "{now}");
        assert_eq!(look[0].start, None);
        looked(&store, now, &look[0], is_there);
        let pause = if is_there {
            store.looks().usual
        } else {
            store.looks().again
        };
        assert_eq!(sought(&store, now + millis(pause) - 1), []);
        now += millis(pause);
        is_gone(&store, &hash)
    };
    for (is_there, expected) in [(true, false), (false, false), (true, false), (false, false)] {
        assert_eq!(look(is_there), expected);
    }
    let last = sought(&store, now);
    looked(&store, now, &last[0], false);
    assert!(is_gone(&store, &hash), "two in a row");
    assert!(store.hear(&hash, true).unwrap());
    assert!(!is_gone(&store, &hash), "it is heard of again");
}

#[test]
fn who_speaks_while_it_is_looked_for_is_there() {
    let store = store();
    let hash = met(&store);
    assert!(store.hear(&hash, true).unwrap());
    let mut now = now_ms() + millis(store.looks().usual);
    let first = sought(&store, now);
    looked(&store, now, &first[0], false);
    now += millis(store.looks().again);
    let second = sought(&store, now);
    assert!(store.hear(&hash, true).unwrap());
    looked(&store, now, &second[0], false);
    assert!(!is_gone(&store, &hash));
}

#[test]
fn who_reports_is_never_sought() {
    let store = store();
    let hash = register(&store, &RegisterClient::default());
    assert!(store.hear(&hash, true).unwrap());
    assert_eq!(sought(&store, i64::MAX / 2), []);
    assert!(!store.hear("nobody", true).unwrap());
}

#[test]
fn a_repeated_registration_is_of_the_same_connection_and_the_same_words() {
    let store = store();
    let hash = met(&store);
    assert!(store.hear(&hash, true).unwrap());
    assert_eq!(met(&store), hash);
    assert!(store.awaits_start(&hash).unwrap(), "once more");
    let other = RegisterClient {
        language: "go".into(),
        ..RegisterClient::default()
    };
    let register = |registration: &RegisterClient, manner| {
        store
            .register(registration, false, manner, |_| StartClient::default())
            .unwrap()
            .0
    };
    assert_ne!(register(&other, CONNECTION), hash);
    let same = RegisterClient::default();
    assert_ne!(register(&same, Manner::Quiet(Some("NAT1:8"))), hash);
    assert_ne!(register(&same, Manner::Quiet(None)), hash);
    assert_ne!(register(&same, Manner::Reports), hash);
    store.goodbye(&hash).unwrap();
    assert_ne!(met(&store), hash, "it was another's");
}

#[test]
fn a_kind_is_told_once() {
    let store = store();
    let hash = met(&store);
    let kind = |kind| store.set_kind(&hash, kind).unwrap();
    assert_eq!(kind(ClientKind::Admin), KindTold::New);
    assert_eq!(kind(ClientKind::Producer), KindTold::Known);
    let shown = store.client(&hash).unwrap().unwrap().summary.kind;
    assert_eq!(shown, Some(ClientKind::Admin));
    let nobody = store.set_kind("nobody", ClientKind::Admin).unwrap();
    assert_eq!(nobody, KindTold::Unknown);

    let counted = register(&store, &RegisterClient::default());
    let figures = ClientReport {
        sequence: 1,
        measured: Some(Measured::default()),
        ..ClientReport::default()
    };
    report(&store, &counted, figures);
    let told = store.set_kind(&counted, ClientKind::Producer).unwrap();
    assert_eq!(told, KindTold::Known, "its figures are counted without one");
}

#[test]
fn whether_anybody_is_due_is_found_by_an_index() {
    plans::is_found_by(quiet::IS_ANY_DUE, "INDEX clients_to_look_for (look_ms<?)");
}
