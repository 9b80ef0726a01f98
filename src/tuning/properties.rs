//! Which properties there are: names and aliases, what the plan needs to read, and why a property
//! off the allow-list stays as it is.

use superstream_protocol::ClientKind;

use super::{consumer, producer, state::State, state::Verdict};

/// One property on the allow-list.
pub(super) struct Rule {
    /// The canonical name.
    pub(super) key: &'static str,
    /// Whether a transactional producer may be given it: codec and linger, nothing else.
    pub(super) in_transactions: bool,
    /// Decides about an advised value.
    pub(super) decide: fn(&State, &serde_json::Value) -> Verdict,
}

/// The properties that the caller reads with `rd_kafka_conf_get` to fill `Effective::global`.
pub const GLOBAL_TO_READ: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "broker.version.fallback",
    "builtin.features",
    "compression.type",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "socket.timeout.ms",
    "sticky.partitioning.linger.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// The properties that a producer can be given while its configuration is unfinished.
pub(super) const WHILE_UNFINISHED: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.type",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
];

/// The properties that the caller reads with `rd_kafka_topic_conf_get` from the default topic
/// configuration, where there is one, to fill `Effective::topic`.
pub const TOPIC_TO_READ: &[&str] = &[
    "compression.level",
    "compression.type",
    "message.timeout.ms",
];

/// The one name of a property that has several: the name that Kafka's own clients use, where they
/// have it. The engine takes both in get and set (the `_RK_C_ALIAS` rows of rdkafka_conf.c).
///
/// `enable.auto.commit` is not here: it is a property of its own in a client's configuration, and
/// an alias of `auto.commit.enable` only in a topic's.
pub fn canonical(key: &str) -> &str {
    match key {
        "compression.codec" => "compression.type",
        "delivery.timeout.ms" => "message.timeout.ms",
        "fetch.message.max.bytes" => "max.partition.fetch.bytes",
        "max.in.flight" => "max.in.flight.requests.per.connection",
        "message.send.max.retries" => "retries",
        "metadata.broker.list" => "bootstrap.servers",
        "queue.buffering.max.ms" => "linger.ms",
        "request.required.acks" => "acks",
        "sasl.mechanisms" => "sasl.mechanism",
        "sasl.oauthbearer.client.credentials.client.id" => "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.credentials.client.secret" => "sasl.oauthbearer.client.secret",
        _ => key,
    }
}

/// The other name of a property on the allow-list.
pub(super) fn alias(key: &str) -> Option<&'static str> {
    match key {
        "compression.type" => Some("compression.codec"),
        "linger.ms" => Some("queue.buffering.max.ms"),
        "max.partition.fetch.bytes" => Some("fetch.message.max.bytes"),
        _ => None,
    }
}

/// Whether the property lives in the default topic configuration only: `_RK_TOPIC` without a
/// `_RK_GLOBAL` twin in rdkafka_conf.c's property table.
pub(super) fn is_topic_level(key: &str) -> bool {
    key == "compression.level"
}

/// The allow-list of a kind of client, in the order in which the rules look at each other's
/// results.
pub(super) fn rules(kind: ClientKind) -> &'static [Rule] {
    match kind {
        ClientKind::Producer => producer::RULES,
        ClientKind::Consumer => consumer::RULES,
        ClientKind::Admin => &[],
    }
}

/// The kind of client that has the property on its allow-list.
pub(super) fn kind_of(key: &str) -> Option<ClientKind> {
    [ClientKind::Producer, ClientKind::Consumer]
        .into_iter()
        .find(|kind| rules(*kind).iter().any(|rule| rule.key == key))
}

/// Why a property off the allow-list is left alone, by its canonical name.
pub(super) fn why_never(key: &str) -> &'static str {
    match key {
        "plugin.library.paths"
        | "ssl.engine.location"
        | "ssl.engine.id"
        | "ssl.providers"
        | "sasl.kerberos.kinit.cmd" => "never changed: it loads or runs code in the application",
        "bootstrap.servers"
        | "broker.address.family"
        | "broker.address.ttl"
        | "client.dns.lookup"
        | "test.mock.num.brokers"
        | "test.mock.broker.rtt" => "never changed: it decides which brokers are talked to",
        "security.protocol"
        | "enable.ssl.certificate.verification"
        | "enable.sasl.oauthbearer.unsecure.jwt" => CREDENTIALS,
        "acks"
        | "delivery.report.only.error"
        | "enable.gapless.guarantee"
        | "enable.idempotence"
        | "max.in.flight.requests.per.connection"
        | "partitioner"
        | "queue.buffering.backpressure.threshold"
        | "queuing.strategy"
        | "retries"
        | "transactional.id" => "never changed: it decides delivery guarantees and order",
        "auto.commit.enable"
        | "auto.commit.interval.ms"
        | "auto.offset.reset"
        | "check.crcs"
        | "enable.auto.commit"
        | "enable.auto.offset.store"
        | "enable.partition.eof"
        | "isolation.level" => "never changed: it decides which messages the application sees",
        "client.id" | "client.rack" | "client.software.name" | "client.software.version" => {
            "never changed: it names the client to the brokers"
        }
        "coordinator.query.interval.ms"
        | "heartbeat.interval.ms"
        | "max.poll.interval.ms"
        | "partition.assignment.strategy"
        | "session.timeout.ms" => GROUP,
        "message.copy.max.bytes" | "message.max.bytes" | "receive.message.max.bytes" => {
            "never changed: the application and the brokers agree on the size of a message"
        }
        "debug" | "enable.metrics.push" | "log_level" | "statistics.interval.ms" => LOGGING,
        "default_topic_conf" | "interceptors" | "opaque" => CALLBACKS,
        _ => why_never_by_shape(key),
    }
}

const CREDENTIALS: &str = "never changed: it concerns credentials or encryption";
const GROUP: &str = "never changed: it decides group membership";
const LOGGING: &str = "never changed: it costs time and output, and may show data";
const CALLBACKS: &str = "never changed: it is code of the application";

/// The families that a part of the name tells.
fn why_never_by_shape(key: &str) -> &'static str {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| key.ends_with(suffix));
    if begins(&["sasl.", "ssl.", "ssl_", "https."]) {
        return CREDENTIALS;
    }
    if ["password", "secret", "token", "credential"]
        .iter()
        .any(|word| key.contains(word))
    {
        return CREDENTIALS;
    }
    if begins(&["offset.store."]) || ends(&[".location", ".file", ".path", ".paths"]) {
        return "never changed: it names a file";
    }
    if begins(&["group."]) {
        return GROUP;
    }
    if begins(&["log."]) {
        return LOGGING;
    }
    if ends(&["_cb"]) {
        return CALLBACKS;
    }
    if ends(&[".timeout.ms", ".backoff.ms", ".backoff.max.ms", ".idle.ms"]) {
        return "never changed: timeouts and retries are the application's";
    }
    "not on the allow-list"
}
