//! Updates wait here until their client asks for them.

use rusqlite::{OptionalExtension, params};
use superstream_protocol::Update;

use super::links::is_elsewhere;
use super::{ClientId, MAX_UPDATES_PER_CLIENT, SEEN_STEP, Store, StoreError, find, millis, now_ms};

/// An update that was made for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The client's name.
    pub hash: String,
    /// The update's number.
    pub sequence: u64,
    /// The client is on a link of another instance, which tells it.
    pub is_elsewhere: bool,
}

impl Store {
    /// Has an update ready for each of these clients that is known.
    pub fn push_updates(
        &self,
        hashes: &[String],
        kind: &str,
        payload: &str,
    ) -> Result<Vec<Made>, StoreError> {
        let (now, interval) = (now_ms(), self.interval_ms());
        let find = format!(
            "SELECT id, {} FROM clients c WHERE hash = ?1",
            is_elsewhere()
        );
        self.change(|t| {
            let mut find = t.prepare_cached(&find)?;
            let mut made = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let found = find.query_row(params![hash, self.instance, now, interval], |row| {
                    Ok((row.get::<_, ClientId>(0)?, row.get(1)?))
                });
                let Some((client, is_elsewhere)) = found.optional()? else {
                    continue;
                };
                let sequence: u64 = t
                    .prepare_cached(
                        "UPDATE clients SET last_update = last_update + 1, news_after = CASE \
                         WHEN ?2 THEN ifnull(news_after, last_update) ELSE news_after END \
                         WHERE id = ?1 RETURNING last_update",
                    )?
                    .query_row(params![client, is_elsewhere], |row| row.get(0))?;
                t.prepare_cached("INSERT INTO updates VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![client, sequence, kind, payload])?;
                let oldest = sequence.saturating_sub(MAX_UPDATES_PER_CLIENT);
                t.prepare_cached("DELETE FROM updates WHERE client = ?1 AND sequence <= ?2")?
                    .execute(params![client, oldest])?;
                made.push(Made {
                    hash: hash.clone(),
                    sequence,
                    is_elsewhere,
                });
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
