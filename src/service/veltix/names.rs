//! The clients of this process that the service knows by a name.

use std::collections::{BTreeMap, VecDeque};

/// Beyond, the one goes that was added first: its end may never have been told.
pub(super) const MAX_NAMES: usize = 4096;
/// Names that said goodbye and are kept in mind: as many closed clients may still report.
const MAX_LEFT: usize = 1024;

/// All of them.
#[derive(Default)]
pub(super) struct Names {
    names: BTreeMap<String, Named>,
    turns: u64,
    /// Those that said goodbye last.
    left: VecDeque<String>,
}

struct Named {
    turn: u64,
    /// Two may go by one name.
    clients: u32,
    /// Another one went by it before.
    has_left: bool,
}

impl Names {
    /// A client was registered.
    pub(super) fn add(&mut self, name: &str) {
        self.left.retain(|left| left != name);
        self.turns += 1;
        let turn = self.turns;
        let named = self.names.entry(name.to_owned());
        let named = named.or_insert(Named {
            turn,
            clients: 0,
            has_left: false,
        });
        named.turn = turn;
        named.clients = named.clients.saturating_add(1);
        if self.names.len() > MAX_NAMES {
            let first = self.names.iter().min_by_key(|(_, named)| named.turn);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.names.remove(&name);
            }
        }
    }

    /// The service knows a client that was not added; whether there is room for it. What said goodbye
    /// is gone, whatever is still reported of it.
    pub(super) fn find(&mut self, name: &str) -> bool {
        let is_new = !self.has(name) && !self.left.iter().any(|left| left == name);
        let is_found = is_new && self.names.len() < MAX_NAMES;
        if is_found {
            self.add(name);
        }
        is_found
    }

    /// A client is gone.
    pub(super) fn leave(&mut self, name: &str) {
        if let Some(named) = self.names.get_mut(name) {
            named.clients = named.clients.saturating_sub(1);
            if named.clients > 0 {
                named.has_left = true;
                return;
            }
            self.names.remove(name);
        }
        if self.left.len() >= MAX_LEFT {
            self.left.pop_front();
        }
        self.left.push_back(name.to_owned());
    }

    /// The service does not know it. Whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.names.remove(name).is_some()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether more than one client goes by it.
    pub(super) fn is_shared(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|named| named.clients > 1)
    }

    /// Whether another one goes by it, or may: what is said for the last time of one is not the end of it.
    pub(super) fn outlives_one(&self, name: &str) -> bool {
        let was_shared = self.names.get(name).is_some_and(|named| named.has_left);
        was_shared || self.is_shared(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each report names them all: what does not fit is not found again and again.
    #[test]
    fn as_many_are_found_as_there_is_room_for() {
        let mut names = Names::default();
        for name in 0..2 * MAX_NAMES {
            assert_eq!(names.find(&name.to_string()), name < MAX_NAMES);
        }
        assert!(names.has("0") && !names.find("0"));
        names.add("new");
        assert_eq!(names.all().len(), MAX_NAMES);
        assert!(!names.has("0"), "it was there first");
    }

    #[test]
    fn who_said_goodbye_is_not_found() {
        let mut names = Names::default();
        names.add("h");
        names.add("h");
        names.leave("h");
        assert!(names.has("h"), "two went by it");
        names.leave("h");
        assert!(!names.has("h") && !names.find("h"));
        names.add("h");
        assert!(names.remove("h") && names.find("h"));
    }
}
