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
#[cfg(not(feature = "embedded-engine"))]
pub mod objects;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;

use once_cell::race::OnceBox;

use ffi::{
    ClientType, ConfResult, OnDestroy, OnNew, ResponseError, TopicNew, rd_kafka_conf_s, rd_kafka_s,
    rd_kafka_topic_conf_s,
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
    pub add_on_destroy: unsafe extern "C" fn(
        *mut rd_kafka_s,
        *const c_char,
        Option<OnDestroy>,
        *mut c_void,
    ) -> ResponseError,
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
    /// The file that it lies in.
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
            self.file
        )
    }
}

impl Engine {
    /// `rd_kafka_version_str()`.
    pub fn version_text(&self) -> String {
        // SAFETY: takes nothing and returns a static C string.
        let text = unsafe { CStr::from_ptr((self.version_str)()) };
        text.to_string_lossy().into_owned()
    }
}
