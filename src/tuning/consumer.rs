//! The allow-list of consumers, and its rules.

use serde_json::Value;

use super::producer::raise;
use super::properties::Rule;
use super::state::{Set, State, Verdict};
use super::value;

/// Rules come after those whose results they look at.
pub(super) const RULES: &[Rule] = &[
    Rule {
        key: "queued.min.messages",
        in_transactions: true,
        decide: queued_messages,
    },
    Rule {
        key: "queued.max.messages.kbytes",
        in_transactions: true,
        decide: queued_kbytes,
    },
    Rule {
        key: "fetch.max.bytes",
        in_transactions: true,
        decide: fetch_max,
    },
    Rule {
        key: "max.partition.fetch.bytes",
        in_transactions: true,
        decide: partition_fetch,
    },
    Rule {
        key: "fetch.wait.max.ms",
        in_transactions: true,
        decide: fetch_wait,
    },
    Rule {
        key: "fetch.min.bytes",
        in_transactions: true,
        decide: fetch_min,
    },
];

/// `queued.min.messages` is raised at most to this: ten times the engine's default.
/// `queued.max.messages.kbytes` goes on to limit the memory.
const MAX_ADVISED_QUEUED_MESSAGES: i64 = 1_000_000;

/// `queued.min.messages` is raised at most this many times in one plan.
const QUEUED_MESSAGES_FACTOR: i64 = 4;

/// `queued.max.messages.kbytes` is raised at most to this: twice the engine's default of 64 MiB.
/// With queues per partition, the limit holds for each of them.
const MAX_ADVISED_QUEUED_KBYTES: i64 = 0x2_0000;

/// `queued.max.messages.kbytes` is raised at most this many times in one plan.
const QUEUED_KBYTES_FACTOR: i64 = 2;

/// Advice sets no `fetch.max.bytes` and no `max.partition.fetch.bytes` below this, the engine's
/// default of the second: smaller answers are more requests.
const LEAST_FETCH: i64 = 1024 * 1024;

/// The largest `max.partition.fetch.bytes` that advice can set. The queue's limit may be overshot
/// by as much.
const MAX_ADVISED_PARTITION_FETCH: i64 = 16 * 1024 * 1024;

/// The largest `fetch.min.bytes` that advice can set. One partition with the default
/// `max.partition.fetch.bytes` can still fill it.
const MAX_ADVISED_FETCH_MIN: i64 = 1024 * 1024;

/// The least `fetch.wait.max.ms` that advice can set, in ms: an idle consumer asks each broker
/// again after it.
const LEAST_FETCH_WAIT_MS: i64 = 100;

/// The largest `fetch.wait.max.ms` that advice can set, in ms, and the largest with which it raises
/// `fetch.min.bytes`: the engine's default. So long may a message wait at the broker because of an
/// advice.
const LONGEST_FETCH_WAIT_MS: i64 = 500;

/// `fetch.wait.max.ms` is this much below `socket.timeout.ms`, in ms, or the engine warns about
/// requests that time out behind a fetch (`rd_kafka_conf_warn`, rdkafka_conf.c).
const BELOW_SOCKET_TIMEOUT_MS: i64 = 1000;

/// The engine's `fetch.max.bytes`, in bytes. An application with another value has certainly set it,
/// and then the queue does not cut it: `rd_kafka_conf_finalize`, rdkafka_conf.c.
const DEFAULT_FETCH_MAX: i64 = 52_428_800;

/// The engine's room for protocol framing around a fetch, in bytes: `rd_kafka_conf_finalize`.
const FRAMING: i64 = 512;

fn queued_messages(state: &State, asked: &Value) -> Verdict {
    let key = "queued.min.messages";
    let new = value::whole_within(asked, 1, 10_000_000)?;
    let own = state.whole(key)?;
    raise(
        key,
        new,
        own,
        QUEUED_MESSAGES_FACTOR,
        MAX_ADVISED_QUEUED_MESSAGES,
    )
}

/// `queued.max.messages.kbytes`. The engine raises a `fetch.max.bytes` that nobody set along with
/// it, and refuses the client where `receive.message.max.bytes` was set and has no room for that
/// (`rd_kafka_conf_finalize`, rdkafka_conf.c).
fn queued_kbytes(state: &State, asked: &Value) -> Verdict {
    let key = "queued.max.messages.kbytes";
    let new = value::whole_within(asked, 1, i64::from(i32::MAX / 1024))?;
    let own = state.whole(key)?;
    let receive = state.whole("receive.message.max.bytes")?;
    let fetch_before = fetch_max_with(state, own)?;
    let fetch_after = fetch_max_with(state, new)?;
    if fetch_after > fetch_before && fetch_after + FRAMING > receive {
        return Err(format!(
            "fetch.max.bytes would follow to {fetch_after}, and receive.message.max.bytes \
             ({receive}) has no room for that"
        ));
    }
    raise(
        key,
        new,
        own,
        QUEUED_KBYTES_FACTOR,
        MAX_ADVISED_QUEUED_KBYTES,
    )
}

/// The `fetch.max.bytes` that the engine uses with a queue of so many kbytes, where nobody set it:
/// `rd_kafka_conf_finalize`, rdkafka_conf.c. Where it was set, that is at least
/// `message.max.bytes`, and this gives that value or less.
fn fetch_max_with(state: &State, queued_kbytes: i64) -> Result<i64, String> {
    let own = state.whole("fetch.max.bytes")?;
    let message_max = state.whole("message.max.bytes")?;
    Ok(own.min(queued_kbytes.saturating_mul(1024)).max(message_max))
}

/// `fetch.max.bytes`, in bytes. Setting it sets a modified bit: the engine then refuses a value
/// below `message.max.bytes`, raises `receive.message.max.bytes` for one that does not fit or
/// refuses that as well, and no longer cuts it to the queue (`rd_kafka_conf_finalize`,
/// rdkafka_conf.c). So it is set only where none of this happens.
fn fetch_max(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 0, i64::from(i32::MAX) - FRAMING)?;
    let queued_kbytes = state.whole("queued.max.messages.kbytes")?;
    if new == state.whole("fetch.max.bytes")? || new == fetch_max_with(state, queued_kbytes)? {
        return Ok(None);
    }
    // What the engine refuses, or mends, in the application's own configuration stays so.
    let own = state.whole("fetch.max.bytes")?;
    let message_max = state.whole("message.max.bytes")?;
    let receive = state.whole("receive.message.max.bytes")?;
    let in_force = match own == DEFAULT_FETCH_MAX {
        true => fetch_max_with(state, queued_kbytes)?,
        false => own,
    };
    if own < message_max || in_force + FRAMING > receive {
        return Err(format!(
            "the application's own {own} does not fit message.max.bytes ({message_max}) and \
             receive.message.max.bytes ({receive}); librdkafka has the say about that"
        ));
    }
    if new < message_max {
        return Err(format!(
            "the engine refuses less than message.max.bytes ({message_max})"
        ));
    }
    not_below_least(state, new)?;
    let queue = queued_kbytes.saturating_mul(1024);
    if new > queue {
        return Err(format!(
            "more than queued.max.messages.kbytes holds ({queue} bytes)"
        ));
    }
    if new + FRAMING > receive {
        return Err(format!(
            "receive.message.max.bytes ({receive}) has no room for it"
        ));
    }
    Set::whole(new, "advised")
}

/// `max.partition.fetch.bytes`, in bytes. The engine doubles it by itself for a message that does
/// not fit (`rd_kafka_msgset_reader_run`, rdkafka_msgset_reader.c).
fn partition_fetch(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 1, 1_000_000_000)?;
    if new == state.whole("max.partition.fetch.bytes")? {
        return Ok(None);
    }
    not_below_least(state, new)?;
    if new > MAX_ADVISED_PARTITION_FETCH {
        return Err(format!(
            "at most {MAX_ADVISED_PARTITION_FETCH}: it comes on top of the queue's limit"
        ));
    }
    let fetch_max = fetch_max_with(state, state.whole("queued.max.messages.kbytes")?)?;
    if new > fetch_max {
        return Err(format!(
            "no effect above fetch.max.bytes, which is {fetch_max}"
        ));
    }
    Set::whole(new, "advised")
}

/// An answer must be able to hold `fetch.min.bytes`, or the broker lets every fetch wait for its
/// full time: it counts a partition up to `max.partition.fetch.bytes` (Kafka's DelayedFetch).
fn not_below_least(state: &State, new: i64) -> Result<(), String> {
    if new < LEAST_FETCH {
        return Err(format!(
            "below {LEAST_FETCH} there are only more and smaller fetches"
        ));
    }
    let fetch_min = state.whole("fetch.min.bytes")?;
    if new < fetch_min {
        return Err(format!(
            "less than fetch.min.bytes ({fetch_min}): every fetch would wait for its full time"
        ));
    }
    Ok(())
}

/// `fetch.wait.max.ms`, in ms: how long the broker waits for `fetch.min.bytes`.
fn fetch_wait(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 0, 300_000)?;
    let own = state.whole("fetch.wait.max.ms")?;
    if new == own {
        return Ok(None);
    }
    if new > own && state.latency_sensitive {
        return Err("SUPERSTREAM_LATENCY_SENSITIVE is set".into());
    }
    if new < LEAST_FETCH_WAIT_MS {
        return Err(format!(
            "below {LEAST_FETCH_WAIT_MS} ms an idle consumer asks too often"
        ));
    }
    if new > LONGEST_FETCH_WAIT_MS {
        return Err(format!(
            "above {LONGEST_FETCH_WAIT_MS} ms messages would wait too long at the broker"
        ));
    }
    let socket_timeout = state.whole("socket.timeout.ms")?;
    if new + BELOW_SOCKET_TIMEOUT_MS > socket_timeout {
        return Err(format!(
            "not {BELOW_SOCKET_TIMEOUT_MS} ms below socket.timeout.ms ({socket_timeout})"
        ));
    }
    Set::whole(new, "advised")
}

/// `fetch.min.bytes`, in bytes: raised only, and never so far that it cannot be reached. A message
/// may then wait at the broker for as long as `fetch.wait.max.ms`, so that has to be short.
fn fetch_min(state: &State, asked: &Value) -> Verdict {
    let new = value::whole_within(asked, 1, 100_000_000)?;
    let own = state.whole("fetch.min.bytes")?;
    if new == own {
        return Ok(None);
    }
    if new < own {
        return Err(format!("the application waits for more already ({own})"));
    }
    if state.latency_sensitive {
        return Err("SUPERSTREAM_LATENCY_SENSITIVE is set".into());
    }
    let wait = state.whole("fetch.wait.max.ms")?;
    if wait > LONGEST_FETCH_WAIT_MS {
        return Err(format!(
            "messages would wait up to fetch.wait.max.ms ({wait} ms) at the broker"
        ));
    }
    let partition_fetch = state.whole("max.partition.fetch.bytes")?;
    let fetch_max = fetch_max_with(state, state.whole("queued.max.messages.kbytes")?)?;
    let most = MAX_ADVISED_FETCH_MIN.min(partition_fetch).min(fetch_max);
    if new > most {
        return Err(format!(
            "at most {most}, so that one partition can fill a fetch"
        ));
    }
    Set::whole(
        new,
        format!("advised; messages may wait up to {wait} ms at the broker for a fuller fetch"),
    )
}
