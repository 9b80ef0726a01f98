//! The guard of `rd_kafka_topic_new`.
//!
//! The engine refuses a topic whose `message.timeout.ms` is not above a `linger.ms` that was set
//! (`rd_kafka_topic_conf_finalize`, `rdkafka_conf.c`). Where it was we who set linger, that one
//! topic's timeout is raised to just above it. This is the only timeout that is ever touched.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use superstream_protocol::Change;

use crate::debug;
use crate::engine::Engine;
use crate::engine::conf::TopicConf;
use crate::engine::ffi::{rd_kafka_s, rd_kafka_topic_conf_s};
use crate::process;
use crate::tuning;

const LINGER: &str = "linger.ms";
const TIMEOUT: &str = "message.timeout.ms";

/// Raises the timeout of a topic's configuration where the engine would refuse it because of us.
///
/// # Safety
/// The contract of `rd_kafka_topic_new`: `conf` is null or a topic configuration of `engine`
/// that nobody else uses, `topic` null or a C string.
pub unsafe fn guard(
    engine: &'static Engine,
    handle: *mut rd_kafka_s,
    topic: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> Option<()> {
    let client = process::current()?.client(handle)?;
    let linger = client.changed(LINGER)?;
    // SAFETY: the caller's contract.
    let conf = unsafe { TopicConf::borrow(engine, NonNull::new(conf)?) };
    let timeout = conf.get(TIMEOUT)?;
    let before = linger.old.as_deref()?;
    let raised = tuning::topic_timeout_for_linger(&linger.new, before, &timeout)?.to_string();
    if let Err(error) = conf.set(TIMEOUT, &raised) {
        debug!("{TIMEOUT} of a topic cannot be raised above linger.ms: {error}");
        return None;
    }
    let name = if topic.is_null() {
        String::new()
    } else {
        // SAFETY: a C string by the caller's contract.
        unsafe { CStr::from_ptr(topic) }
            .to_string_lossy()
            .into_owned()
    };
    let change = Change {
        key: format!("{TIMEOUT} of topic {name}"),
        old: Some(timeout),
        new: raised,
        reason: format!(
            "librdkafka refuses a topic whose timeout is not above linger.ms, which was set to {}",
            linger.new
        ),
    };
    debug!(
        "{} {} -> {}",
        change.key,
        change.old.as_deref().unwrap_or_default(),
        change.new
    );
    if client.change(change) {
        process::current()?.session.created(&client);
    }
    Some(())
}
