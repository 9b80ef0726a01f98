//! The clients of this process that the service knows by a name.

use std::collections::BTreeMap;

/// Beyond, the one goes that was added first: its end may never have been told.
const MAX_NAMES: usize = 4096;

/// All of them.
#[derive(Default)]
pub(super) struct Names {
    /// Each with its turn.
    names: BTreeMap<String, u64>,
    turns: u64,
}

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        self.turns += 1;
        self.names.insert(name.to_owned(), self.turns);
        if self.names.len() > MAX_NAMES {
            let first = self.names.iter().min_by_key(|(_, turn)| **turn);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.names.remove(&name);
            }
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.names.remove(name).is_some()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }
}
