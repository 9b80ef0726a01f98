//! Forgetting.

use std::thread;
use std::time::Duration;

use rusqlite::{Transaction, params};

use super::{
    BASELINE_KEPT, GONE_KEPT, MAX_CLIENTS, SILENT_KEPT, Store, StoreError, baselines, is_alive,
    millis, now_ms, totals,
};

/// How many clients are forgotten at a time: everybody else waits as long.
pub(super) const BATCH: usize = 200;
/// What everybody else has for their own work in between.
const PAUSE: Duration = Duration::from_millis(5);

impl Store {
    /// Forgets clients that are long gone, and those beyond [`MAX_CLIENTS`]. Tells how many.
    pub fn prune(&self) -> Result<usize, StoreError> {
        self.prune_at(now_ms(), MAX_CLIENTS)
    }

    pub(super) fn prune_at(&self, now: i64, keep: u64) -> Result<usize, StoreError> {
        let expired = self.forget(|t| doom_expired(t, now))?;
        let surplus = self.forget(|t| doom_surplus(t, now, self.interval_ms(), keep))?;
        Ok(expired + surplus)
    }

    /// Forgets whom `doom` puts into the table `doomed`, until there is nobody.
    fn forget(
        &self,
        doom: impl Fn(&Transaction<'_>) -> Result<usize, StoreError>,
    ) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        loop {
            let count = self.change(|t| {
                t.execute_batch(
                    "CREATE TEMP TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY); \
                     DELETE FROM doomed;",
                )?;
                let count = doom(t)?;
                totals::keep_savings_of_doomed(t)?;
                t.execute(
                    "DELETE FROM clients WHERE id IN (SELECT id FROM doomed)",
                    [],
                )?;
                Ok(count)
            })?;
            if count == 0 {
                return Ok(forgotten);
            }
            forgotten += count;
            if count == BATCH {
                thread::sleep(PAUSE);
            }
        }
    }
}

/// A baseline stays for longer: without it, nobody could tell what others save. Those that are
/// compared with it are forgotten first.
fn doom_expired(t: &Transaction<'_>, now: i64) -> Result<usize, StoreError> {
    let sql = format!(
        "INSERT INTO doomed SELECT c.id FROM clients c WHERE \
         ((c.gone_ms < ?1 AND c.link IS NULL) OR c.seen_ms < ?2) \
         AND NOT EXISTS (SELECT 1 FROM figures a WHERE a.client = c.id AND a.is_baseline \
             AND ({} OR (c.seen_ms >= ?3 AND {}))) LIMIT ?4",
        baselines::IS_USED,
        baselines::IS_NEWEST,
    );
    Ok(t.execute(
        &sql,
        params![
            now - millis(GONE_KEPT),
            now - millis(SILENT_KEPT),
            now - millis(BASELINE_KEPT),
            BATCH,
        ],
    )?)
}

/// The living go last. Both of them and of the others, those that others are compared with stay
/// longest: batch by batch, nobody is forgotten after its baseline, or what it had saved would not
/// be known any more. Who said goodbye does not come back, as one may who is only silent or was lost
/// with its link, which it still has here.
fn doom_surplus(
    t: &Transaction<'_>,
    now: i64,
    interval_ms: i64,
    keep: u64,
) -> Result<usize, StoreError> {
    let sql = format!(
        "INSERT INTO doomed SELECT c.id FROM clients c \
         LEFT JOIN figures a ON a.client = c.id AND a.is_baseline \
         ORDER BY {}, (a.client IS NOT NULL AND ({} OR {})), \
         (c.gone_ms IS NULL OR c.link IS NOT NULL), c.seen_ms \
         LIMIT max(0, min(?2, (SELECT count(*) FROM clients) - ?1))",
        is_alive("?3", "?4"),
        baselines::IS_USED,
        baselines::IS_NEWEST,
    );
    Ok(t.execute(&sql, params![keep, BATCH, now, interval_ms])?)
}
