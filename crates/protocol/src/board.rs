//! What `superstream status --pid` reads of a running process: a document in memory that the
//! process shares with whoever may look into it, an anonymous file (`memfd`) among `/proc/PID/fd`.
//!
//! It begins with two numbers of eight bytes, little endian: a sequence that is odd while the
//! document is written, and the document's length in bytes.

use std::ffi::CStr;

/// The name of the file.
pub const NAME: &CStr = c"superstream-status";
/// The size of the file. Pages that were never written take no memory.
pub const SIZE: usize = 1024 * 1024;
/// Where the document begins: behind the sequence and the length.
pub const HEADER: usize = 16;
/// The longest document that fits.
pub const ROOM: usize = SIZE - HEADER;
