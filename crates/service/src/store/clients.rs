//! Clients come, tell what they run with and what went wrong, and go.

use rusqlite::{OptionalExtension, Transaction, params};
use superstream_protocol::{ClientConfigUpdate, Mode, RegisterClient, StartClient};

use super::{
    MAX_ERROR_LENGTH, MAX_ERRORS_PER_CLIENT, Store, StoreError, advice, baselines, find, now_ms,
    quiet,
};
use crate::rules::{self, Past};

/// How a client that registers will be heard of again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner<'a> {
    /// It reports.
    Reports,
    /// It says nothing while it runs, over this connection to NATS, where that can be told.
    Quiet(Option<&'a str>),
}

impl Store {
    /// Keeps a registration and the answer that `decide` gives. A registration that is already
    /// known by its id keeps its hash and its answer. The last of the three is whether it is new.
    /// `is_veiled` says that masking hides something that rules look at. The client is told how often
    /// to report. One that is quiet has no id, and is known by its connection for a while.
    pub fn register(
        &self,
        registration: &RegisterClient,
        is_veiled: bool,
        manner: Manner<'_>,
        decide: impl FnOnce(Past) -> StartClient,
    ) -> Result<(String, StartClient, bool), StoreError> {
        let now = now_ms();
        let as_kept = serde_json::to_string(registration)?;
        self.change(|t| {
            let known = match manner {
                Manner::Reports => known(t, registration)?,
                Manner::Quiet(connection) => quiet::repeated(t, &as_kept, connection, now)?,
            };
            if let Some((hash, answer)) = known {
                let seen = "UPDATE clients SET seen_ms = ?2, gone_ms = NULL, interval_ms = ?3 \
                            WHERE hash = ?1";
                t.execute(seen, params![hash, now, self.interval_ms()])?;
                if manner != Manner::Reports {
                    quiet::expect_again(t, &hash, now)?;
                }
                return Ok((hash, serde_json::from_str(&answer)?, false));
            }
            let hash = new_hash().map_err(StoreError::Random)?;
            let client_id = rules::client_id(&registration.config);
            let tags_json = match rules::tags(&registration.tags) {
                Some(tags) => Some(serde_json::to_string(&tags)?),
                None => None,
            };
            // Its past is that of the application which it is kept as a run of.
            let client = t.query_row(
                "INSERT INTO clients (hash, registration_id, kind, client_id, host, tags, \
                 tags_json, registration, answer, mode, registered_ms, seen_ms, is_veiled, \
                 interval_ms, connection_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', '', ?9, ?9, ?10, ?11, ?12) \
                 RETURNING id",
                params![
                    hash,
                    registration.registration_id,
                    registration.kind.map(|kind| kind.as_str()),
                    client_id,
                    registration.client_host,
                    registration.tags,
                    tags_json,
                    as_kept,
                    now,
                    is_veiled,
                    self.interval_ms(),
                    registration.connection_id,
                ],
                |row| row.get(0),
            )?;
            if let Manner::Quiet(connection) = manner {
                quiet::expect(t, client, connection, now)?;
            }
            let answer = decide(advice::past(t, client)?);
            t.execute(
                "UPDATE clients SET answer = ?2, mode = ?3 WHERE id = ?1",
                params![
                    client,
                    serde_json::to_string(&answer)?,
                    serde_json::to_value(answer.mode)?.as_str(),
                ],
            )?;
            Ok((hash, answer, true))
        })
    }

    /// Keeps what a client runs with. False where the client is unknown, as in all that follow.
    pub fn configure(&self, hash: &str, update: &ClientConfigUpdate) -> Result<bool, StoreError> {
        let now = now_ms();
        let applied = serde_json::to_string(update)?;
        let is_stock = update.changes.is_empty() || update.mode == Mode::Observe;
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(false);
            };
            t.execute(
                "UPDATE clients SET applied = ?2, is_stock = ?3, configured_ms = ?4, \
                 seen_ms = ?4 WHERE id = ?1",
                params![client, applied, is_stock, now],
            )?;
            baselines::judge(t, client)?;
            Ok(true)
        })
    }

    /// Adds an error to what is known of a client.
    pub fn error(&self, hash: &str, error: &str) -> Result<bool, StoreError> {
        let now = now_ms();
        let error: String = error.chars().take(MAX_ERROR_LENGTH).collect();
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(false);
            };
            let sql = "UPDATE clients SET errors = errors + 1, seen_ms = ?2 WHERE id = ?1";
            t.execute(sql, params![client, now])?;
            let sql = "INSERT INTO errors (client, at_ms, error) VALUES (?1, ?2, ?3)";
            t.execute(sql, params![client, now, error])?;
            t.execute(
                "DELETE FROM errors WHERE client = ?1 AND id <= (SELECT id FROM errors \
                 WHERE client = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![client, MAX_ERRORS_PER_CLIENT as i64],
            )?;
            Ok(true)
        })
    }

    /// Notes that a client is gone. Saying it again changes nothing.
    pub fn goodbye(&self, hash: &str) -> Result<bool, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let sql =
                "UPDATE clients SET gone_ms = coalesce(gone_ms, ?2), link = NULL WHERE hash = ?1";
            Ok(t.execute(sql, params![hash, now])? > 0)
        })
    }
}

/// A client that registered before with the same registration id: its hash and its answer.
fn known(
    t: &Transaction<'_>,
    registration: &RegisterClient,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(id) = &registration.registration_id else {
        return Ok(None);
    };
    let sql = "SELECT hash, answer FROM clients WHERE registration_id = ?1";
    Ok(t.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// 128 random bits: nobody guesses another client's name. Hexadecimal is safe in paths, and in
/// the subjects and topics of other transports.
fn new_hash() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hash_is_safe_everywhere() {
        let hash = super::new_hash().unwrap();
        assert!(
            hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{hash}"
        );
    }
}
