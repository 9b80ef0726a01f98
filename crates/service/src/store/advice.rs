//! Whether a client would be advised otherwise now than when it registered.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use superstream_protocol::{RegisterClient, StartClient};

use super::{ClientId, Store, StoreError};
use crate::rules::{Past, Traits};

/// How many runs of an application are asked for their topics.
const MAX_ALIKE: u32 = 1_000;
/// Fewer records than this say nothing of how a client produces.
const LEAST_RECORDS: u32 = 100;
/// Who sends fewer records in a request than this sends them one by one.
const RECORDS_PER_REQUEST: f64 = 1.05;

/// What a registration was answered.
struct Answered {
    client: ClientId,
    application: Option<String>,
    registration: RegisterClient,
    answer: StartClient,
}

impl Store {
    /// The advice that `decide` gives now, for each of these clients that got another one.
    pub fn newer_advice<'a>(
        &self,
        hashes: impl Iterator<Item = &'a str>,
        decide: impl Fn(&Traits) -> StartClient,
    ) -> Result<HashMap<&'a str, StartClient>, StoreError> {
        let connection = self.lock();
        let mut newer = HashMap::new();
        // The clients of one process are much alike, and are decided on once.
        let mut decided = HashMap::new();
        for hash in hashes {
            let Some(Answered {
                client,
                application,
                registration,
                answer,
            }) = answered(&connection, hash)?
            else {
                continue;
            };
            let mut traits = Traits::of(&registration);
            let identity = (
                traits.clone(),
                application,
                registration.client_host.clone(),
                registration.tags.clone(),
            );
            let now = match decided.get(&identity) {
                Some(now) => now,
                None => {
                    traits.remember(past(&connection, client)?);
                    decided.entry(identity).or_insert(decide(&traits))
                }
            };
            if *now != answer {
                newer.insert(hash, now.clone());
            }
        }
        Ok(newer)
    }
}

/// `None` where the client is unknown, and where the store does not hold what the rules would
/// have to see.
fn answered(connection: &Connection, hash: &str) -> Result<Option<Answered>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT id, application, registration, answer FROM clients \
         WHERE hash = ?1 AND NOT is_veiled",
    )?;
    let found = query.query_row([hash], |row| {
        let texts: (String, String) = (row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, row.get(1)?, texts))
    });
    let Some((client, application, (registration, answer))) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some(Answered {
        client,
        application,
        registration: serde_json::from_str(&registration)?,
        answer: serde_json::from_str(&answer)?,
    }))
}

/// What earlier runs of the same application reported.
pub fn past(connection: &Connection, client: ClientId) -> Result<Past, StoreError> {
    Ok(Past {
        topics: topics(connection, client)?,
        is_one_by_one: is_one_by_one(connection, client)?,
    })
}

/// The last run of the same application as client `?1` that delivered enough.
pub const LAST_TELLING: &str = "SELECT is_one_by_one FROM figures \
     WHERE application = (SELECT application FROM clients WHERE id = ?1) \
     AND is_one_by_one IS NOT NULL ORDER BY client DESC LIMIT 1";

/// Whether that run sent its records one by one.
fn is_one_by_one(connection: &Connection, client: ClientId) -> Result<bool, StoreError> {
    let mut query = connection.prepare_cached(LAST_TELLING)?;
    let found = query.query_row([client], |row| row.get(0));
    Ok(found.optional()?.unwrap_or_default())
}

/// Notes whether a client sends its records one by one, after its figures have changed. What was
/// merged into it may be of others, who do not produce as it does.
pub fn judge(t: &Transaction<'_>, client: ClientId) -> Result<(), StoreError> {
    t.prepare_cached(
        "UPDATE figures SET is_one_by_one = CASE \
         WHEN delivered_records >= ?2 AND merged_clients = 0 \
         THEN delivered_records < ?3 * produce_requests END WHERE client = ?1",
    )?
    .execute(params![client, LEAST_RECORDS, RECORDS_PER_REQUEST])?;
    Ok(())
}

/// Topics that were reported by earlier runs of the same `client.id` and tags on the same host, of
/// which the newest [`MAX_ALIKE`] are asked.
fn topics(connection: &Connection, client: ClientId) -> Result<Vec<String>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT DISTINCT topic FROM topics WHERE client IN (SELECT id FROM clients \
         WHERE (client_id, host, tags) = (SELECT client_id, host, tags FROM clients WHERE id = ?1) \
         ORDER BY id DESC LIMIT ?2)",
    )?;
    let rows = query.query_map(params![client, MAX_ALIKE], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
