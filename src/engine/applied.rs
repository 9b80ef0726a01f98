//! Changes of a configuration that can be undone.

use superstream_protocol::Change;

use super::Engine;
use super::conf::{Conf, OwnedConf};
use crate::debug;

/// The property that the engine derives from linger, twice as large, where it is not set itself
/// (`rd_kafka_conf_finalize`, rdkafka_conf.c).
const DERIVED: &str = "sticky.partitioning.linger.ms";
const LARGEST_DERIVED: f64 = 900_000.0;

/// What was set on a configuration, and what it takes to undo it.
#[derive(Default)]
pub struct Applied {
    /// In the order of setting.
    set: Vec<Property>,
    /// The configuration's memory before.
    before: Vec<u64>,
    /// [`DERIVED`] before the engine took the configuration.
    derived: Option<String>,
}

/// A property that was set.
struct Property {
    key: String,
    old: String,
    new: String,
}

impl Applied {
    /// Whether anything was set.
    pub fn anything(&self) -> bool {
        !self.set.is_empty()
    }

    /// Sets everything, in order. Gives what did not take, and why. The first such ends it: what
    /// comes later may rest on what came before, as a level does on its codec.
    pub fn set_all<'c>(
        &mut self,
        conf: &Conf<'_>,
        changes: &'c [Change],
    ) -> Vec<(&'c Change, String)> {
        let mut missed = Vec::new();
        if changes.is_empty() {
            return missed;
        }
        self.before = conf.words();
        for change in changes {
            let result = if missed.is_empty() {
                self.set(conf, change)
            } else {
                Err("a change before it did not take".to_owned())
            };
            match result {
                Ok(()) => debug!(
                    "{} {} -> {}: {}",
                    change.key,
                    change.old.as_deref().unwrap_or("unknown"),
                    change.new,
                    change.reason
                ),
                Err(reason) => missed.push((change, reason)),
            }
        }
        self.derived = conf.get(DERIVED);
        missed
    }

    /// Sets one property and reads it back: another interceptor may swallow it
    /// (`rd_kafka_conf_set`, `rdkafka_conf.c`).
    fn set(&mut self, conf: &Conf<'_>, change: &Change) -> Result<(), String> {
        let Some(old) = conf.get(&change.key) else {
            return Err("its old value cannot be read, so it could not be put back".to_owned());
        };
        self.set.push(Property {
            key: change.key.clone(),
            old,
            new: change.new.clone(),
        });
        conf.set(&change.key, &change.new)?;
        let now = conf.get(&change.key).unwrap_or_default();
        if same(&now, &change.new) {
            return Ok(());
        }
        Err(format!("it was set, but reads {now:?}"))
    }

    /// Undoes everything, newest first, and forgets that it was ever set.
    pub fn put_back(&self, conf: &Conf<'_>) {
        for property in self.set.iter().rev() {
            if let Err(error) = conf.set(&property.key, &property.old) {
                debug!(
                    "{} cannot be put back to {}: {error}",
                    property.key, property.old
                );
            }
        }
        self.forget_set(conf);
        self.put_back_derived(conf);
    }

    /// As [`Self::put_back`], without a setting in `conf`: that would run interceptors which the
    /// engine has freed.
    pub fn put_back_in_memory(&self, conf: &Conf<'_>) {
        let topic = conf.default_topic_conf();
        for Property { key, old, new } in self.set.iter().rev() {
            // Topic configurations have no interceptors. A codec is in both, and there it is not
            // ours.
            match topic {
                Some(topic) if topic.get(key).as_ref() == Some(new) && new != old => {
                    if let Err(error) = topic.set(key, old) {
                        debug!("{key} cannot be put back to {old}: {error}");
                    }
                }
                _ => rewrite(conf, key, new, old),
            }
        }
        self.forget_set(conf);
        self.put_back_derived(conf);
    }

    /// The properties keep their values, and do not count as set by anybody.
    pub fn forget_set(&self, conf: &Conf<'_>) {
        for Property { key, .. } in &self.set {
            if let Some(bit) = SetBit::of(conf.engine(), key)
                && !bit.is_in(&self.before)
            {
                bit.clear(conf);
            }
        }
    }

    /// An engine that took our linger has derived another property from it. One that lets us at it
    /// derives it anew (`Conf::finalize`); in another it gets the value that the application's own
    /// linger gives.
    fn put_back_derived(&self, conf: &Conf<'_>) {
        let now = conf.get(DERIVED);
        if conf.engine().conf_finalize.is_some() || now == self.derived {
            return;
        }
        let linger = self.set.iter().find(|property| property.key == "linger.ms");
        let linger = linger.and_then(|property| property.old.parse::<f64>().ok());
        if let (Some(linger), Some(now)) = (linger, now) {
            let derived = (2.0 * linger).min(LARGEST_DERIVED).trunc().to_string();
            rewrite(conf, DERIVED, &now, &derived);
        }
    }
}

/// Changes a number in a configuration's memory as setting it would, without setting it. What
/// belongs to it is seen on a configuration of our own.
fn rewrite(conf: &Conf<'_>, key: &str, from: &str, to: &str) {
    let Some(scratch) = OwnedConf::new(conf.engine()) else {
        return;
    };
    let scratch = scratch.borrow();
    let words_with = |value: &str| scratch.set(key, value).map(|()| scratch.words());
    let (Ok(with_from), Ok(with_to)) = (words_with(from), words_with(to)) else {
        return;
    };
    let pairs = with_from.iter().zip(&with_to).zip(conf.words()).enumerate();
    let rewritten = pairs.filter_map(|(at, ((from, to), now))| {
        let its = from ^ to;
        // What somebody has changed since is not ours.
        let is_from = its != 0 && now & its == from & its;
        is_from.then_some((at, (now & !its) | (to & its)))
    });
    conf.write_words(rewritten.collect::<Vec<_>>().into_iter());
}

/// Whether a property can be set so that nobody sees that it was.
pub fn leaves_no_trace(engine: &Engine, key: &str) -> bool {
    SetBit::of(engine, key).is_some()
}

/// The bit in a `conf` that tells that a property was set. The engine has checks that depend on it
/// (linger against timeouts), and no function that clears it.
struct SetBit {
    word: usize,
    bit: u64,
}

impl SetBit {
    /// Finds it by what setting a property to the value that it has changes: nothing else. `None`
    /// where that is more than one bit.
    fn of(engine: &Engine, key: &str) -> Option<Self> {
        let scratch = OwnedConf::new(engine)?;
        let conf = scratch.borrow();
        let before = conf.words();
        conf.set(key, &conf.get(key)?).ok()?;
        let after = conf.words();
        let pairs = before.iter().zip(&after).enumerate();
        let mut changed = pairs.filter(|(_, (before, after))| before != after);
        let (word, (before, after)) = changed.next()?;
        let bit = before ^ after;
        let is_it = changed.next().is_none() && bit.is_power_of_two() && after & bit != 0;
        is_it.then_some(Self { word, bit })
    }

    fn is_in(&self, words: &[u64]) -> bool {
        words
            .get(self.word)
            .is_some_and(|word| word & self.bit != 0)
    }

    fn clear(&self, conf: &Conf<'_>) {
        if let Some(word) = conf.words().get(self.word) {
            conf.write_words([(self.word, word & !self.bit)].into_iter());
        }
    }
}

/// The engine may format a number in another way than it was given.
fn same(one: &str, other: &str) -> bool {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
