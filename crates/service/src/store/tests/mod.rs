//! What the store keeps, and for how long.

mod figures;
mod migration;
mod plans;
mod prune;
mod quiet;

use superstream_protocol::{ClientReport, RegisterClient, StartClient};

use super::*;
use crate::rules::Past;
use crate::view::ListQuery;

/// How often clients are told to report.
const INTERVAL: Duration = Duration::from_secs(20);

fn store() -> Store {
    Store::in_memory(INTERVAL).unwrap()
}

fn client(client_id: &str, tags: &str) -> RegisterClient {
    let config = serde_json::json!({"client.id": client_id});
    RegisterClient {
        config: config.as_object().unwrap().clone(),
        client_host: "host".into(),
        tags: tags.into(),
        ..RegisterClient::default()
    }
}

fn register(store: &Store, registration: &RegisterClient) -> String {
    store
        .register(registration, false, Manner::Reports, |_| {
            StartClient::default()
        })
        .unwrap()
        .0
}

fn report(store: &Store, hash: &str, report: ClientReport) {
    let report = ClientReport {
        client_hash: hash.into(),
        ..report
    };
    let receipts = store.report(&[report], true).unwrap();
    assert!(
        matches!(receipts[..], [Receipt::Taken { again: false, .. }]),
        "{receipts:?}"
    );
}

fn all() -> ListQuery {
    ListQuery {
        limit: 1_000,
        ..ListQuery::default()
    }
}

#[test]
fn a_repeated_registration_is_one_and_revives() {
    let store = store();
    let registration = RegisterClient {
        registration_id: Some("r".into()),
        ..RegisterClient::default()
    };
    let first = store
        .register(&registration, false, Manner::Reports, |_| {
            StartClient::default()
        })
        .unwrap();
    assert!(store.goodbye(&first.0).unwrap());
    let second = store
        .register(&registration, false, Manner::Reports, |_| unreachable!())
        .unwrap();
    assert_eq!(
        (first.0.as_str(), true, false),
        (second.0.as_str(), first.2, second.2)
    );
    assert_eq!(
        store.client(&first.0).unwrap().unwrap().summary.gone_at_ms,
        None
    );
    assert_ne!(register(&store, &RegisterClient::default()), first.0);
}

#[test]
fn topics_are_remembered_for_the_next_run() {
    let store = store();
    let hash = register(&store, &client("orders", "{}"));
    let of_topic = |topic: &str, partitions: &[i32]| ClientReport {
        producer_topics_partitions: [(topic.to_owned(), partitions.to_vec())].into(),
        ..ClientReport::default()
    };
    report(&store, &hash, of_topic("t", &[2, 0, 2]));
    report(&store, &hash, of_topic("t", &[1, -1]));
    let known = store.client(&hash).unwrap().unwrap();
    assert_eq!(known.producer_topics_partitions["t"], [-1, 0, 1, 2]);
    assert_eq!(known.reports_total, 2);

    let no_write = "CREATE TEMP TRIGGER no_write BEFORE INSERT ON main.topics \
                    BEGIN SELECT RAISE(ABORT, 'written'); END";
    store.lock().execute_batch(no_write).unwrap();
    report(&store, &hash, of_topic("t", &[1, 2]));

    for (registration, expected) in [
        (client("orders", "{}"), vec!["t".to_owned()]),
        (client("orders", "{\"a\":1}"), vec![]),
        (client("other", "{}"), vec![]),
    ] {
        let check = |past: Past| {
            assert_eq!(past.topics, expected);
            StartClient::default()
        };
        store
            .register(&registration, false, Manner::Reports, check)
            .unwrap();
    }
}

#[test]
fn everything_is_bounded() {
    let store = store();
    let hash = register(&store, &client("c", ""));
    for n in 0..MAX_ERRORS_PER_CLIENT + 5 {
        assert!(
            store
                .error(&hash, &format!("{n} {}", "é".repeat(MAX_ERROR_LENGTH)))
                .unwrap()
        );
    }
    let updates = MAX_UPDATES_PER_CLIENT + 5;
    for n in 1..=updates {
        assert_eq!(
            store
                .push_updates(std::slice::from_ref(&hash), "CompressionUpdate", "e30=")
                .unwrap(),
            [Made {
                hash: hash.clone(),
                sequence: n,
                is_elsewhere: false,
            }]
        );
    }
    let partitions: Vec<i32> = (0..MAX_PARTITIONS_PER_TOPIC as i32 + 5).collect();
    let topics = (0..MAX_TOPICS_PER_CLIENT + 5).map(|n| (format!("{n:06}"), vec![0]));
    let topics = topics.chain([("x".repeat(250), vec![0])]);
    let many = ClientReport {
        producer_topics_partitions: topics.collect(),
        consumer_group_topics_partitions: [("t".to_owned(), partitions)].into(),
        ..ClientReport::default()
    };
    report(&store, &hash, many);

    let known = store.client(&hash).unwrap().unwrap();
    assert_eq!(known.errors.len(), MAX_ERRORS_PER_CLIENT);
    assert!(known.errors[0].error.starts_with("5 "));
    assert!(
        known
            .errors
            .iter()
            .all(|e| e.error.chars().count() == MAX_ERROR_LENGTH)
    );
    assert_eq!(known.summary.errors_total, MAX_ERRORS_PER_CLIENT as u64 + 5);
    assert_eq!(
        known.producer_topics_partitions.len(),
        MAX_TOPICS_PER_CLIENT
    );
    assert_eq!(
        known.consumer_group_topics_partitions["t"].len(),
        MAX_PARTITIONS_PER_TOPIC
    );
    let kept = store.updates(&hash, 0).unwrap().unwrap();
    assert_eq!(kept.len() as u64, MAX_UPDATES_PER_CLIENT);
    assert_eq!(kept[0].sequence, 6);
    assert!(store.updates(&hash, updates).unwrap().unwrap().is_empty());
    assert!(store.updates(&hash, u64::MAX).unwrap().unwrap().is_empty());
}

#[test]
fn lists_are_filtered_and_paged() {
    let store = store();
    for n in 0..5 {
        register(
            &store,
            &client(&format!("app-{n}"), "{\"team\":\"pay\",\"size\":5}"),
        );
    }
    register(&store, &client("[x]", "no json"));
    let count = |query| store.list(&query).unwrap().clients.len();
    let tags = |tags: &[(&str, Option<&str>)]| ListQuery {
        tags: tags
            .iter()
            .map(|(name, value)| ((*name).into(), value.map(Into::into)))
            .collect(),
        ..all()
    };
    let tag = |name: &str, value: Option<&str>| tags(&[(name, value)]);
    let id = |pattern: &str| ListQuery {
        client_id: Some(pattern.into()),
        ..all()
    };
    assert_eq!(count(all()), 6);
    assert_eq!(count(id("app-*")), 5);
    assert_eq!(count(id("app-?")), 5);
    assert_eq!(count(id("[x]")), 1);
    assert_eq!(count(tag("team", None)), 5);
    assert_eq!(count(tag("team", Some("pay"))), 5);
    assert_eq!(count(tag("size", Some("5"))), 5);
    assert_eq!(count(tag("team", Some("x"))), 0);
    let (pay, five) = (("team", Some("pay")), ("size", Some("5")));
    assert_eq!(count(tags(&[pay, five])), 5);
    assert_eq!(count(tags(&[pay, ("size", None)])), 5);
    assert_eq!(count(tags(&[pay, ("size", Some("6"))])), 0);
    assert_eq!(count(tags(&[("other", None), pay])), 0);
    assert_eq!(count(tags(&[pay, ("team", Some("x"))])), 0, "all of them");

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .list(&ListQuery {
                limit: 4,
                after,
                ..all()
            })
            .unwrap();
        seen.extend(page.clients.into_iter().map(|client| client.client_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["[x]", "app-4", "app-3", "app-2", "app-1", "app-0"]);
}

#[test]
fn a_foreign_database_is_left_alone() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(
        schema::prepare(&mut connection),
        Err(StoreError::Foreign(_))
    ));
}

#[test]
fn a_file_waits_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("db"), INTERVAL).unwrap();
    let connection = store.lock();
    let pragma = |name: &str| -> rusqlite::types::Value {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("synchronous"), 2.into(), "FULL");
    assert_eq!(pragma("foreign_keys"), 1.into());
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("db");
    let store = Store::open(&file, INTERVAL).unwrap();
    store
        .lock()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    assert!(
        matches!(Store::open(&file, INTERVAL), Err(StoreError::Foreign(why)) if why.contains("99"))
    );
}
