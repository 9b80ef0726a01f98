//! Reading the store for the operator.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use superstream_protocol::measured::Measured;
use superstream_protocol::{
    ClientConfigUpdate, ClientKind, Mode, RegisterClient, StartClient, TopicsPartitions,
};

use super::figures::{self, Figures};
use super::{CONSUMED, ClientId, PRODUCED, Store, StoreError, baselines, is_alive, now_ms};
use crate::glob;
use crate::registration::{MAX_SHOWN_CLIENT_ID, cut_to};
use crate::view::{
    Baseline, ClientDetail, ClientFigures, ClientList, ClientSummary, Latencies, ListQuery, Rates,
    ReportedError, Saved,
};

/// Where the figures of the client, of its baseline and of its last report begin.
const OWN: usize = 1;
const BASELINE: usize = OWN + figures::COUNT;
const LAST_REPORT: usize = BASELINE + figures::COUNT;

/// The columns that [`summary`] reads; `now` and `interval` as in [`is_alive`].
fn summary_columns(now: &str, interval: &str) -> String {
    [
        format!("{} AS alive", is_alive(now, interval)),
        figures::columns("f."),
        figures::columns("b."),
        figures::columns("h."),
        "c.id AS id, c.hash AS hash, c.client_id AS client_id, c.kind AS kind, mode, \
         registered_ms, seen_ms, gone_ms, errors, registration, is_stock, connection_id, \
         f.at_ms AS figures_at_ms, f.only_topic AS only_topic, \
         f.merged_clients AS merged_clients, \
         f.is_comparable AS is_comparable, f.is_baseline AS is_baseline, \
         f.restarts AS restarts, f.application IS NOT NULL AS has_application, h.number AS last_number, \
         baseline.hash AS baseline_hash"
            .to_owned(),
    ]
    .join(", ")
}

/// The tables that they come from. The last report is that of `h` where it tells of a rate: of one
/// client alone, that is still there.
fn summary_tables() -> String {
    format!(
        "clients c LEFT JOIN figures f ON f.client = c.id {} \
         LEFT JOIN (SELECT id, hash FROM clients) baseline ON baseline.id = b.client \
         LEFT JOIN history h ON h.client = f.client AND h.number = f.reports AND f.reports > 1 \
             AND f.newly_merged = 0 AND c.gone_ms IS NULL",
        baselines::JOIN
    )
}

/// Finds a page of clients. The few that are alive are found by their index, and their rows read
/// one by one; otherwise the rows are walked from the newest on.
pub fn page(alive: Option<bool>) -> String {
    format!(
        "SELECT {} FROM {} WHERE {} ORDER BY c.id DESC LIMIT ?6",
        summary_columns("?5", "?7"),
        summary_tables(),
        wanted(alive),
    )
}

/// Which clients are wanted: after `?1`, of the kind `?2`, and so on.
fn wanted(alive: Option<bool>) -> String {
    let is_alive = is_alive("?5", "?7");
    let living = format!("c.id IN (SELECT c.id FROM clients c WHERE {is_alive})");
    let wanted = match alive {
        None => "TRUE".to_owned(),
        Some(true) => living,
        Some(false) => format!("NOT {is_alive}"),
    };
    format!(
        "{wanted} AND (?1 IS NULL OR c.id < ?1) \
         AND (?2 IS NULL OR c.kind = ?2) AND (?3 IS NULL OR c.client_id GLOB ?3) \
         AND NOT EXISTS (SELECT 1 FROM json_each(?4) wanted WHERE NOT EXISTS ( \
              SELECT 1 FROM json_each(c.tags_json) tag WHERE tag.key = wanted.value ->> 0 \
              AND coalesce(tag.value = wanted.value ->> 1, TRUE)))"
    )
}

impl Store {
    /// A page of clients, newest first.
    pub fn list(&self, query: &ListQuery) -> Result<ClientList, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(&page(query.alive))?;
        let limit = query.limit as usize;
        let rows = select.query_map(
            // One more than asked for shows whether there is a next page.
            self.parameters(query, query.limit.saturating_add(1).into())?,
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
            ..ClientList::default()
        })
    }

    /// The names of all clients that the pages together would show, newest first.
    pub fn matching(&self, query: &ListQuery) -> Result<Vec<String>, StoreError> {
        let connection = self.lock();
        let sql = format!(
            "SELECT c.hash, {} FROM clients c WHERE {} ORDER BY c.id DESC LIMIT ?6",
            // Has all parameters used, as they are in a page.
            is_alive("?5", "?7"),
            wanted(query.alive)
        );
        let mut select = connection.prepare_cached(&sql)?;
        let rows = select.query_map(
            // All of them.
            self.parameters(query, -1)?,
            |row| row.get(0),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What [`wanted`] and what is shown beside it ask for, with at most so many clients.
    fn parameters(&self, query: &ListQuery, limit: i64) -> Result<[Value; 7], StoreError> {
        Ok([
            query.after.into(),
            query.kind.map(|kind| kind.as_str().to_owned()).into(),
            query.client_id.as_deref().map(glob::for_sqlite).into(),
            serde_json::to_string(&query.tags)?.into(),
            now_ms().into(),
            limit.into(),
            self.interval_ms().into(),
        ])
    }

    /// All that is known of a client; `None` where it is unknown.
    pub fn client(&self, hash: &str) -> Result<Option<ClientDetail>, StoreError> {
        let mut connection = self.lock();
        // One moment, whatever other instances of the service write meanwhile.
        let connection = connection.transaction()?;
        let sql = format!(
            "SELECT {}, answer, applied, configured_ms, c.reports AS reports, reported_ms, \
             f.measured AS measured FROM {} WHERE c.hash = ?1",
            summary_columns("?2", "?3"),
            summary_tables()
        );
        let found = connection
            .query_row(&sql, params![hash, now_ms(), self.interval_ms()], |row| {
                Ok(detail(row))
            })
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
    let mut client_id: String = row.get("client_id")?;
    cut_to(&mut client_id, MAX_SHOWN_CLIENT_ID);
    let shown = ClientSummary {
        client_hash: row.get("hash")?,
        kind: kind(row)?,
        client_id,
        client_host: registration.client_host.clone(),
        language: registration.language.clone(),
        tags: registration.tags.clone(),
        connection_id: row.get("connection_id")?,
        mode,
        registered_at_ms: row.get("registered_ms")?,
        last_seen_at_ms: row.get("seen_ms")?,
        gone_at_ms: row.get("gone_ms")?,
        alive: row.get("alive")?,
        changed: row
            .get::<_, Option<bool>>("is_stock")?
            .map(|is_stock| !is_stock),
        errors_total: row.get("errors")?,
        figures: figures_of(row)?,
    };
    Ok((row.get("id")?, shown, registration))
}

/// A client may tell its kind after its registration.
fn kind(row: &Row<'_>) -> Result<Option<ClientKind>, StoreError> {
    Ok(match row.get::<_, Option<String>>("kind")? {
        Some(kind) => Some(serde_json::from_value(kind.into())?),
        None => None,
    })
}

fn figures_of(row: &Row<'_>) -> Result<Option<ClientFigures>, StoreError> {
    let Some(at_ms) = row.get("figures_at_ms")? else {
        return Ok(None);
    };
    let figures = Figures::read(row, OWN)?;
    let rates = match row.get::<_, Option<i64>>("last_number")? {
        Some(_) => Rates::of(&Figures::read(row, LAST_REPORT)?),
        None => None,
    };
    let baseline = match row.get("baseline_hash")? {
        Some(hash) => Baseline::of(hash, &Figures::read(row, BASELINE)?),
        None => None,
    };
    let saved = baseline.as_ref().and_then(|b| Saved::against(b, &figures));
    let no_baseline_because = match baseline {
        Some(_) => None,
        None => Some(no_baseline(row, &figures)?),
    };
    Ok(Some(ClientFigures {
        at_ms,
        measured_ms: figures.measured_ms,
        produced: (&figures).into(),
        consumed: (&figures).into(),
        rates,
        baseline,
        saved,
        no_baseline_because,
    }))
}

/// Why a client is compared with nothing.
fn no_baseline(row: &Row<'_>, figures: &Figures) -> Result<String, StoreError> {
    if figures.accepted_records == 0 {
        return Ok("the client has produced nothing".to_owned());
    }
    let missing = missing(row)?;
    Ok(match row.get("is_stock")? {
        None => "the client has not said what was changed in its configuration".to_owned(),
        Some(true) if row.get("is_baseline")? => {
            "the client itself runs without changes: others are compared with it".to_owned()
        }
        Some(true) => format!(
            "the client itself runs without changes, and nobody is compared with it: {}",
            match missing {
                Some(missing) => missing,
                None if row.get::<_, i64>("restarts")? > 0 => "it counted from nothing again",
                None => "of 100 records more than one failed, or nothing was counted on the wire",
            }
        ),
        Some(false) => missing
            .unwrap_or(
                "no earlier client of the same application (kind, client.id, tags, brokers, and \
                 the host where the client.id is the default) and only topic ran without changes \
                 and delivered at least 1000 records and 100000 bytes, with at most one failed \
                 record for 100 of these",
            )
            .to_owned(),
    })
}

/// What keeps a client from being compared with any other.
fn missing(row: &Row<'_>) -> Result<Option<&'static str>, StoreError> {
    let kind: Option<String> = row.get("kind")?;
    let only_topic: Option<String> = row.get("only_topic")?;
    Ok(if row.get::<_, i64>("merged_clients")? > 0 {
        Some("figures of other clients were added to its own while the service was away")
    } else if kind.is_none() {
        Some("the client has not said of which kind it is")
    } else if !row.get::<_, bool>("has_application")? {
        Some(
            "the client's client.id or list of brokers is masked, or the list is longer than 16 \
             KiB: its application cannot be told from others",
        )
    } else if only_topic.is_none() {
        Some(
            "the client produced to several topics, and bytes on the wire cannot be told apart by \
             topic",
        )
    } else if !row.get::<_, bool>("is_comparable")? {
        Some(
            "the client itself has not delivered 1000 records and 100000 bytes yet: less says \
             little",
        )
    } else {
        None
    })
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
    let measured: Option<Measured> = match row.get::<_, Option<String>>("measured")? {
        Some(measured) => Some(serde_json::from_str(&measured)?),
        None => None,
    };
    let client = ClientDetail {
        summary,
        version: registration.version,
        engine_version: registration.engine_version,
        engine_file: registration.engine_file,
        client_software_name: registration.client_software_name,
        client_software_version: registration.client_software_version,
        client_ip: registration.client_ip,
        addresses: registration.addresses,
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
        latencies: measured.as_ref().map(Latencies::from),
        measured,
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
