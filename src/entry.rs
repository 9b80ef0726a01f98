//! Every C function that this library defines. Each one checks, catches and calls inward.
//!
//! Here are those of its own; librdkafka's, which it takes, are in `entry/dropin.rs` and
//! `entry/preload.rs`.

#[cfg(feature = "embedded-engine")]
mod dropin;
#[cfg(not(feature = "embedded-engine"))]
mod preload;

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use superstream_protocol::ClientKind;

use crate::engine::ffi::{self, rd_kafka_s};
use crate::process;
use crate::report::status;
use crate::{advise, boundary};

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
/// `down`, with `reason`; in words what goes or went wrong: `outage`, `last_outage`, `refused`; and
/// `clients_given_up`), `client` (`type`, `client_id`, `client_hash`),
/// `asked`, `answered`, `note`, `changes` (`key`, `old`, `new`, `reason`), `refusals` (`key`,
/// `asked`, `reason`), `errors`, `at_next_start` (advice that the service has by now),
/// `measured` (what the client did since its creation, as in its reports: records, bytes,
/// requests, µs) and `saving` (`payload_bytes`, `wire_bytes`, their `wire_ratio`,
/// `records_per_request`, `unacknowledged`, the only `topic`, and the `baseline` or
/// `no_baseline_because`).
#[unsafe(no_mangle)]
pub extern "C" fn superstream_status(client: *const rd_kafka_s) -> *mut c_char {
    if client.is_null() {
        return ptr::null_mut();
    }
    let document = boundary::catch_keeping_errno(|| {
        let known = process::current().and_then(|process| Some((process, process.client(client)?)));
        let document = match known {
            Some((process, known)) => status::of_client(process, &known.client),
            None => status::of_stranger(),
        };
        CString::new(document.to_string()).ok()
    });
    match document.flatten() {
        Some(document) => document.into_raw(),
        None => ptr::null_mut(),
    }
}

/// What the service would advise a client of this type (0: producer, 1: consumer) and `client.id`
/// (NULL for none), as a JSON document with the members `service` (as in `superstream_status()`),
/// `answered` (the advice, or null) and `note`. There is no client: the service is asked to
/// remember nothing.
///
/// It waits for the service, SUPERSTREAM_RESPONSE_TIMEOUT at most. Returns a NUL-terminated UTF-8
/// text that the caller frees with `superstream_free()`, or NULL if Superstream is off, the type is
/// another one, or there is no memory. Any thread may call this.
///
/// # Safety
/// `client_id` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn superstream_advise(
    client_type: c_int,
    client_id: *const c_char,
) -> *mut c_char {
    let kind = match client_type {
        ffi::PRODUCER => ClientKind::Producer,
        ffi::CONSUMER => ClientKind::Consumer,
        _ => return ptr::null_mut(),
    };
    let client_id = if client_id.is_null() {
        String::new()
    } else {
        // SAFETY: the caller's contract.
        unsafe { CStr::from_ptr(client_id) }
            .to_string_lossy()
            .into_owned()
    };
    let document = boundary::catch_keeping_errno(|| {
        CString::new(advise::ask(kind, client_id)?.to_string()).ok()
    });
    match document.flatten() {
        Some(document) => document.into_raw(),
        None => ptr::null_mut(),
    }
}

/// Frees a text that `superstream_status()` or `superstream_advise()` returned. NULL is fine. Any thread may call this.
///
/// # Safety
/// `text` came from one of those functions and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn superstream_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: made by CString::into_raw in those functions.
        drop(unsafe { CString::from_raw(text) });
    }
}
