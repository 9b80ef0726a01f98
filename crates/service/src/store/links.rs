//! Clients come onto a link, and are lost with it; and what an instance has for those that are on a
//! link of another one.

use rusqlite::{OptionalExtension, params};

use super::{ClientId, Store, StoreError, is_alive, now_ms};

/// Whether the link of a client `c` is one of another instance than that of the parameter `?2`, as an
/// expression, where `?3` is the time and `?4` how often clients are told to report. An instance that
/// was killed still has its clients until they come back or fall silent.
pub fn is_elsewhere() -> String {
    format!("(ifnull(c.link, ?2) <> ?2 AND {})", is_alive("?3", "?4"))
}

/// Whom the instance `?1` has something to tell at the word of another one.
pub const ERRANDS: &str = "SELECT id, hash, news_after, is_wanted FROM clients \
     INDEXED BY clients_with_errands \
     WHERE link = ?1 AND (news_after IS NOT NULL OR is_wanted) LIMIT ?2";

/// What another instance wants a client to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Its name.
    pub hash: String,
    /// Updates after this one wait for it.
    pub news_after: Option<u64>,
    /// It is to report.
    pub is_wanted: bool,
}

impl Store {
    /// Notes that clients are on a link of this instance, which tells them what waits. For each that
    /// is known its tags, where they are an object.
    pub fn put_on_link(
        &self,
        hashes: &[String],
    ) -> Result<Vec<Option<Option<String>>>, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let mut put = t.prepare_cached(
                "UPDATE clients SET link = ?2, gone_ms = NULL, seen_ms = max(seen_ms, ?3), \
                 news_after = NULL WHERE hash = ?1 RETURNING tags_json",
            )?;
            let mut tags = Vec::with_capacity(hashes.len());
            for hash in hashes {
                let known = put.query_row(params![hash, self.instance, now], |row| row.get(0));
                tags.push(known.optional()?);
            }
            Ok(tags)
        })
    }

    /// Notes that the last link of these clients has ended, unless another instance has them by now.
    /// Tells how many were there until then.
    pub fn lose(&self, hashes: &[String]) -> Result<usize, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let mut lose = t.prepare_cached(
                "UPDATE clients SET gone_ms = ?3 \
                 WHERE hash = ?1 AND link = ?2 AND gone_ms IS NULL",
            )?;
            let mut lost = 0;
            for hash in hashes {
                lost += lose.execute(params![hash, self.instance, now])?;
            }
            Ok(lost)
        })
    }

    /// Has other instances ask those of these clients to report that they have on a link. Tells which
    /// these are.
    pub fn want_elsewhere(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        let (now, interval) = (now_ms(), self.interval_ms());
        let sql = format!(
            "UPDATE clients AS c SET is_wanted = 1 WHERE hash = ?1 AND {} RETURNING hash",
            is_elsewhere()
        );
        self.change(|t| {
            let mut want = t.prepare_cached(&sql)?;
            let mut wanted = Vec::new();
            for hash in hashes {
                let who = params![hash, self.instance, now, interval];
                let found = want.query_row(who, |row| row.get(0));
                wanted.extend(found.optional()?);
            }
            Ok(wanted)
        })
    }

    /// What other instances have for clients that are on a link of this one, for so many of them at
    /// most. Each is given once.
    pub fn errands(&self, most: usize) -> Result<Vec<Errand>, StoreError> {
        let ours = params![self.instance, most];
        // Asked often, and mostly in vain: without a lock that others would wait for.
        let is_any = self.lock().prepare_cached(ERRANDS)?.exists(ours)?;
        if !is_any {
            return Ok(Vec::new());
        }
        self.change(|t| {
            let mut errands = t.prepare_cached(ERRANDS)?;
            let found = errands.query_map(ours, |row| {
                let errand = Errand {
                    hash: row.get(1)?,
                    news_after: row.get(2)?,
                    is_wanted: row.get(3)?,
                };
                Ok((row.get(0)?, errand))
            })?;
            let found: Vec<(ClientId, Errand)> = found.collect::<Result<_, _>>()?;
            let mut done = t.prepare_cached(
                "UPDATE clients SET news_after = NULL, is_wanted = 0 WHERE id = ?1",
            )?;
            for (client, _) in &found {
                done.execute([client])?;
            }
            Ok(found.into_iter().map(|(_, errand)| errand).collect())
        })
    }
}
