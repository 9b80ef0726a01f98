//! What stock would have sent: measured on an earlier client that ran without changes, or not
//! known.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};
use superstream_protocol::Baseline;
use superstream_protocol::measured::{Records, Requests};

use super::{ClientId, Store, StoreError};

/// Fewer records than this say little of how they travel: the first requests of a client carry
/// single records, whatever its configuration.
const LEAST_RECORDS: u64 = 1_000;
/// Less payload than this is outweighed by the headers of a few requests.
const LEAST_BYTES: u64 = 100_000;
/// For so many delivered records, one may have failed: what was sent of that is on the wire all the
/// same, once for each try, and no payload stands against it.
const DELIVERED_TO_FAILED: u64 = 100;

/// The baseline of a client whose figures are `f`, as the row `b` of a join. The newest earlier
/// one wins; whoever ran without changes needs none.
pub const JOIN: &str = "LEFT JOIN figures b ON b.client = ( \
     SELECT o.client FROM figures o \
     WHERE o.is_baseline AND o.application = f.application \
     AND o.only_topic = f.only_topic AND o.client < f.client \
     AND f.is_comparable AND c.is_stock = 0 ORDER BY o.client DESC LIMIT 1)";

// The baseline after baseline `a`, as an expression.
macro_rules! next {
    () => {
        "(SELECT min(n.client) FROM figures n WHERE n.is_baseline \
          AND n.application = a.application AND n.only_topic = a.only_topic \
          AND n.client > a.client)"
    };
}

/// Whether `a` is what clients to come will be compared with.
pub const IS_NEWEST: &str = concat!(next!(), " IS NULL");

/// Whether a client that is there is compared with baseline `a`, or will be once it has delivered
/// enough: [`JOIN`], seen from the baseline.
pub const IS_USED: &str = concat!(
    "EXISTS (SELECT 1 FROM figures u JOIN clients user ON user.id = u.client \
     WHERE u.application = a.application AND u.only_topic = a.only_topic \
     AND u.client > a.client AND u.client < coalesce(",
    next!(),
    ", 9223372036854775807) AND user.is_stock = 0)"
);

/// Bytes that `f` saved against `b`, as an expression. Below zero where it sent more.
pub const SAVED_BYTES: &str =
    "(CAST(f.delivered_bytes AS REAL) * b.wire_bytes / b.delivered_bytes - f.wire_bytes)";

impl Store {
    /// The baselines of those of these clients that have one.
    pub fn baselines<'a>(
        &self,
        hashes: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<&'a str, Baseline>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT b.delivered_records, b.delivered_bytes, b.produce_requests, b.wire_bytes \
             FROM clients c JOIN figures f ON f.client = c.id {JOIN} \
             WHERE c.hash = ?1 AND b.client IS NOT NULL"
        ))?;
        let mut found = HashMap::new();
        for hash in hashes {
            let baseline = query.query_row([hash], |row| {
                Ok(Baseline {
                    delivered: Records {
                        records: row.get(0)?,
                        bytes: row.get(1)?,
                    },
                    produce: Requests {
                        requests: row.get(2)?,
                        bytes: row.get(3)?,
                    },
                })
            });
            found.extend(baseline.optional()?.map(|baseline| (hash, baseline)));
        }
        Ok(found)
    }
}

/// Notes whether a client may be compared, and others with it, after anything about it has
/// changed. The figures of several clients in one may be of other `client.id`s, and those of
/// several lives of other configurations.
pub fn judge(t: &Transaction<'_>, client: ClientId) -> Result<(), StoreError> {
    t.prepare_cached(
        "UPDATE figures SET is_comparable = told.is_enough, is_baseline = told.is_enough \
         AND told.is_stock AND restarts = 0 AND produce_requests > 0 AND wire_bytes > 0 \
         AND failed_records * ?4 <= delivered_records \
         FROM (SELECT coalesce(c.is_stock, 0) AS is_stock, \
                      f.application IS NOT NULL AND f.only_topic IS NOT NULL \
                      AND f.merged_clients = 0 AND f.delivered_records >= ?2 \
                      AND f.delivered_bytes >= ?3 AS is_enough \
               FROM figures f JOIN clients c ON c.id = f.client WHERE f.client = ?1) AS told \
         WHERE client = ?1",
    )?
    .execute(params![
        client,
        LEAST_RECORDS,
        LEAST_BYTES,
        DELIVERED_TO_FAILED
    ])?;
    Ok(())
}
