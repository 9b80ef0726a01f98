//! What the service remembers, in SQLite: in memory, or in a file, where everything that was
//! acknowledged survives a crash of the service and of the machine.
//!
//! The store holds what it is given: masking is its caller's duty.

mod advice;
mod baselines;
mod clients;
mod figures;
mod history;
mod links;
mod prune;
mod quiet;
mod reports;
mod schema;
mod shown;
mod totals;
mod updates;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

pub use clients::Manner;
pub use figures::Figures;
pub use links::Errand;
pub use quiet::{KindTold, Looks, START_ALONE, Sought};
pub use reports::Receipt;
pub use totals::{KindTotals, Totals};
pub use updates::Made;

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
/// Reports of one client that are told apart in its history; older ones are added up in the oldest.
pub const MAX_HISTORY: i64 = 1_000;
/// How long a client is kept after its goodbye.
pub const GONE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a client is kept that fell silent without a goodbye.
pub const SILENT_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a client is kept, gone or silent, that others are compared with.
pub const BASELINE_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);
/// A client that was not heard of in so many report intervals is not counted as alive.
const SILENT_INTERVALS: i64 = 3;
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

/// The roles of topics.
const PRODUCED: &str = "producer";
const CONSUMED: &str = "consumer";

/// The row number of a client.
type ClientId = i64;

/// The memory of the service.
pub struct Store {
    connection: Mutex<Connection>,
    /// How often clients are told to report from now on.
    report_interval: Duration,
    /// Tells this instance of the service from others with the same file, and from itself before a
    /// restart.
    instance: i64,
}

impl Store {
    /// A store that is forgotten when the service ends.
    pub fn in_memory(report_interval: Duration) -> Result<Self, StoreError> {
        Self::set_up(Connection::open_in_memory()?, report_interval)
    }

    /// A store in a file, which is made where there is none.
    pub fn open(file: &Path, report_interval: Duration) -> Result<Self, StoreError> {
        schema::make_private(file).map_err(StoreError::Io)?;
        Self::set_up(Connection::open(file)?, report_interval)
    }

    fn set_up(mut connection: Connection, report_interval: Duration) -> Result<Self, StoreError> {
        schema::prepare(&mut connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
            report_interval,
            // The one source of chance that cannot fail.
            instance: RandomState::new().hash_one(0).cast_signed(),
        })
    }

    /// How often clients are told to report.
    pub fn report_interval(&self) -> Duration {
        self.report_interval
    }

    fn interval_ms(&self) -> i64 {
        millis(self.report_interval)
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
}

fn find(t: &Transaction<'_>, hash: &str) -> Result<Option<ClientId>, StoreError> {
    let mut query = t.prepare_cached("SELECT id FROM clients WHERE hash = ?1")?;
    Ok(query.query_row([hash], |row| row.get(0)).optional()?)
}

/// Whether a client `c` is alive, as an expression: `now` and `interval` are the parameters for the
/// time and for how often clients are told to report by now. How long it may be silent goes by the
/// longer of that and what it was told itself: a process reports for all of its clients as often as
/// any of them was told last.
fn is_alive(now: &str, interval: &str) -> String {
    format!(
        "(c.gone_ms IS NULL \
         AND c.seen_ms + {SILENT_INTERVALS} * max(c.interval_ms, {interval}) >= {now})"
    )
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
