use super::*;
use crate::view::ListQuery;

fn store() -> Store {
    Store::in_memory().unwrap()
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
        .register(registration, |_| StartClient::default())
        .unwrap()
        .0
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
        .register(&registration, |_| StartClient::default())
        .unwrap();
    assert!(store.goodbye(&first.0).unwrap());
    let second = store.register(&registration, |_| unreachable!()).unwrap();
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
fn a_hash_is_safe_everywhere() {
    let hash = new_hash().unwrap();
    assert!(
        hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
        "{hash}"
    );
}

#[test]
fn topics_are_remembered_for_the_next_run() {
    let store = store();
    let hash = register(&store, &client("orders", "{}"));
    let report = |topic: &str, partitions: &[i32]| ClientReport {
        producer_topics_partitions: [(topic.to_owned(), partitions.to_vec())].into(),
        ..ClientReport::default()
    };
    assert!(store.report(&hash, &report("t", &[2, 0, 2])).unwrap());
    assert!(store.report(&hash, &report("t", &[1, -1])).unwrap());
    let known = store.client(&hash).unwrap().unwrap();
    assert_eq!(known.producer_topics_partitions["t"], [-1, 0, 1, 2]);
    assert_eq!(known.reports_total, 2);

    for (registration, expected) in [
        (client("orders", "{}"), vec!["t".to_owned()]),
        (client("orders", "{\"a\":1}"), vec![]),
        (client("other", "{}"), vec![]),
    ] {
        let check = |topics| {
            assert_eq!(topics, expected);
            StartClient::default()
        };
        store.register(&registration, check).unwrap();
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
                .push_update(&hash, "CompressionUpdate", "e30=")
                .unwrap(),
            Some(n)
        );
    }
    let partitions: Vec<i32> = (0..MAX_PARTITIONS_PER_TOPIC as i32 + 5).collect();
    let topics = (0..MAX_TOPICS_PER_CLIENT + 5).map(|n| (format!("{n:06}"), vec![0]));
    let report = ClientReport {
        producer_topics_partitions: topics.collect(),
        consumer_group_topics_partitions: [("t".to_owned(), partitions)].into(),
        ..ClientReport::default()
    };
    assert!(store.report(&hash, &report).unwrap());

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
    let tag = |name: &str, value: Option<&str>| ListQuery {
        tag: Some((name.into(), value.map(Into::into))),
        ..all()
    };
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
    let store = Store::open(&dir.path().join("db")).unwrap();
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
    let store = Store::open(&file).unwrap();
    store
        .lock()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    assert!(matches!(Store::open(&file), Err(StoreError::Foreign(why)) if why.contains("99")));
}
