//! A table that threads look up and fill without a lock. Nothing is taken out while it is in use.

use std::ptr;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// What knows its own key.
pub(crate) trait Keyed {
    fn key(&self) -> usize;
}

/// At most half of the slots are filled, so that a search ends soon.
pub(crate) struct Table<T, const SLOTS: usize> {
    /// What [`Self::first`] looks at; 0 where the slot is free. Written after the slot.
    keys: [AtomicUsize; SLOTS],
    slots: [AtomicPtr<T>; SLOTS],
    filled: AtomicUsize,
}

impl<T, const SLOTS: usize> Default for Table<T, SLOTS> {
    fn default() -> Self {
        const { assert!(SLOTS.is_power_of_two()) };
        Self {
            keys: std::array::from_fn(|_| AtomicUsize::new(0)),
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            filled: AtomicUsize::new(0),
        }
    }
}

impl<T: Keyed, const SLOTS: usize> Table<T, SLOTS> {
    /// Looks in the first place alone, where nearly everything is. A key is never 0.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> Option<&T> {
        let place = first_slot(key) % SLOTS;
        match self.keys[place].load(Ordering::Acquire) == key {
            true => self.slot(place),
            false => None,
        }
    }

    /// Looks everywhere.
    pub(crate) fn find(&self, key: usize) -> Option<&T> {
        let places = (0..SLOTS).map(|step| self.slot(first_slot(key) + step));
        places
            .take_while(Option::is_some)
            .flatten()
            .find(|found| found.key() == key)
    }

    /// Looks everywhere, and puts in what is made where there is nothing. `None` where the table is
    /// full.
    pub(crate) fn find_or_insert(&self, key: usize, make: impl FnOnce() -> T) -> Option<&T> {
        let mut make = Some(make);
        let mut fresh = ptr::null_mut();
        for step in 0..SLOTS {
            let place = first_slot(key) + step;
            let mut found = self.slot(place);
            if found.is_none() {
                if let Some(make) = make.take() {
                    if self.is_full() {
                        // What filled it may be what is looked for.
                        return self.find(key);
                    }
                    fresh = Box::into_raw(Box::new(make()));
                }
                let slot = &self.slots[place % SLOTS];
                let (new, old) = (Ordering::AcqRel, Ordering::Acquire);
                match slot.compare_exchange(ptr::null_mut(), fresh, new, old) {
                    Ok(_) => {
                        self.keys[place % SLOTS].store(key, Ordering::Release);
                        self.filled.fetch_add(1, Ordering::Release);
                        // SAFETY: just made, and in the table from here on.
                        return Some(unsafe { &*fresh });
                    }
                    Err(_) => found = self.slot(place),
                }
            }
            if let Some(found) = found
                && found.key() == key
            {
                // SAFETY: null, or made above and seen by nobody.
                unsafe { free(fresh) };
                return Some(found);
            }
        }
        // SAFETY: as above.
        unsafe { free(fresh) };
        None
    }

    /// From here on [`Self::first`] finds nothing. All that is there stays, and is found elsewhere.
    pub(crate) fn hide(&self) {
        for key in &self.keys {
            key.store(0, Ordering::Release);
        }
    }

    /// Takes everything out. Others may call [`Self::first`] meanwhile.
    ///
    /// # Safety
    /// It is hidden, and nobody holds anything of it.
    pub(crate) unsafe fn clear(&self) {
        // One that was put in while the others were hidden may show.
        self.hide();
        for slot in &self.slots {
            // SAFETY: null, or from Box::into_raw; the caller's contract.
            unsafe { free(slot.swap(ptr::null_mut(), Ordering::AcqRel)) };
        }
        self.filled.store(0, Ordering::Release);
    }

    /// Whether nothing more is put in.
    pub(crate) fn is_full(&self) -> bool {
        self.filled.load(Ordering::Acquire) >= SLOTS / 2
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..SLOTS).filter_map(|place| self.slot(place))
    }

    #[inline(always)]
    fn slot(&self, place: usize) -> Option<&T> {
        let found = self.slots[place % SLOTS].load(Ordering::Acquire);
        // SAFETY: null, or from Box::into_raw and in the table until nobody uses it.
        unsafe { found.as_ref() }
    }
}

impl<T, const SLOTS: usize> Drop for Table<T, SLOTS> {
    fn drop(&mut self) {
        for slot in &self.slots {
            // SAFETY: null, or from Box::into_raw; nobody else is left.
            unsafe { free(slot.load(Ordering::Acquire)) };
        }
    }
}

/// # Safety
/// Null, or from `Box::into_raw` and nobody else's.
unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's contract.
        drop(unsafe { Box::from_raw(pointer) });
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
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Of plain memory behind a pointer loom knows nothing: it watches who reads its own cell.
    struct Item(usize, UnsafeCell<u64>);

    impl Item {
        fn new(key: usize, payload: u64) -> Self {
            Self(key, UnsafeCell::new(payload))
        }

        fn payload(&self) -> u64 {
            // SAFETY: nobody writes to it once it is made.
            self.1.with(|payload| unsafe { *payload })
        }
    }

    impl Keyed for Item {
        fn key(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn two_threads_with_one_key_get_one_item() {
        loom::model(|| {
            let table = Arc::new(Table::<Item, 2>::default());
            let other = Arc::clone(&table);
            let there = thread::spawn(move || {
                let found = other.find_or_insert(64, || Item::new(64, 1));
                found.map(Item::payload)
            });
            let here = table
                .find_or_insert(64, || Item::new(64, 2))
                .map(Item::payload);
            let there = there.join().unwrap();
            assert!(here.is_some() && here == there);
            assert_eq!(table.first(64).map(Item::payload), here);
            assert_eq!(table.iter().count(), 1);
        });
    }

    #[test]
    fn what_is_found_at_once_is_whole() {
        loom::model(|| {
            let table = Arc::new(Table::<Item, 2>::default());
            let other = Arc::clone(&table);
            let writer = thread::spawn(move || {
                other.find_or_insert(64, || Item::new(64, 7));
            });
            if let Some(found) = table.first(64) {
                assert_eq!((found.0, found.payload()), (64, 7));
            }
            writer.join().unwrap();
        });
    }

    #[test]
    fn two_keys_for_one_slot_both_find_room() {
        loom::model(|| {
            let table = Arc::new(Table::<Item, 4>::default());
            let other = Arc::clone(&table);
            let there = thread::spawn(move || {
                other
                    .find_or_insert(64, || Item::new(64, 1))
                    .map(|item| item.0)
            });
            let here = table
                .find_or_insert(64 + 256, || Item::new(64 + 256, 2))
                .map(|item| item.0);
            assert_eq!(here, Some(64 + 256));
            assert_eq!(there.join().unwrap(), Some(64));
            assert_eq!(table.iter().count(), 2);
        });
    }

    #[test]
    fn what_is_hidden_is_cleared_under_a_look() {
        loom::model(|| {
            let table = Arc::new(Table::<Item, 2>::default());
            table.find_or_insert(64, || Item::new(64, 1));
            table.hide();
            let other = Arc::clone(&table);
            let late = thread::spawn(move || assert!(other.first(64).is_none()));
            // SAFETY: nobody has found anything.
            unsafe { table.clear() };
            let next = table.find_or_insert(128, || Item::new(128, 2));
            assert_eq!(next.map(Item::payload), Some(2));
            late.join().unwrap();
            assert_eq!(table.iter().count(), 1);
        });
    }
}
