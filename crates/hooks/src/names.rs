//! The functions of librdkafka that the first library defines in the engine's place.

use core::ffi::{CStr, c_char};

/// Creation of clients, and its guard. `libsuperstream.so` exports the same names.
pub const INTERCEPTED: [&CStr; 3] = [
    c"rd_kafka_new",
    c"rd_kafka_topic_new",
    c"rd_kafka_share_consumer_new",
];

/// A function that each engine has, and that nobody has a reason to take: what tells an engine in
/// the first library too.
pub const OF_ANY_ENGINE: &CStr = c"rd_kafka_version";

/// Whether `name` is one of them. Most names differ in the first letter; NULL is none.
///
/// # Safety
/// `name` is a C string or NULL.
pub unsafe fn is_intercepted(name: *const c_char) -> bool {
    // SAFETY: the caller's word.
    !name.is_null() && INTERCEPTED.iter().any(|one| unsafe { equal(name, one) })
}

/// Reads no further than the first difference.
///
/// # Safety
/// `name` is a C string.
unsafe fn equal(name: *const c_char, wanted: &CStr) -> bool {
    let mut at = name.cast::<u8>();
    for &byte in wanted.to_bytes_with_nul() {
        // SAFETY: all bytes before this one were equal and not NUL, so the string goes on.
        if unsafe { *at } != byte {
            return false;
        }
        at = at.wrapping_add(1);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(name: &CStr) -> bool {
        // SAFETY: a C string.
        unsafe { is_intercepted(name.as_ptr()) }
    }

    #[test]
    fn only_whole_names_match() {
        assert!(INTERCEPTED.iter().all(|name| matches(name)));
        for name in [
            c"",
            c"r",
            c"rd_kafka_",
            c"rd_kafka_ne",
            c"rd_kafka_new2",
            c"rd_kafka_topic_new_",
            c"RD_KAFKA_NEW",
            c"malloc",
            OF_ANY_ENGINE,
        ] {
            assert!(!matches(name), "{name:?}");
        }
        // SAFETY: NULL is allowed.
        assert!(!unsafe { is_intercepted(core::ptr::null()) });
    }
}
