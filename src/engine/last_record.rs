//! The newest record of a topic, read by a client of our own.
//!
//! The client is the simple consumer, in no group: it asks for nothing but the topic, commits
//! nothing, and is gone when the function returns. It calls nobody back and prints nothing.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use super::Engine;
use super::conf::{ERRSTR_SIZE, OwnedConf};
use super::ffi::{
    self, CONSUMER, Message, Metadata, New, ResponseError, rd_kafka_conf_s, rd_kafka_s,
    rd_kafka_topic_s,
};

/// At least so often it is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);
/// A cluster that lists its topics more slowly than it was given time for is asked again, with so much
/// more of it; each time it is asked for everything, so not often.
const SLOWER: u32 = 4;
const MAX_LISTINGS: u32 = 3;
/// More partitions than a topic of single values has.
const MAX_PARTITIONS: usize = 16;
/// No more of a value is looked at.
pub const LONGEST_VALUE: usize = 64;
/// `RD_KAFKA_OFFSET_TAIL(1)`: the last record that there is.
const LAST: i64 = -2000 - 1;

/// The functions that reading takes. All of them are in every engine since 1.0.
#[allow(missing_docs)] // They are librdkafka's functions, by their own names.
pub struct Functions {
    pub new: New,
    pub destroy: unsafe extern "C" fn(*mut rd_kafka_s),
    pub conf_set_log_cb: unsafe extern "C" fn(*mut rd_kafka_conf_s, Option<LogCallback>),
    pub metadata: unsafe extern "C" fn(
        *mut rd_kafka_s,
        c_int,
        *mut rd_kafka_topic_s,
        *mut *const Metadata,
        c_int,
    ) -> ResponseError,
    pub metadata_destroy: unsafe extern "C" fn(*const Metadata),
    pub topic_destroy: unsafe extern "C" fn(*mut rd_kafka_topic_s),
    pub consume_start: unsafe extern "C" fn(*mut rd_kafka_topic_s, i32, i64) -> c_int,
    pub consume: unsafe extern "C" fn(*mut rd_kafka_topic_s, i32, c_int) -> *mut Message,
    pub consume_stop: unsafe extern "C" fn(*mut rd_kafka_topic_s, i32) -> c_int,
    pub message_destroy: unsafe extern "C" fn(*mut Message),
    pub message_timestamp: unsafe extern "C" fn(*const Message, *mut c_int) -> i64,
}

/// What `rd_kafka_conf_set_log_cb()` takes.
pub type LogCallback = unsafe extern "C" fn(*const rd_kafka_s, c_int, *const c_char, *const c_char);

#[cfg(not(feature = "embedded-engine"))]
impl Functions {
    /// Those of an engine in the process; `None` where it lacks one.
    ///
    /// # Safety
    /// `find` gives librdkafka's function of that name.
    pub unsafe fn find(
        find: impl Fn(&'static CStr) -> Option<NonNull<std::ffi::c_void>>,
    ) -> Option<Self> {
        use super::found::function;
        // SAFETY: librdkafka's function of each name has the type of the field that it fills, in
        // every version since 1.0.
        unsafe {
            Some(Self {
                new: function(find(c"rd_kafka_new")?),
                destroy: function(find(c"rd_kafka_destroy")?),
                conf_set_log_cb: function(find(c"rd_kafka_conf_set_log_cb")?),
                metadata: function(find(c"rd_kafka_metadata")?),
                metadata_destroy: function(find(c"rd_kafka_metadata_destroy")?),
                topic_destroy: function(find(c"rd_kafka_topic_destroy")?),
                consume_start: function(find(c"rd_kafka_consume_start")?),
                consume: function(find(c"rd_kafka_consume")?),
                consume_stop: function(find(c"rd_kafka_consume_stop")?),
                message_destroy: function(find(c"rd_kafka_message_destroy")?),
                message_timestamp: function(find(c"rd_kafka_message_timestamp")?),
            })
        }
    }
}

/// How long a reading may take.
pub struct Patience<'s> {
    /// Not beyond this.
    pub deadline: Instant,
    /// Nor once somebody says so.
    pub is_stopped: &'s dyn Fn() -> bool,
}

impl Patience<'_> {
    /// At most `longest` ms; `None` where it is over.
    fn slice(&self, longest: Duration) -> Option<c_int> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || (self.is_stopped)() {
            return None;
        }
        c_int::try_from(left.min(longest).as_millis().max(1)).ok()
    }
}

/// The value of the newest record of `topic`: of the last ones of its partitions that with the
/// greatest timestamp. `None` where there is none, or none came in time.
///
/// `conf` says how the cluster is reached, and nothing of it may call the application back.
pub fn newest(
    engine: &Engine,
    conf: OwnedConf<'_>,
    topic: &CStr,
    patience: &Patience<'_>,
) -> Option<Vec<u8>> {
    let functions = engine.reading.as_ref()?;
    let client = Handle::new(functions, conf)?;
    let partitions = client.partitions(topic, patience)?;
    if partitions.is_empty() {
        return None;
    }
    let topic = client.topic(engine, topic)?;
    let mut newest: Option<Record> = None;
    for partition in partitions {
        let Some(record) = topic.last(partition, patience) else {
            continue;
        };
        let is_newer = |known: &Record| record.timestamp > known.timestamp;
        if newest.as_ref().is_none_or(is_newer) {
            newest = Some(record);
        }
    }
    newest.map(|record| record.value)
}

struct Record {
    timestamp: i64,
    value: Vec<u8>,
}

/// A client of our own.
struct Handle<'f> {
    functions: &'f Functions,
    pointer: NonNull<rd_kafka_s>,
}

impl<'f> Handle<'f> {
    fn new(functions: &'f Functions, conf: OwnedConf<'_>) -> Option<Self> {
        // SAFETY: the configuration is ours; without a callback the engine has nowhere to log to.
        unsafe { (functions.conf_set_log_cb)(conf.as_ptr(), None) };
        let mut text = [0_u8; ERRSTR_SIZE];
        // SAFETY: the configuration is ours, and `text` has room for its length.
        let pointer = unsafe {
            (functions.new)(
                CONSUMER,
                conf.as_ptr(),
                text.as_mut_ptr().cast(),
                text.len(),
            )
        };
        let pointer = NonNull::new(pointer)?;
        conf.given_away();
        Some(Self { functions, pointer })
    }

    /// The partitions of a topic; empty where there is no such topic. All topics are listed: asking
    /// for one would make it, with old engines and brokers that make topics.
    fn partitions(&self, topic: &CStr, patience: &Patience<'_>) -> Option<Vec<i32>> {
        let mut listings = 0;
        loop {
            let limit = patience.slice(SLICE * SLOWER.pow(listings))?;
            let mut metadata = ptr::null();
            // SAFETY: the handle is ours, and the metadata is filled in where there is no error.
            let error = unsafe {
                (self.functions.metadata)(
                    self.pointer.as_ptr(),
                    1,
                    ptr::null_mut(),
                    &mut metadata,
                    limit,
                )
            };
            match error {
                ffi::NO_ERROR => {
                    // SAFETY: as the engine made it, until it is destroyed below.
                    let found = unsafe { partitions_of(metadata.as_ref()?, topic) };
                    // SAFETY: the engine's own, and not used any more.
                    unsafe { (self.functions.metadata_destroy)(metadata) };
                    return Some(found);
                }
                // No broker is connected yet, and nothing was asked.
                ffi::TRANSPORT => {}
                // The answer takes longer than that.
                ffi::TIMED_OUT if listings + 1 < MAX_LISTINGS => listings += 1,
                _ => return None,
            }
        }
    }

    fn topic(&self, engine: &Engine, name: &CStr) -> Option<Topic<'_>> {
        // SAFETY: the handle is ours, and of this engine; the defaults are used.
        let topic =
            unsafe { (engine.topic_new)(self.pointer.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        Some(Topic {
            functions: self.functions,
            pointer: NonNull::new(topic)?,
        })
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // SAFETY: ours; its topics are destroyed before, because they borrow it.
        unsafe { (self.functions.destroy)(self.pointer.as_ptr()) };
    }
}

/// A topic of our own client.
struct Topic<'h> {
    functions: &'h Functions,
    pointer: NonNull<rd_kafka_topic_s>,
}

impl Topic<'_> {
    /// The last record of a partition.
    fn last(&self, partition: i32, patience: &Patience<'_>) -> Option<Record> {
        let topic = self.pointer.as_ptr();
        // SAFETY: the topic is ours, and not consumed from.
        if unsafe { (self.functions.consume_start)(topic, partition, LAST) } != 0 {
            return None;
        }
        let mut record = None;
        while let Some(limit) = patience.slice(SLICE) {
            // SAFETY: consuming was started. Gives null where nothing came yet.
            let message = unsafe { (self.functions.consume)(topic, partition, limit) };
            if let Some(message) = NonNull::new(message) {
                // SAFETY: a message of the engine's, until it is destroyed below.
                record = unsafe { self.record(message) };
                // SAFETY: as above, and not used any more.
                unsafe { (self.functions.message_destroy)(message.as_ptr()) };
                // The end of the partition and errors are messages too.
                break;
            }
        }
        // SAFETY: consuming was started.
        unsafe { (self.functions.consume_stop)(topic, partition) };
        record
    }

    /// # Safety
    /// The message is one that the engine handed out.
    unsafe fn record(&self, message: NonNull<Message>) -> Option<Record> {
        // SAFETY: the caller's contract.
        let Message {
            err, payload, len, ..
        } = unsafe { message.as_ref() };
        if *err != ffi::NO_ERROR || payload.is_null() {
            return None;
        }
        let mut kind = 0;
        // SAFETY: the caller's contract; the kind is filled in.
        let timestamp = unsafe { (self.functions.message_timestamp)(message.as_ptr(), &mut kind) };
        // A value that is longer shows by its length, and the rest is nobody's business.
        let length = (*len).min(LONGEST_VALUE);
        // SAFETY: the payload has `len` bytes while the message lives.
        let value = unsafe { std::slice::from_raw_parts(payload.cast::<u8>(), length) };
        Some(Record {
            timestamp,
            value: value.to_vec(),
        })
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and not consumed from any more.
        unsafe { (self.functions.topic_destroy)(self.pointer.as_ptr()) };
    }
}

/// # Safety
/// The metadata is as the engine made it.
unsafe fn partitions_of(metadata: &Metadata, name: &CStr) -> Vec<i32> {
    // SAFETY: the engine fills the lists with so many entries, and all names are C strings.
    unsafe {
        let topics = list(metadata.topics, metadata.topic_cnt);
        let found = topics
            .iter()
            .find(|topic| CStr::from_ptr(topic.topic) == name && topic.err == ffi::NO_ERROR);
        let Some(topic) = found else {
            return Vec::new();
        };
        let partitions = list(topic.partitions, topic.partition_cnt).iter();
        let mut ids: Vec<i32> = partitions.map(|partition| partition.id).collect();
        ids.sort_unstable();
        ids.truncate(MAX_PARTITIONS);
        ids
    }
}

/// # Safety
/// There are so many entries at `first`, for as long as the result is used.
unsafe fn list<'a, T>(first: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's contract.
        Ok(count) if count > 0 && !first.is_null() => unsafe {
            std::slice::from_raw_parts(first, count)
        },
        _ => &[],
    }
}
