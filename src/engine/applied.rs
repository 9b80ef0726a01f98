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
    /// Name and value before, in the order of setting.
    old: Vec<(String, String)>,
    /// The configuration's memory before.
    before: Vec<u64>,
    /// The same after.
    after: Vec<u64>,
    /// [`DERIVED`] before the engine took the configuration.
    derived: Option<String>,
}

impl Applied {
    /// Whether anything was set.
    pub fn anything(&self) -> bool {
        !self.old.is_empty()
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
        self.after = conf.words();
        self.derived = conf.get(DERIVED);
        missed
    }

    /// Sets one property and reads it back: another interceptor may swallow it
    /// (`rd_kafka_conf_set`, `rdkafka_conf.c`).
    fn set(&mut self, conf: &Conf<'_>, change: &Change) -> Result<(), String> {
        let Some(old) = conf.get(&change.key) else {
            return Err("its old value cannot be read, so it could not be put back".to_owned());
        };
        self.old.push((change.key.clone(), old));
        conf.set(&change.key, &change.new)?;
        let now = conf.get(&change.key).unwrap_or_default();
        if same(&now, &change.new) {
            return Ok(());
        }
        Err(format!("it was set, but reads {now:?}"))
    }

    /// Undoes everything, newest first, and forgets that it was ever set.
    pub fn put_back(&self, conf: &Conf<'_>) {
        if !self.anything() {
            return;
        }
        for (key, old) in self.old.iter().rev() {
            if let Err(error) = conf.set(key, old) {
                debug!("{key} cannot be put back to {old}: {error}");
            }
        }
        self.forget_set(conf);
        self.put_back_derived(conf);
    }

    /// As [`Self::put_back`], without a call into the engine: it has freed interceptors that each
    /// setting would run. Our properties are numbers.
    pub fn put_back_memory(&self, conf: &Conf<'_>) {
        let now = conf.words();
        let pairs = self.before.iter().zip(&self.after).zip(now).enumerate();
        let put_back = pairs.filter_map(|(at, ((before, after), now))| {
            let ours = before ^ after;
            // What the engine has changed since is its own.
            let is_as_we_left_it = ours != 0 && now & ours == after & ours;
            is_as_we_left_it.then_some((at, (now & !ours) | (before & ours)))
        });
        conf.write_words(put_back);
    }

    /// The properties keep their values, and do not count as set by anybody.
    pub fn forget_set(&self, conf: &Conf<'_>) {
        for (key, _) in &self.old {
            if let Some(bit) = SetBit::of(conf.engine(), key)
                && !bit.is_in(&self.before)
            {
                bit.clear(conf);
            }
        }
    }

    /// An engine that took our linger has derived another property from it. One that lets us at it
    /// derives it anew (`Conf::finalize`); in another it gets the value that the application's own
    /// linger gives, and does not count as set.
    fn put_back_derived(&self, conf: &Conf<'_>) {
        let now = conf.get(DERIVED);
        if conf.engine().conf_finalize.is_some() || now == self.derived {
            return;
        }
        let linger = self.old.iter().find(|(key, _)| key == "linger.ms");
        let linger = linger.and_then(|(_, old)| old.parse::<f64>().ok());
        let bit = SetBit::of(conf.engine(), DERIVED);
        if let (Some(linger), Some(bit)) = (linger, bit) {
            let derived = (2.0 * linger).min(LARGEST_DERIVED).trunc();
            if let Err(error) = conf.set(DERIVED, &derived.to_string()) {
                debug!("{DERIVED} cannot be put back: {error}");
            }
            bit.clear(conf);
        }
    }
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
