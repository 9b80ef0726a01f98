//! Reading the store for the operator.

use rusqlite::{Connection, OptionalExtension, Row, params};
use superstream_protocol::{
    ClientConfigUpdate, Mode, RegisterClient, StartClient, TopicsPartitions,
};

use super::{CONSUMED, ClientId, PRODUCED, Store, StoreError};
use crate::glob;
use crate::view::{ClientDetail, ClientList, ClientSummary, ListQuery, ReportedError};

/// The columns that [`summary`] reads.
const SUMMARY: &str = "id, hash, client_id, mode, registered_ms, seen_ms, gone_ms, errors, \
                       registration";

impl Store {
    /// A page of clients, newest first.
    pub fn list(&self, query: &ListQuery) -> Result<ClientList, StoreError> {
        let connection = self.lock();
        let (tag, tag_value) = match &query.tag {
            Some((name, value)) => (Some(name), value.as_ref()),
            None => (None, None),
        };
        let mut select = connection.prepare_cached(&format!(
            "SELECT {SUMMARY} FROM clients WHERE (?1 IS NULL OR id < ?1) \
             AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR client_id GLOB ?3) \
             AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags_json) \
                  WHERE key = ?4 AND (?5 IS NULL OR value = ?5))) \
             ORDER BY id DESC LIMIT ?6"
        ))?;
        let limit = query.limit as usize;
        let rows = select.query_map(
            params![
                query.after,
                query.kind.map(|kind| kind.as_str()),
                query.client_id.as_deref().map(glob::for_sqlite),
                tag,
                tag_value,
                // One more than asked for shows whether there is a next page.
                query.limit.saturating_add(1),
            ],
            |row| Ok(summary(row)),
        )?;
        let mut found = Vec::new();
        for row in rows {
            found.push(row??);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(id, ..)| *id);
        Ok(ClientList {
            clients: found.into_iter().map(|(_, shown, _)| shown).collect(),
            next,
        })
    }

    /// All that is known of a client; `None` where it is unknown.
    pub fn client(&self, hash: &str) -> Result<Option<ClientDetail>, StoreError> {
        let connection = self.lock();
        let sql = format!(
            "SELECT {SUMMARY}, answer, applied, configured_ms, reports, reported_ms \
             FROM clients WHERE hash = ?1"
        );
        let found = connection
            .query_row(&sql, [hash], |row| Ok(detail(row)))
            .optional()?;
        let Some((id, mut client)) = found.transpose()? else {
            return Ok(None);
        };
        client.producer_topics_partitions = topics(&connection, id, PRODUCED)?;
        client.consumer_group_topics_partitions = topics(&connection, id, CONSUMED)?;
        client.errors = errors(&connection, id)?;
        Ok(Some(client))
    }
}

fn summary(row: &Row<'_>) -> Result<(ClientId, ClientSummary, RegisterClient), StoreError> {
    let registration: RegisterClient =
        serde_json::from_str(&row.get::<_, String>("registration")?)?;
    let mode: Mode = serde_json::from_value(row.get::<_, String>("mode")?.into())?;
    let shown = ClientSummary {
        client_hash: row.get("hash")?,
        kind: registration.kind,
        client_id: row.get("client_id")?,
        client_host: registration.client_host.clone(),
        language: registration.language.clone(),
        tags: registration.tags.clone(),
        mode,
        registered_at_ms: row.get("registered_ms")?,
        last_seen_at_ms: row.get("seen_ms")?,
        gone_at_ms: row.get("gone_ms")?,
        errors_total: row.get("errors")?,
    };
    Ok((row.get("id")?, shown, registration))
}

fn detail(row: &Row<'_>) -> Result<(ClientId, ClientDetail), StoreError> {
    let (id, summary, registration) = summary(row)?;
    let answer: StartClient = serde_json::from_str(&row.get::<_, String>("answer")?)?;
    let applied: Option<ClientConfigUpdate> = match row.get::<_, Option<String>>("applied")? {
        Some(applied) => Some(serde_json::from_str(&applied)?),
        None => None,
    };
    let (effective_config, changes, refusals, applied_mode) = match applied {
        Some(a) => (Some(a.config), a.changes, a.refusals, Some(a.mode)),
        None => (None, Vec::new(), Vec::new(), None),
    };
    let client = ClientDetail {
        summary,
        version: registration.version,
        engine_version: registration.engine_version,
        client_ip: registration.client_ip,
        pid: registration.pid,
        registered_config: registration.config,
        start: answer.start,
        advice: answer.optimized_configuration,
        no_advice_because: answer.error,
        configured_at_ms: row.get("configured_ms")?,
        effective_config,
        applied_mode,
        changes,
        refusals,
        reports_total: row.get("reports")?,
        reported_at_ms: row.get("reported_ms")?,
        producer_topics_partitions: TopicsPartitions::new(),
        consumer_group_topics_partitions: TopicsPartitions::new(),
        errors: Vec::new(),
    };
    Ok((id, client))
}

fn topics(
    connection: &Connection,
    client: ClientId,
    role: &str,
) -> Result<TopicsPartitions, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT topic, partitions FROM topics WHERE client = ?1 AND role = ?2")?;
    let mut rows = select.query(params![client, role])?;
    let mut topics = TopicsPartitions::new();
    while let Some(row) = rows.next()? {
        let partitions: String = row.get(1)?;
        topics.insert(row.get(0)?, serde_json::from_str(&partitions)?);
    }
    Ok(topics)
}

fn errors(connection: &Connection, client: ClientId) -> Result<Vec<ReportedError>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT at_ms, error FROM errors WHERE client = ?1 ORDER BY id")?;
    let rows = select.query_map([client], |row| {
        Ok(ReportedError {
            at_ms: row.get(0)?,
            error: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
