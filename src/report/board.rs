//! What `superstream status --pid` reads of a running process.
//!
//! A document in memory that the process shares with whoever may look into it: an anonymous file
//! (`memfd`), found by its name among `/proc/PID/fd`. Nothing is on a disk, it ends with the
//! process, and the kernel lets in the process's own user and root, nobody else. What lies where in
//! it is told by [`superstream_protocol::board`].
//!
//! It is written through the mapping and never through the descriptor: an application that closes
//! all descriptors may use the number anew.

use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use once_cell::sync::OnceCell;

use superstream_protocol::board::{HEADER, NAME, ROOM, SIZE};

use crate::lock::lock;

/// The board of one process. It comes to be with the first document.
#[derive(Default)]
pub struct Board {
    memory: OnceCell<Option<Memory>>,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl fmt::Debug for Board {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Board").finish_non_exhaustive()
    }
}

struct Memory(NonNull<u8>);

// SAFETY: the mapping is there for the process's whole life, and `Board` lets one write at a time.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Board {
    /// Shows a document in place of the last one. Where the system has no memory for it, or the
    /// document does not fit, nothing is shown.
    pub fn show(&self, document: &str) {
        let _writing = lock(&self.writing);
        let Some(Memory(start)) = self.memory.get_or_init(map) else {
            return;
        };
        if document.len() > ROOM {
            return;
        }
        let header = start.as_ptr().cast::<AtomicU64>();
        // SAFETY: the mapping is aligned to a page, large enough for both numbers, and lives for
        // ever; other processes only read it.
        let (sequence, length) = unsafe { (&*header, &*header.add(1)) };
        let before = u64::from_le(sequence.load(Ordering::Relaxed));
        sequence.store((before + 1).to_le(), Ordering::Relaxed);
        fence(Ordering::Release);
        // SAFETY: the document fits behind the header.
        unsafe {
            let room = start.as_ptr().add(HEADER);
            ptr::copy_nonoverlapping(document.as_ptr(), room, document.len());
        }
        length.store((document.len() as u64).to_le(), Ordering::Relaxed);
        sequence.store((before + 2).to_le(), Ordering::Release);
    }
}

/// The shared memory. Its descriptor stays open: it is how others find it.
fn map() -> Option<Memory> {
    // By its number: glibc has a function for it only since 2.27.
    // SAFETY: a C string and a flag; the result is a descriptor of ours, or negative.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_memfd_create,
            NAME.as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        )
    };
    let descriptor = i32::try_from(descriptor).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: a descriptor of ours, and a fresh mapping.
    let memory = unsafe {
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        match libc::ftruncate(descriptor, SIZE as libc::off_t) {
            // Nobody who finds it makes it shorter than our mapping.
            0 if libc::fcntl(descriptor, libc::F_ADD_SEALS, seals) == 0 => libc::mmap(
                ptr::null_mut::<c_void>(),
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                descriptor,
                0,
            ),
            _ => libc::MAP_FAILED,
        }
    };
    if memory == libc::MAP_FAILED {
        // SAFETY: ours, and of no use.
        unsafe { libc::close(descriptor) };
        return None;
    }
    NonNull::new(memory.cast()).map(Memory)
}
