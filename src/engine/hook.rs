//! The `on_new` interceptor on an application's `conf`, and what an engine with a fault makes of
//! it.
//!
//! Up to 2.12 a creation that fails after `on_new` frees the interceptor lists that it shares with
//! the application's `conf`, and the application's own `rd_kafka_conf_destroy()` frees them again
//! ([`Engine::frees_interceptors`]). An application without interceptors has empty lists and never
//! notices; with ours it would crash. So in such an engine the list is made empty again after the
//! failure: what it held is freed already.
//!
//! librdkafka has no function for that, and the place of the list differs between versions. It is
//! found by looking which bytes of a `conf` the first interceptor changes.
//!
//! [`Engine::frees_interceptors`]: super::Engine::frees_interceptors

use std::ffi::CStr;

use super::conf::Conf;
use super::ffi::OnNew;

/// A word of which both halves are below this holds two numbers, and no address.
const LARGEST_NUMBER: u64 = 1024;

/// Where the list of `on_new` interceptors lies in an engine's `conf`.
#[derive(Debug)]
pub struct List {
    /// The words that are zero while it is empty, and their values while it holds one.
    words: Vec<(usize, u64)>,
}

impl List {
    /// What the first interceptor changed. `None` where it was not the first.
    fn learn(before: &[u64], after: &[u64]) -> Option<Self> {
        let changed = before.iter().zip(after).enumerate();
        let changed: Vec<_> = changed.filter(|(_, (old, new))| old != new).collect();
        let was_empty = changed.iter().all(|(_, (old, _))| **old == 0);
        let words = changed.iter().map(|(at, (_, new))| (*at, **new)).collect();
        (was_empty && !changed.is_empty()).then_some(Self { words })
    }

    /// Whether it holds one interceptor, as when it was learnt.
    fn holds_one(&self, conf: &[u64]) -> bool {
        let is_numbers = |word: u64| {
            let halves = [word & u64::from(u32::MAX), word >> 32];
            halves.iter().all(|half| *half < LARGEST_NUMBER)
        };
        self.words
            .iter()
            .filter(|(_, value)| is_numbers(*value))
            .all(|(at, value)| conf.get(*at) == Some(value))
    }
}

/// Our interceptor on one `conf`.
#[derive(Debug, Default)]
pub struct Hook {
    /// The list holds our interceptor alone, and the engine frees it in a failed creation.
    is_at_risk: bool,
}

impl Hook {
    /// Whether an interceptor can be added without a risk: the engine is sound, or what it frees can
    /// be seen.
    pub fn is_safe_on(conf: &Conf<'_>) -> bool {
        !conf.engine().frees_interceptors || !conf.words().is_empty()
    }

    /// Adds the interceptor. A second one of the same name and function is refused by the engine,
    /// which leaves the first: just as good.
    pub fn add(conf: &Conf<'_>, name: &CStr, on_new: OnNew) -> Self {
        let engine = conf.engine();
        if !engine.frees_interceptors {
            conf.add_on_new(name, on_new);
            return Self::default();
        }
        let before = conf.words();
        conf.add_on_new(name, on_new);
        let after = conf.words();
        if let Some(list) = List::learn(&before, &after) {
            // Another thread may have learnt the same meanwhile.
            let _ = engine.on_new_list.set(Box::new(list));
        }
        let list = engine.on_new_list.get();
        Self {
            is_at_risk: list.is_some_and(|list| list.holds_one(&after)),
        }
    }

    /// After a creation that failed once `on_new` had run: empties the list that the engine freed.
    pub fn forget_freed(&self, conf: &Conf<'_>) {
        if self.is_at_risk
            && let Some(list) = conf.engine().on_new_list.get()
        {
            conf.write_words(list.words.iter().map(|(at, _)| (*at, 0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size and count are two halves of one word.
    const fn counts(size: u64, count: u64) -> u64 {
        size | count << 32
    }

    const EMPTY: [u64; 5] = [7, 0, 0, 9, 3];
    const WITH_ONE: [u64; 5] = [7, counts(16, 1), 0x7fff_dead_0000, 9, 3];
    const WITH_TWO: [u64; 5] = [7, counts(16, 2), 0x7fff_dead_0000, 9, 3];

    #[test]
    fn the_first_interceptor_shows_the_list() {
        let list = List::learn(&EMPTY, &WITH_ONE).unwrap();
        assert!(list.holds_one(&WITH_ONE));
        // A heap at another place, such as that of a program below 4 GiB.
        for elsewhere in [0x7ffe_beef_0000, 0xdead_0000, 0x1_0000_0000] {
            let conf = [7, counts(16, 1), elsewhere, 9, 3];
            assert!(list.holds_one(&conf));
        }
        let places: Vec<_> = list.words.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [1, 2]);
    }

    #[test]
    fn an_applications_own_interceptor_is_not_forgotten() {
        let list = List::learn(&EMPTY, &WITH_ONE).unwrap();
        assert!(!list.holds_one(&WITH_TWO));
        assert!(!list.holds_one(&EMPTY));
        assert!(List::learn(&WITH_ONE, &WITH_TWO).is_none());
        assert!(List::learn(&WITH_ONE, &WITH_ONE).is_none());
    }
}
