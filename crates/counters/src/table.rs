//! A table that threads look up and fill without a lock. Nothing is taken out while it is in use.

use std::ptr;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// What knows its own key.
pub(crate) trait Keyed {
    fn key(&self) -> usize;
}

/// At most half of the slots are filled, so that a search ends soon.
pub(crate) struct Table<T, const SLOTS: usize> {
    slots: [AtomicPtr<T>; SLOTS],
    filled: AtomicUsize,
}

impl<T: Keyed, const SLOTS: usize> Table<T, SLOTS> {
    pub(crate) fn new() -> Self {
        const { assert!(SLOTS.is_power_of_two()) };
        Self {
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            filled: AtomicUsize::new(0),
        }
    }

    /// Looks in the first place alone, where nearly everything is.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> Option<&T> {
        let found = self.slot(first_slot(key))?;
        (found.key() == key).then_some(found)
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
                    if self.filled.load(Ordering::Relaxed) >= SLOTS / 2 {
                        return None;
                    }
                    fresh = Box::into_raw(Box::new(make()));
                }
                let slot = &self.slots[place % SLOTS];
                let (new, old) = (Ordering::AcqRel, Ordering::Acquire);
                match slot.compare_exchange(ptr::null_mut(), fresh, new, old) {
                    Ok(_) => {
                        self.filled.fetch_add(1, Ordering::Relaxed);
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

/// Addresses end in zeros, and ids are small: both spread over the slots.
#[inline(always)]
fn first_slot(key: usize) -> usize {
    key ^ (key >> 6) ^ (key >> 12)
}
