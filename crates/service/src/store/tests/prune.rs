//! Who is forgotten, when, and what is left.

use super::figures::{figures, measured, producer, send, totals};
use super::*;
use crate::store::prune::BATCH;

#[test]
fn clients_long_gone_are_forgotten() {
    let store = store();
    let (gone, silent) = (
        register(&store, &client("a", "")),
        register(&store, &client("b", "")),
    );
    assert!(store.goodbye(&gone).unwrap() && store.goodbye(&gone).unwrap());
    assert!(store.error(&gone, "late").unwrap());
    let later = |kept: Duration| now_ms() + millis(kept) + 1_000;
    assert_eq!(store.prune().unwrap(), 0);
    assert_eq!(store.prune_at(later(GONE_KEPT), 10).unwrap(), 1);
    assert!(store.client(&gone).unwrap().is_none() && store.client(&silent).unwrap().is_some());
    let errors: i64 = store
        .lock()
        .query_row("SELECT count(*) FROM errors", [], |row| row.get(0))
        .unwrap();
    assert_eq!(errors, 0, "nothing is left of a forgotten client");
    assert_eq!(store.prune_at(later(SILENT_KEPT), 10).unwrap(), 1);
    assert!(!store.goodbye(&silent).unwrap());
}

#[test]
fn who_was_lost_has_not_said_goodbye() {
    let store = store();
    let (lost, gone) = (
        register(&store, &client("a", "")),
        register(&store, &client("b", "")),
    );
    let both = [lost.clone(), gone.clone()];
    store.put_on_link(&both).unwrap();
    assert_eq!(store.lose(&both).unwrap(), 2);
    assert!(store.goodbye(&gone).unwrap());
    let later = now_ms() + millis(GONE_KEPT) + 1_000;
    assert_eq!(store.prune_at(later, 10).unwrap(), 1);
    assert!(store.client(&lost).unwrap().is_some());

    // Beyond the most clients it goes after those, too, however long it has been silent.
    let gone = register(&store, &client("c", ""));
    assert!(store.goodbye(&gone).unwrap());
    assert_eq!(store.prune_at(now_ms(), 1).unwrap(), 1);
    assert!(store.client(&lost).unwrap().is_some());
}

#[test]
fn beyond_the_most_clients_the_gone_go_first() {
    let store = store();
    let hashes: Vec<_> = (0..4)
        .map(|n| register(&store, &client(&n.to_string(), "")))
        .collect();
    assert!(store.goodbye(&hashes[3]).unwrap());
    assert_eq!(store.prune_at(now_ms(), 3).unwrap(), 1);
    assert!(store.client(&hashes[3]).unwrap().is_none());
}

#[test]
fn beyond_the_most_clients_the_silent_go_before_the_living() {
    let mut store = store();
    store.report_interval = INTERVAL * 10;
    let patient = register(&store, &client("a", ""));
    store.report_interval = INTERVAL;
    let (silent, gone) = (
        register(&store, &client("b", "")),
        register(&store, &client("c", "")),
    );
    assert!(store.goodbye(&gone).unwrap());
    for (hash, ago) in [(&patient, INTERVAL * 9), (&silent, INTERVAL * 4)] {
        let sql = "UPDATE clients SET seen_ms = seen_ms - ?2 WHERE hash = ?1";
        store.lock().execute(sql, (hash, millis(ago))).unwrap();
    }
    let is_there = |hash: &str| store.client(hash).unwrap().is_some();
    assert_eq!(store.prune_at(now_ms(), 2).unwrap(), 1);
    assert!(!is_there(&gone), "who is silent may come back");
    assert_eq!(store.prune_at(now_ms(), 1).unwrap(), 1);
    assert!(!is_there(&silent) && is_there(&patient));
}

#[test]
fn totals_do_not_fall_when_clients_are_forgotten() {
    let store = store();
    let (before, after) = (producer(&store, true), producer(&store, false));
    send(&store, &before, 1, measured(1, 110_000));
    send(&store, &after, 1, measured(10, 10_000));
    let present = totals(&store);
    assert_eq!(present.figures.delivered_records, 11_000);
    assert_eq!(present.latency.count(), 11_000);
    assert_eq!((present.compared, present.saved_bytes), (1, 1_000_000.0));

    assert!(store.goodbye(&after).unwrap());
    let later = now_ms() + millis(GONE_KEPT) + 1_000;
    assert_eq!(store.prune_at(later, 10).unwrap(), 1);
    let left = totals(&store);
    assert_eq!((present.known, left.known), (2, 1));
    assert_eq!((present.alive, left.alive), (2, 1));
    assert_eq!(left.figures, present.figures);
    assert_eq!(left.latency, present.latency);
    assert_eq!((left.compared, left.saved_bytes), (1, 1_000_000.0));
    let rows: i64 = store
        .lock()
        .query_row("SELECT count(*) FROM history", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1, "but nothing else is left");
}

#[test]
fn a_baseline_outlives_its_week() {
    let store = store();
    let (old, new) = (producer(&store, true), producer(&store, true));
    for hash in [&old, &new] {
        send(&store, hash, 1, measured(1, 110_000));
        assert!(store.goodbye(hash).unwrap());
    }
    let later = |kept: Duration| now_ms() + millis(kept) + 1_000;
    assert_eq!(store.prune_at(later(GONE_KEPT), 10).unwrap(), 1);
    assert!(
        store.client(&old).unwrap().is_none(),
        "a newer one is there"
    );
    let tuned = producer(&store, false);
    send(&store, &tuned, 1, measured(10, 11_000));
    let baseline = figures(&store, &tuned).baseline.unwrap();
    assert_eq!(baseline.client_hash, new);
    assert_eq!(store.prune_at(later(BASELINE_KEPT), 10).unwrap(), 2);
    assert_eq!(totals(&store).compared, 1);
}

#[test]
fn a_baseline_stays_as_long_as_who_is_compared_with_it() {
    let store = store();
    let (before, tuned) = (producer(&store, true), producer(&store, false));
    let later = producer(&store, true);
    send(&store, &before, 1, measured(1, 110_000));
    send(&store, &tuned, 1, measured(10, 10_000));
    send(&store, &later, 1, measured(1, 110_000));
    assert!(store.goodbye(&before).unwrap());
    let week = now_ms() + millis(GONE_KEPT) + 1_000;
    assert_eq!(store.prune_at(week, 10).unwrap(), 0);
    assert_eq!(
        figures(&store, &tuned).baseline.unwrap().client_hash,
        before
    );
    assert_eq!(totals(&store).saved_bytes, 1_000_000.0);

    assert!(store.goodbye(&tuned).unwrap());
    assert_eq!(store.prune_at(week, 10).unwrap(), 2, "they go together");
    assert_eq!(totals(&store).saved_bytes, 1_000_000.0, "the saving stays");
}

#[test]
fn beyond_the_most_clients_baselines_go_last_of_the_gone() {
    let store = store();
    let (before, live) = (producer(&store, true), producer(&store, true));
    let (first, second) = (producer(&store, false), producer(&store, false));
    send(&store, &before, 1, measured(1, 110_000));
    for hash in [&before, &first, &second] {
        assert!(store.goodbye(hash).unwrap());
    }
    // Heard of longest ago.
    let sql = "UPDATE clients SET seen_ms = seen_ms - 1000 WHERE hash = ?1";
    store.lock().execute(sql, [&before]).unwrap();
    let is_there = |hash: &str| store.client(hash).unwrap().is_some();
    assert_eq!(store.prune_at(now_ms(), 2).unwrap(), 2);
    assert!(is_there(&before) && is_there(&live));
    assert_eq!(store.prune_at(now_ms(), 1).unwrap(), 1);
    assert!(is_there(&live), "but live clients stay longer");
}

#[test]
fn what_was_saved_stays_however_many_are_forgotten() {
    is_saved_however_many_are_forgotten(true, Duration::ZERO);
}

#[test]
fn what_was_saved_stays_where_nobody_says_goodbye() {
    is_saved_however_many_are_forgotten(false, INTERVAL * 4);
    // All of them are still alive.
    is_saved_however_many_are_forgotten(false, Duration::ZERO);
}

fn is_saved_however_many_are_forgotten(with_goodbyes: bool, after: Duration) {
    let store = store();
    let before = producer(&store, true);
    send(&store, &before, 1, measured(1, 110_000));
    assert!(!with_goodbyes || store.goodbye(&before).unwrap());
    for _ in 0..BATCH + 2 {
        let tuned = producer(&store, false);
        send(&store, &tuned, 1, measured(1, 10_000));
        assert!(!with_goodbyes || store.goodbye(&tuned).unwrap());
    }
    let present = totals(&store);
    assert_eq!(present.saved_bytes, 100_000.0 * (BATCH + 2) as f64);
    let now = now_ms() + millis(after);
    assert_eq!(store.prune_at(now, 0).unwrap(), BATCH + 3);
    let left = totals(&store);
    assert_eq!((present.known, left.known), (BATCH as u64 + 3, 0));
    assert_eq!(
        (left.compared, left.saved_bytes),
        (present.compared, present.saved_bytes)
    );
}

#[test]
fn many_are_forgotten_some_at_a_time() {
    let store = store();
    for _ in 0..=BATCH {
        let hash = register(&store, &client("a", ""));
        assert!(store.goodbye(&hash).unwrap());
    }
    let left = || {
        let sql = "SELECT count(*) FROM clients";
        let left = store.lock().query_row(sql, [], |row| row.get(0));
        let left: usize = left.unwrap();
        left
    };
    let last_fails = "CREATE TEMP TRIGGER last BEFORE DELETE ON main.clients \
         WHEN (SELECT count(*) FROM clients) <= 1 BEGIN SELECT RAISE(ABORT, 'full'); END";
    store.lock().execute_batch(last_fails).unwrap();
    let week = now_ms() + millis(GONE_KEPT) + 1_000;
    assert!(store.prune_at(week, BATCH as u64).is_err());
    assert_eq!(left(), 1, "the others are done with");
    store.lock().execute_batch("DROP TRIGGER last").unwrap();
    assert_eq!(store.prune_at(week, BATCH as u64).unwrap(), 1);
}
