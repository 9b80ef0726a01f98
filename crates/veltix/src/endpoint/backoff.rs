//! How long to wait before the next attempt.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// `first`, twice as long for each further attempt, `max` at most; shortened by up to a half, at
/// random. No setting can make it overflow.
pub(super) fn pause(first: Duration, max: Duration, attempt: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let whole = first.saturating_mul(factor).min(max.max(first));
    let random = RandomState::new().build_hasher().finish() % 1024;
    // Half of it is certain.
    let half = whole / 2;
    half.saturating_add((half / 1024).saturating_mul(random as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_maximum_and_differ() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(30));
        for (attempt, whole) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (5, 16),
            (6, 30),
            (40, 30),
            (u32::MAX, 30),
        ] {
            let whole = Duration::from_secs(whole);
            for _ in 0..100 {
                let pause = pause(first, max, attempt);
                assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
            }
        }
        let some: Vec<_> = (0..10).map(|_| pause(first, max, 4)).collect();
        assert!(some.iter().any(|pause| *pause != some[0]));
    }

    #[test]
    fn no_setting_overflows() {
        for attempt in [0, 1, 33, u32::MAX] {
            assert!(
                pause(Duration::MAX, Duration::MAX, attempt)
                    >= Duration::MAX / 2 - Duration::from_secs(1)
            );
            assert_eq!(
                pause(Duration::ZERO, Duration::ZERO, attempt),
                Duration::ZERO
            );
        }
    }
}
