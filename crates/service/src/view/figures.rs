//! What the service shows of measured figures.

use std::collections::BTreeMap;

use serde::Serialize;
use superstream_protocol::measured::{Durations, Measured};

use crate::store::{Figures, KindTotals, Totals};

/// The figures of one client, since its creation.
#[derive(Clone, Debug, Serialize)]
pub struct ClientFigures {
    /// When they came.
    pub at_ms: i64,
    /// How long the client had measured then.
    pub measured_ms: u64,
    /// What it produced.
    pub produced: Produced,
    /// What it consumed.
    pub consumed: Consumed,
    /// How much in a second, over the time between the last two reports; `None` where there is one
    /// alone, where the last one brought figures of other clients, and of a client that is gone.
    pub rates: Option<Rates>,
    /// What the client is compared with.
    pub baseline: Option<Baseline>,
    /// What it saves against that.
    pub saved: Option<Saved>,
    /// Why it is compared with nothing, in words.
    pub no_baseline_because: Option<String>,
}

/// What was produced.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Produced {
    /// Records acknowledged by the broker.
    pub records: u64,
    /// Their keys and values.
    pub bytes: u64,
    /// Records given up.
    pub failed_records: u64,
    /// Records given back by `produce`.
    pub refused_records: u64,
    /// Records on their way, or lost in the queue of a closed client.
    pub unacknowledged_records: u64,
    /// Produce requests.
    pub requests: u64,
    /// Their bytes.
    pub wire_bytes: u64,
    /// Records delivered by each request.
    pub records_per_request: Option<f64>,
    /// Bytes on the wire for each byte of payload.
    pub wire_ratio: Option<f64>,
}

/// What was consumed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Consumed {
    /// Records handed to the application.
    pub records: u64,
    /// Their keys and values.
    pub bytes: u64,
    /// Fetch requests.
    pub requests: u64,
    /// The bytes of their answers.
    pub fetched_bytes: u64,
    /// Records with the header `superstream_schema`: at least so many. They are handed over as they
    /// are.
    pub schema_records: u64,
}

/// Figures in a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rates {
    /// Records delivered.
    pub produced_records: f64,
    /// Their keys and values.
    pub produced_bytes: f64,
    /// Records given up.
    pub failed_records: f64,
    /// Produce requests.
    pub produce_requests: f64,
    /// Their bytes.
    pub wire_bytes: f64,
    /// Records handed to the application.
    pub consumed_records: f64,
    /// Their keys and values.
    pub consumed_bytes: f64,
    /// Fetch requests.
    pub fetch_requests: f64,
    /// The bytes of their answers.
    pub fetched_bytes: f64,
}

/// An earlier client that ran without changes.
#[derive(Clone, Debug, Serialize)]
pub struct Baseline {
    /// Which.
    pub client_hash: String,
    /// Its bytes on the wire for each byte of payload.
    pub wire_ratio: f64,
    /// Its records by request.
    pub records_per_request: f64,
}

/// What a client saves, as a part of what its baseline needs for the same; below zero where it
/// needs more.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Saved {
    /// Of the bytes on the wire for each byte of payload.
    pub bytes_ratio: f64,
    /// Of the requests for each record.
    pub requests_ratio: f64,
}

impl From<&Figures> for Produced {
    fn from(figures: &Figures) -> Self {
        Self {
            records: figures.delivered_records,
            bytes: figures.delivered_bytes,
            failed_records: figures.failed_records,
            refused_records: figures.refused_records,
            unacknowledged_records: figures.unacknowledged_records(),
            requests: figures.produce_requests,
            wire_bytes: figures.wire_bytes,
            records_per_request: figures.records_per_request(),
            wire_ratio: figures.wire_ratio(),
        }
    }
}

impl From<&Figures> for Consumed {
    fn from(figures: &Figures) -> Self {
        Self {
            records: figures.consumed_records,
            bytes: figures.consumed_bytes,
            requests: figures.fetch_requests,
            fetched_bytes: figures.fetched_bytes,
            schema_records: figures.schema_records,
        }
    }
}

impl Rates {
    /// The rates over what a report added; `None` where the client's clock stood still.
    pub fn of(gain: &Figures) -> Option<Self> {
        let seconds = gain.measured_ms as f64 / 1_000.0;
        let rate = |number: u64| number as f64 / seconds;
        (seconds > 0.0).then(|| Self {
            produced_records: rate(gain.delivered_records),
            produced_bytes: rate(gain.delivered_bytes),
            failed_records: rate(gain.failed_records),
            produce_requests: rate(gain.produce_requests),
            wire_bytes: rate(gain.wire_bytes),
            consumed_records: rate(gain.consumed_records),
            consumed_bytes: rate(gain.consumed_bytes),
            fetch_requests: rate(gain.fetch_requests),
            fetched_bytes: rate(gain.fetched_bytes),
        })
    }
}

impl Baseline {
    /// From the figures of the other client; `None` where they say nothing.
    pub fn of(client_hash: String, figures: &Figures) -> Option<Self> {
        Some(Self {
            client_hash,
            wire_ratio: figures.wire_ratio().filter(|ratio| *ratio > 0.0)?,
            records_per_request: figures.records_per_request().filter(|per| *per > 0.0)?,
        })
    }
}

impl Saved {
    /// What a client saves; `None` where it has not delivered anything.
    pub fn against(baseline: &Baseline, figures: &Figures) -> Option<Self> {
        let records = figures.delivered_records;
        let requests = figures.produce_requests as f64 / records as f64;
        let bytes = figures.wire_ratio()?;
        (records > 0).then(|| Self {
            bytes_ratio: 1.0 - bytes / baseline.wire_ratio,
            requests_ratio: 1.0 - requests * baseline.records_per_request,
        })
    }
}

/// Quantiles of durations, in microseconds: each is the upper bound of the bucket it lies in,
/// which is at most 12.5 % above the duration itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// Half took no longer.
    pub p50: u64,
    /// 95 % took no longer.
    pub p95: u64,
    /// 99 % took no longer.
    pub p99: u64,
}

impl Quantiles {
    /// `None` where there is no duration.
    pub fn of(durations: &Durations) -> Option<Self> {
        Some(Self {
            p50: durations.quantile(0.5)?,
            p95: durations.quantile(0.95)?,
            p99: durations.quantile(0.99)?,
        })
    }
}

/// How long things took.
#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    /// From `produce` to the acknowledgement.
    pub delivery_us: Option<Quantiles>,
    /// From request to answer.
    pub brokers: Vec<BrokerLatency>,
}

/// How long a broker took.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerLatency {
    /// Its id; -1 where it has none.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// From request to answer.
    pub round_trip_us: Option<Quantiles>,
}

impl From<&Measured> for Latencies {
    fn from(measured: &Measured) -> Self {
        let brokers = measured.brokers.iter().map(|broker| BrokerLatency {
            id: broker.id,
            name: broker.name.clone(),
            round_trip_us: Quantiles::of(&broker.round_trip_us),
        });
        Self {
            delivery_us: Quantiles::of(&measured.delivery_latency_us),
            brokers: brokers.collect(),
        }
    }
}

/// What one report added to the one before.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryRow {
    /// Counts the reports of a client from 1.
    pub number: i64,
    /// When it came.
    pub at_ms: i64,
    /// How many reports are added up in this row: more than one in the oldest row alone.
    pub reports: i64,
    /// How much longer the client had measured.
    pub measured_ms: u64,
    /// Records acknowledged by the broker.
    pub delivered_records: u64,
    /// Their keys and values.
    pub delivered_bytes: u64,
    /// Records given up.
    pub failed_records: u64,
    /// Produce requests.
    pub produce_requests: u64,
    /// Their bytes.
    pub wire_bytes: u64,
    /// Records handed to the application.
    pub consumed_records: u64,
    /// Their keys and values.
    pub consumed_bytes: u64,
    /// Fetch requests.
    pub fetch_requests: u64,
    /// The bytes of their answers.
    pub fetched_bytes: u64,
    /// Records with the header `superstream_schema`: at least so many.
    pub schema_records: u64,
}

impl HistoryRow {
    /// The row for these figures.
    pub fn of(number: i64, at_ms: i64, reports: i64, gain: Figures) -> Self {
        Self {
            number,
            at_ms,
            reports,
            measured_ms: gain.measured_ms,
            delivered_records: gain.delivered_records,
            delivered_bytes: gain.delivered_bytes,
            failed_records: gain.failed_records,
            produce_requests: gain.produce_requests,
            wire_bytes: gain.wire_bytes,
            consumed_records: gain.consumed_records,
            consumed_bytes: gain.consumed_bytes,
            fetch_requests: gain.fetch_requests,
            fetched_bytes: gain.fetched_bytes,
            schema_records: gain.schema_records,
        }
    }
}

/// A page of a client's history, newest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    /// The rows of this page.
    pub history: Vec<HistoryRow>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// The sums over all clients.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TotalsView {
    /// Over all kinds.
    #[serde(flatten)]
    pub all: KindView,
    /// By kind, `unknown` where the client did not say.
    pub by_type: BTreeMap<String, KindView>,
}

/// The sums over the clients of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KindView {
    /// How many clients there are.
    pub clients: ClientCounts,
    /// What was produced, by forgotten clients too.
    pub produced: Produced,
    /// What was consumed, by forgotten clients too.
    pub consumed: Consumed,
    /// What was saved against measured baselines.
    pub saved: SavedTotals,
}

/// How many clients there are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ClientCounts {
    /// Known, gone ones included.
    pub known: u64,
    /// Not gone, and heard of in the last three report intervals.
    pub alive: u64,
    /// Have sent figures.
    pub reported: u64,
}

/// What was saved against measured baselines.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SavedTotals {
    /// Bytes on the wire; below zero where more were sent.
    pub bytes: i64,
    /// Clients that have a baseline, forgotten ones included.
    pub clients: u64,
    /// Clients that delivered something, not known to run without changes, and have none: whatever
    /// they saved is not in `bytes`.
    pub clients_without_baseline: u64,
}

impl From<&KindTotals> for KindView {
    fn from(totals: &KindTotals) -> Self {
        Self {
            clients: ClientCounts {
                known: totals.known,
                alive: totals.alive,
                reported: totals.reported,
            },
            produced: Produced::from(&totals.figures),
            consumed: Consumed::from(&totals.figures),
            saved: SavedTotals {
                bytes: totals.saved_bytes.round() as i64,
                clients: totals.compared,
                clients_without_baseline: totals.without_baseline,
            },
        }
    }
}

impl From<&Totals> for TotalsView {
    fn from(totals: &Totals) -> Self {
        let mut all = KindTotals::default();
        for of_kind in totals.values() {
            all.known += of_kind.known;
            all.alive += of_kind.alive;
            all.reported += of_kind.reported;
            all.compared += of_kind.compared;
            all.without_baseline += of_kind.without_baseline;
            all.saved_bytes += of_kind.saved_bytes;
            all.figures = all.figures.plus(of_kind.figures);
        }
        let by_type = totals
            .iter()
            .map(|(kind, totals)| (kind.clone(), totals.into()));
        Self {
            all: KindView::from(&all),
            by_type: by_type.collect(),
        }
    }
}
