//! A database of an earlier version is mended in place.

use superstream_protocol::measured::Measured;

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
