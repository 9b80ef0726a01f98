//! Sums over all clients. They are kept up as reports come, so that they never fall when a client
//! is forgotten.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use superstream_protocol::measured::Durations;

use super::figures::{self, Figures};
use super::{Store, StoreError, baselines, is_alive, now_ms};

/// The kind of clients that did not say theirs.
pub const UNKNOWN: &str = "unknown";

/// What a report has added to a client's totals.
#[derive(Clone, Debug, Default)]
pub struct Gain {
    /// To the numbers.
    pub figures: Figures,
    /// To the delivery latency.
    pub latency: Durations,
}

impl Gain {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.figures = self.figures.plus(other.figures);
        self.latency.add(&other.latency);
    }
}

/// The sums over the clients of one kind.
#[derive(Clone, Debug, Default)]
pub struct KindTotals {
    /// Clients that are known.
    pub known: u64,
    /// Those that have not gone and were heard of lately.
    pub alive: u64,
    /// Those that have sent figures.
    pub reported: u64,
    /// Those that could be compared with a baseline, forgotten ones included.
    pub compared: u64,
    /// Those that delivered something, are not known to run without changes and have no baseline.
    pub without_baseline: u64,
    /// Bytes saved by those that could be compared, forgotten ones included.
    pub saved_bytes: f64,
    /// The numbers, forgotten clients included.
    pub figures: Figures,
    /// The delivery latency, forgotten clients included.
    pub latency: Durations,
}

/// The sums by kind.
pub type Totals = BTreeMap<String, KindTotals>;

/// Adds what reports have added.
pub fn add(t: &Transaction<'_>, gains: &BTreeMap<String, Gain>) -> Result<(), StoreError> {
    for (kind, gain) in gains {
        let mut sum = kept(t, kind)?.unwrap_or_default();
        sum.add(gain);
        let [now, set] = [
            figures::places(3),
            figures::COLUMNS
                .map(|column| format!("{column} = excluded.{column}"))
                .join(", "),
        ];
        let sql = format!(
            "INSERT INTO totals (kind, latency, {}) VALUES (?1, ?2, {now}) \
             ON CONFLICT (kind) DO UPDATE SET latency = excluded.latency, {set}",
            figures::columns("")
        );
        let mut put = t.prepare_cached(&sql)?;
        put.raw_bind_parameter(1, kind)?;
        put.raw_bind_parameter(2, serde_json::to_string(&sum.latency)?)?;
        for (at, value) in sum.figures.values().into_iter().enumerate() {
            put.raw_bind_parameter(3 + at, value)?;
        }
        put.raw_execute()?;
    }
    Ok(())
}

fn kept(connection: &Connection, kind: &str) -> Result<Option<Gain>, StoreError> {
    let sql = format!(
        "SELECT latency, {} FROM totals WHERE kind = ?1",
        figures::columns("")
    );
    let mut query = connection.prepare_cached(&sql)?;
    let found = query.query_row([kind], |row| {
        Ok((row.get::<_, String>(0)?, Figures::read(row, 1)?))
    });
    match found.optional()? {
        Some((latency, figures)) => Ok(Some(Gain {
            figures,
            latency: serde_json::from_str(&latency)?,
        })),
        None => Ok(None),
    }
}

/// Keeps what the clients of the table `doomed` have saved, before they are forgotten.
pub fn keep_savings_of_doomed(t: &Transaction<'_>) -> Result<(), StoreError> {
    t.execute(
        &format!(
            "UPDATE totals SET forgotten_saved = forgotten_saved + gone.saved, \
             forgotten_compared = forgotten_compared + gone.compared \
             FROM (SELECT coalesce(c.kind, ?1) AS kind, total({}) AS saved, count(*) AS compared \
                   FROM doomed JOIN clients c ON c.id = doomed.id \
                   JOIN figures f ON f.client = c.id {} \
                   WHERE b.client IS NOT NULL AND f.delivered_bytes > 0 GROUP BY 1) AS gone \
             WHERE totals.kind = gone.kind",
            baselines::SAVED_BYTES,
            baselines::JOIN
        ),
        [UNKNOWN],
    )?;
    Ok(())
}

impl Store {
    /// The sums by kind.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let mut connection = self.lock();
        // One moment: what other instances of the service forget meanwhile is in both parts, or a sum
        // would fall.
        let connection = connection.transaction()?;
        let mut totals = Totals::new();
        let sql = format!(
            "SELECT kind, latency, forgotten_saved, forgotten_compared, {} FROM totals",
            figures::columns("")
        );
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let latency: String = row.get(1)?;
            let sums = KindTotals {
                saved_bytes: row.get(2)?,
                compared: row.get(3)?,
                figures: Figures::read(row, 4)?,
                latency: serde_json::from_str(&latency)?,
                ..KindTotals::default()
            };
            totals.insert(row.get(0)?, sums);
        }
        add_present(&connection, self.interval_ms(), &mut totals)?;
        Ok(totals)
    }
}

/// What is counted over the clients that are there, by kind.
pub fn present() -> String {
    format!(
        "SELECT coalesce(c.kind, ?1), count(*), \
         count(*) FILTER (WHERE {}), \
         count(f.client), \
         count(*) FILTER (WHERE b.client IS NOT NULL AND f.delivered_bytes > 0), \
         count(*) FILTER (WHERE b.client IS NULL AND f.delivered_bytes > 0 \
                          AND c.is_stock IS NOT 1), \
         total({}) FILTER (WHERE f.delivered_bytes > 0) \
         FROM clients c LEFT JOIN figures f ON f.client = c.id {} GROUP BY 1",
        is_alive("?2", "?3"),
        baselines::SAVED_BYTES,
        baselines::JOIN
    )
}

/// Adds what is counted over the clients that are there.
fn add_present(
    connection: &Connection,
    interval_ms: i64,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached(&present())?;
    let mut rows = select.query(params![UNKNOWN, now_ms(), interval_ms])?;
    while let Some(row) = rows.next()? {
        let sums = totals.entry(row.get(0)?).or_default();
        sums.known = row.get(1)?;
        sums.alive = row.get(2)?;
        sums.reported = row.get(3)?;
        sums.compared += row.get::<_, u64>(4)?;
        sums.without_baseline = row.get(5)?;
        sums.saved_bytes += row.get::<_, f64>(6)?;
    }
    Ok(())
}
