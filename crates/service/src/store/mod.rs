//! What the service remembers, in SQLite: in memory, or in a file, where everything that was
//! acknowledged survives a crash of the service and of the machine.
//!
//! The store holds what it is given: masking is its caller's duty.

mod schema;
mod shown;

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use superstream_protocol::{
    ClientConfigUpdate, ClientReport, RegisterClient, StartClient, TopicsPartitions, Update,
};

use crate::rules;

/// Errors kept for one client; the oldest make room.
pub const MAX_ERRORS_PER_CLIENT: usize = 100;
/// Longest error text that is kept, in characters.
pub const MAX_ERROR_LENGTH: usize = 4_096;
/// Topics kept for one client and role; later ones are not taken.
pub const MAX_TOPICS_PER_CLIENT: usize = 1_000;
/// Partitions kept for one topic of a client.
pub const MAX_PARTITIONS_PER_TOPIC: usize = 10_000;
/// Updates kept for one client; the oldest make room.
pub const MAX_UPDATES_PER_CLIENT: u64 = 100;
/// Clients that are kept; those heard of longest ago make room.
pub const MAX_CLIENTS: u64 = 100_000;
/// How long a client is kept after its goodbye.
pub const GONE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a client is kept that fell silent without a goodbye.
pub const SILENT_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Asking for updates counts as a sign of life at most so often: each costs a write.
const SEEN_STEP: Duration = Duration::from_secs(60);

/// Why the store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The file belongs to another program, or to a later version of this one.
    Foreign(String),
    /// The file cannot be opened.
    Io(std::io::Error),
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// A stored message cannot be read back.
    Json(serde_json::Error),
    /// The system gives no randomness for a client's name.
    Random(getrandom::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(reason) => f.write_str(reason),
            Self::Io(error) => error.fmt(f),
            Self::Sqlite(error) => error.fmt(f),
            Self::Json(error) => write!(f, "a stored message is damaged: {error}"),
            Self::Random(error) => write!(f, "the system gives no random bytes: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// The row number of a client.
type ClientId = i64;

/// The memory of the service.
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// A store that is forgotten when the service ends.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::set_up(Connection::open_in_memory()?)
    }

    /// A store in a file, which is made where there is none.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        schema::make_private(file).map_err(StoreError::Io)?;
        Self::set_up(Connection::open(file)?)
    }

    fn set_up(mut connection: Connection) -> Result<Self, StoreError> {
        schema::prepare(&mut connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held has rolled its transaction back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` in one transaction, which is on the disk when this returns.
    fn change<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Keeps a registration and the answer that `decide` gives. A registration that is already
    /// known by its id keeps its hash and its answer. The last of the three is whether it is new.
    pub fn register(
        &self,
        registration: &RegisterClient,
        decide: impl FnOnce(Vec<String>) -> StartClient,
    ) -> Result<(String, StartClient, bool), StoreError> {
        let now = now_ms();
        self.change(|t| {
            if let Some((hash, answer)) = known(t, registration)? {
                let seen = "UPDATE clients SET seen_ms = ?2, gone_ms = NULL WHERE hash = ?1";
                t.execute(seen, params![hash, now])?;
                return Ok((hash, serde_json::from_str(&answer)?, false));
            }
            let hash = new_hash().map_err(StoreError::Random)?;
            let client_id = rules::client_id(&registration.config);
            let answer = decide(topics_of_alike(t, &client_id, registration)?);
            let tags_json = match rules::tags(&registration.tags) {
                Some(tags) => Some(serde_json::to_string(&tags)?),
                None => None,
            };
            t.execute(
                "INSERT INTO clients (hash, registration_id, kind, client_id, host, tags, \
                 tags_json, registration, answer, mode, registered_ms, seen_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
                params![
                    hash,
                    registration.registration_id,
                    registration.kind.map(|kind| kind.as_str()),
                    client_id,
                    registration.client_host,
                    registration.tags,
                    tags_json,
                    serde_json::to_string(registration)?,
                    serde_json::to_string(&answer)?,
                    serde_json::to_value(answer.mode)?.as_str(),
                    now,
                ],
            )?;
            Ok((hash, answer, true))
        })
    }

    /// Keeps what a client runs with. False where the client is unknown, as in all that follow.
    pub fn configure(&self, hash: &str, update: &ClientConfigUpdate) -> Result<bool, StoreError> {
        let now = now_ms();
        let applied = serde_json::to_string(update)?;
        self.change(|t| {
            let sql = "UPDATE clients SET applied = ?2, configured_ms = ?3, seen_ms = ?3 \
                       WHERE hash = ?1";
            Ok(t.execute(sql, params![hash, applied, now])? > 0)
        })
    }

    /// Adds a report to what is known of a client.
    pub fn report(&self, hash: &str, report: &ClientReport) -> Result<bool, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(false);
            };
            t.execute(
                "UPDATE clients SET reports = reports + 1, reported_ms = ?2, seen_ms = ?2 \
                 WHERE id = ?1",
                params![client, now],
            )?;
            add_topics(t, client, PRODUCED, &report.producer_topics_partitions)?;
            add_topics(
                t,
                client,
                CONSUMED,
                &report.consumer_group_topics_partitions,
            )?;
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

    /// Has an update ready for a client. The answer is its sequence number.
    pub fn push_update(
        &self,
        hash: &str,
        kind: &str,
        payload: &str,
    ) -> Result<Option<u64>, StoreError> {
        self.change(|t| {
            let Some(client) = find(t, hash)? else {
                return Ok(None);
            };
            let sequence: u64 = t.query_row(
                "UPDATE clients SET last_update = last_update + 1 WHERE id = ?1 \
                 RETURNING last_update",
                [client],
                |row| row.get(0),
            )?;
            let sql = "INSERT INTO updates VALUES (?1, ?2, ?3, ?4)";
            t.execute(sql, params![client, sequence, kind, payload])?;
            let oldest = sequence.saturating_sub(MAX_UPDATES_PER_CLIENT);
            let sql = "DELETE FROM updates WHERE client = ?1 AND sequence <= ?2";
            t.execute(sql, params![client, oldest])?;
            Ok(Some(sequence))
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

    /// Notes that a client is gone. Saying it again changes nothing.
    pub fn goodbye(&self, hash: &str) -> Result<bool, StoreError> {
        let now = now_ms();
        self.change(|t| {
            let sql = "UPDATE clients SET gone_ms = coalesce(gone_ms, ?2) WHERE hash = ?1";
            Ok(t.execute(sql, params![hash, now])? > 0)
        })
    }

    /// Forgets clients that are long gone, and those beyond [`MAX_CLIENTS`]. Tells how many.
    pub fn prune(&self) -> Result<usize, StoreError> {
        self.prune_at(now_ms(), MAX_CLIENTS)
    }

    fn prune_at(&self, now: i64, keep: u64) -> Result<usize, StoreError> {
        self.change(|t| {
            let old = t.execute(
                "DELETE FROM clients WHERE gone_ms < ?1 OR seen_ms < ?2",
                params![now - millis(GONE_KEPT), now - millis(SILENT_KEPT)],
            )?;
            let over = t.execute(
                "DELETE FROM clients WHERE id IN (SELECT id FROM clients \
                 ORDER BY gone_ms IS NULL DESC, seen_ms DESC LIMIT -1 OFFSET ?1)",
                [keep],
            )?;
            Ok(old + over)
        })
    }
}

const PRODUCED: &str = "producer";
const CONSUMED: &str = "consumer";

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

fn find(t: &Transaction<'_>, hash: &str) -> Result<Option<ClientId>, StoreError> {
    let mut query = t.prepare_cached("SELECT id FROM clients WHERE hash = ?1")?;
    Ok(query.query_row([hash], |row| row.get(0)).optional()?)
}

/// Topics that were reported by earlier runs of the same application on the same host.
fn topics_of_alike(
    t: &Transaction<'_>,
    client_id: &str,
    registration: &RegisterClient,
) -> Result<Vec<String>, StoreError> {
    let mut query = t.prepare_cached(
        "SELECT DISTINCT topic FROM topics JOIN clients ON clients.id = topics.client \
         WHERE client_id = ?1 AND host = ?2 AND tags = ?3",
    )?;
    let identity = params![client_id, registration.client_host, registration.tags];
    let rows = query.query_map(identity, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add_topics(
    t: &Transaction<'_>,
    client: ClientId,
    role: &str,
    reported: &TopicsPartitions,
) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM topics WHERE client = ?1 AND role = ?2";
    let mut count: usize = t.query_row(sql, params![client, role], |row| row.get(0))?;
    let mut old = t.prepare_cached(
        "SELECT partitions FROM topics WHERE client = ?1 AND role = ?2 AND topic = ?3",
    )?;
    let mut put = t.prepare_cached("INSERT OR REPLACE INTO topics VALUES (?1, ?2, ?3, ?4)")?;
    for (topic, partitions) in reported {
        let before: Option<String> = old
            .query_row(params![client, role, topic], |row| row.get(0))
            .optional()?;
        let mut all: Vec<i32> = match &before {
            Some(before) => serde_json::from_str(before)?,
            None if count >= MAX_TOPICS_PER_CLIENT => continue,
            None => {
                count += 1;
                Vec::new()
            }
        };
        all.extend(partitions);
        all.sort_unstable();
        all.dedup();
        all.truncate(MAX_PARTITIONS_PER_TOPIC);
        put.execute(params![client, role, topic, serde_json::to_string(&all)?])?;
    }
    Ok(())
}

/// 128 random bits: nobody guesses another client's name. Hexadecimal is safe in paths, and in
/// the subjects and topics of other transports.
fn new_hash() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn now_ms() -> i64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
