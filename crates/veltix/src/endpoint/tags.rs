//! What a server remembers of a client by name, while it is connected.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::guarded::Guarded;
use super::lock;

type Value = Option<Guarded<Arc<dyn Any + Send + Sync>>>;

/// Names, each with a value or without. Used by any thread.
#[derive(Default)]
pub struct Tags(Mutex<BTreeMap<String, Value>>);

impl Tags {
    /// Adds a name without a value. `false` where it is there already, and stays as it is.
    pub fn add(&self, name: impl Into<String>) -> bool {
        self.insert(name.into(), None)
    }

    /// Adds a name with a value. `false` where it is there already, and stays as it is.
    pub fn add_value<T: Any + Send + Sync>(&self, name: impl Into<String>, value: T) -> bool {
        self.insert(name.into(), Some(Guarded::new(Arc::new(value))))
    }

    fn insert(&self, name: String, value: Value) -> bool {
        let mut tags = lock(&self.0);
        if tags.contains_key(&name) {
            return false;
        }
        tags.insert(name, value);
        true
    }

    /// Whether the name is there.
    pub fn has(&self, name: &str) -> bool {
        lock(&self.0).contains_key(name)
    }

    /// Whether all of them are; of none, yes.
    pub fn has_all(&self, names: &[&str]) -> bool {
        let tags = lock(&self.0);
        names.iter().all(|name| tags.contains_key(*name))
    }

    /// Whether any of them is; of none, no.
    pub fn has_any(&self, names: &[&str]) -> bool {
        let tags = lock(&self.0);
        names.iter().any(|name| tags.contains_key(*name))
    }

    /// The value. `None` where there is none, or one of another type; [`Tags::has`] tells whether
    /// the name is there.
    pub fn get<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        let value = lock(&self.0).get(name)?.as_ref()?.get()?.clone();
        value.downcast().ok()
    }

    /// Takes a name away. Whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        // Dropped when nothing is locked: it is the application's.
        let value = lock(&self.0).remove(name);
        value.is_some()
    }

    /// Takes all away.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        drop(all);
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_do_what_those_of_python_do() {
        let tags = Tags::default();
        assert!(tags.add("plain"));
        assert!(tags.add_value("room", 7_u32));
        assert!(!tags.add_value("room", 8_u32), "not overwritten");
        assert_eq!(tags.get::<u32>("room").as_deref(), Some(&7));
        assert_eq!(tags.get::<String>("room"), None);
        assert!(tags.has("plain") && tags.get::<u32>("plain").is_none());
        assert!(tags.has_all(&["plain", "room"]) && tags.has_all(&[]));
        assert!(!tags.has_all(&["plain", "other"]));
        assert!(tags.has_any(&["other", "room"]) && !tags.has_any(&[]));
        assert_eq!(tags.names(), ["plain", "room"]);
        assert!(tags.remove("plain") && !tags.remove("plain"));
        tags.clear();
        assert!(!tags.has("room"));
    }
}
