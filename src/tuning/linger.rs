//! `linger.ms` and what hangs on it: the timeouts, the queue, the sticky partitioner.
//!
//! Setting `linger.ms`, even to its present value, sets a modified bit that cannot be cleared.
//! Without the bit the engine quietly lowers linger below `message.timeout.ms`; with the bit it
//! refuses to create the client (`rd_kafka_conf_finalize`) or the topic
//! (`rd_kafka_topic_conf_finalize`, both rdkafka_conf.c). So everything is decided here, before
//! anything is set.

use serde_json::Value;

use super::state::{Set, State, Verdict};
use super::value;

/// `linger.ms`, alias of `queue.buffering.max.ms`.
const LINGER: &str = "linger.ms";

/// The engine's largest linger, in ms: rdkafka_conf.c's property table.
const LARGEST_LINGER_MS: f64 = 900_000.0;

/// The engine's own linger, in ms. An application with another value has certainly set it.
const DEFAULT_LINGER_MS: f64 = 5.0;

/// The largest linger, in ms, for a client whose rate of messages was not measured. Above, the
/// gain is small (batches of 100 messages have most of it) and the harm to an application that
/// waits for each delivery is large.
const UNMEASURED_LINGER_MS: f64 = 100.0;

/// linger is at most this part of `message.timeout.ms`: the rest is for sending and retrying. It
/// takes hold where [`UNMEASURED_LINGER_MS`] is more than a tenth of [`HURRIED_TIMEOUT_MS`].
const PART_OF_TIMEOUT: f64 = 10.0;

/// linger is at most this part of `transaction.timeout.ms`.
const PART_OF_TRANSACTION: f64 = 20.0;

/// A `message.timeout.ms` below this, in ms, says that the application is in a hurry.
const HURRIED_TIMEOUT_MS: f64 = 1000.0;

/// `message.timeout.ms` where the application has no default topic configuration: rdkafka_conf.c's
/// property table.
const DEFAULT_TIMEOUT_MS: f64 = 300_000.0;

/// More messages per second than a client is thought to produce. What lingers is in the queue;
/// a full queue makes `rd_kafka_produce` fail with `__QUEUE_FULL` (`rd_kafka_curr_msgs_add`,
/// rdkafka_int.h), in an application that may never have seen that. At this rate, what lingers
/// fills half of the queue at most. Of a stock queue (100000 messages) that allows 100 ms.
const ASSUMED_MESSAGES_PER_MS: f64 = 500.0;

/// The same in KiB per ms: 512 MiB per second. Of a stock queue (1 GiB) that allows 1000 ms.
const ASSUMED_KIB_PER_MS: f64 = 524.288;

/// How much of the queue may linger.
const PART_OF_QUEUE: f64 = 0.5;

/// `sticky.partitioning.linger.ms`.
const STICKY: &str = "sticky.partitioning.linger.ms";

/// The engine's largest `sticky.partitioning.linger.ms`: rdkafka_conf.c's property table.
const LARGEST_STICKY_MS: i64 = 900_000;

/// What `rd_kafka_conf_get` tells of `sticky.partitioning.linger.ms` while nothing set it. The
/// engine uses twice linger then, and only decides so in `rd_kafka_conf_finalize`.
const DEFAULT_STICKY_MS: i64 = 10;

/// The largest `sticky.partitioning.linger.ms` that advice can set: messages without a key all go
/// to one partition for that long.
const MAX_ADVISED_STICKY_MS: i64 = 1000;

/// Decides about an advised linger. It is only ever raised, and the new value has whole
/// milliseconds: the engine reads it with `strtod`, to which the process's locale may make a point
/// the end of the number.
pub(super) fn linger(state: &State, asked: &Value) -> Verdict {
    let asked = value::decimal(asked)?;
    if !(0.0..=LARGEST_LINGER_MS).contains(&asked) {
        return Err(format!("it is outside 0 to {LARGEST_LINGER_MS}"));
    }
    let own = state.linger_ms()?;
    if asked == own {
        return Ok(None);
    }
    if state.latency_sensitive {
        return Err("SUPERSTREAM_LATENCY_SENSITIVE is set".into());
    }
    if own == 0.0 {
        return Err("the application asks for no delay (linger.ms=0)".into());
    }
    if asked < own {
        return Err(format!("the application waits longer already ({own} ms)"));
    }
    let limit = limit(state, own)?;
    let new = asked.min(limit.ms).floor();
    let why = match asked <= limit.ms {
        true => "only whole milliseconds are set".to_owned(),
        false => limit.why,
    };
    if new <= own {
        return Err(format!(
            "{why}: that leaves {new} ms, and the application has {own} ms"
        ));
    }
    let mut reason = match new < asked {
        true => format!("advised {asked}, cut to {new}: {why}"),
        false => "advised".to_owned(),
    };
    if state.whole(STICKY) == Ok(DEFAULT_STICKY_MS) {
        let sticky = 2.0 * new;
        reason += &format!("; {STICKY} follows to {sticky} unless the application set it");
    }
    Ok(Some(Set {
        new: new.to_string(),
        reason,
    }))
}

/// The most that linger can be here.
struct Limit {
    ms: f64,
    why: String,
}

/// The strictest of all limits. `own` is the present linger, in ms.
fn limit(state: &State, own: f64) -> Result<Limit, String> {
    let unmeasured = Limit {
        ms: UNMEASURED_LINGER_MS,
        why: format!("{UNMEASURED_LINGER_MS} ms is the limit without a measured rate"),
    };
    let others = [
        timeout_limit(state, own)?,
        transaction_limit(state)?,
        message_queue_limit(state)?,
        Some(kbyte_queue_limit(state)?),
    ];
    let stricter = |a: Limit, b: Limit| if b.ms < a.ms { b } else { a };
    Ok(others.into_iter().flatten().fold(unmeasured, stricter))
}

/// Far below `message.timeout.ms`, so that both the new and the old linger can be set without a
/// refusal by the engine. None where the timeout is infinite.
fn timeout_limit(state: &State, own: f64) -> Result<Option<Limit>, String> {
    let Some(timeout) = message_timeout_ms(state)? else {
        return Ok(None);
    };
    if timeout < HURRIED_TIMEOUT_MS {
        return Err(format!(
            "message.timeout.ms is {timeout}, and below {HURRIED_TIMEOUT_MS} linger is left alone"
        ));
    }
    if own >= timeout {
        return Err(format!(
            "linger.ms is {own}, not below message.timeout.ms ({timeout}); set, the engine would \
             refuse it"
        ));
    }
    Ok(Some(Limit {
        ms: timeout / PART_OF_TIMEOUT,
        why: format!("at most a tenth of message.timeout.ms ({timeout})"),
    }))
}

/// The message timeout that topics get, in ms; `None` is infinite (0 in the engine).
///
/// With a `transactional.id` the engine sets a timeout that the application did not set to
/// `transaction.timeout.ms`, and refuses a larger one (`rd_kafka_topic_conf_finalize`).
fn message_timeout_ms(state: &State) -> Result<Option<f64>, String> {
    let mut timeout = DEFAULT_TIMEOUT_MS;
    if state.has_topic() {
        timeout = state.topic_whole("message.timeout.ms")? as f64;
    }
    let own = (timeout > 0.0).then_some(timeout);
    if !state.is_transactional() {
        return Ok(own);
    }
    let transaction = state.whole("transaction.timeout.ms")? as f64;
    Ok(Some(own.map_or(transaction, |own| own.min(transaction))))
}

/// A transaction's messages have to be delivered before it times out. A commit flushes, so linger
/// adds nothing to it.
fn transaction_limit(state: &State) -> Result<Option<Limit>, String> {
    if !state.is_transactional() {
        return Ok(None);
    }
    let timeout = state.whole("transaction.timeout.ms")? as f64;
    Ok(Some(Limit {
        ms: timeout / PART_OF_TRANSACTION,
        why: format!("at most a twentieth of transaction.timeout.ms ({timeout})"),
    }))
}

/// See [`ASSUMED_MESSAGES_PER_MS`]. 0 messages is no limit.
fn message_queue_limit(state: &State) -> Result<Option<Limit>, String> {
    let messages = state.whole("queue.buffering.max.messages")?;
    if messages == 0 {
        return Ok(None);
    }
    Ok(Some(Limit {
        ms: PART_OF_QUEUE * messages as f64 / ASSUMED_MESSAGES_PER_MS,
        why: format!("waiting messages could fill queue.buffering.max.messages ({messages})"),
    }))
}

/// See [`ASSUMED_KIB_PER_MS`].
fn kbyte_queue_limit(state: &State) -> Result<Limit, String> {
    let kbytes = state.whole("queue.buffering.max.kbytes")?;
    Ok(Limit {
        ms: PART_OF_QUEUE * kbytes as f64 / ASSUMED_KIB_PER_MS,
        why: format!("waiting messages could fill queue.buffering.max.kbytes ({kbytes})"),
    })
}

/// Decides about an advised `sticky.partitioning.linger.ms`: at most twice linger, the engine's
/// own measure, and neither off nor on. Off and on would change where messages go: 0 makes every
/// message without a key choose a partition at random (`rd_kafka_topic_new0`, rdkafka_topic.c).
pub(super) fn sticky(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 0, LARGEST_STICKY_MS)?;
    let own = state.whole(STICKY)?;
    let follows = (2.0 * state.linger_ms()?).floor() as i64;
    if new == own {
        return pin(state, new, follows);
    }
    if new == 0 {
        return Err("0 turns the sticky partitioner off".into());
    }
    if own == 0 {
        return Err("the application turned the sticky partitioner off".into());
    }
    let most = follows.min(MAX_ADVISED_STICKY_MS);
    if new > most {
        return Err(format!(
            "at most {most} (twice linger.ms, and {MAX_ADVISED_STICKY_MS}): longer only makes the \
             load of partitions uneven"
        ));
    }
    Set::whole(new, "advised")
}

/// The value as the engine tells it is advised. That is nothing to do, but where this plan raises
/// linger, the default would follow it and is set to stay.
fn pin(state: &State, advised: i64, follows: i64) -> Verdict {
    if advised != DEFAULT_STICKY_MS || follows <= advised || !state.is_changed(LINGER) {
        return Ok(None);
    }
    Set::whole(
        advised,
        format!("advised; it would follow linger.ms to {follows}"),
    )
}

/// The guard of `rd_kafka_topic_new`, for clients whose linger this library raised: the
/// `message.timeout.ms`, in ms, that a topic's own configuration needs so that messages keep their
/// time to deliver, or `None` where it is to be left alone.
///
/// `linger_set` is the `linger.ms` that the plan set, `linger_before` the application's, and
/// `topic_timeout` the `message.timeout.ms` of the topic's own configuration, each as the engine
/// tells it. The engine refuses a topic whose timeout is not 0 and not above a linger that was set
/// (`rd_kafka_topic_conf_finalize`, rdkafka_conf.c), and one just above it leaves no time to send.
/// So a timeout of which linger is more than the tenth that [`linger`] takes at most is raised by
/// as much as linger was. A linger that was not the default was set by the application: a timeout
/// that is not above that one is refused by stock librdkafka too, and stays refused.
pub fn topic_timeout_for_linger(
    linger_set: &str,
    linger_before: &str,
    topic_timeout: &str,
) -> Option<u32> {
    let set = value::engine_double(linger_set)?;
    let before = value::engine_double(linger_before)?;
    let timeout = value::engine_whole(topic_timeout)? as f64;
    if timeout <= 0.0 || timeout >= set * PART_OF_TIMEOUT || set > LARGEST_LINGER_MS {
        return None;
    }
    if before != DEFAULT_LINGER_MS && timeout <= before {
        return None;
    }
    let kept = timeout + (set - before).ceil();
    Some(kept.max(set.floor() + 1.0) as u32)
}
