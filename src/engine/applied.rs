//! Changes of a configuration that can be undone.

use superstream_protocol::Change;

use super::conf::Conf;
use crate::debug;

/// What was set on a configuration, and what it takes to undo it.
#[derive(Default)]
pub struct Applied {
    /// Name and value before, in the order of setting.
    old: Vec<(String, String)>,
    /// The bits of properties that count as set because of us.
    modified: Vec<u64>,
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
        let before = conf.save_modified().unwrap_or_default();
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
        let after = conf.save_modified().unwrap_or_default();
        let ours = after.iter().zip(&before);
        self.modified = ours.map(|(after, before)| after & !before).collect();
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
        for (key, old) in self.old.iter().rev() {
            if let Err(error) = conf.set(key, old) {
                debug!("{key} cannot be put back to {old}: {error}");
            }
        }
        if let Some(mut modified) = conf.save_modified() {
            for (bits, ours) in modified.iter_mut().zip(&self.modified) {
                *bits &= !ours;
            }
            conf.restore_modified(&modified);
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
