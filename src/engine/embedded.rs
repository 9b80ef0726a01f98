//! The engine that the drop-in carries, and what is mended in it.
//!
//! `embed/` renames the functions that `entry.rs` defines, and redirects single references of
//! the engine to the functions of `embed/mend.c`:
//!
//! - `rd_kafka_new()` that fails after its `on_new` interceptors ran frees interceptor lists
//!   which it shares with the application's `conf` (`rdkafka.c`, label `fail`; librdkafka issue
//!   4142, fixed upstream by pull request 5240). The application's own `rd_kafka_conf_destroy()`
//!   then frees them again. `superstream_engine_failed_creation` frees only the handle's.
//! - A static OpenSSL looks for CA certificates only where it was built to. Distributions keep
//!   them in several places: `superstream_engine_system_trust` knows them.

use std::ffi::{c_char, c_int, c_void};

// Cargo links the engine's own dependencies (OpenSSL, zstd, sasl, curl) through this crate.
use rdkafka_sys as _;

use once_cell::race::OnceBox;

use super::Engine;
use super::ffi::{
    ClientType, ConfResult, Message, Metadata, New, OnDestroy, OnMessage, OnNew, OnRequestSent,
    OnResponseReceived, OnThread, ResponseError, rd_kafka_conf_s, rd_kafka_headers_s, rd_kafka_s,
    rd_kafka_topic_conf_s, rd_kafka_topic_s,
};
use super::last_record::{Functions, LogCallback};

unsafe extern "C-unwind" {
    fn superstream_engine_rd_kafka_new(
        kind: ClientType,
        conf: *mut rd_kafka_conf_s,
        errstr: *mut c_char,
        errstr_size: usize,
    ) -> *mut rd_kafka_s;
    fn superstream_engine_rd_kafka_topic_new(
        handle: *mut rd_kafka_s,
        topic: *const c_char,
        conf: *mut rd_kafka_topic_conf_s,
    ) -> *mut rd_kafka_topic_s;
}

unsafe extern "C" {
    fn superstream_engine_conf_size() -> usize;
    fn superstream_engine_finalize(conf: *mut rd_kafka_conf_s, kind: ClientType);

    fn rd_kafka_version() -> c_int;
    fn rd_kafka_version_str() -> *const c_char;
    fn rd_kafka_conf_new() -> *mut rd_kafka_conf_s;
    fn rd_kafka_conf_destroy(conf: *mut rd_kafka_conf_s);
    fn rd_kafka_conf_get(
        conf: *const rd_kafka_conf_s,
        name: *const c_char,
        dest: *mut c_char,
        dest_size: *mut usize,
    ) -> ConfResult;
    fn rd_kafka_conf_set(
        conf: *mut rd_kafka_conf_s,
        name: *const c_char,
        value: *const c_char,
        errstr: *mut c_char,
        errstr_size: usize,
    ) -> ConfResult;
    fn rd_kafka_conf_dump(conf: *mut rd_kafka_conf_s, count: *mut usize) -> *mut *const c_char;
    fn rd_kafka_topic_conf_dump(
        conf: *mut rd_kafka_topic_conf_s,
        count: *mut usize,
    ) -> *mut *const c_char;
    fn rd_kafka_conf_dump_free(array: *mut *const c_char, count: usize);
    fn rd_kafka_conf_get_default_topic_conf(
        conf: *mut rd_kafka_conf_s,
    ) -> *mut rd_kafka_topic_conf_s;
    fn rd_kafka_topic_conf_get(
        conf: *const rd_kafka_topic_conf_s,
        name: *const c_char,
        dest: *mut c_char,
        dest_size: *mut usize,
    ) -> ConfResult;
    fn rd_kafka_topic_conf_set(
        conf: *mut rd_kafka_topic_conf_s,
        name: *const c_char,
        value: *const c_char,
        errstr: *mut c_char,
        errstr_size: usize,
    ) -> ConfResult;
    fn rd_kafka_conf_interceptor_add_on_new(
        conf: *mut rd_kafka_conf_s,
        name: *const c_char,
        on_new: Option<OnNew>,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_destroy(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_destroy: OnDestroy,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_send(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_send: OnMessage,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_acknowledgement(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_acknowledgement: OnMessage,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_consume(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_consume: OnMessage,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_request_sent(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_request_sent: OnRequestSent,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_response_received(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_response_received: OnResponseReceived,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_thread_start(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_thread_start: OnThread,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_interceptor_add_on_thread_exit(
        handle: *mut rd_kafka_s,
        name: *const c_char,
        on_thread_exit: OnThread,
        opaque: *mut c_void,
    ) -> ResponseError;
    fn rd_kafka_topic_name(topic: *const rd_kafka_topic_s) -> *const c_char;
    fn rd_kafka_message_latency(message: *const Message) -> i64;
    fn rd_kafka_message_headers(
        message: *const Message,
        headers: *mut *mut rd_kafka_headers_s,
    ) -> ResponseError;
    fn rd_kafka_header_get_last(
        headers: *const rd_kafka_headers_s,
        name: *const c_char,
        value: *mut *const c_void,
        size: *mut usize,
    ) -> ResponseError;
    fn rd_kafka_destroy(handle: *mut rd_kafka_s);
    fn rd_kafka_conf_set_log_cb(conf: *mut rd_kafka_conf_s, log: Option<LogCallback>);
    fn rd_kafka_metadata(
        handle: *mut rd_kafka_s,
        all_topics: c_int,
        only_topic: *mut rd_kafka_topic_s,
        metadata: *mut *const Metadata,
        timeout_ms: c_int,
    ) -> ResponseError;
    fn rd_kafka_metadata_destroy(metadata: *const Metadata);
    fn rd_kafka_topic_destroy(topic: *mut rd_kafka_topic_s);
    fn rd_kafka_consume_start(topic: *mut rd_kafka_topic_s, partition: i32, offset: i64) -> c_int;
    fn rd_kafka_consume(
        topic: *mut rd_kafka_topic_s,
        partition: i32,
        timeout_ms: c_int,
    ) -> *mut Message;
    fn rd_kafka_consume_stop(topic: *mut rd_kafka_topic_s, partition: i32) -> c_int;
    fn rd_kafka_message_destroy(message: *mut Message);
    fn rd_kafka_message_timestamp(message: *const Message, kind: *mut c_int) -> i64;
}

/// Its `rd_kafka_new()`.
pub const NEW: New = superstream_engine_rd_kafka_new;

/// The engine inside this library.
pub static EMBEDDED: Engine = Engine {
    topic_new: superstream_engine_rd_kafka_topic_new,
    version: rd_kafka_version,
    version_str: rd_kafka_version_str,
    conf_new: rd_kafka_conf_new,
    conf_destroy: rd_kafka_conf_destroy,
    conf_get: rd_kafka_conf_get,
    conf_set: rd_kafka_conf_set,
    conf_dump: rd_kafka_conf_dump,
    topic_conf_dump: rd_kafka_topic_conf_dump,
    conf_dump_free: rd_kafka_conf_dump_free,
    conf_default_topic_conf: Some(rd_kafka_conf_get_default_topic_conf),
    topic_conf_get: rd_kafka_topic_conf_get,
    topic_conf_set: rd_kafka_topic_conf_set,
    add_on_new: rd_kafka_conf_interceptor_add_on_new,
    add_on_destroy: rd_kafka_interceptor_add_on_destroy,
    add_on_send: rd_kafka_interceptor_add_on_send,
    add_on_acknowledgement: rd_kafka_interceptor_add_on_acknowledgement,
    add_on_consume: rd_kafka_interceptor_add_on_consume,
    add_on_request_sent: rd_kafka_interceptor_add_on_request_sent,
    add_on_response_received: Some(rd_kafka_interceptor_add_on_response_received),
    add_on_thread_start: Some(rd_kafka_interceptor_add_on_thread_start),
    add_on_thread_exit: Some(rd_kafka_interceptor_add_on_thread_exit),
    topic_name: rd_kafka_topic_name,
    message_latency: Some(rd_kafka_message_latency),
    message_headers: Some(rd_kafka_message_headers),
    header_get_last: Some(rd_kafka_header_get_last),
    reading: Some(Functions {
        new: NEW,
        destroy: rd_kafka_destroy,
        conf_set_log_cb: rd_kafka_conf_set_log_cb,
        metadata: rd_kafka_metadata,
        metadata_destroy: rd_kafka_metadata_destroy,
        topic_destroy: rd_kafka_topic_destroy,
        consume_start: rd_kafka_consume_start,
        consume: rd_kafka_consume,
        consume_stop: rd_kafka_consume_stop,
        message_destroy: rd_kafka_message_destroy,
        message_timestamp: rd_kafka_message_timestamp,
    }),
    conf_size: Some(superstream_engine_conf_size),
    conf_finalize: Some(superstream_engine_finalize),
    frees_interceptors: false,
    on_new_list: OnceBox::new(),
    file: String::new(),
};
