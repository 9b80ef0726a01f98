//! A database of an earlier version is mended in place.

use superstream_protocol::measured::{Measured, Records, TopicFigures};

use super::*;

const VERSION_1: &str = include_str!("version1.sql");

fn schema_of(connection: &Connection) -> Vec<(String, String)> {
    let mut names = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        .unwrap();
    let rows = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn version_1_is_what_the_first_step_makes() {
    let old = Connection::open_in_memory().unwrap();
    old.execute_batch(VERSION_1).unwrap();
    let first = Connection::open_in_memory().unwrap();
    first
        .execute_batch(include_str!("../schema/1.sql"))
        .unwrap();
    assert_eq!(schema_of(&old), schema_of(&first));
}

/// A file as the service of then left it: the tables of the first steps, and these rows.
fn file_of_version(dir: &Path, steps: &[&str], rows: &str) -> std::path::PathBuf {
    let file = dir.join("db");
    let old = Connection::open(&file).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    for step in steps {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(rows).unwrap();
    old.pragma_update(None, "application_id", 0x5353_5452)
        .unwrap();
    old.pragma_update(None, "user_version", steps.len() as i32)
        .unwrap();
    file
}

#[test]
fn a_file_of_version_2_is_mended_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let steps = [
        include_str!("../schema/1.sql"),
        include_str!("../schema/2.sql"),
    ];
    let file = file_of_version(dir.path(), &steps, include_str!("version2.sql"));
    let store = Store::open(&file, INTERVAL).unwrap();
    let new = Store::in_memory(INTERVAL).unwrap();
    assert_eq!(schema_of(&store.lock()), schema_of(&new.lock()));

    let hash = "5fd9c4a2b1e84d3c9a7f60e1d2c3b4a5";
    let consumed = |store: &Store| {
        let client = store.client(hash).unwrap().unwrap();
        let figures = client.summary.figures.unwrap().consumed;
        let totals = store.totals().unwrap()["consumer"].figures;
        assert_eq!(totals.consumed_records, figures.records);
        assert_eq!(totals.schema_records, figures.schema_records);
        let page = store.history(hash, 1_000, None).unwrap().unwrap().history;
        let sum = page.iter().map(|row| row.schema_records).sum::<u64>();
        assert_eq!(sum, figures.schema_records);
        (figures.records, figures.schema_records)
    };
    assert_eq!(consumed(&store), (600, 0));
    let topic = TopicFigures {
        consumed: Records {
            records: 1_000,
            bytes: 100_000,
        },
        consumed_with_schema: 300,
        ..TopicFigures::default()
    };
    let next = ClientReport {
        sequence: 3,
        measured: Some(Measured {
            duration_ms: 3_000,
            topics: [("orders".to_owned(), topic)].into(),
            ..Measured::default()
        }),
        ..ClientReport::default()
    };
    report(&store, hash, next);
    assert_eq!(consumed(&store), (1_000, 300));
}

#[test]
fn a_file_of_version_1_is_mended_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("db");
    let old = Connection::open(&file).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(VERSION_1).unwrap();
    drop(old);

    let store = Store::open(&file, INTERVAL).unwrap();
    let new = Store::in_memory(INTERVAL).unwrap();
    assert_eq!(schema_of(&store.lock()), schema_of(&new.lock()));
    let (tuned, observing, silent) = (
        "5fd9c4a2b1e84d3c9a7f60e1d2c3b4a5",
        "00112233445566778899aabbccddeeff",
        "ffeeddccbbaa99887766554433221100",
    );
    let client = store.client(tuned).unwrap().unwrap();
    assert_eq!(client.summary.client_id, "orders");
    assert_eq!(client.changes[0].key, "linger.ms");
    assert_eq!(client.producer_topics_partitions["orders"], [0, 1, 2]);
    assert_eq!((client.reports_total, client.errors.len()), (3, 1));
    assert!(client.summary.figures.is_none() && client.measured.is_none());
    assert_eq!(store.list(&all()).unwrap().clients.len(), 3);

    let is_stock = |hash: &str| -> Option<bool> {
        let sql = "SELECT is_stock FROM clients WHERE hash = ?1";
        let connection = store.lock();
        connection.query_row(sql, [hash], |row| row.get(0)).unwrap()
    };
    assert_eq!(is_stock(tuned), Some(false));
    assert_eq!(
        is_stock(observing),
        Some(true),
        "it plans, and changes nothing"
    );
    assert_eq!(is_stock(silent), None);

    let first = ClientReport {
        sequence: 1,
        measured: Some(Measured::default()),
        ..ClientReport::default()
    };
    report(&store, tuned, first);
    drop(store);
    let store = Store::open(&file, INTERVAL).unwrap();
    let client = store.client(tuned).unwrap().unwrap();
    assert!(client.summary.figures.is_some(), "and opened once more");
    assert_eq!(client.reports_total, 4);
}
