//! What the service shows of its clients to the operator. Times are milliseconds since 1970.

mod figures;

use serde::Serialize;
use superstream_protocol::measured::Measured;
use superstream_protocol::{Change, ClientKind, Configuration, Mode, Refusal, TopicsPartitions};

pub use figures::{
    Baseline, ClientFigures, Consumed, History, HistoryRow, KindView, Latencies, Produced, Rates,
    Saved, TotalsView,
};

/// The answer of `/health`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// The version of the service.
    pub version: &'static str,
    /// The mode that clients are given where no rule says otherwise.
    pub mode: Mode,
}

/// One client in the list.
#[derive(Clone, Debug, Serialize)]
pub struct ClientSummary {
    /// Names the client.
    pub client_hash: String,
    /// Producer, consumer or admin, where the client said so.
    #[serde(rename = "type")]
    pub kind: Option<ClientKind>,
    /// `client.id` of the registered configuration, or empty.
    pub client_id: String,
    /// The host's name.
    pub client_host: String,
    /// The language of the SDK.
    pub language: String,
    /// Tags as the client sent them.
    pub tags: String,
    /// The number of the Kafka cluster that it uses; 0 is unknown.
    pub connection_id: i64,
    /// The mode that the client was given.
    pub mode: Mode,
    /// When it registered first.
    pub registered_at_ms: i64,
    /// When it was heard of last.
    pub last_seen_at_ms: i64,
    /// When it said goodbye.
    pub gone_at_ms: Option<i64>,
    /// Whether it has not gone, and was heard of lately.
    pub alive: bool,
    /// Whether it runs with changes; `None` where it has not said. One that observes does not.
    pub changed: Option<bool>,
    /// How many errors it has reported, forgotten ones included.
    pub errors_total: u64,
    /// What it measured; `None` before its first report of figures.
    pub figures: Option<ClientFigures>,
}

/// A page of the list, newest registration first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientList {
    /// How often clients are to report: rates are about as old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_interval_ms: Option<u64>,
    /// The clients of this page.
    pub clients: Vec<ClientSummary>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// All that is known of one client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: ClientSummary,
    /// The version of the SDK.
    pub version: String,
    /// The version of the engine.
    pub engine_version: Option<String>,
    /// The file that the engine lies in.
    pub engine_file: Option<String>,
    /// What the client library calls itself.
    pub client_software_name: Option<String>,
    /// Its version.
    pub client_software_version: Option<String>,
    /// An address of the host.
    pub client_ip: String,
    /// All addresses of the host.
    pub addresses: Vec<String>,
    /// The process id.
    pub pid: Option<u32>,
    /// The application's own configuration, masked.
    pub registered_config: Configuration,
    /// Whether the client was given advice.
    pub start: bool,
    /// The advice that it was given.
    pub advice: Option<Configuration>,
    /// Why it was given none.
    pub no_advice_because: Option<String>,
    /// When the client last said what it runs with.
    pub configured_at_ms: Option<i64>,
    /// What it runs with, masked.
    pub effective_config: Option<Configuration>,
    /// The mode that it carried the advice out in.
    pub applied_mode: Option<Mode>,
    /// What it changed.
    pub changes: Vec<Change>,
    /// What it did not do.
    pub refusals: Vec<Refusal>,
    /// How many reports it has sent.
    pub reports_total: u64,
    /// When it sent the last one.
    pub reported_at_ms: Option<i64>,
    /// Topics that it produced to, over all reports.
    pub producer_topics_partitions: TopicsPartitions,
    /// Topics that it consumed from, over all reports.
    pub consumer_group_topics_partitions: TopicsPartitions,
    /// All that it measured, as it sent it last, within bounds.
    pub measured: Option<Measured>,
    /// How long things took.
    pub latencies: Option<Latencies>,
    /// The latest errors, oldest first.
    pub errors: Vec<ReportedError>,
}

/// One error that a client reported.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedError {
    /// When.
    pub at_ms: i64,
    /// What went wrong.
    pub error: String,
}

/// Which clients a list is to hold; nothing given is all.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// At most so many.
    pub limit: u32,
    /// Only those after this point of the list.
    pub after: Option<i64>,
    /// Only this kind.
    pub kind: Option<ClientKind>,
    /// Only a `client.id` that fits this pattern of `*` and `?`.
    pub client_id: Option<String>,
    /// Only those with all of these tags, each with its value where one is given.
    pub tags: Vec<(String, Option<String>)>,
    /// Only those that are alive, or only those that are not.
    pub alive: Option<bool>,
}
