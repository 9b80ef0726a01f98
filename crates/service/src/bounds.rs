//! What of a client's figures is kept: they are not trusted, and have to fit.
//!
//! The limits are above those of the library, so that nothing of an honest client is lost.

use std::collections::BTreeMap;

use superstream_protocol::measured::{
    BrokerFigures, Durations, GROUPING_POWER, MAX_VALUE_POWER, Measured, Records, Requests,
    TopicFigures,
};

use crate::mask::Masker;

/// Topics of one client that are kept apart; the others are summed up.
pub const MAX_TOPICS: usize = 256;
/// Brokers of one client that are kept apart; the others are summed up.
pub const MAX_BROKERS: usize = 128;
/// Codes of errors that are kept.
pub const MAX_ERROR_CODES: usize = 64;
/// Partitions of one topic that are kept.
pub const MAX_PARTITIONS: usize = 1_024;
/// Longest name of a topic, in bytes: Kafka's own limit. There is no topic of a longer name.
pub const MAX_TOPIC_NAME: usize = 249;
/// Longest name of a broker that is kept, in characters: a host's name and a port.
pub const MAX_BROKER_NAME: usize = 300;
/// No client counts further than 9 PB. Below this, every number is exact in every reader of JSON,
/// and a thousand clients together stay far from the end of SQLite's integers.
pub const MAX_TOTAL: u64 = (1 << 53) - 1;
/// How many buckets durations have.
const BUCKETS: u32 =
    (1 << (GROUPING_POWER + 1)) + ((MAX_VALUE_POWER - GROUPING_POWER - 1) as u32) * 8;

/// The figures as they are kept.
pub fn bounded(measured: &Measured, masker: &Masker) -> Measured {
    let mut topics = BTreeMap::new();
    let mut others = Measured {
        other_topics: figures(&measured.other_topics),
        ..Measured::default()
    };
    for (name, figures_of_topic) in &measured.topics {
        let kept = figures(figures_of_topic);
        let shown = masker.text(name);
        // Two names may be the same once they are masked.
        let apart = is_topic(name) && topics.len() < MAX_TOPICS && !topics.contains_key(&shown);
        match apart {
            true => topics.insert(shown, kept),
            false => others.topics.insert(name.clone(), kept),
        };
    }
    let (apart, rest) = measured
        .brokers
        .split_at(measured.brokers.len().min(MAX_BROKERS));
    let mut brokers: Vec<_> = apart.iter().map(|b| broker(b, masker)).collect();
    if !rest.is_empty() {
        brokers.push(together(rest));
    }
    let codes = measured.transport_errors.iter().take(MAX_ERROR_CODES);
    Measured {
        duration_ms: total(measured.duration_ms),
        merged_clients: total(measured.merged_clients),
        topics,
        other_topics: figures(&others.all_topics()),
        brokers,
        delivery_latency_us: durations(&measured.delivery_latency_us),
        latency_sampled: measured.latency_sampled,
        transport_errors: codes.map(|(code, count)| (*code, total(*count))).collect(),
        headers_unseen: measured.headers_unseen,
    }
}

/// Whether Kafka could have a topic of this name.
pub fn is_topic(name: &str) -> bool {
    (1..=MAX_TOPIC_NAME).contains(&name.len())
}

fn total(number: u64) -> u64 {
    number.min(MAX_TOTAL)
}

fn records(records: Records) -> Records {
    Records {
        records: total(records.records),
        bytes: total(records.bytes),
    }
}

fn requests(requests: Requests) -> Requests {
    Requests {
        requests: total(requests.requests),
        bytes: total(requests.bytes),
    }
}

fn figures(topic: &TopicFigures) -> TopicFigures {
    TopicFigures {
        accepted: records(topic.accepted),
        delivered: records(topic.delivered),
        failed: records(topic.failed),
        refused: records(topic.refused),
        consumed: records(topic.consumed),
        consumed_with_schema: total(topic.consumed_with_schema),
        produced_partitions: partitions(&topic.produced_partitions),
        consumed_partitions: partitions(&topic.consumed_partitions),
    }
}

fn partitions(partitions: &[i32]) -> Vec<i32> {
    let mut kept = partitions.to_vec();
    kept.sort_unstable();
    kept.dedup();
    kept.truncate(MAX_PARTITIONS);
    kept
}

fn broker(broker: &BrokerFigures, masker: &Masker) -> BrokerFigures {
    let name: String = broker.name.chars().take(MAX_BROKER_NAME).collect();
    BrokerFigures {
        id: broker.id,
        name: masker.text(&name),
        sent: requests(broker.sent),
        produce: requests(broker.produce),
        fetch: requests(broker.fetch),
        fetched_bytes: total(broker.fetched_bytes),
        round_trip_us: durations(&broker.round_trip_us),
    }
}

/// Brokers as one that has no name.
fn together(brokers: &[BrokerFigures]) -> BrokerFigures {
    let mut sum = BrokerFigures {
        id: -1,
        ..BrokerFigures::default()
    };
    for broker in brokers {
        sum.sent.add(broker.sent);
        sum.produce.add(broker.produce);
        sum.fetch.add(broker.fetch);
        sum.fetched_bytes = sum.fetched_bytes.saturating_add(broker.fetched_bytes);
        sum.round_trip_us.add(&broker.round_trip_us);
    }
    broker(&sum, &Masker::default())
}

/// Buckets that there are not count as the last one: so long did nothing last.
fn durations(durations: &Durations) -> Durations {
    let mut kept = Durations::default();
    for (bucket, count) in &durations.0 {
        let own = kept.0.entry((*bucket).min(BUCKETS - 1)).or_default();
        *own = total(own.saturating_add(*count));
    }
    kept.0.retain(|_, count| *count > 0);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(records: u64) -> TopicFigures {
        TopicFigures {
            accepted: Records {
                records,
                bytes: u64::MAX,
            },
            ..TopicFigures::default()
        }
    }

    #[test]
    fn the_last_bucket_is_the_last() {
        let durations = |bucket| Durations([(bucket, 1)].into());
        assert_eq!(
            durations(BUCKETS - 1).quantile(1.0),
            Some((1 << MAX_VALUE_POWER) - 1)
        );
        assert_eq!(durations(BUCKETS).quantile(1.0), None, "there is no such");
    }

    #[test]
    fn what_an_honest_client_sends_is_kept_as_it_is() {
        let topic = TopicFigures {
            produced_partitions: vec![0, 1],
            ..many(5)
        };
        let topic = figures(&topic);
        let measured = Measured {
            duration_ms: 1,
            topics: [("t".to_owned(), topic.clone())].into(),
            other_topics: topic,
            brokers: vec![BrokerFigures {
                id: 1,
                name: "kafka:9092/1".into(),
                round_trip_us: Durations([(0, 1), (271, 5)].into()),
                ..BrokerFigures::default()
            }],
            transport_errors: [(-195, 3)].into(),
            ..Measured::default()
        };
        let kept = bounded(&measured, &Masker::default());
        assert_eq!(kept.topics, measured.topics);
        assert_eq!(kept.brokers, measured.brokers);
        assert_eq!(kept.transport_errors, measured.transport_errors);
        assert_eq!(
            bounded(&kept, &Masker::default()),
            kept,
            "nothing is left to bound"
        );
    }

    #[test]
    fn everything_is_bounded_and_nothing_is_lost_that_can_be_summed() {
        let mut measured = Measured {
            duration_ms: u64::MAX,
            delivery_latency_us: Durations([(5, u64::MAX), (900, 1), (u32::MAX, 1)].into()),
            ..Measured::default()
        };
        for n in 0..MAX_TOPICS + 10 {
            measured.topics.insert(format!("{n:05}"), many(1));
        }
        measured.topics.insert("x".repeat(250), many(1));
        measured.topics.insert(String::new(), many(1));
        let broker = BrokerFigures {
            name: "é".repeat(10_000),
            sent: Requests {
                requests: 1,
                bytes: u64::MAX,
            },
            ..BrokerFigures::default()
        };
        measured.brokers = vec![broker; MAX_BROKERS + 10];
        measured.transport_errors = (0..1_000).map(|code| (code, u64::MAX)).collect();

        let kept = bounded(&measured, &Masker::default());
        assert_eq!(kept.duration_ms, MAX_TOTAL);
        assert_eq!(kept.topics.len(), MAX_TOPICS);
        assert_eq!(kept.other_topics.accepted.records, 12);
        assert_eq!(kept.other_topics.accepted.bytes, MAX_TOTAL);
        assert_eq!(kept.brokers.len(), MAX_BROKERS + 1);
        assert_eq!(kept.brokers[0].name.chars().count(), MAX_BROKER_NAME);
        assert_eq!(kept.requests(|b| b.sent).requests, MAX_BROKERS as u64 + 10);
        assert_eq!(kept.transport_errors.len(), MAX_ERROR_CODES);
        let latency = kept.delivery_latency_us;
        assert_eq!(latency.0, [(5, MAX_TOTAL), (271, 2)].into());
        assert!(latency.quantile(0.99).is_some());
    }

    #[test]
    fn names_are_masked() {
        let masker = Masker::new(["the-service-token"]);
        let measured = Measured {
            topics: [("the-service-token".to_owned(), many(1))].into(),
            brokers: vec![BrokerFigures {
                name: "sasl://me:hunter2@kafka:9092/1".into(),
                ..BrokerFigures::default()
            }],
            ..Measured::default()
        };
        let kept = format!("{:?}", bounded(&measured, &masker));
        assert!(
            !kept.contains("hunter2") && !kept.contains("the-service-token"),
            "{kept}"
        );
    }
}
