//! Which Kafka cluster a client uses, by the number that the service has for it: `connection_id`.
//!
//! The service writes the number into the topic `superstream.metadata` of each cluster that it
//! knows. It is read only with `SUPERSTREAM_READ_CONNECTION_ID=true`, once per cluster, by a client
//! of the application's own engine with a configuration of its own ([`copied`]), because a copy of
//! the application's would call it back with a handle that it does not know.
//!
//! It is read on a thread of its own, which ends with its work: the session's thread must never wait
//! for Kafka. Nobody waits for it either: the number goes with whatever is told next. The client is
//! made after the application's own, so that the first one keeps its name; and it is gone before the
//! application's last one is destroyed, or soon after, so that nothing of it is left at the end.

mod copied;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary;
use crate::debug;
use crate::engine::Engine;
use crate::engine::conf::{Conf, OwnedConf};
use crate::engine::last_record::{self, Patience};
use crate::lock::lock;
use crate::settings::Settings;
use copied::Copied;

/// Where a cluster's number is not known.
pub const UNKNOWN: i64 = 0;
const TOPIC: &std::ffi::CStr = c"superstream.metadata";
/// Begins as the names of all clients that Superstream creates.
const CLIENT_ID: &str = "superstreamlib-connection-id";
/// What is set beside what is copied. It joins no group, commits nothing, makes no topic, logs
/// nothing.
const OWN: &[(&str, &str)] = &[
    ("client.id", CLIENT_ID),
    ("log_level", "0"),
    ("enable.partition.eof", "true"),
    ("enable.auto.commit", "false"),
    ("auto.commit.enable", "false"),
    ("auto.offset.reset", "largest"),
];
/// The same, for engines that know it.
const OWN_WHERE_KNOWN: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "false"),
    ("enable.metrics.push", "false"),
];
/// What a reading may take.
const LIMIT: Duration = Duration::from_secs(10);
/// A cluster that gave no number is asked again for a later client, and not before this.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// What the end of the last client may be held up, while a reading is given up: less than the
/// engine's own work takes.
const GIVEN_UP_WITHIN: Duration = Duration::from_millis(300);
/// An application that reaches ever other clusters must not make this grow for ever.
const MAX_CLUSTERS: usize = 64;

/// A Kafka cluster, as one user sees it.
#[derive(Debug)]
pub struct Cluster {
    /// Of the engine and all that was copied: passwords are not kept.
    key: u64,
    id: AtomicI64,
}

impl Cluster {
    /// Its number at the service, once that was read.
    pub fn id(&self) -> i64 {
        self.id.load(Ordering::Relaxed)
    }
}

/// How a client reaches its cluster.
#[derive(Clone, Debug)]
pub struct Access {
    /// Which one it is.
    pub cluster: Arc<Cluster>,
    engine: &'static Engine,
    copied: Copied,
}

/// The clusters of a process.
#[derive(Debug, Default)]
pub struct Clusters {
    hash: RandomState,
    state: Mutex<State>,
    /// A reading has ended.
    ended: Condvar,
    /// The present reading is to be given up.
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    known: Vec<Known>,
    waiting: VecDeque<Access>,
    /// The engine of the reading under way.
    reading: Option<&'static Engine>,
    thread_runs: bool,
}

#[derive(Debug)]
struct Known {
    cluster: Arc<Cluster>,
    /// It is read, or waits for that.
    is_wanted: bool,
    not_before: Option<Instant>,
}

impl Clusters {
    /// How the client of a configuration reaches its cluster; `None` where its number is not to be
    /// read, or cannot be.
    pub fn access(&self, settings: &Settings, conf: &Conf<'static>) -> Option<Access> {
        if !settings.read_connection_id {
            return None;
        }
        let engine = conf.engine();
        let fresh = OwnedConf::new(engine)?;
        let fresh = fresh.borrow();
        let copied = match Copied::of(|name| conf.get(name), |name| fresh.get(name)) {
            Ok(copied) => copied,
            Err(reason) => {
                debug!("the cluster's connection_id is not read: {reason}");
                return None;
            }
        };
        let key = self.hash.hash_one((ptr::from_ref(engine).addr(), &copied));
        let cluster = lock(&self.state).cluster(key)?;
        Some(Access {
            cluster,
            engine,
            copied,
        })
    }

    /// Has the number read, unless it is known, or was looked for a moment ago.
    pub fn read(&'static self, access: &Access) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let Some(known) = state.of(&access.cluster) else {
            return;
        };
        let is_too_early = known.not_before.is_some_and(|at| at > now);
        if known.is_wanted || is_too_early || access.cluster.id() != UNKNOWN {
            return;
        }
        known.is_wanted = true;
        state.waiting.push_back(access.clone());
        if state.thread_runs {
            return;
        }
        state.thread_runs = true;
        let thread = boundary::without_signals(|| {
            std::thread::Builder::new()
                .name("superstream-id".to_owned())
                .stack_size(512 * 1024)
                .spawn(|| self.read_all())
        });
        if let Err(error) = thread {
            state.thread_runs = false;
            state.forget_waiting(access.engine);
            drop(state);
            debug!("no thread that reads the connection_id can be started: {error}");
        }
    }

    /// The last client of an engine is being destroyed: whatever is read with it is given up, so
    /// that the application finds nothing of it left. Waits for that, as long as it may.
    pub fn give_up(&self, engine: &'static Engine) {
        let mut state = lock(&self.state);
        state.forget_waiting(engine);
        let is_read = |state: &mut State| state.reading.is_some_and(|now| ptr::eq(now, engine));
        if is_read(&mut state) {
            self.is_stopped.store(true, Ordering::Relaxed);
            let waited = self
                .ended
                .wait_timeout_while(state, GIVEN_UP_WITHIN, is_read);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The life of the thread.
    fn read_all(&self) {
        while let Some(access) = self.next() {
            let value = boundary::catch(|| self.value(&access)).flatten();
            let id = value.as_deref().and_then(number);
            self.settle(&access, id);
            match id {
                Some(id) => debug!("the cluster's connection_id is {id}"),
                None => debug!("the cluster tells no connection_id"),
            }
        }
    }

    fn next(&self) -> Option<Access> {
        let mut state = lock(&self.state);
        let next = state.waiting.pop_front();
        state.reading = next.as_ref().map(|access| access.engine);
        state.thread_runs = next.is_some();
        self.is_stopped.store(false, Ordering::Relaxed);
        next
    }

    fn value(&self, access: &Access) -> Option<Vec<u8>> {
        let conf = configuration(access)?;
        let patience = Patience {
            deadline: Instant::now() + LIMIT,
            is_stopped: &|| self.is_stopped.load(Ordering::Relaxed),
        };
        last_record::newest(access.engine, conf, TOPIC, &patience)
    }

    fn settle(&self, access: &Access, id: Option<i64>) {
        let mut state = lock(&self.state);
        let was_stopped = self.is_stopped.load(Ordering::Relaxed);
        if let Some(id) = id {
            access.cluster.id.store(id, Ordering::Relaxed);
        }
        if let Some(known) = state.of(&access.cluster) {
            known.is_wanted = false;
            known.not_before = (!was_stopped).then(|| Instant::now() + AGAIN_AFTER);
        }
        state.reading = None;
        drop(state);
        self.ended.notify_all();
    }
}

impl State {
    fn cluster(&mut self, key: u64) -> Option<Arc<Cluster>> {
        let known = self.known.iter().find(|known| known.cluster.key == key);
        if let Some(known) = known {
            return Some(Arc::clone(&known.cluster));
        }
        if self.known.len() >= MAX_CLUSTERS {
            return None;
        }
        let cluster = Arc::new(Cluster {
            key,
            id: AtomicI64::new(UNKNOWN),
        });
        self.known.push(Known {
            cluster: Arc::clone(&cluster),
            is_wanted: false,
            not_before: None,
        });
        Some(cluster)
    }

    fn of(&mut self, cluster: &Arc<Cluster>) -> Option<&mut Known> {
        let mut known = self.known.iter_mut();
        known.find(|known| Arc::ptr_eq(&known.cluster, cluster))
    }

    /// What waits to be read with an engine may be wanted again later.
    fn forget_waiting(&mut self, engine: &'static Engine) {
        let waiting = std::mem::take(&mut self.waiting);
        for access in waiting {
            if !ptr::eq(access.engine, engine) {
                self.waiting.push_back(access);
            } else if let Some(known) = self.of(&access.cluster) {
                known.is_wanted = false;
            }
        }
    }
}

/// A fresh configuration with what was copied. `None` where the engine does not take all of it.
fn configuration(access: &Access) -> Option<OwnedConf<'static>> {
    let own = OwnedConf::new(access.engine)?;
    let conf = own.borrow();
    let properties = access.copied.properties().chain(OWN.iter().copied());
    for (name, value) in properties {
        if conf.set(name, value).is_err() {
            // The engine's text may quote the value.
            debug!("the cluster's connection_id is not read: {name} is not taken");
            return None;
        }
    }
    for (name, value) in OWN_WHERE_KNOWN {
        // Older engines have nothing that could be turned off.
        let _ = conf.set(name, value);
    }
    Some(own)
}

/// The number that a record holds: decimal text.
fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.trim().parse().ok().filter(|id| *id > UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_decimal_text_above_zero() {
        for (value, expected) in [
            (&b"3"[..], Some(3)),
            (b" 42\n", Some(42)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"9223372036854775808", None),
            (b"0", None),
            (b"-3", None),
            (b"3.0", None),
            (b"0x10", None),
            (b"", None),
            (b"hello", None),
            (b"{\"connection_id\":3}", None),
            (b"\xff\xfe", None),
        ] {
            assert_eq!(number(value), expected, "{value:?}");
        }
    }
}
