//! The messages between a Superstream client and the Superstream service.
//!
//! One set of types for every transport. Names and fields follow the messages of the deployed
//! SDKs (`registerClient`, `startClient`, `clientConfigUpdate`, …); what those do not have is
//! optional here, so that an old peer is understood and understands us. Unknown fields are
//! ignored by both sides.
//!
//! Secrets never enter these types: the library masks a configuration before it builds one.

pub mod board;
pub mod link;
pub mod measured;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use measured::{Measured, Records, Requests};

/// A configuration as properties and their values, named as librdkafka names them.
pub type Configuration = Map<String, Value>;

/// What a Kafka client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// Created with `RD_KAFKA_PRODUCER`. librdkafka's admin clients are producers too.
    Producer,
    /// Created with `RD_KAFKA_CONSUMER`.
    Consumer,
    /// An admin client, where the peer can tell (the deployed SDKs do).
    Admin,
}

impl ClientKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Admin => "admin",
        }
    }
}

/// What the service wants done with its advice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Apply the advice.
    #[default]
    Active,
    /// Ask, plan and report, but change nothing. A mode that this side does not know is taken
    /// for it.
    #[serde(other)]
    Observe,
}

/// `registerClient`: a client introduces itself and asks for advice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterClient {
    /// `<server_name>:<client_id>` of the NATS connection; absent on other transports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_connection_id: Option<String>,
    /// The language of the SDK; from this library that of the application, as far as it shows.
    pub language: String,
    /// The version of the SDK.
    pub version: String,
    /// Payload reduction's sample count; this library never learns, and sends 0.
    pub learning_factor: i64,
    /// The application's own configuration, masked.
    pub config: Configuration,
    /// Payload reduction; always false from this library.
    pub reduction_enabled: bool,
    /// The Kafka cluster's id at the service; 0 is unknown.
    pub connection_id: i64,
    /// `SUPERSTREAM_TAGS`: JSON text, or empty.
    pub tags: String,
    /// An address of the host.
    pub client_ip: String,
    /// The host's name.
    pub client_host: String,
    /// All addresses of the host that others may know it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// `client.software.name`: what the client library calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_software_name: Option<String>,
    /// `client.software.version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_software_version: Option<String>,
    /// Producer or consumer.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClientKind>,
    /// The process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// `rd_kafka_version_str()` of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// The file that the engine lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_file: Option<String>,
    /// The same for every try to register one client, so that a repeated registration is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<String>,
    /// Only the advice is wanted: there is no client.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The answer to [`RegisterClient`] over a transport that can answer at once: the reply to
/// `registerClient` and the `startClient` message in one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// Names this client in every later message. Empty where there is no client: a dry run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_hash: String,
    /// The account that the token belongs to.
    #[serde(default)]
    pub account_name: String,
    /// Kept for the deployed SDKs.
    #[serde(default)]
    pub learning_factor: i64,
    /// How often the client is to report, in ms; absent: as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_interval_ms: Option<u64>,
    /// The start message.
    #[serde(flatten)]
    pub start: StartClient,
}

/// `startClient`: whether the client may be tuned, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartClient {
    /// False: no advice now; `error` says why.
    pub start: bool,
    /// The advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimized_configuration: Option<Configuration>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Observe lets a whole fleet plan and report without a change.
    #[serde(default)]
    pub mode: Mode,
}

/// `clientConfigUpdate`: what the client runs with, and how it came to that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfigUpdate {
    /// From [`Registered`].
    pub client_hash: String,
    /// The full effective configuration, masked.
    pub config: Configuration,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What was asked for and not done.
    pub refusals: Vec<Refusal>,
    /// The mode that the plan was carried out in.
    pub mode: Mode,
}

/// One property that the plan sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The property, by its canonical name.
    pub key: String,
    /// The value before; absent where the engine does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The value after.
    pub new: String,
    /// Why.
    pub reason: String,
}

/// One piece of advice that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The property as the service named it.
    pub key: String,
    /// The value that the service asked for, as JSON text. Masked for keys off the allow-list.
    pub asked: String,
    /// Why not.
    pub reason: String,
}

/// Topics and the partitions that were used.
pub type TopicsPartitions = std::collections::BTreeMap<String, Vec<i32>>;

/// `clientsUpdate`: what a client has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientReport {
    /// From [`Registered`].
    pub client_hash: String,
    /// The Kafka cluster's id at the service; 0 is unknown.
    pub connection_id: i64,
    /// Topics that the client produced to.
    pub producer_topics_partitions: TopicsPartitions,
    /// Topics that the client consumed from.
    pub consumer_group_topics_partitions: TopicsPartitions,
    /// Grows with each report of a client; 0 where the peer does not count. A report that is not
    /// newer than one that was taken is taken already.
    #[serde(skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// Totals since the client's creation; absent where the peer does not measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Nothing will follow: the client is closed, and these are its last figures.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// The reports of several clients in one message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reports {
    /// One for each client.
    pub reports: Vec<ClientReport>,
}

/// The answer to [`Reports`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportsTaken {
    /// What became of each report. One that is not here is to be sent again.
    pub reports: Vec<ReportTaken>,
    /// How often the clients are to report, in ms; absent: as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_interval_ms: Option<u64>,
}

/// What became of one report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportTaken {
    /// The client.
    pub client_hash: String,
    /// The newest report of this client that was taken.
    pub sequence: u64,
    /// The service does not know the client: it is to register again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The advice that a client like this one would get now, where it is another than it got. It
    /// applies at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<StartClient>,
    /// What the client is compared with, where the service knows something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// What an earlier client of the same kind, `client.id` and only topic measured while it ran
/// without changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// What was acknowledged.
    pub delivered: Records,
    /// The produce requests that it took.
    pub produce: Requests,
}

/// `clientErrors`: something that concerns the service went wrong in a client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientError {
    /// From [`Registered`].
    pub client_hash: String,
    /// What went wrong, in words, without secrets.
    pub error: String,
}

/// `updates`: a message that the service has for a client, in the envelope of the deployed SDKs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Grows by one with each update of one client.
    #[serde(default)]
    pub sequence: u64,
    /// `CompressionUpdate`, `ToggleReduction`, `LearnedSchema`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Base64 of the JSON body.
    pub payload: String,
}

/// The answer to a question for updates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Updates {
    /// In order; empty where there is nothing new.
    pub updates: Vec<Update>,
}

/// The body of every 4xx and 5xx answer of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong and what to do about it.
    pub error: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}
