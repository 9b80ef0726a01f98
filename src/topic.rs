//! The guard of `rd_kafka_topic_new`.
//!
//! The engine refuses a topic whose `message.timeout.ms` is not above a `linger.ms` that was set
//! (`rd_kafka_topic_conf_finalize`, `rdkafka_conf.c`), and one that is just above leaves no time to
//! deliver. Where it was we who raised linger, such a topic's timeout is raised by as much. This is
//! the only timeout that is ever touched.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;
use std::sync::Arc;

use superstream_protocol::Change;

use crate::boundary;
use crate::debug;
use crate::engine::Engine;
use crate::engine::conf::TopicConf;
use crate::engine::ffi::{rd_kafka_s, rd_kafka_topic_conf_s, rd_kafka_topic_s};
use crate::process;
use crate::report::record::Client;
use crate::tuning;

const LINGER: &str = "linger.ms";
const TIMEOUT: &str = "message.timeout.ms";

/// Creates a topic: `rd_kafka_topic_new`, guarded.
///
/// # Safety
/// The contract of `rd_kafka_topic_new`: `conf` is null or a topic configuration of `engine`
/// that nobody else uses, `topic` null or a C string.
#[inline(never)] // So that the entry function has nothing to unwind.
pub unsafe fn create(
    engine: &'static Engine,
    handle: *mut rd_kafka_s,
    topic: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> *mut rd_kafka_topic_s {
    boundary::uncancelled(|| {
        // SAFETY: the caller's contract.
        let raised =
            boundary::catch_keeping_errno(|| unsafe { raise(engine, handle, topic, conf) });
        // SAFETY: the caller's contract.
        let created = unsafe { (engine.topic_new)(handle, topic, conf) };
        if let Some(Some((client, change))) = raised
            && !created.is_null()
        {
            boundary::catch_keeping_errno(|| report(&client, change));
        }
        created
    })
}

/// Raises the timeout of a topic's configuration where linger would leave it no time to deliver.
///
/// # Safety
/// As for [`create`].
unsafe fn raise(
    engine: &'static Engine,
    handle: *mut rd_kafka_s,
    topic: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> Option<(Arc<Client>, Change)> {
    let client = process::current()?.client(handle)?.client;
    let linger = client.changed(LINGER)?;
    // SAFETY: the caller's contract.
    let conf = unsafe { TopicConf::borrow(engine, NonNull::new(conf)?) };
    let timeout = conf.get(TIMEOUT)?;
    let before = linger.old.as_deref()?;
    let raised = tuning::topic_timeout_for_linger(&linger.new, before, &timeout)?.to_string();
    if let Err(error) = conf.set(TIMEOUT, &raised) {
        debug!("{TIMEOUT} of a topic cannot be raised: {error}");
        return None;
    }
    // SAFETY: a C string by the caller's contract, where it is not null.
    let name = unsafe { CStr::from_ptr(NonNull::new(topic.cast_mut())?.as_ptr()) };
    let change = Change {
        key: format!("{TIMEOUT} of topic {}", name.to_string_lossy()),
        old: Some(timeout),
        new: raised,
        reason: format!(
            "linger.ms was set to {}, and the topic keeps its time to deliver",
            linger.new
        ),
    };
    Some((client, change))
}

/// Tells of a topic once, however often the application makes it.
fn report(client: &Arc<Client>, change: Change) {
    debug!(
        "{} {} -> {}",
        change.key,
        change.old.as_deref().unwrap_or_default(),
        change.new
    );
    if client.change(change)
        && let Some(process) = process::current()
    {
        process.session.created(client);
    }
}
