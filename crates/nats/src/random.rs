//! Numbers that nobody can guess, and that a fork does not repeat.

use std::fs::File;
use std::io::{self, Read};

/// Sixteen bytes, from the system. Never waits.
pub fn bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    // The function of the same name came with glibc 2.25, the call with Linux 3.17.
    // SAFETY: getrandom(2) writes at most as many bytes as it is told, into a buffer that has them.
    let got = unsafe {
        libc::syscall(
            libc::SYS_getrandom,
            bytes.as_mut_ptr(),
            bytes.len(),
            libc::GRND_NONBLOCK,
        )
    };
    if usize::try_from(got) != Ok(bytes.len()) {
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    }
    Ok(bytes)
}

/// Thirty-two characters that can stand in a subject.
pub fn name() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes()?)))
}

/// Brings things into an order that others do not share. Where the system gives no numbers, the
/// order stays.
pub fn shuffle<T>(things: &mut [T]) {
    let Ok(seed) = bytes() else { return };
    let mut state = u128::from_ne_bytes(seed);
    for end in (2..=things.len()).rev() {
        let chosen = usize::try_from(state % end as u128).unwrap_or(0);
        things.swap(end - 1, chosen);
        // Knuth's step for 128 bits: far more orders than a cluster has.
        state = state
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(1)
            .rotate_right(64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_nothing_is_lost_in_shuffling() {
        assert_ne!(name().unwrap(), name().unwrap());
        let mut things: Vec<u32> = (0..50).collect();
        shuffle(&mut things);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
