//! Updates wait here until their client asks for them.

use rusqlite::params;
use superstream_protocol::Update;

use super::{MAX_UPDATES_PER_CLIENT, SEEN_STEP, Store, StoreError, find, millis, now_ms};

impl Store {
    /// Has an update ready for each of these clients that is known. The answer is their sequence
    /// numbers.
    pub fn push_updates(
        &self,
        hashes: &[String],
        kind: &str,
        payload: &str,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.change(|t| {
            let mut made = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let Some(client) = find(t, hash)? else {
                    continue;
                };
                let sequence: u64 = t
                    .prepare_cached(
                        "UPDATE clients SET last_update = last_update + 1 WHERE id = ?1 \
                         RETURNING last_update",
                    )?
                    .query_row([client], |row| row.get(0))?;
                t.prepare_cached("INSERT INTO updates VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![client, sequence, kind, payload])?;
                let oldest = sequence.saturating_sub(MAX_UPDATES_PER_CLIENT);
                t.prepare_cached("DELETE FROM updates WHERE client = ?1 AND sequence <= ?2")?
                    .execute(params![client, oldest])?;
                made.push((hash.clone(), sequence));
            }
            Ok(made)
        })
    }

    /// The updates of a client after one that it has; `None` where the client is unknown.
    pub fn updates(&self, hash: &str, after: u64) -> Result<Option<Vec<Update>>, StoreError> {
        let now = now_ms();
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(None);
            };
            let sql = "UPDATE clients SET seen_ms = ?2 WHERE id = ?1 AND seen_ms < ?3";
            t.execute(sql, params![client, now, now - millis(SEEN_STEP)])?;
            let mut updates = t.prepare_cached(
                "SELECT sequence, kind, payload FROM updates \
                 WHERE client = ?1 AND sequence > ?2 ORDER BY sequence",
            )?;
            let rows = updates.query_map(params![client, after], |row| {
                Ok(Update {
                    sequence: row.get(0)?,
                    kind: row.get(1)?,
                    payload: row.get(2)?,
                })
            })?;
            Ok(Some(rows.collect::<Result<_, _>>()?))
        })
    }
}
