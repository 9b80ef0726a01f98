//! The engine's hooks, on which everything that is reported of a client is counted.
//!
//! They run on the application's producing and consuming threads and on the engine's. `on_send` and
//! `on_acknowledgement` run for each record, so they do nothing but add; what takes longer happens
//! once for each topic or broker, or once for each request.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use superstream_counters::{Broker, Counts, Topic};

use super::schema;
use super::slots::{Served, Slot, text};
use crate::boundary;
use crate::engine::Engine;
use crate::engine::ffi::{self, Message, ResponseError, rd_kafka_s};

/// One in so many acknowledged records has its latency measured: that takes a look at the clock.
pub const LATENCY_SAMPLED: u32 = 64;
/// What the engine leaves out of an answer's size: its length and its correlation.
const ANSWER_HEAD: usize = 8;

/// `RD_KAFKA_THREAD_MAIN`.
const MAIN_THREAD: c_int = 0;
/// `RD_KAFKA_THREAD_BROKER`.
const BROKER_THREAD: c_int = 2;

thread_local! {
    /// What the engine made this thread for, if it did.
    static MADE_FOR: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// Adds the hooks of a client, which count on its slot.
///
/// # Safety
/// `handle` is under creation by `engine`, in `on_new`, when interceptors may be added.
pub unsafe fn add(slot: &'static Slot, engine: &Engine, handle: *mut rd_kafka_s, name: &CStr) {
    let opaque = ptr::from_ref(slot).cast_mut().cast::<c_void>();
    let name = name.as_ptr();
    // SAFETY: the caller's contract; the engine copies the name, and `opaque` is never freed.
    unsafe {
        (engine.add_on_send)(handle, name, on_send, opaque);
        (engine.add_on_acknowledgement)(handle, name, on_acknowledgement, opaque);
        (engine.add_on_consume)(handle, name, on_consume, opaque);
        (engine.add_on_request_sent)(handle, name, on_request_sent, opaque);
        if let Some(add) = engine.add_on_response_received {
            add(handle, name, on_response_received, opaque);
        }
        if let (Some(start), Some(exit)) = (engine.add_on_thread_start, engine.add_on_thread_exit) {
            start(handle, name, on_thread_start, opaque);
            exit(handle, name, on_thread_exit, opaque);
        }
    }
}

impl Message {
    /// Value and key.
    #[inline(always)]
    fn size(&self) -> usize {
        self.len.wrapping_add(self.key_len)
    }
}

/// Counts for the client, if it is still the one that the slot serves.
///
/// # Safety
/// `opaque` is what [`add`] gave the engine.
unsafe fn counted(
    handle: *mut rd_kafka_s,
    opaque: *mut c_void,
    count: impl FnOnce(&Served),
) -> ResponseError {
    // SAFETY: the caller's contract; a slot is never freed.
    let slot = unsafe { &*opaque.cast::<Slot>() };
    if let Some(client) = slot.of(handle.addr()) {
        count(&client);
    }
    ffi::NO_ERROR
}

/// The message of a hook, and its topic where that is found at once.
///
/// # Safety
/// `message` is what the engine gave the hook, and `opaque` what [`add`] gave the engine.
#[inline(always)]
unsafe fn seen<'m>(message: *mut Message, opaque: *mut c_void) -> (&'m Message, Option<&'m Topic>) {
    // SAFETY: a message is valid during the call, and a slot is never freed.
    let (message, slot) = unsafe { (&*message, &*opaque.cast::<Slot>()) };
    (message, slot.topic_at_once(message.rkt))
}

/// What may allocate, and so must not let a panic out. What is done for each record is less than
/// this guard.
fn guarded(count: impl FnOnce(&Served)) -> impl FnOnce(&Served) {
    |client| {
        boundary::catch_keeping_errno(|| count(client));
    }
}

// Each of the next three has one short way, for all records but a few. The others end in a call of
// the same form, which leaves nothing to be done for the short way.

unsafe extern "C" fn on_send(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: from the engine, which gives back what we gave it.
    let (message, topic) = unsafe { seen(message, opaque) };
    let Some(topic) = topic else {
        // SAFETY: as above.
        return unsafe { sent_elsewhere(handle, message, opaque) };
    };
    topic.accepted.add(message.size());
    ffi::NO_ERROR
}

#[cold]
#[inline(never)]
unsafe extern "C" fn sent_elsewhere(
    handle: *mut rd_kafka_s,
    message: &Message,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: as in `on_send`.
    unsafe {
        counted(handle, opaque, |client| {
            let topic = client.topic(message.rkt);
            topic.accepted.add(message.size());
        })
    }
}

unsafe extern "C" fn on_acknowledgement(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: as in `on_send`.
    let (message, topic) = unsafe { seen(message, opaque) };
    if message.err == ffi::NO_ERROR
        && let Some(topic) = topic
        && topic.was_used(message.partition)
    {
        let before = topic.delivered.add(message.size());
        if !before.is_multiple_of(u64::from(LATENCY_SAMPLED)) {
            return ffi::NO_ERROR;
        }
        // SAFETY: as above.
        return unsafe { sampled(handle, message, opaque) };
    }
    // SAFETY: as above.
    unsafe { acknowledged_elsewhere(handle, message, opaque) }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn acknowledged_elsewhere(
    handle: *mut rd_kafka_s,
    message: &Message,
    opaque: *mut c_void,
) -> ResponseError {
    let acknowledged = |client: &Served| {
        // Of a batch that is refused at once the engine passes the application's own array, whose
        // topics mean nothing: a topic is looked up, and never looked into.
        let topic = client.counts.topic_if_known(message.rkt.addr());
        if message.err != ffi::NO_ERROR {
            return not_delivered(client, topic, message);
        }
        topic.note_used(message.partition);
        let before = topic.delivered.add(message.size());
        if before.is_multiple_of(u64::from(LATENCY_SAMPLED)) {
            measure_latency(client, message);
        }
    };
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, acknowledged) }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn sampled(
    handle: *mut rd_kafka_s,
    message: &Message,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, |client| measure_latency(client, message)) }
}

fn measure_latency(client: &Served, message: &Message) {
    if let Some(latency) = client.engine.message_latency {
        // SAFETY: a message of the engine's own, as all that were delivered are.
        client.counts.latency(unsafe { latency(message) });
    }
}

fn not_delivered(client: &Served, topic: &Topic, message: &Message) {
    match client.tells_threads() && is_refused(message.err, MADE_FOR.get()) {
        true => topic.refused.add(message.size()),
        false => topic.failed.add(message.size()),
    };
}

/// Whether it is `produce` that gives a record back: it does so on the thread that called it, which is
/// the application's own or the engine's background thread. That one runs the application's callbacks
/// and serves no broker, so it gives up nothing. A purge and the end of a client may run there too.
fn is_refused(err: ResponseError, made_for: Option<c_int>) -> bool {
    let is_given_up = matches!(
        err,
        ffi::PURGED_IN_QUEUE | ffi::PURGED_IN_FLIGHT | ffi::DESTROYED
    );
    let is_engines = matches!(made_for, Some(MAIN_THREAD | BROKER_THREAD));
    !is_given_up && !is_engines
}

unsafe extern "C" fn on_consume(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: as in `on_send`.
    let (record, topic) = unsafe { seen(message, opaque) };
    if let Some(topic) = topic
        && topic.was_used(record.partition)
    {
        let before = topic.consumed.add(record.size());
        if !schema::is_looked_at(topic, before) {
            return ffi::NO_ERROR;
        }
        // SAFETY: as above.
        return unsafe { looked_at(handle, message, opaque, topic) };
    }
    // SAFETY: as above.
    unsafe { consumed_elsewhere(handle, message, opaque) }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn looked_at(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
    topic: &Topic,
) -> ResponseError {
    // SAFETY: as in `on_send`, and the engine's own message.
    let look = |client: &Served| unsafe { schema::look(client.engine, topic, message) };
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, guarded(look)) }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn consumed_elsewhere(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
) -> ResponseError {
    let consumed = |client: &Served| {
        // SAFETY: a message is valid during the call.
        let record = unsafe { &*message };
        let topic = client.topic(record.rkt);
        topic.note_used(record.partition);
        let before = topic.consumed.add(record.size());
        if schema::is_looked_at(topic, before) {
            // SAFETY: the engine's own message.
            let look = |client: &Served| unsafe { schema::look(client.engine, topic, message) };
            guarded(look)(client);
        }
    };
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, consumed) }
}

unsafe extern "C" fn on_request_sent(
    handle: *mut rd_kafka_s,
    _socket: c_int,
    broker_name: *const c_char,
    broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation_id: i32,
    size: usize,
    opaque: *mut c_void,
) -> ResponseError {
    let sent = |client: &Served| {
        // SAFETY: the engine gives a C string that is valid during the call.
        let broker = unsafe { broker(client.counts, broker_id, broker_name) };
        broker.sent.add(size);
        match api_key {
            ffi::PRODUCE => broker.produce.add(size),
            ffi::FETCH => broker.fetch.add(size),
            _ => 0,
        };
    };
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, guarded(sent)) }
}

unsafe extern "C" fn on_response_received(
    handle: *mut rd_kafka_s,
    _socket: c_int,
    broker_name: *const c_char,
    broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation_id: i32,
    size: usize,
    round_trip: i64,
    err: ResponseError,
    opaque: *mut c_void,
) -> ResponseError {
    let received = |client: &Served| {
        match err {
            ffi::NO_ERROR => {}
            // The client's own end is no trouble.
            ffi::DESTROYED => return,
            // The answer to a request that was given up before.
            _ if api_key < 0 => return,
            _ if is_first_word(client, api_key) => client.counts.error(err),
            _ => {}
        }
        if matches!(api_key, ffi::PRODUCE | ffi::FETCH) {
            // SAFETY: the engine gives a C string that is valid during the call.
            let broker = unsafe { broker(client.counts, broker_id, broker_name) };
            broker.round_trip(round_trip);
            // A request may end without an answer.
            if api_key == ffi::FETCH && size > 0 {
                broker.fetched(size + ANSWER_HEAD);
            }
        }
    };
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, guarded(received)) }
}

/// The figures of a broker.
///
/// # Safety
/// As for [`text`].
unsafe fn broker(counts: &Counts, id: i32, name: *const c_char) -> &Broker {
    // SAFETY: the caller's contract.
    counts.broker(id, || unsafe { text(name) })
}

/// Whether an answer is told for the first time. One that another thread waits for is told twice:
/// by the broker's thread, and by the one that waits (`rd_kafka_buf_callback`, rdkafka_buf.c).
/// Nobody else waits for the answers to produce and fetch requests.
fn is_first_word(client: &Served, api_key: i16) -> bool {
    match client.tells_threads() {
        true => MADE_FOR.get() == Some(BROKER_THREAD),
        false => matches!(api_key, ffi::PRODUCE | ffi::FETCH),
    }
}

unsafe extern "C" fn on_thread_start(
    handle: *mut rd_kafka_s,
    kind: c_int,
    _name: *const c_char,
    opaque: *mut c_void,
) -> ResponseError {
    MADE_FOR.set(Some(kind));
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, |client| client.counts.thread_began()) }
}

unsafe extern "C" fn on_thread_exit(
    handle: *mut rd_kafka_s,
    _kind: c_int,
    _name: *const c_char,
    opaque: *mut c_void,
) -> ResponseError {
    // SAFETY: as in `on_send`.
    unsafe { counted(handle, opaque, |client| client.counts.thread_ended()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `RD_KAFKA_THREAD_BACKGROUND`.
    const BACKGROUND_THREAD: c_int = 1;
    /// `RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION`.
    const UNKNOWN_PARTITION: ResponseError = -190;

    #[test]
    fn a_record_is_refused_where_the_application_can_produce() {
        for thread in [None, Some(BACKGROUND_THREAD)] {
            assert!(is_refused(UNKNOWN_PARTITION, thread), "{thread:?}");
            for given_up in [ffi::PURGED_IN_QUEUE, ffi::PURGED_IN_FLIGHT, ffi::DESTROYED] {
                assert!(!is_refused(given_up, thread), "{thread:?}, {given_up}");
            }
        }
        for thread in [MAIN_THREAD, BROKER_THREAD] {
            assert!(!is_refused(UNKNOWN_PARTITION, Some(thread)), "{thread}");
        }
    }
}
