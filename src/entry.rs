//! Every C function that this library defines. Each one checks, catches and calls inward.

use std::ffi::{CString, c_char};
use std::ptr;

use crate::boundary;
use crate::client::{self, NewCall};
use crate::engine::EMBEDDED;
use crate::engine::ffi::{
    ClientType, rd_kafka_conf_s, rd_kafka_s, rd_kafka_topic_conf_s, rd_kafka_topic_s,
};
use crate::process;
use crate::report::status;
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
    if !settings::is_host_set() {
        // SAFETY: the application keeps the contract of rd_kafka_new.
        return unsafe { (EMBEDDED.new)(kind, conf, errstr, errstr_size) };
    }
    let call = NewCall {
        engine: &EMBEDDED,
        kind,
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

/// The version of this library, such as "0.1.0": not librdkafka's, which
/// `rd_kafka_version_str()` tells.
///
/// The text is static: never free it. Any thread may call this at any time.
#[unsafe(no_mangle)]
pub extern "C" fn superstream_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The status of a client as a JSON document: what was asked, what the service answered, each
/// change and each refusal with its reason, and the state of the service.
///
/// `client` is a handle that `rd_kafka_new()` of this library returned and that was not
/// destroyed yet; it is only compared, never followed. For a client that Superstream does not
/// look after (it is off, or the client is not known) the document says so.
///
/// Returns a NUL-terminated UTF-8 text that the caller frees with `superstream_free()`, or NULL
/// if `client` is NULL or there is no memory. It never waits for the service. Any thread may
/// call this, but not while another one destroys the client. No secret is in the document.
///
/// The document has these members; more may come, so ignore what you do not know:
/// `superstream` (`version`, `on`, `mode`), `service` (`host`, `state`: `unknown`, `up` or
/// `down`, with `reason`), `client` (`type`, `client_id`, `client_hash`), `asked`, `answered`,
/// `note`, `changes` (`key`, `old`, `new`, `reason`), `refusals` (`key`, `asked`, `reason`) and
/// `errors`.
#[unsafe(no_mangle)]
pub extern "C" fn superstream_status(client: *const rd_kafka_s) -> *mut c_char {
    if client.is_null() {
        return ptr::null_mut();
    }
    let document = boundary::catch_keeping_errno(|| {
        let known = process::current().and_then(|process| Some((process, process.client(client)?)));
        let document = match known {
            Some((process, client)) => status::of_client(process, &client),
            None => status::of_stranger(),
        };
        CString::new(document.to_string()).ok()
    });
    match document.flatten() {
        Some(document) => document.into_raw(),
        None => ptr::null_mut(),
    }
}

/// Frees a text that `superstream_status()` returned. NULL is fine. Any thread may call this.
///
/// # Safety
/// `text` came from `superstream_status()` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn superstream_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: made by CString::into_raw in superstream_status.
        drop(unsafe { CString::from_raw(text) });
    }
}
