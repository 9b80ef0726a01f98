//! Consumed records that another client of Superstream's has rewritten, and that say so in a header.
//! They are delivered as they are, and counted.
//!
//! The engine parses the headers of a record when somebody asks for them, and keeps them with it: the
//! application finds what it would have found (`rd_kafka_message_headers`, rdkafka_msg.c). That costs
//! memory and time where there are headers, so one record in a few is looked at until the first is
//! met, and each from then on. What is counted was seen: at least so many have the header.

use std::ffi::c_void;
use std::ptr;

use superstream_counters::Topic;
use superstream_protocol::measured::SCHEMA_HEADER;

use crate::engine::Engine;
use crate::engine::ffi::{self, Message, ResponseError};

/// One in so many consumed records is looked at, and the first one. A prime number: of records that
/// take turns, such as between programs or partitions, each has its turn.
const LOOKED_AT: u64 = 61;

/// Whether a record is looked at, before which so many were counted.
#[inline(always)]
pub fn is_looked_at(topic: &Topic, before: u64) -> bool {
    before.is_multiple_of(LOOKED_AT) || topic.has_schema()
}

/// Whether the engine shows headers.
pub fn can_look(engine: &Engine) -> bool {
    engine.message_headers.is_some() && engine.header_get_last.is_some()
}

/// Counts a consumed record, if it has the header.
///
/// # Safety
/// `message` is the engine's own, under its `on_consume`.
pub unsafe fn look(engine: &Engine, topic: &Topic, message: *mut Message) {
    // SAFETY: the caller's contract.
    if unsafe { has_header(engine, message) } == Some(true) {
        topic.met_schema();
    }
}

/// `None` where the record has no headers, where they cannot be parsed, or where the engine does not
/// show them.
///
/// # Safety
/// As for [`look`].
unsafe fn has_header(engine: &Engine, message: *mut Message) -> Option<bool> {
    let (headers_of, last) = (engine.message_headers?, engine.header_get_last?);
    let mut headers = ptr::null_mut();
    // SAFETY: the caller's contract; the engine keeps the headers as long as the message.
    is_success(unsafe { headers_of(message, &raw mut headers) })?;
    let (mut value, mut size) = (ptr::null::<c_void>(), 0);
    // SAFETY: headers of this engine, and a C string; the value stays the engine's.
    let found = unsafe {
        last(
            headers,
            SCHEMA_HEADER.as_ptr(),
            &raw mut value,
            &raw mut size,
        )
    };
    Some(is_success(found).is_some())
}

fn is_success(err: ResponseError) -> Option<()> {
    (err == ffi::NO_ERROR).then_some(())
}
