//! The functions that the drop-in takes from the engine inside it. All others are the engine's own.

use std::ffi::{c_char, c_void};

use crate::client::{self, NewCall, What};
use crate::engine::ffi::{
    ClientType, rd_kafka_conf_s, rd_kafka_s, rd_kafka_topic_conf_s, rd_kafka_topic_s,
};
use crate::engine::{EMBEDDED, NEW};
use crate::process;
use crate::settings;
use crate::topic;

/// librdkafka's `rd_kafka_new()`, with advice.
///
/// # Safety
/// As librdkafka documents it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rd_kafka_new(
    kind: ClientType,
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_s {
    if !settings::is_on() {
        // SAFETY: the application keeps the contract of rd_kafka_new.
        return unsafe { NEW(kind, conf, errstr, errstr_size) };
    }
    let call = NewCall {
        engine: &EMBEDDED,
        what: What::Client(NEW, kind),
        conf,
        errstr,
        errstr_size,
    };
    // SAFETY: the application keeps the contract of rd_kafka_new.
    unsafe { client::create(call) }
}

/// librdkafka's `rd_kafka_topic_new()`, for topics that our linger would forbid.
///
/// # Safety
/// As librdkafka documents it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn rd_kafka_topic_new(
    handle: *mut rd_kafka_s,
    topic: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> *mut rd_kafka_topic_s {
    if process::current().is_none() {
        // SAFETY: the application keeps the contract of rd_kafka_topic_new.
        return unsafe { (EMBEDDED.topic_new)(handle, topic, conf) };
    }
    // SAFETY: as above.
    unsafe { topic::create(&EMBEDDED, handle, topic, conf) }
}

/// For the plugin: the engine here needs none, for this library meets its clients at creation.
#[unsafe(no_mangle)]
pub extern "C" fn superstream_conf_init(_conf: *mut rd_kafka_conf_s, _caller: *const c_void) {}
