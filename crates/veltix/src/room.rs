//! How much is kept of messages that nobody has taken: the same for all who keep some.

/// What an entry of a queue takes with so much content: its place, twice for a table that grows, and the
/// allocator's own.
pub(crate) const fn cost<T>(content: usize) -> usize {
    2 * size_of::<T>() + 2 * 16 + content
}

/// Whether nothing more is to be read. A reply that is waited for may lie behind messages: then there is
/// room for as much again. Where nothing is kept there is always room, or nobody would make any.
pub(crate) const fn is_full(bytes: usize, most: usize, awaited: bool) -> bool {
    bytes > 0 && bytes >= most.saturating_mul(if awaited { 2 } else { 1 })
}
