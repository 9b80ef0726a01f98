//! The allow-list of producers, and its rules for batches and the queue.

use serde_json::Value;

use super::properties::Rule;
use super::state::{Set, State, Verdict};
use super::{compression, linger, value};

/// Rules come after those whose results they look at: linger after the queue, the level after the
/// codec, the sticky partitioner after linger.
pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "queue.buffering.max.messages",
        in_transactions: false,
        decide: queue_messages,
    },
    Rule {
        key: "queue.buffering.max.kbytes",
        in_transactions: false,
        decide: queue_kbytes,
    },
    Rule {
        key: "batch.size",
        in_transactions: false,
        decide: batch_size,
    },
    Rule {
        key: "batch.num.messages",
        in_transactions: false,
        decide: batch_messages,
    },
    Rule {
        key: compression::CODEC,
        in_transactions: true,
        decide: compression::codec,
    },
    Rule {
        key: compression::LEVEL,
        in_transactions: false,
        decide: compression::level,
    },
    Rule {
        key: "linger.ms",
        in_transactions: true,
        decide: linger::linger,
    },
    Rule {
        key: "sticky.partitioning.linger.ms",
        in_transactions: false,
        decide: linger::sticky,
    },
];

/// The largest integer that the engine's property table knows.
const INT_MAX: i64 = i32::MAX as i64;

/// The largest `batch.size` that advice can set, in bytes: the engine's default. The broker checks
/// the size of a whole batch, and takes 1048588 bytes by default; a batch above its limit is
/// refused, with all of its messages. A larger `message.max.bytes` of the application speaks of
/// single messages, and says nothing about the limit of each topic.
const MAX_ADVISED_BATCH_SIZE: i64 = 1_000_000;

/// The engine's largest `batch.num.messages`: rdkafka_conf.c's property table.
const LARGEST_BATCH_MESSAGES: i64 = 1_000_000;

/// `queue.buffering.max.messages` is raised at most to this: ten times the engine's default.
/// `queue.buffering.max.kbytes` goes on to limit the memory.
const MAX_ADVISED_QUEUE_MESSAGES: i64 = 1_000_000;

/// `queue.buffering.max.messages` is raised at most this many times in one plan.
const QUEUE_MESSAGES_FACTOR: i64 = 4;

/// `queue.buffering.max.kbytes` is raised at most to this: the engine's default, 1 GiB. An
/// application with less may live in a container with less.
const MAX_ADVISED_QUEUE_KBYTES: i64 = 0x10_0000;

/// `queue.buffering.max.kbytes` is raised at most this many times in one plan.
const QUEUE_KBYTES_FACTOR: i64 = 2;

/// `batch.size`, in bytes: raised only. Advice made for Java (16384, 32768) would cut batches of
/// the engine to a thirtieth. A batch is never larger than `message.max.bytes`
/// (`rd_kafka_msgset_writer_write_msgq`, rdkafka_msgset_writer.c), so a larger value is cut to it.
fn batch_size(state: &State, asked: &Value) -> Verdict {
    let asked = value::whole_within(asked, 1, INT_MAX)?;
    let own = state.whole("batch.size")?;
    if asked == own {
        return Ok(None);
    }
    not_below("batch.size", asked, own)?;
    let message_max = state.whole("message.max.bytes")?;
    let new = asked.min(message_max).min(MAX_ADVISED_BATCH_SIZE);
    let why = match message_max < MAX_ADVISED_BATCH_SIZE {
        true => "message.max.bytes limits a batch too",
        false => "a broker may refuse a larger batch",
    };
    if new <= own {
        return Err(format!(
            "at most {new}: {why}, and the application's batch.size is {own}"
        ));
    }
    if new < asked {
        return Set::whole(new, format!("advised {asked}, cut to {new}: {why}"));
    }
    Set::whole(new, "advised")
}

/// `batch.num.messages`: raised only. `batch.size` goes on to limit the bytes.
fn batch_messages(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 1, LARGEST_BATCH_MESSAGES)?;
    let own = state.whole("batch.num.messages")?;
    if new == own {
        return Ok(None);
    }
    not_below("batch.num.messages", new, own)?;
    Set::whole(new, "advised")
}

/// `queue.buffering.max.messages`. 0 is no limit (`rd_kafka_curr_msgs_add`, rdkafka_int.h): an
/// application that has it needs no more, and none is given it.
fn queue_messages(state: &State, asked: &Value) -> Verdict {
    let key = "queue.buffering.max.messages";
    let new = value::whole_within(asked, 0, INT_MAX)?;
    let own = state.whole(key)?;
    if new != own && own == 0 {
        return Err(format!("the application's {key} has no limit (0)"));
    }
    if new != own && new == 0 {
        return Err(format!("0 would take the limit away ({own})"));
    }
    raise(
        key,
        new,
        own,
        QUEUE_MESSAGES_FACTOR,
        MAX_ADVISED_QUEUE_MESSAGES,
    )
}

/// `queue.buffering.max.kbytes`, in KiB (`rd_kafka_new`, rdkafka.c).
fn queue_kbytes(state: &State, asked: &Value) -> Verdict {
    let key = "queue.buffering.max.kbytes";
    let new = value::whole_within(asked, 1, INT_MAX)?;
    let own = state.whole(key)?;
    raise(key, new, own, QUEUE_KBYTES_FACTOR, MAX_ADVISED_QUEUE_KBYTES)
}

/// A value that is only raised, at most `factor` times and at most to `most`. It is not cut to
/// that: a second plan would raise it again.
pub(super) fn raise(key: &str, new: i64, own: i64, factor: i64, most: i64) -> Verdict {
    if new == own {
        return Ok(None);
    }
    not_below(key, new, own)?;
    if new > most {
        return Err(format!("{key} is raised to {most} at most"));
    }
    if new > own.saturating_mul(factor) {
        return Err(format!(
            "{key} is raised {factor} times at most, and the application's is {own}"
        ));
    }
    Set::whole(new, "advised")
}

/// What holds messages never shrinks.
fn not_below(key: &str, new: i64, own: i64) -> Result<(), String> {
    if new < own {
        return Err(format!("the application's {key} is larger ({own})"));
    }
    Ok(())
}
