//! The engine: the real librdkafka, as a table of its functions.
//!
//! The rest of the library sees one [`Engine`] and does not know where it came from: it is
//! embedded in the drop-in, and found in the process by the preload library.

pub mod applied;
pub mod conf;
#[cfg(feature = "embedded-engine")]
mod embedded;
pub mod errno;
pub mod ffi;
#[cfg(not(feature = "embedded-engine"))]
pub mod found;
pub mod hook;
pub mod last_record;
#[cfg(not(feature = "embedded-engine"))]
pub mod objects;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;

use once_cell::race::OnceBox;

use ffi::{
    AddHook, ClientType, ConfResult, HeaderGetLast, Message, MessageHeaders, OnDestroy, OnMessage,
    OnNew, OnRequestSent, OnResponseReceived, OnThread, ResponseError, TopicNew, rd_kafka_conf_s,
    rd_kafka_topic_conf_s, rd_kafka_topic_s,
};

#[cfg(feature = "embedded-engine")]
pub use embedded::{EMBEDDED, NEW};

/// The functions of one librdkafka. Those in which the application's thread may be cancelled have
/// an ABI that lets it pass. Every call through a table keeps librdkafka's own contract,
/// and a handle goes only to the table that it came from.
#[allow(missing_docs)] // They are librdkafka's functions, by their own names.
pub struct Engine {
    pub topic_new: TopicNew,
    pub version: unsafe extern "C" fn() -> c_int,
    pub version_str: unsafe extern "C" fn() -> *const c_char,
    pub conf_new: unsafe extern "C" fn() -> *mut rd_kafka_conf_s,
    pub conf_destroy: unsafe extern "C" fn(*mut rd_kafka_conf_s),
    pub conf_get: unsafe extern "C" fn(
        *const rd_kafka_conf_s,
        *const c_char,
        *mut c_char,
        *mut usize,
    ) -> ConfResult,
    pub conf_set: unsafe extern "C" fn(
        *mut rd_kafka_conf_s,
        *const c_char,
        *const c_char,
        *mut c_char,
        usize,
    ) -> ConfResult,
    pub conf_dump: unsafe extern "C" fn(*mut rd_kafka_conf_s, *mut usize) -> *mut *const c_char,
    pub topic_conf_dump:
        unsafe extern "C" fn(*mut rd_kafka_topic_conf_s, *mut usize) -> *mut *const c_char,
    pub conf_dump_free: unsafe extern "C" fn(*mut *const c_char, usize),
    /// Since 1.6.
    pub conf_default_topic_conf: Option<DefaultTopicConf>,
    pub topic_conf_get: unsafe extern "C" fn(
        *const rd_kafka_topic_conf_s,
        *const c_char,
        *mut c_char,
        *mut usize,
    ) -> ConfResult,
    pub topic_conf_set: unsafe extern "C" fn(
        *mut rd_kafka_topic_conf_s,
        *const c_char,
        *const c_char,
        *mut c_char,
        usize,
    ) -> ConfResult,
    pub add_on_new: unsafe extern "C" fn(
        *mut rd_kafka_conf_s,
        *const c_char,
        Option<OnNew>,
        *mut c_void,
    ) -> ResponseError,
    pub add_on_destroy: AddHook<OnDestroy>,
    pub add_on_send: AddHook<OnMessage>,
    pub add_on_acknowledgement: AddHook<OnMessage>,
    pub add_on_consume: AddHook<OnMessage>,
    pub add_on_request_sent: AddHook<OnRequestSent>,
    /// Since 1.6.
    pub add_on_response_received: Option<AddHook<OnResponseReceived>>,
    /// Since 1.2, as the next.
    pub add_on_thread_start: Option<AddHook<OnThread>>,
    pub add_on_thread_exit: Option<AddHook<OnThread>>,
    pub topic_name: unsafe extern "C" fn(*const rd_kafka_topic_s) -> *const c_char,
    /// In µs, of a message that the engine hands out, or -1.
    pub message_latency: Option<unsafe extern "C" fn(*const Message) -> i64>,
    pub message_headers: Option<MessageHeaders>,
    pub header_get_last: Option<HeaderGetLast>,
    /// What reading a topic takes, where the engine has all of it.
    pub reading: Option<last_record::Functions>,
    /// Where the engine lets us: the size of a configuration, in bytes.
    pub conf_size: Option<unsafe extern "C" fn() -> usize>,
    /// Where the engine lets us: derives anew what it derives from a configuration.
    pub conf_finalize: Option<unsafe extern "C" fn(*mut rd_kafka_conf_s, ClientType)>,
    /// A creation that fails after `on_new` frees the interceptor lists of the application's
    /// `conf` (`rdkafka.c`, label `fail`; librdkafka issue 4142, pull request 5240). See [`hook`].
    pub frees_interceptors: bool,
    /// Where it has its `on_new` interceptors, once that is known. Nobody ever waits for it: a child
    /// may be forked while it is found out.
    pub on_new_list: OnceBox<hook::List>,
    /// The file that it lies in; empty where it is this library's.
    pub file: String,
}

/// `rd_kafka_conf_get_default_topic_conf()`.
pub type DefaultTopicConf =
    unsafe extern "C" fn(*mut rd_kafka_conf_s) -> *mut rd_kafka_topic_conf_s;

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "librdkafka {} in {}",
            self.version_text(),
            self.file()
        )
    }
}

impl Engine {
    /// The file that the engine lies in.
    pub fn file(&self) -> String {
        if !self.file.is_empty() {
            return self.file.clone();
        }
        let address = self.version_str as *const c_void;
        // SAFETY: plain data, filled in by the call below.
        let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: asks about an address, and fills the struct where it answers other than 0.
        if unsafe { libc::dladdr(address, &mut found) } == 0 || found.dli_fname.is_null() {
            return String::new();
        }
        // SAFETY: a C string of the loader's, of this library, which is never unloaded.
        let name = unsafe { CStr::from_ptr(found.dli_fname) };
        name.to_string_lossy().into_owned()
    }

    /// `rd_kafka_version_str()`.
    pub fn version_text(&self) -> String {
        // SAFETY: takes nothing and returns a static C string.
        let text = unsafe { CStr::from_ptr((self.version_str)()) };
        text.to_string_lossy().into_owned()
    }
}
