//! The configuration as the plan has made it so far, and how a rule answers.

use std::collections::BTreeSet;

use super::{Effective, Situation, properties, value};

/// A rule's answer: `Ok(None)` where there is nothing to do, `Err` with the reason of a refusal.
pub(super) type Verdict = Result<Option<Set>, String>;

/// A value to set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// The value, as `rd_kafka_conf_set` takes it.
    pub(super) new: String,
    /// Why, in one line.
    pub(super) reason: String,
}

impl Set {
    /// A whole number to set.
    pub(super) fn whole(new: i64, reason: impl Into<String>) -> Verdict {
        Ok(Some(Self {
            new: new.to_string(),
            reason: reason.into(),
        }))
    }
}

/// What a rule looks at.
pub(super) struct State {
    effective: Effective,
    changed: BTreeSet<String>,
    pub(super) latency_sensitive: bool,
    pub(super) unfinished: bool,
}

impl State {
    pub(super) fn new(situation: &Situation) -> Self {
        Self {
            effective: situation.effective.clone(),
            changed: BTreeSet::new(),
            latency_sensitive: situation.latency_sensitive,
            unfinished: situation.unfinished,
        }
    }

    /// Takes a change over, and gives the value before it.
    pub(super) fn set(&mut self, key: &str, new: &str) -> Option<String> {
        self.changed.insert(key.to_owned());
        if !properties::is_topic_level(key) {
            return self.effective.global.insert(key.to_owned(), new.to_owned());
        }
        self.effective
            .topic
            .as_mut()
            .and_then(|topic| topic.insert(key.to_owned(), new.to_owned()))
    }

    /// Whether this plan changed the property.
    pub(super) fn is_changed(&self, key: &str) -> bool {
        self.changed.contains(key)
    }

    /// A client property as the engine tells it.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.effective.global.get(key).map(String::as_str)
    }

    /// Whether the application has a default topic configuration.
    pub(super) fn has_topic(&self) -> bool {
        self.effective.topic.is_some()
    }

    /// A property of the default topic configuration as the engine tells it.
    pub(super) fn topic_text(&self, key: &str) -> Option<&str> {
        self.effective.topic.as_ref()?.get(key).map(String::as_str)
    }

    /// A client property that is a whole number.
    pub(super) fn whole(&self, key: &str) -> Result<i64, String> {
        self.text(key)
            .and_then(value::engine_whole)
            .ok_or_else(|| unknown(key))
    }

    /// A whole number of the default topic configuration.
    pub(super) fn topic_whole(&self, key: &str) -> Result<i64, String> {
        self.topic_text(key)
            .and_then(value::engine_whole)
            .ok_or_else(|| unknown(key))
    }

    /// `linger.ms`, in milliseconds.
    pub(super) fn linger_ms(&self) -> Result<f64, String> {
        self.text("linger.ms")
            .and_then(value::engine_double)
            .ok_or_else(|| unknown("linger.ms"))
    }

    /// A producer is transactional as soon as `transactional.id` is set, even to an empty text:
    /// `rd_kafka_conf_finalize` (rdkafka_conf.c) asks for the pointer only. `rd_kafka_conf_get`
    /// does not tell a text that is not set (`rd_kafka_anyconf_get0`), so it is missing then.
    pub(super) fn is_transactional(&self) -> bool {
        self.text("transactional.id").is_some()
    }
}

/// The reason where a rule needs a value that it does not have.
pub(super) fn unknown(key: &str) -> String {
    format!("the engine does not tell {key}")
}
