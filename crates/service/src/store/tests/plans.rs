//! What is asked often is found by an index.

use super::*;

/// Checks that SQLite finds what it is asked for with an index, as it tells it itself.
pub fn is_found_by(sql: &str, index: &str) {
    let store = store();
    let connection = store.lock();
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut plan = connection.prepare(&explain).unwrap();
    let nulls = vec![rusqlite::types::Null; plan.parameter_count()];
    let steps = plan
        .query_map(rusqlite::params_from_iter(nulls), |row| {
            row.get::<_, String>(3)
        })
        .unwrap();
    let steps: Vec<_> = steps.collect::<Result<_, _>>().unwrap();
    assert!(steps.iter().any(|step| step.contains(index)), "{steps:#?}");
    let is_sorted = |step: &String| step.contains("TEMP B-TREE FOR ORDER BY");
    assert!(!steps.iter().any(is_sorted), "{steps:#?}");
}

#[test]
fn baselines_are_found_by_their_index() {
    let sql = format!(
        "SELECT count(b.client) FROM clients c LEFT JOIN figures f ON f.client = c.id {}",
        baselines::JOIN
    );
    is_found_by(
        &sql,
        "INDEX baselines (application=? AND only_topic=? AND client<?)",
    );
}

#[test]
fn who_is_compared_with_a_baseline_is_found_by_an_index() {
    is_found_by(
        &format!("SELECT {} FROM figures a", baselines::IS_USED),
        "INDEX runs (application=? AND only_topic=? AND client>? AND client<?)",
    );
}

#[test]
fn sums_are_counted_without_the_rows_of_clients() {
    is_found_by(
        &totals::present(),
        "SCAN c USING COVERING INDEX clients_seen",
    );
}

#[test]
fn the_living_are_found_without_the_rows_of_others() {
    let sql = shown::page(Some(true));
    is_found_by(&sql, "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)");
    is_found_by(&sql, "SCAN c USING COVERING INDEX clients_seen");
}

#[test]
fn the_last_telling_run_is_found_by_its_index() {
    is_found_by(advice::LAST_TELLING, "INDEX one_by_one (application=?)");
}

#[test]
fn what_other_instances_have_is_found_by_an_index() {
    is_found_by(links::ERRANDS, "INDEX clients_with_errands (link=?)");
}
