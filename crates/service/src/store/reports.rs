//! Reports: each is taken once, whatever the network does to it.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};
use superstream_protocol::measured::{Durations, Measured};
use superstream_protocol::{ClientReport, TopicsPartitions};

use super::figures::{self, Figures};
use super::totals::{self, Gain};
use super::{
    CONSUMED, ClientId, MAX_PARTITIONS_PER_TOPIC, MAX_TOPICS_PER_CLIENT, PRODUCED, Store,
    StoreError, advice, baselines, history, now_ms,
};
use crate::bounds;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It was taken, now or before.
    Taken {
        /// The newest report of the client that was taken.
        sequence: u64,
        /// It had been taken before.
        again: bool,
    },
    /// Nobody knows the client.
    Unknown,
}

/// A client, as its reports need it.
struct Reporter {
    id: ClientId,
    kind: Option<String>,
    application: Option<String>,
    sequence: u64,
}

impl Store {
    /// Takes reports, all of them or none, and tells what became of each. Figures must be bounded.
    /// `is_told` says that the answer tells the clients how often to report.
    pub fn report(
        &self,
        reports: &[ClientReport],
        is_told: bool,
    ) -> Result<Vec<Receipt>, StoreError> {
        let told = is_told.then(|| self.interval_ms());
        let now = now_ms();
        self.change(|t| {
            let mut gains = BTreeMap::new();
            let mut receipts = Vec::with_capacity(reports.len());
            for report in reports {
                receipts.push(take(t, report, told, now, &mut gains)?);
            }
            totals::add(t, &gains)?;
            Ok(receipts)
        })
    }
}

fn take(
    t: &Transaction<'_>,
    report: &ClientReport,
    told: Option<i64>,
    now: i64,
    gains: &mut BTreeMap<String, Gain>,
) -> Result<Receipt, StoreError> {
    let Some(client) = reporter(t, &report.client_hash)? else {
        return Ok(Receipt::Unknown);
    };
    // One whose link ended is there after all; one that said goodbye was overtaken by that.
    t.prepare_cached(
        "UPDATE clients SET seen_ms = ?2, interval_ms = coalesce(?4, interval_ms), \
         gone_ms = CASE WHEN ?3 THEN coalesce(gone_ms, ?2) WHEN link IS NULL THEN gone_ms END, \
         link = CASE WHEN ?3 THEN NULL ELSE link END WHERE id = ?1",
    )?
    .execute(params![client.id, now, report.last, told])?;
    if is_repeated(report, client.sequence) {
        return Ok(Receipt::Taken {
            sequence: client.sequence,
            again: true,
        });
    }
    let sequence = client.sequence.max(report.sequence);
    t.prepare_cached(
        "UPDATE clients SET reports = reports + 1, reported_ms = ?2, sequence = ?3, \
         connection_id = coalesce(nullif(?4, 0), connection_id) WHERE id = ?1",
    )?
    // Bit for bit: all 64 may be in use.
    .execute(params![
        client.id,
        now,
        sequence.cast_signed(),
        report.connection_id
    ])?;
    let (produced, consumed) = (
        &report.producer_topics_partitions,
        &report.consumer_group_topics_partitions,
    );
    add_topics(t, client.id, PRODUCED, produced)?;
    add_topics(t, client.id, CONSUMED, consumed)?;
    if let Some(measured) = &report.measured {
        let gain = keep(t, &client, report.sequence, measured, now)?;
        let kind = client.kind.as_deref().unwrap_or(totals::UNKNOWN);
        gains.entry(kind.to_owned()).or_default().add(&gain);
    }
    Ok(Receipt::Taken {
        sequence,
        again: false,
    })
}

fn reporter(t: &Transaction<'_>, hash: &str) -> Result<Option<Reporter>, StoreError> {
    let mut query =
        t.prepare_cached("SELECT id, kind, application, sequence FROM clients WHERE hash = ?1")?;
    let found = query.query_row([hash], |row| {
        Ok(Reporter {
            id: row.get(0)?,
            kind: row.get(1)?,
            application: row.get(2)?,
            sequence: row.get::<_, i64>(3)?.cast_unsigned(),
        })
    });
    Ok(found.optional()?)
}

/// Whether a report is no news. Peers that do not count send no figures, and topics that are added
/// twice are the same topics.
fn is_repeated(report: &ClientReport, newest: u64) -> bool {
    match report.sequence {
        0 => report.measured.is_some() && newest > 0,
        sequence => sequence <= newest,
    }
}

/// Keeps the totals of a client. The answer is what they have grown by.
///
/// A total never falls, unless the client began to count from nothing again: then all that it tells
/// is new. Where reports have no number, it may as well be an old one that comes late.
fn keep(
    t: &Transaction<'_>,
    client: &Reporter,
    sequence: u64,
    measured: &Measured,
    now: i64,
) -> Result<Gain, StoreError> {
    let old = known(t, client.id)?;
    let (told, told_before) = (Figures::of(measured), Figures::of(&old.measured));
    let is_restart = told.falls_below(told_before);
    if is_restart && sequence == 0 {
        return Ok(Gain::default());
    }
    let grown_by = match is_restart {
        true => Gain {
            figures: told,
            latency: measured.delivery_latency_us.clone(),
        },
        false => Gain {
            figures: told.since(told_before),
            latency: figures::durations_since(
                &measured.delivery_latency_us,
                &old.measured.delivery_latency_us,
            ),
        },
    };
    let totals = old.totals.grown_by(grown_by.figures);
    let mut latency = old.latency;
    latency.add(&grown_by.latency);
    let gain = Gain {
        figures: totals.since(old.totals),
        ..grown_by
    };
    let restarts = old.restarts + i64::from(is_restart);
    let merged_before = match is_restart {
        true => 0,
        false => old.measured.merged_clients,
    };
    let merged = measured.merged_clients.saturating_sub(merged_before);
    let merged_clients = old
        .merged_clients
        .saturating_add(merged)
        .min(bounds::MAX_TOTAL);
    // What the client tells is of its latest counting alone.
    let only_topic = measured.only_topic().filter(|topic| {
        restarts == 0
            || old.totals.accepted_records == 0
            || old.only_topic.as_deref() == Some(*topic)
    });
    let number = old.reports + 1;
    let sql = format!(
        "INSERT OR REPLACE INTO figures (client, application, only_topic, at_ms, reports, \
         restarts, merged_clients, latency, measured, newly_merged, {}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, {})",
        figures::columns(""),
        figures::places(11),
    );
    let mut put = t.prepare_cached(&sql)?;
    put.raw_bind_parameter(1, client.id)?;
    put.raw_bind_parameter(2, &client.application)?;
    put.raw_bind_parameter(3, only_topic)?;
    put.raw_bind_parameter(4, now)?;
    put.raw_bind_parameter(5, number)?;
    put.raw_bind_parameter(6, restarts)?;
    put.raw_bind_parameter(7, merged_clients)?;
    put.raw_bind_parameter(8, serde_json::to_string(&latency)?)?;
    put.raw_bind_parameter(9, serde_json::to_string(measured)?)?;
    put.raw_bind_parameter(10, merged)?;
    for (at, value) in totals.values().into_iter().enumerate() {
        put.raw_bind_parameter(11 + at, value)?;
    }
    put.raw_execute()?;
    advice::judge(t, client.id)?;
    baselines::judge(t, client.id)?;
    history::add(t, client.id, number, now, gain.figures)?;
    Ok(gain)
}

/// What is kept of a client's figures.
#[derive(Default)]
struct Kept {
    reports: i64,
    restarts: i64,
    merged_clients: u64,
    only_topic: Option<String>,
    totals: Figures,
    latency: Durations,
    /// What the client told last.
    measured: Measured,
}

fn known(t: &Transaction<'_>, client: ClientId) -> Result<Kept, StoreError> {
    let sql = format!(
        "SELECT reports, restarts, merged_clients, only_topic, latency, measured, {} \
         FROM figures WHERE client = ?1",
        figures::columns("")
    );
    let mut query = t.prepare_cached(&sql)?;
    let mut rows = query.query([client])?;
    let Some(row) = rows.next()? else {
        return Ok(Kept::default());
    };
    Ok(Kept {
        reports: row.get(0)?,
        restarts: row.get(1)?,
        merged_clients: row.get(2)?,
        only_topic: row.get(3)?,
        latency: serde_json::from_str(&row.get::<_, String>(4)?)?,
        measured: serde_json::from_str(&row.get::<_, String>(5)?)?,
        totals: Figures::read(row, 6)?,
    })
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
    let reported = reported.iter().filter(|(topic, _)| bounds::is_topic(topic));
    for (topic, partitions) in reported {
        let before: Option<String> = old
            .query_row(params![client, role, topic], |row| row.get(0))
            .optional()?;
        let known: Vec<i32> = match &before {
            Some(before) => serde_json::from_str(before)?,
            None if count >= MAX_TOPICS_PER_CLIENT => continue,
            None => {
                count += 1;
                Vec::new()
            }
        };
        let mut all = known.clone();
        all.extend(partitions);
        all.sort_unstable();
        all.dedup();
        // Most reports tell of nothing new here.
        if before.is_some() && all.len() == known.len() {
            continue;
        }
        all.truncate(MAX_PARTITIONS_PER_TOPIC);
        put.execute(params![client, role, topic, serde_json::to_string(&all)?])?;
    }
    Ok(())
}
