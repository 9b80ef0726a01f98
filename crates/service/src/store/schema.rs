//! Making and checking the database.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::StoreError;

/// Marks the file as ours: "SSTR".
const APPLICATION: i32 = 0x5353_5452;
/// What makes each version out of the one before; the first out of nothing. A new database goes
/// through all of them, so that a mended one is no different.
const STEPS: [&str; 5] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
];
/// The version that this service works with.
const VERSION: i32 = STEPS.len() as i32;
/// How long to wait for another process that has the file locked.
const BUSY: Duration = Duration::from_secs(5);
/// How long to try to set the file up while others do.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long between two tries where SQLite does not wait itself.
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the file, where there is none, such that only its owner can read it.
pub fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// Sets a connection up, the tables in a new database, and what is missing in an older one.
///
/// Where several instances make one database at once, SQLite does not wait for its turn to change the
/// journal's mode: it says at once that the file is locked.
pub fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    let begin = Instant::now();
    loop {
        match try_to_prepare(connection) {
            Err(error) if is_locked(&error) && begin.elapsed() < PATIENCE => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn is_locked(error: &StoreError) -> bool {
    let StoreError::Sqlite(error) = error else {
        return false;
    };
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn try_to_prepare(connection: &mut Connection) -> Result<(), StoreError> {
    check(&*connection.transaction()?)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Each commit waits for the disk: what was acknowledged is kept.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    if done < STEPS.len() {
        for step in &STEPS[done..] {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Refuses a database that this version cannot work with, before anything in it is changed. Another
/// instance may be making it: what is read must be of one moment.
fn check(connection: &Connection) -> Result<(), StoreError> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let owner: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (owner, version) {
        (0, 0) if tables == 0 => Ok(()),
        (APPLICATION, 1..=VERSION) => Ok(()),
        (APPLICATION, _) => Err(StoreError::Foreign(format!(
            "the database has version {version} and this service knows up to {VERSION}: use the \
             service that made it, or another file"
        ))),
        _ => Err(StoreError::Foreign(
            "the database belongs to another program: choose another file".to_owned(),
        )),
    }
}
