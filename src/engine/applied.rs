//! Changes of a configuration that can be undone.

use superstream_protocol::Change;

use super::conf::Conf;
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
    /// What setting them left behind besides their values: where, before and after.
    traces: Vec<(usize, u32, u32)>,
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
        let before = conf.traces();
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
        self.traces = differences(&before, &conf.traces());
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

    /// Undoes everything, newest first, and forgets that it was ever set where the engine lets
    /// us.
    pub fn put_back(&self, conf: &Conf<'_>) {
        self.put_back_values(conf);
        self.put_back_traces(conf);
        self.put_back_derived(conf);
    }

    fn put_back_values(&self, conf: &Conf<'_>) {
        for (key, old) in self.old.iter().rev() {
            if let Err(error) = conf.set(key, old) {
                debug!("{key} cannot be put back to {old}: {error}");
            }
        }
    }

    /// What another has changed since stays as it is: bits that are not as we left them.
    fn put_back_traces(&self, conf: &Conf<'_>) {
        let now = conf.traces();
        let put_back = self.traces.iter().filter_map(|(at, before, after)| {
            let now = now.get(*at)?;
            let ours = before ^ after;
            (now & ours == after & ours).then_some((*at, (now & !ours) | (before & ours)))
        });
        conf.put_back_traces(&put_back.collect::<Vec<_>>());
    }

    /// An engine that took our linger has derived another property from it. One that lets us at it
    /// derives it anew (`Conf::finalize`); in another it gets the value that the application's own
    /// linger gives, and does not count as set.
    fn put_back_derived(&self, conf: &Conf<'_>) {
        let now = conf.get(DERIVED);
        let linger = self.old.iter().find(|(key, _)| key == "linger.ms");
        let (Some(now), Some((_, linger))) = (now, linger) else {
            return;
        };
        let Ok(linger) = linger.parse::<f64>() else {
            return;
        };
        if conf.engine().undo.is_some() || self.derived.as_ref() == Some(&now) {
            return;
        }
        let derived = (2.0 * linger).min(LARGEST_DERIVED).trunc().to_string();
        let unset = conf.traces();
        let set = conf.set(DERIVED, &now).map(|()| conf.traces());
        let Ok(set) = set else {
            return;
        };
        if conf.set(DERIVED, &derived).is_ok() {
            let bit = differences(&unset, &set).into_iter();
            conf.put_back_traces(&bit.map(|(at, unset, _)| (at, unset)).collect::<Vec<_>>());
        }
    }
}

fn differences(before: &[u32], after: &[u32]) -> Vec<(usize, u32, u32)> {
    let pairs = before.iter().zip(after).enumerate();
    let differ = pairs.filter(|(_, (before, after))| before != after);
    differ
        .map(|(at, (before, after))| (at, *before, *after))
        .collect()
}

/// The engine may format a number in another way than it was given.
fn same(one: &str, other: &str) -> bool {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
