//! Figures: what is kept of them, and what is made of them.

use superstream_protocol::measured::{BrokerFigures, Measured, Records, Requests, TopicFigures};
use superstream_protocol::{Change, ClientConfigUpdate, ClientKind};

use super::*;
use crate::view::{ClientFigures, TotalsView};

/// What a client has measured after so many rounds of 1000 records of 100 bytes.
pub fn measured(rounds: u64, wire_bytes: u64) -> Measured {
    let records = Records {
        records: 1_000 * rounds,
        bytes: 100_000 * rounds,
    };
    let topic = TopicFigures {
        accepted: records,
        delivered: records,
        ..TopicFigures::default()
    };
    let broker = BrokerFigures {
        produce: Requests {
            requests: 10 * rounds,
            bytes: wire_bytes * rounds,
        },
        ..BrokerFigures::default()
    };
    let mut measured = Measured {
        duration_ms: 1_000 * rounds,
        topics: [("orders".to_owned(), topic)].into(),
        brokers: vec![broker],
        ..Measured::default()
    };
    measured.delivery_latency_us.0.insert(100, 1_000 * rounds);
    measured
}

fn numbered(hash: &str, sequence: u64, measured: Measured) -> ClientReport {
    ClientReport {
        client_hash: hash.to_owned(),
        sequence,
        measured: Some(measured),
        ..ClientReport::default()
    }
}

pub fn send(store: &Store, hash: &str, sequence: u64, measured: Measured) {
    report(store, hash, numbered(hash, sequence, measured));
}

pub fn producer(store: &Store, is_stock: bool) -> String {
    let registration = RegisterClient {
        kind: Some(ClientKind::Producer),
        ..client("orders", "")
    };
    let hash = register(store, &registration);
    let change = Change {
        key: "linger.ms".into(),
        old: None,
        new: "100".into(),
        reason: "advice".into(),
    };
    let update = ClientConfigUpdate {
        changes: if is_stock { vec![] } else { vec![change] },
        ..ClientConfigUpdate::default()
    };
    assert!(store.configure(&hash, &update).unwrap());
    hash
}

pub fn figures(store: &Store, hash: &str) -> ClientFigures {
    let client = store.client(hash).unwrap().unwrap();
    client.summary.figures.unwrap()
}

pub fn totals(store: &Store) -> KindTotals {
    let totals = store.totals().unwrap();
    totals.get("producer").cloned().unwrap_or_default()
}

#[test]
fn the_oldest_of_a_long_history_are_added_up() {
    let store = store();
    let hash = producer(&store, true);
    let count = MAX_HISTORY as u64 + 7;
    for n in 1..=count {
        send(&store, &hash, n, measured(n, 110_000));
    }
    let page = |limit, after| store.history(&hash, limit, after).unwrap().unwrap();
    let rows = page(2_000, None).history;
    assert_eq!(rows.len() as i64, MAX_HISTORY);
    assert_eq!((rows[0].number, rows[0].reports), (count as i64, 1));
    let oldest = rows.last().unwrap();
    assert_eq!((oldest.number, oldest.reports), (8, 8));
    assert_eq!(oldest.delivered_records, 8_000);
    let sum: u64 = rows.iter().map(|row| row.delivered_records).sum();
    assert_eq!(sum, 1_000 * count);
    let sum: u64 = rows.iter().map(|row| row.measured_ms).sum();
    assert_eq!(sum, 1_000 * count);
    let last = page(5, Some(10));
    let numbers: Vec<_> = last.history.iter().map(|row| row.number).collect();
    assert_eq!((numbers, last.next), (vec![9, 8], None));
}

#[test]
fn who_is_silent_is_not_alive() {
    let store = store();
    let hash = producer(&store, true);
    let listed = |alive: bool| {
        let query = ListQuery {
            alive: Some(alive),
            ..all()
        };
        let clients = store.list(&query).unwrap().clients;
        assert!(clients.iter().all(|client| client.alive == alive));
        clients.len()
    };
    assert_eq!(totals(&store).alive, 1);
    assert_eq!((listed(true), listed(false)), (1, 0));
    store
        .lock()
        .execute("UPDATE clients SET seen_ms = seen_ms - 61000", [])
        .unwrap();
    assert_eq!((totals(&store).known, totals(&store).alive), (1, 0));
    assert_eq!((listed(true), listed(false)), (0, 1));
    send(&store, &hash, 1, Measured::default());
    assert_eq!(totals(&store).alive, 1);
    assert!(store.goodbye(&hash).unwrap());
    assert_eq!((listed(true), listed(false)), (0, 1));
    let client = store.client(&hash).unwrap().unwrap();
    assert!(!client.summary.alive);
}

#[test]
fn who_was_told_a_longer_interval_may_be_silent_for_longer() {
    let mut store = store();
    let hash = producer(&store, true);
    assert!(is_alive_after(&store, &hash, 50) && !is_alive_after(&store, &hash, 61));
    store.report_interval = Duration::from_secs(10);
    hear(&store, &hash, true);
    assert!(is_alive_after(&store, &hash, 20) && !is_alive_after(&store, &hash, 50));
    store.report_interval = Duration::from_secs(600);
    hear(&store, &hash, true);
    assert!(is_alive_after(&store, &hash, 1_700) && !is_alive_after(&store, &hash, 1_801));
    store.report_interval = INTERVAL;
    hear(&store, &hash, false);
    assert!(
        is_alive_after(&store, &hash, 1_700),
        "it was told nothing else"
    );
}

/// A process reports for all of its clients as often as any of them was told last.
#[test]
fn who_shares_a_process_may_be_silent_for_as_long_as_the_others() {
    let mut store = store();
    let (told, other) = (producer(&store, true), producer(&store, true));
    store.report_interval = Duration::from_secs(600);
    hear(&store, &told, true);
    for hash in [&told, &other] {
        assert!(is_alive_after(&store, hash, 1_700) && !is_alive_after(&store, hash, 1_801));
    }
    assert!(is_alive_after(&store, &other, 1_700));
    assert_eq!(totals(&store).alive, 2);
    let query = ListQuery {
        alive: Some(true),
        ..all()
    };
    assert_eq!(store.list(&query).unwrap().clients.len(), 2);

    store.report_interval = INTERVAL;
    assert!(
        is_alive_after(&store, &told, 1_700),
        "it has not heard of the shorter one"
    );
    assert!(is_alive_after(&store, &other, 50) && !is_alive_after(&store, &other, 61));
}

/// A client has something to say, and is told how often to report or is not.
fn hear(store: &Store, hash: &str, is_told: bool) {
    let report = ClientReport {
        client_hash: hash.to_owned(),
        ..ClientReport::default()
    };
    store.report(&[report], is_told).unwrap();
}

/// Whether all clients being silent for so long, this one is alive.
fn is_alive_after(store: &Store, hash: &str, seconds: u32) -> bool {
    let sql = "UPDATE clients SET seen_ms = ?1";
    let seen_ms = now_ms() - 1_000 * i64::from(seconds);
    store.lock().execute(sql, [seen_ms]).unwrap();
    store.client(hash).unwrap().unwrap().summary.alive
}

#[test]
fn who_counts_anew_loses_nothing_and_counts_nothing_twice() {
    let store = store();
    let hash = producer(&store, true);
    send(&store, &hash, 1, measured(5, 100));
    send(&store, &hash, 2, measured(3, 1_000));
    // What is old has not begun anew.
    for (sequence, rounds) in [(1, 1), (2, 4)] {
        let old = numbered(&hash, sequence, measured(rounds, 1_000));
        let receipts = store.report(&[old], true).unwrap();
        let expected = Receipt::Taken {
            sequence: 2,
            again: true,
        };
        assert_eq!(receipts, [expected]);
    }
    send(&store, &hash, 3, measured(4, 1_000));
    // Once more, although it has sent more than ever: its clock went back.
    let mut third = measured(6, 1_000);
    third.duration_ms = 10;
    send(&store, &hash, 4, third);

    let figures = figures(&store, &hash);
    assert_eq!(figures.produced.records, 15_000);
    assert_eq!(figures.produced.wire_bytes, 10_500);
    assert_eq!(figures.measured_ms, 9_010);
    let rates = figures.rates.unwrap();
    assert_eq!(
        rates.produced_records, 600_000.0,
        "of the last report alone"
    );
    let totals = totals(&store);
    assert_eq!(totals.figures.delivered_records, 15_000);
    assert_eq!(totals.figures.wire_bytes, 10_500);
    assert_eq!(totals.latency.count(), 15_000);
    let history = store.history(&hash, 10, None).unwrap().unwrap().history;
    let records: Vec<_> = history.iter().map(|row| row.delivered_records).collect();
    assert_eq!(records, [6_000, 1_000, 3_000, 5_000]);
}

#[test]
fn who_counts_anew_without_numbers_is_not_told_from_a_late_report() {
    let store = store();
    let hash = producer(&store, true);
    for rounds in [5, 3, 6] {
        send(&store, &hash, 0, measured(rounds, 100));
    }
    assert_eq!(figures(&store, &hash).produced.records, 6_000);
    assert_eq!(totals(&store).figures.delivered_records, 6_000);
    assert_eq!(totals(&store).latency.count(), 6_000);
}

#[test]
fn who_counted_anew_is_no_baseline_and_stays_with_its_topic() {
    let store = store();
    let before = producer(&store, true);
    send(&store, &before, 1, measured(1, 110_000));
    let restarted = producer(&store, true);
    send(&store, &restarted, 1, measured(2, 10));
    send(&store, &restarted, 2, measured(1, 10));
    let tuned = producer(&store, false);
    send(&store, &tuned, 1, measured(2, 11_000));
    send(&store, &tuned, 2, measured(1, 11_000));
    let baseline = || figures(&store, &tuned).baseline;
    assert_eq!(baseline().unwrap().client_hash, before);

    // From nothing again, to another topic: nobody can tell their bytes on the wire apart.
    let mut other = measured(1, 11_000);
    other.duration_ms = 1;
    other.topics = [("bills".to_owned(), other.topics["orders"].clone())].into();
    send(&store, &tuned, 3, other.clone());
    other.duration_ms = 2;
    send(&store, &tuned, 4, other);
    assert!(baseline().is_none());
    let why = figures(&store, &tuned).no_baseline_because.unwrap();
    assert!(why.contains("several topics"), "{why}");
}

#[test]
fn who_counts_anew_stays_merged() {
    let store = store();
    let before = producer(&store, true);
    send(&store, &before, 1, measured(1, 110_000));
    let tuned = producer(&store, false);
    let merged = Measured {
        merged_clients: 2,
        ..measured(2, 11_000)
    };
    send(&store, &tuned, 1, merged);
    for rounds in [1, 3] {
        send(&store, &tuned, 1 + rounds, measured(rounds, 11_000));
        let figures = figures(&store, &tuned);
        assert!(figures.baseline.is_none(), "its totals hold others' too");
        let why = figures.no_baseline_because.unwrap();
        assert!(why.contains("figures of other clients"), "{why}");
    }
}

#[test]
fn a_rate_is_of_one_client_that_is_there() {
    let store = store();
    let hash = producer(&store, true);
    let records = || {
        let rates = figures(&store, &hash).rates;
        rates.map(|rates| rates.produced_records)
    };
    send(&store, &hash, 1, measured(1, 100));
    send(&store, &hash, 2, measured(2, 100));
    assert_eq!(records(), Some(1_000.0));
    for (sequence, rate) in [(3, None), (4, Some(1_000.0))] {
        let merged = Measured {
            merged_clients: 1,
            ..measured(sequence, 100)
        };
        send(&store, &hash, sequence, merged);
        assert_eq!(records(), rate);
    }
    assert!(store.goodbye(&hash).unwrap());
    assert_eq!(records(), None);
}

#[test]
fn two_processes_of_one_name_are_two_clients() {
    let store = store();
    let (one, other) = (producer(&store, true), producer(&store, true));
    for (hash, rounds) in [(&one, 5), (&other, 3), (&one, 6), (&other, 4)] {
        send(&store, hash, rounds, measured(rounds, 100));
    }
    assert_eq!(figures(&store, &one).produced.records, 6_000);
    assert_eq!(figures(&store, &other).produced.records, 4_000);
    assert_eq!(totals(&store).figures.delivered_records, 10_000);
}

#[test]
fn kinds_are_summed_apart_and_together() {
    let store = store();
    let hash = producer(&store, true);
    let nameless = register(&store, &client("x", ""));
    send(&store, &hash, 1, measured(2, 100));
    send(&store, &nameless, 1, measured(3, 100));
    let view = TotalsView::from(&store.totals().unwrap());
    assert_eq!(view.all.produced.records, 5_000);
    assert_eq!(view.by_type["producer"].produced.records, 2_000);
    assert_eq!(view.by_type["unknown"].produced.records, 3_000);
}
