//! Clients that are met over NATS and say nothing while they run, as the deployed SDKs. Whether one
//! is still there is asked of the NATS server: somebody listens to its subjects, or nobody does.
//!
//! Who is to be asked about next lies in the database, so that any instance of the service may ask.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};
use superstream_protocol::{ClientKind, Configuration, RegisterClient, StartClient, Update};

use super::{ClientId, SEEN_STEP, Store, StoreError, find, millis, now_ms};

/// How long a client waits for its start message; one that comes later is of no use.
pub const START_WAIT: Duration = Duration::from_secs(600);
/// How often a start message that nobody took yet is repeated, by whichever instance is there.
const START_AGAIN: Duration = Duration::from_secs(2);
/// How long the instance that registered a client cares for its start alone.
pub const START_ALONE: Duration = Duration::from_secs(10);
/// The longest pause between two looks for a client.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Within this time, the same registration again is a repeated one: one that waits for an answer
/// for 300 s, and then for another 300 s.
const REPEATED_WITHIN: Duration = Duration::from_secs(600);
/// Looks in vain, one after another, that show that a client is gone.
const MISSED: u32 = 2;

/// A client that is to be looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sought {
    /// Its name.
    pub hash: String,
    /// The answer to its registration, where it is not known to have taken its start.
    pub start: Option<StartClient>,
    /// Names this look.
    look_ms: i64,
}

/// What became of the kind that a client named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindTold {
    /// It is known from now on.
    New,
    /// There was one already, or figures that are counted without one: nothing is changed.
    Known,
    /// Nobody knows the client.
    Unknown,
}

/// Pauses between looks for one client: it is looked for as often as others report, and a second
/// time sooner.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    /// After a look that found it.
    pub usual: Duration,
    /// After one that did not.
    pub again: Duration,
}

impl Looks {
    /// For clients that are to report so often.
    pub fn of(report_interval: Duration) -> Self {
        let usual = report_interval.min(LOOK_INTERVAL);
        Self {
            usual,
            again: usual / 6,
        }
    }
}

impl Store {
    pub(super) fn looks(&self) -> Looks {
        Looks::of(self.report_interval())
    }

    /// Notes that a client said something, and whether that shows that it runs: who waits for its start
    /// may say that it has a new connection, or what went wrong. False where the client is unknown.
    pub fn hear(&self, hash: &str, runs: bool) -> Result<bool, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(false);
            };
            t.prepare_cached(
                "UPDATE clients SET listens = max(listens, ?5), missed = 0, gone_ms = NULL, \
                 seen_ms = ?2, look_ms = CASE max(listens, ?5) WHEN 0 THEN ?2 ELSE ?3 END \
                 WHERE id = ?1 AND listens IS NOT NULL \
                 AND (listens < ?5 OR missed > 0 OR gone_ms IS NOT NULL OR seen_ms < ?4)",
            )?
            .execute(params![
                client,
                now,
                now + millis(self.looks().usual),
                now - millis(SEEN_STEP),
                runs
            ])?;
            Ok(true)
        })
    }

    /// Leaves clients that wait for their start to whichever instance is there, at once.
    pub fn hand_over(&self, hashes: &[String]) -> Result<(), StoreError> {
        self.change(|t| {
            let sql = "UPDATE clients SET look_ms = 0 WHERE hash = ?1 AND listens = 0";
            let mut hand_over = t.prepare_cached(sql)?;
            for hash in hashes {
                hand_over.execute([hash])?;
            }
            Ok(())
        })
    }

    /// Whether a client waits for its start message.
    pub fn awaits_start(&self, hash: &str) -> Result<bool, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT 1 FROM clients WHERE hash = ?1 AND listens = 0 AND gone_ms IS NULL",
        )?;
        Ok(query.exists([hash])?)
    }

    /// Looks for a client no longer: it was told not to start, and listens to nothing but a start.
    pub fn look_no_more(&self, hash: &str) -> Result<(), StoreError> {
        self.change(|t| {
            let sql = "UPDATE clients SET listens = NULL WHERE hash = ?1";
            t.execute(sql, [hash])?;
            Ok(())
        })
    }

    /// Keeps of which kind a client is.
    pub fn set_kind(&self, hash: &str, kind: ClientKind) -> Result<KindTold, StoreError> {
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(KindTold::Unknown);
            };
            // What was counted without a kind stays there.
            let sql = "UPDATE clients SET kind = ?2 WHERE id = ?1 AND kind IS NULL \
                       AND NOT EXISTS (SELECT 1 FROM figures WHERE client = ?1)";
            Ok(match t.execute(sql, params![client, kind.as_str()])? {
                0 => KindTold::Known,
                _ => KindTold::New,
            })
        })
    }

    /// Keeps the new connection of a client. False where the client is unknown.
    pub fn reconnect(&self, hash: &str, connection_id: Option<&str>) -> Result<bool, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let sql = "UPDATE clients SET nats_connection_id = ?2, seen_ms = ?3 WHERE hash = ?1";
            Ok(t.execute(sql, params![hash, connection_id, now])? > 0)
        })
    }

    /// The newest update of each kind that waits for a client.
    pub fn newest_updates(&self, hash: &str) -> Result<Vec<Update>, StoreError> {
        let connection = self.lock();
        let mut updates = connection.prepare_cached(
            "SELECT max(sequence), kind, payload FROM updates \
             WHERE client = (SELECT id FROM clients WHERE hash = ?1) \
             GROUP BY kind ORDER BY 1",
        )?;
        let rows = updates.query_map([hash], |row| {
            Ok(Update {
                sequence: row.get(0)?,
                kind: row.get(1)?,
                payload: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a quiet client registered with, and what it was answered: it does not say itself what it
    /// took of that. `None` for others.
    pub fn advised(&self, hash: &str) -> Result<Option<(Configuration, StartClient)>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT registration, answer FROM clients WHERE hash = ?1 AND listens IS NOT NULL",
        )?;
        let found: Option<(String, String)> = query
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((registration, answer)) = found else {
            return Ok(None);
        };
        let registration: RegisterClient = serde_json::from_str(&registration)?;
        Ok(Some((registration.config, serde_json::from_str(&answer)?)))
    }

    /// Clients that are to be looked for now, at most so many. No other instance looks for them
    /// meanwhile.
    pub fn sought(&self, most: u32) -> Result<Vec<Sought>, StoreError> {
        self.sought_at(now_ms(), most)
    }

    pub(super) fn sought_at(&self, now: i64, most: u32) -> Result<Vec<Sought>, StoreError> {
        if !self.is_any_due(now)? {
            return Ok(Vec::new());
        }
        let found = self.change(|t| {
            let mut claim = t.prepare_cached(
                "UPDATE clients SET look_ms = ?1 + CASE listens WHEN 0 THEN ?2 ELSE ?3 END \
                 WHERE id IN (SELECT id FROM clients WHERE listens IS NOT NULL \
                     AND gone_ms IS NULL AND look_ms <= ?1 ORDER BY look_ms LIMIT ?4) \
                 RETURNING hash, CASE listens WHEN 0 THEN answer END, look_ms",
            )?;
            let pauses = (millis(START_AGAIN), millis(self.looks().usual));
            let rows = claim.query_map(params![now, pauses.0, pauses.1, most], |row| {
                Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, row.get(2)?))
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        let mut sought = Vec::with_capacity(found.len());
        for (hash, answer, look_ms) in found {
            let start = match answer.map(|answer| serde_json::from_str(&answer)) {
                None => None,
                Some(Ok(start)) => Some(start),
                // All others are to be looked for nevertheless.
                Some(Err(error)) => {
                    log::warn!("the answer that is kept for client {hash} cannot be read: {error}");
                    continue;
                }
            };
            sought.push(Sought {
                hash,
                start,
                look_ms,
            });
        }
        Ok(sought)
    }

    /// Asked often, and mostly in vain: without a lock that others would wait for.
    fn is_any_due(&self, now: i64) -> Result<bool, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(IS_ANY_DUE)?;
        Ok(query.exists([now])?)
    }

    /// Keeps which clients were there, of those that were looked for.
    pub fn looked(&self, found: &[(Sought, bool)]) -> Result<(), StoreError> {
        self.looked_at(now_ms(), found)
    }

    pub(super) fn looked_at(&self, now: i64, found: &[(Sought, bool)]) -> Result<(), StoreError> {
        self.change(|t| {
            for (sought, is_there) in found {
                match is_there {
                    true => is_there_at(t, sought, now)?,
                    false => self.is_missed_at(t, sought, now)?,
                }
            }
            Ok(())
        })
    }

    /// A client that has said something meanwhile is there, whatever the look showed.
    fn is_missed_at(
        &self,
        t: &Transaction<'_>,
        sought: &Sought,
        now: i64,
    ) -> Result<(), StoreError> {
        t.prepare_cached(
            "UPDATE clients SET missed = missed + listens, look_ms = CASE listens \
                 WHEN 0 THEN look_ms ELSE ?3 + ?4 END, \
             gone_ms = CASE WHEN CASE listens \
                 WHEN 0 THEN registered_ms + ?5 < ?3 ELSE missed + 1 >= ?6 END THEN ?3 END \
             WHERE hash = ?1 AND look_ms = ?2 AND gone_ms IS NULL AND listens IS NOT NULL",
        )?
        .execute(params![
            sought.hash,
            sought.look_ms,
            now,
            millis(self.looks().again),
            millis(START_WAIT),
            MISSED,
        ])?;
        Ok(())
    }
}

/// Whether anybody is to be looked for.
pub const IS_ANY_DUE: &str = "SELECT 1 FROM clients INDEXED BY clients_to_look_for \
     WHERE listens IS NOT NULL AND gone_ms IS NULL AND look_ms <= ?1";

fn is_there_at(t: &Transaction<'_>, sought: &Sought, now: i64) -> Result<(), StoreError> {
    t.prepare_cached(
        "UPDATE clients SET listens = 1, missed = 0, gone_ms = NULL, seen_ms = max(seen_ms, ?2) \
         WHERE hash = ?1 AND listens IS NOT NULL",
    )?
    .execute(params![sought.hash, now])?;
    Ok(())
}

/// A quiet client that has registered with just these words, over this connection, a while ago: its
/// answer may have been lost. Its connection's number is given to others after the NATS server was
/// started again.
pub fn repeated(
    t: &Transaction<'_>,
    registration: &str,
    connection_id: Option<&str>,
    now: i64,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(connection_id) = connection_id else {
        return Ok(None);
    };
    let mut query = t.prepare_cached(
        "SELECT hash, answer FROM clients WHERE nats_connection_id = ?1 AND registration = ?2 \
         AND listens IS NOT NULL AND gone_ms IS NULL AND registered_ms >= ?3 \
         ORDER BY id DESC LIMIT 1",
    )?;
    let since = now - millis(REPEATED_WITHIN);
    let found = query.query_row(params![connection_id, registration, since], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    Ok(found.optional()?)
}

/// Has a client that has registered once more wait for its start, whatever it has said before.
pub fn expect_again(t: &Transaction<'_>, hash: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE clients SET listens = 0, missed = 0, look_ms = ?2 WHERE hash = ?1";
    t.prepare_cached(sql)?
        .execute(params![hash, now + millis(START_ALONE)])?;
    Ok(())
}

/// Has a client that has just registered looked for, if it is a quiet one.
pub fn expect(
    t: &Transaction<'_>,
    client: ClientId,
    connection_id: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    t.prepare_cached(
        "UPDATE clients SET listens = 0, nats_connection_id = ?2, look_ms = ?3 WHERE id = ?1",
    )?
    .execute(params![client, connection_id, now + millis(START_ALONE)])?;
    Ok(())
}
