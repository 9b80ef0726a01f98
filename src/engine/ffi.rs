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
