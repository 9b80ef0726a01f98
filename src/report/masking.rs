//! What of a configuration may leave the process: a list of what is shown, not of what is
//! hidden. A property that a later engine adds is masked until somebody puts it on the list.

use std::collections::BTreeMap;

use serde_json::Value;
use superstream_protocol::Configuration;
use superstream_settings::MASK;

/// Properties whose values are shown, by librdkafka's names and aliases (CONFIGURATION.md).
/// Sizes, times, switches and names that an operator gave; nothing that authenticates, and no
/// path: a path tells where a key lies.
const SHOWN: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "api.version.fallback.ms",
    "api.version.request",
    "api.version.request.timeout.ms",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.num.messages",
    "batch.size",
    "bootstrap.servers",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
    "builtin.features",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "client.software.name",
    "client.software.version",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "debug",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.metrics.push",
    "enable.partition.eof",
    "enable.random.seed",
    "enable.ssl.certificate.verification",
    "enabled_events",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "internal.termination.signal",
    "isolation.level",
    "linger.ms",
    "log.connection.close",
    "log.queue",
    "log.thread.name",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.copy.max.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "offset.store.method",
    "partition.assignment.strategy",
    "partitioner",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "queuing.strategy",
    "receive.message.max.bytes",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
    "session.timeout.ms",
    "socket.blocking.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "statistics.interval.ms",
    "sticky.partitioning.linger.ms",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
    "transaction.timeout.ms",
    "transactional.id",
];

/// A configuration as it may be told. Values longer than a name or a list of brokers needs are
/// masked too.
pub fn mask(properties: &BTreeMap<String, String>) -> Configuration {
    properties
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(shown(name, value))))
        .collect()
}

/// An advice as it may be told: what a careless service put into it beside tuning is masked.
pub fn mask_advice(advice: &Configuration) -> Configuration {
    advice
        .iter()
        .map(|(name, value)| {
            let known = SHOWN.binary_search(&name.as_str()).is_ok();
            let plain = value.is_number() || value.is_boolean() || value.is_string();
            let value = if known && plain {
                value.clone()
            } else {
                Value::from(MASK)
            };
            (name.clone(), value)
        })
        .collect()
}

/// A value of a configuration as it may be told.
pub fn shown<'v>(name: &str, value: &'v str) -> &'v str {
    const MAX_SHOWN_BYTES: usize = 4096;
    let is_shown = SHOWN.binary_search(&name).is_ok()
        && value.len() <= MAX_SHOWN_BYTES
        && !may_have_password(name, value);
    let harmless = value.is_empty() || is_shown;
    if harmless { value } else { MASK }
}

/// An address may have a user and a password in front of its `@`, which librdkafka has no use for.
fn may_have_password(name: &str, value: &str) -> bool {
    let is_address = matches!(name, "bootstrap.servers" | "metadata.broker.list");
    value.contains('@') && (is_address || value.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(SHOWN.is_sorted());
    }

    #[test]
    fn only_what_is_on_the_list_is_shown() {
        let properties = BTreeMap::from(
            [
                ("linger.ms", "5"),
                ("sasl.password", "hunter2"),
                ("sasl.username", "alice"),
                ("ssl.key.pem", "-----BEGIN"),
                ("sasl.oauthbearer.client.secret", "s"),
                ("a.property.of.tomorrow", "t"),
                ("ssl.ca.location", ""),
                ("client.id", "orders@shop"),
                ("client.rack", "https://alice:hunter2@rack"),
                ("bootstrap.servers", "kafka:9092,alice:hunter2@kafka:9093"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let masked = mask(&properties);
        assert_eq!(masked["linger.ms"], "5");
        assert_eq!(masked["ssl.ca.location"], "");
        assert_eq!(masked["client.id"], "orders@shop");
        for name in [
            "bootstrap.servers",
            "client.rack",
            "sasl.password",
            "sasl.username",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "a.property.of.tomorrow",
        ] {
            assert_eq!(masked[name], MASK, "{name}");
        }
    }

    #[test]
    fn nothing_that_authenticates_is_on_the_list() {
        for name in SHOWN {
            for part in [
                "password", "secret", "token", "key", "pem", "location", "username",
            ] {
                assert!(!name.contains(part), "{name}");
            }
        }
    }
}
