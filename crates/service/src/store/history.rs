//! What each report of a client added, for as far back as is kept.

use rusqlite::{OptionalExtension, Transaction, params};

use super::figures::{self, Figures};
use super::{ClientId, MAX_HISTORY, Store, StoreError};
use crate::view::{History, HistoryRow};

/// Adds what a report added. Where there are too many, the oldest becomes part of the one after
/// it, so that the sum over all rows stays the client's totals.
pub fn add(
    t: &Transaction<'_>,
    client: ClientId,
    number: i64,
    now: i64,
    gain: Figures,
) -> Result<(), StoreError> {
    put(t, client, number, now, 1, gain)?;
    let oldest_kept = number - MAX_HISTORY + 1;
    if let Some((_, reports, folded)) = row(t, client, oldest_kept - 1)?
        && let Some((at, more, kept)) = row(t, client, oldest_kept)?
    {
        put(
            t,
            client,
            oldest_kept,
            at,
            reports + more,
            kept.plus(folded),
        )?;
        let sql = "DELETE FROM history WHERE client = ?1 AND number < ?2";
        t.prepare_cached(sql)?
            .execute(params![client, oldest_kept])?;
    }
    Ok(())
}

fn put(
    t: &Transaction<'_>,
    client: ClientId,
    number: i64,
    at: i64,
    reports: i64,
    gain: Figures,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT OR REPLACE INTO history (client, number, at_ms, reports, {}) \
         VALUES (?1, ?2, ?3, ?4, {})",
        figures::columns(""),
        figures::places(5)
    );
    let mut insert = t.prepare_cached(&sql)?;
    for (at, value) in [client, number, at, reports].into_iter().enumerate() {
        insert.raw_bind_parameter(1 + at, value)?;
    }
    for (at, value) in gain.values().into_iter().enumerate() {
        insert.raw_bind_parameter(5 + at, value)?;
    }
    insert.raw_execute()?;
    Ok(())
}

fn row(
    t: &Transaction<'_>,
    client: ClientId,
    number: i64,
) -> Result<Option<(i64, i64, Figures)>, StoreError> {
    let sql = format!(
        "SELECT at_ms, reports, {} FROM history WHERE client = ?1 AND number = ?2",
        figures::columns("")
    );
    let mut query = t.prepare_cached(&sql)?;
    let found = query.query_row(params![client, number], |row| {
        Ok((row.get(0)?, row.get(1)?, Figures::read(row, 2)?))
    });
    Ok(found.optional()?)
}

impl Store {
    /// A page of a client's history, newest first; `None` where the client is unknown.
    pub fn history(
        &self,
        hash: &str,
        limit: u32,
        after: Option<i64>,
    ) -> Result<Option<History>, StoreError> {
        let connection = self.lock();
        let sql = "SELECT id FROM clients WHERE hash = ?1";
        let client: Option<ClientId> = connection
            .query_row(sql, [hash], |row| row.get(0))
            .optional()?;
        let Some(client) = client else {
            return Ok(None);
        };
        let mut select = connection.prepare_cached(&format!(
            "SELECT number, at_ms, reports, {} FROM history \
             WHERE client = ?1 AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3",
            figures::columns("")
        ))?;
        // One more than asked for shows whether there is a next page.
        let page = params![client, after, limit.saturating_add(1)];
        let rows = select.query_map(page, |row| {
            let (number, at_ms, reports) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(HistoryRow::of(
                number,
                at_ms,
                reports,
                Figures::read(row, 3)?,
            ))
        })?;
        let mut history: Vec<_> = rows.collect::<Result<_, _>>()?;
        let more = history.len() > limit as usize;
        history.truncate(limit as usize);
        let next = history.last().filter(|_| more).map(|row| row.number);
        Ok(Some(History { history, next }))
    }
}
