//! Clients come onto a link, and are lost with it.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, now_ms};

impl Store {
    /// Notes that clients are on a link of this instance. For each that is known its tags, where they
    /// are an object.
    pub fn put_on_link(
        &self,
        hashes: &[String],
        instance: i64,
    ) -> Result<Vec<Option<Option<String>>>, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let mut put = t.prepare_cached(
                "UPDATE clients SET link = ?2, gone_ms = NULL, seen_ms = max(seen_ms, ?3) \
                 WHERE hash = ?1 RETURNING tags_json",
            )?;
            let mut tags = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let known = put.query_row(params![hash, instance, now], |row| row.get(0));
                tags.push(known.optional()?);
            }
            Ok(tags)
        })
    }

    /// Notes that the last link of these clients has ended, unless another instance has them by now.
    /// Tells how many were there until then.
    pub fn lose(&self, hashes: &[String], instance: i64) -> Result<usize, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let mut lose = t.prepare_cached(
                "UPDATE clients SET gone_ms = ?3 \
                 WHERE hash = ?1 AND link = ?2 AND gone_ms IS NULL",
            )?;
            let mut lost = 0;
            for hash in hashes {
                lost += lose.execute(params![hash, instance, now])?;
            }
            Ok(lost)
        })
    }
}
