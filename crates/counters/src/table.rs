//! A table that threads look up and fill without a lock. What is taken out is kept, and put in
//! again.

use std::ptr;

use crate::label::Label;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// What is counted of one thing. It is never freed: who found it may hold it beyond its time.
pub(crate) trait Item: Default + Sync + 'static {
    fn label(&self) -> &Label;

    /// Begins at nothing.
    fn reset(&self);
}

/// At most half of the slots are filled, so that a search ends soon.
pub(crate) struct Table<T: 'static, const SLOTS: usize> {
    /// What [`Self::first`] looks at; 0 where the slot is free. Written after the slot.
    keys: [AtomicUsize; SLOTS],
    slots: [Place<T>; SLOTS],
    filled: AtomicUsize,
    /// What was taken out, to be put in again.
    spare: [Place<T>; SLOTS],
}

/// Room for one item.
struct Place<T: 'static>(AtomicPtr<T>);

impl<T, const SLOTS: usize> Default for Table<T, SLOTS> {
    fn default() -> Self {
        const { assert!(SLOTS.is_power_of_two()) };
        Self {
            keys: std::array::from_fn(|_| AtomicUsize::new(0)),
            slots: std::array::from_fn(|_| Place::default()),
            filled: AtomicUsize::new(0),
            spare: std::array::from_fn(|_| Place::default()),
        }
    }
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T> Place<T> {
    #[inline(always)]
    fn get(&self) -> Option<&'static T> {
        let item = self.0.load(Ordering::Acquire);
        // SAFETY: null, or what `put` was given, which is never freed.
        unsafe { item.as_ref() }
    }

    /// Whether it was free.
    fn put(&self, item: &'static T) -> bool {
        let item = ptr::from_ref(item).cast_mut();
        let (new, old) = (Ordering::AcqRel, Ordering::Relaxed);
        let put = self.0.compare_exchange(ptr::null_mut(), item, new, old);
        put.is_ok()
    }

    fn take(&self) -> Option<&'static T> {
        let item = self.0.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: as in `get`.
        unsafe { item.as_ref() }
    }
}

impl<T: Item, const SLOTS: usize> Table<T, SLOTS> {
    /// Looks in the first place alone, where nearly everything is. A key is never 0.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> Option<&'static T> {
        let place = first_slot(key) % SLOTS;
        match self.keys[place].load(Ordering::Acquire) == key {
            true => self.slot(place),
            false => None,
        }
    }

    /// Looks everywhere.
    pub(crate) fn find(&self, key: usize) -> Option<&'static T> {
        let places = (0..SLOTS).map(|step| self.slot(first_slot(key) + step));
        places
            .take_while(Option::is_some)
            .flatten()
            .find(|found| found.label().key() == key)
    }

    /// Looks everywhere, and puts in a new one where there is nothing. `None` where the table is
    /// full.
    pub(crate) fn find_or_insert(
        &self,
        key: usize,
        name: impl FnOnce() -> String,
    ) -> Option<&'static T> {
        if let Some(found) = self.find(key) {
            return Some(found);
        }
        if self.is_full() {
            // What filled it may be what is looked for.
            return self.find(key);
        }
        let fresh = self.fresh(key, name());
        let found = self.insert(key, fresh);
        if !found.is_some_and(|found| ptr::eq(found, fresh)) {
            self.keep(fresh);
        }
        found
    }

    /// What nobody else has, at nothing.
    fn fresh(&self, key: usize, name: String) -> &'static T {
        let mut spare = self.spare.iter().filter(|spare| spare.get().is_some());
        let fresh = match spare.find_map(Place::take) {
            Some(taken) => {
                taken.reset();
                taken
            }
            None => Box::leak(Box::default()),
        };
        fresh.label().set(key, name);
        fresh
    }

    /// Keeps what nobody else has. There is room for as many as have been in the table.
    fn keep(&self, item: &'static T) {
        let mut free = self.spare.iter().filter(|spare| spare.get().is_none());
        free.find(|spare| spare.put(item));
    }

    /// Puts in what is new, or finds what was put in meanwhile under the same key.
    fn insert(&self, key: usize, fresh: &'static T) -> Option<&'static T> {
        for step in 0..SLOTS {
            let place = (first_slot(key) + step) % SLOTS;
            if self.slots[place].put(fresh) {
                self.keys[place].store(key, Ordering::Release);
                self.filled.fetch_add(1, Ordering::Release);
                return Some(fresh);
            }
            let found = self.slot(place);
            if found.is_some_and(|found| found.label().key() == key) {
                return found;
            }
        }
        None
    }

    /// From here on [`Self::first`] finds nothing. All that is there stays, and is found elsewhere.
    pub(crate) fn hide(&self) {
        for key in &self.keys {
            key.store(0, Ordering::Release);
        }
    }

    /// Takes everything out.
    pub(crate) fn reset(&self) {
        // One that was put in while the others were hidden may show.
        self.hide();
        for item in self.slots.iter().filter_map(Place::take) {
            self.keep(item);
        }
        self.filled.store(0, Ordering::Release);
    }

    /// Whether nothing more is put in.
    fn is_full(&self) -> bool {
        self.filled.load(Ordering::Acquire) >= SLOTS / 2
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        (0..SLOTS).filter_map(|place| self.slot(place))
    }

    #[inline(always)]
    fn slot(&self, place: usize) -> Option<&'static T> {
        self.slots[place % SLOTS].get()
    }
}

/// The places of a topic's address that tell it from others: it is longer than 1 KiB.
#[inline(always)]
fn first_slot(key: usize) -> usize {
    key >> 6
}

/// Every interleaving of two threads: `RUSTFLAGS='--cfg loom' cargo test -p superstream-counters`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[derive(Default)]
    struct Counted {
        label: Label,
        count: AtomicUsize,
    }

    impl Counted {
        fn add(&self) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }

        fn is(&self, key: usize, name: &str, count: usize) -> bool {
            let label = (self.label.key(), self.label.name());
            label == (key, name.to_owned()) && self.count.load(Ordering::Relaxed) == count
        }
    }

    impl Item for Counted {
        fn label(&self) -> &Label {
            &self.label
        }

        fn reset(&self) {
            self.count.store(0, Ordering::Relaxed);
        }
    }

    fn name() -> String {
        "orders".to_owned()
    }

    #[test]
    fn two_threads_with_one_key_get_one_item() {
        loom::model(|| {
            let table = Arc::new(Table::<Counted, 2>::default());
            let other = Arc::clone(&table);
            let there = thread::spawn(move || {
                other.find_or_insert(64, name).unwrap().add();
            });
            table.find_or_insert(64, name).unwrap().add();
            there.join().unwrap();
            assert!(table.first(64).unwrap().is(64, "orders", 2));
            assert_eq!(table.iter().count(), 1);
        });
    }

    #[test]
    fn what_is_found_at_once_is_whole() {
        loom::model(|| {
            let table = Arc::new(Table::<Counted, 2>::default());
            let other = Arc::clone(&table);
            let writer = thread::spawn(move || {
                other.find_or_insert(64, name);
            });
            if let Some(found) = table.first(64) {
                assert!(found.is(64, "orders", 0));
            }
            writer.join().unwrap();
        });
    }

    #[test]
    fn two_keys_for_one_slot_both_find_room() {
        loom::model(|| {
            let table = Arc::new(Table::<Counted, 4>::default());
            let other = Arc::clone(&table);
            let there = thread::spawn(move || {
                let found = other.find_or_insert(64, name).unwrap();
                assert!(found.is(64, "orders", 0));
            });
            let here = table.find_or_insert(64 + 256, || "bills".to_owned());
            assert!(here.unwrap().is(64 + 256, "bills", 0));
            there.join().unwrap();
            assert_eq!(table.iter().count(), 2);
        });
    }

    #[test]
    fn what_was_taken_out_is_put_in_by_one_thread() {
        loom::model(|| {
            let table = Arc::new(Table::<Counted, 4>::default());
            table.find_or_insert(64, name).unwrap().add();
            table.reset();
            let other = Arc::clone(&table);
            let there = thread::spawn(move || {
                other.find_or_insert(128, name).unwrap().add();
            });
            table.find_or_insert(192, name).unwrap().add();
            there.join().unwrap();
            assert!(table.first(128).unwrap().is(128, "orders", 1));
            assert!(table.first(192).unwrap().is(192, "orders", 1));
        });
    }

    /// The late one may take what was taken out, or be taken out, or stay.
    #[test]
    fn what_is_put_in_while_all_is_taken_out_is_in_one_place() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let table = Arc::new(Table::<Counted, 4>::default());
            table.find_or_insert(64, name).unwrap();
            let other = Arc::clone(&table);
            let late = thread::spawn(move || {
                other.find_or_insert(128, name).unwrap().add();
            });
            table.reset();
            late.join().unwrap();
            let spare = table.spare.iter().filter_map(Place::get);
            let all: Vec<_> = table.iter().chain(spare).map(ptr::from_ref).collect();
            let different: std::collections::HashSet<_> = all.iter().collect();
            assert!(!all.is_empty());
            assert_eq!(all.len(), different.len());
        });
    }

    #[test]
    fn what_is_hidden_is_put_in_again_under_a_look() {
        loom::model(|| {
            let table = Arc::new(Table::<Counted, 2>::default());
            let first = table.find_or_insert(64, name).unwrap();
            first.add();
            table.hide();
            let other = Arc::clone(&table);
            let late = thread::spawn(move || assert!(other.first(64).is_none()));
            table.reset();
            let next = table.find_or_insert(128, || "bills".to_owned()).unwrap();
            assert!(ptr::eq(next, first) && next.is(128, "bills", 0));
            late.join().unwrap();
            assert_eq!(table.iter().count(), 1);
        });
    }
}
