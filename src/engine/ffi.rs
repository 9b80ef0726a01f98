//! librdkafka's C types, as far as we touch them: opaque, and the few enumerations.
//!
//! Declared here rather than taken from `rdkafka-sys`, because the engine may be another one
//! than that crate's: they are librdkafka's ABI, which has kept them since 1.0.

use std::ffi::{c_char, c_int, c_void};

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[allow(non_camel_case_types)]
        #[repr(C)]
        pub struct $name {
            _opaque: [u8; 0],
        }
    )*};
}

opaque! {
    /// A client handle.
    rd_kafka_s;
    /// A client's configuration.
    rd_kafka_conf_s;
    /// A topic handle.
    rd_kafka_topic_s;
    /// A topic's configuration.
    rd_kafka_topic_conf_s;
    /// The headers of a record.
    rd_kafka_headers_s;
    /// A share consumer's handle.
    rd_kafka_share_s;
}

/// `rd_kafka_type_t`.
pub type ClientType = c_int;
/// `RD_KAFKA_PRODUCER`.
pub const PRODUCER: ClientType = 0;
/// `RD_KAFKA_CONSUMER`.
pub const CONSUMER: ClientType = 1;

/// `rd_kafka_conf_res_t`.
pub type ConfResult = c_int;
/// `RD_KAFKA_CONF_OK`.
pub const CONF_OK: ConfResult = 0;

/// `rd_kafka_resp_err_t`.
pub type ResponseError = c_int;
/// `RD_KAFKA_RESP_ERR_NO_ERROR`.
pub const NO_ERROR: ResponseError = 0;
/// `RD_KAFKA_RESP_ERR__CONFLICT`.
pub const CONFLICT: ResponseError = -173;

/// `RD_KAFKA_RESP_ERR__TRANSPORT`.
pub const TRANSPORT: ResponseError = -195;
/// `RD_KAFKA_RESP_ERR__TIMED_OUT`.
pub const TIMED_OUT: ResponseError = -185;

/// `rd_kafka_interceptor_f_on_new_t`.
pub type OnNew = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    conf: *const rd_kafka_conf_s,
    opaque: *mut c_void,
    errstr: *mut c_char,
    errstr_size: usize,
) -> ResponseError;

/// `rd_kafka_interceptor_f_on_destroy_t`.
pub type OnDestroy =
    unsafe extern "C" fn(handle: *mut rd_kafka_s, opaque: *mut c_void) -> ResponseError;

/// `rd_kafka_new()`. In this and the next two the application's thread may be cancelled, so their
/// ABI lets that pass.
pub type New = unsafe extern "C-unwind" fn(
    kind: ClientType,
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_s;

/// `rd_kafka_topic_new()`.
pub type TopicNew = unsafe extern "C-unwind" fn(
    handle: *mut rd_kafka_s,
    topic: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> *mut rd_kafka_topic_s;

/// `rd_kafka_share_consumer_new()`, since 2.15.
pub type ShareConsumerNew = unsafe extern "C-unwind" fn(
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_share_s;

/// `rd_kafka_message_t`: its public fields, which have stood like this since 0.9.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // As librdkafka documents them.
pub struct Message {
    pub err: ResponseError,
    pub rkt: *mut rd_kafka_topic_s,
    pub partition: i32,
    pub payload: *mut c_void,
    pub len: usize,
    pub key: *mut c_void,
    pub key_len: usize,
    pub offset: i64,
    pub private: *mut c_void,
}

/// `rd_kafka_message_headers()`.
pub type MessageHeaders =
    unsafe extern "C" fn(*const Message, *mut *mut rd_kafka_headers_s) -> ResponseError;

/// `rd_kafka_header_get_last()`.
pub type HeaderGetLast = unsafe extern "C" fn(
    *const rd_kafka_headers_s,
    *const c_char,
    *mut *const c_void,
    *mut usize,
) -> ResponseError;

/// `rd_kafka_interceptor_f_on_send_t`, `…on_acknowledgement_t` and `…on_consume_t`.
pub type OnMessage = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    message: *mut Message,
    opaque: *mut c_void,
) -> ResponseError;

/// `rd_kafka_interceptor_f_on_request_sent_t`.
pub type OnRequestSent = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    socket: c_int,
    broker_name: *const c_char,
    broker_id: i32,
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
    size: usize,
    opaque: *mut c_void,
) -> ResponseError;

/// `rd_kafka_interceptor_f_on_response_received_t`. The round trip is in µs, or -1.
pub type OnResponseReceived = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    socket: c_int,
    broker_name: *const c_char,
    broker_id: i32,
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
    size: usize,
    round_trip: i64,
    err: ResponseError,
    opaque: *mut c_void,
) -> ResponseError;

/// `rd_kafka_interceptor_f_on_thread_start_t` and `…on_thread_exit_t`.
pub type OnThread = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    kind: c_int,
    name: *const c_char,
    opaque: *mut c_void,
) -> ResponseError;

/// `rd_kafka_interceptor_add_on_…()` for one kind of hook.
pub type AddHook<F> = unsafe extern "C" fn(
    handle: *mut rd_kafka_s,
    name: *const c_char,
    hook: F,
    opaque: *mut c_void,
) -> ResponseError;

/// `RD_KAFKA_RESP_ERR__DESTROY`.
pub const DESTROYED: ResponseError = -197;
/// `RD_KAFKA_RESP_ERR__PURGE_QUEUE`.
pub const PURGED_IN_QUEUE: ResponseError = -152;
/// `RD_KAFKA_RESP_ERR__PURGE_INFLIGHT`.
pub const PURGED_IN_FLIGHT: ResponseError = -151;
/// The API key of produce requests.
pub const PRODUCE: i16 = 0;
/// The API key of fetch requests.
pub const FETCH: i16 = 1;

/// `rd_kafka_metadata_t`.
#[allow(missing_docs)] // By librdkafka's own names, as the next two.
#[repr(C)]
pub struct Metadata {
    pub broker_cnt: c_int,
    pub brokers: *mut c_void,
    pub topic_cnt: c_int,
    pub topics: *mut MetadataTopic,
    pub orig_broker_id: i32,
    pub orig_broker_name: *mut c_char,
}

/// `rd_kafka_metadata_topic_t`.
#[allow(missing_docs)]
#[repr(C)]
pub struct MetadataTopic {
    pub topic: *mut c_char,
    pub partition_cnt: c_int,
    pub partitions: *mut MetadataPartition,
    pub err: ResponseError,
}

/// `rd_kafka_metadata_partition_t`.
#[allow(missing_docs)]
#[repr(C)]
pub struct MetadataPartition {
    pub id: i32,
    pub err: ResponseError,
    pub leader: i32,
    pub replica_cnt: c_int,
    pub replicas: *mut i32,
    pub isr_cnt: c_int,
    pub isrs: *mut i32,
}
