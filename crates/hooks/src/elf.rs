//! Which functions a library imports, read from its file before it is loaded.
//!
//! The section headers name the table of dynamic symbols. A file without them, or with anything
//! else that is not as expected, counts as one that imports nothing: it is opened as stock.

use core::ffi::{CStr, c_int, c_long};

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// ELF, 64 bits, little endian.
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
const SHARED_OBJECT: u16 = 3;
const DYNAMIC_SYMBOLS: u32 = 11;
const SECTION_HEADER: u64 = 64;
const SYMBOL: u64 = 24;
const UNDEFINED: u16 = 0;

/// Whether the library in `file` imports one of the functions.
pub fn imports_any(file: &CStr, names: &[&CStr]) -> bool {
    File::open(file).is_some_and(|file| search(&file, names).unwrap_or(false))
}

/// `None` where the file ends too early, or is not a library of this machine.
fn search(file: &impl Source, names: &[&CStr]) -> Option<bool> {
    let mut headers = Window::on(file);
    if !headers.bytes(0, MAGIC.len())?.starts_with(MAGIC)
        || headers.u16(16)? != SHARED_OBJECT
        || headers.u16(18)? != MACHINE
    {
        return None;
    }
    let table = headers.u64(40)?;
    let count = headers.u16(60)?;
    let section = |number: u32| table.checked_add(u64::from(number) * SECTION_HEADER);
    for number in 0..u32::from(count) {
        let symbols = section(number)?;
        if headers.u32(symbols.checked_add(4)?)? == DYNAMIC_SYMBOLS {
            let strings = section(headers.u32(symbols.checked_add(40)?)?)?;
            let strings = headers.u64(strings.checked_add(24)?)?;
            let (start, size) = (
                headers.u64(symbols.checked_add(24)?)?,
                headers.u64(symbols.checked_add(32)?)?,
            );
            return among(file, (start, size / SYMBOL), strings, names);
        }
    }
    Some(false)
}

/// Looks through `count` symbols from `start` on, whose names are at `strings`.
fn among(
    file: &impl Source,
    (start, count): (u64, u64),
    strings: u64,
    names: &[&CStr],
) -> Option<bool> {
    let (mut symbols, mut texts) = (Window::on(file), Window::on(file));
    for number in 0..count {
        let symbol = start.checked_add(number.checked_mul(SYMBOL)?)?;
        let name = strings.checked_add(u64::from(symbols.u32(symbol)?))?;
        let is_wanted = |wanted: &&CStr| {
            let wanted = wanted.to_bytes_with_nul();
            texts.bytes(name, wanted.len()) == Some(wanted)
        };
        if symbols.u16(symbol.checked_add(6)?)? == UNDEFINED && names.iter().any(is_wanted) {
            return Some(true);
        }
    }
    Some(false)
}

/// Bytes with numbered places.
trait Source {
    /// Fills as much of `buffer` as there is from `offset` on; how much that was.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize;
}

/// A part of a source, moved along as it is read.
struct Window<'source, S> {
    source: &'source S,
    start: u64,
    length: usize,
    bytes: [u8; 1024],
}

impl<'source, S: Source> Window<'source, S> {
    fn on(source: &'source S) -> Self {
        Self {
            source,
            start: 0,
            length: 0,
            bytes: [0; 1024],
        }
    }

    fn bytes(&mut self, offset: u64, length: usize) -> Option<&[u8]> {
        if self.seen(offset, length).is_none() {
            self.start = offset;
            self.length = self.source.read(offset, &mut self.bytes);
        }
        self.seen(offset, length)
    }

    fn seen(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let seen = self.bytes.get(..self.length)?;
        seen.get(from..from.checked_add(length)?)
    }

    fn u16(&mut self, offset: u64) -> Option<u16> {
        let bytes = self.bytes(offset, 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    }

    fn u32(&mut self, offset: u64) -> Option<u32> {
        let bytes = self.bytes(offset, 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn u64(&mut self, offset: u64) -> Option<u64> {
        let bytes = self.bytes(offset, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// An open file. libc's own functions would be points at which a thread can be cancelled, which
/// `dlopen` is not: so the kernel is called.
struct File {
    descriptor: c_int,
}

impl File {
    fn open(name: &CStr) -> Option<Self> {
        // Whatever it is, it is not waited for.
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: openat with a C string.
        let opened =
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags) };
        let descriptor = c_int::try_from(opened).ok()?;
        (descriptor >= 0).then_some(Self { descriptor })
    }
}

impl Source for File {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Ok(place) = c_long::try_from(offset.saturating_add(done as u64)) else {
                break;
            };
            // SAFETY: pread64 into a buffer of that length.
            let read = unsafe {
                libc::syscall(
                    libc::SYS_pread64,
                    self.descriptor,
                    rest.as_mut_ptr(),
                    rest.len(),
                    place,
                )
            };
            match usize::try_from(read) {
                Ok(read) if read > 0 => done += read,
                _ => break,
            }
        }
        done
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, closed once.
        unsafe { libc::syscall(libc::SYS_close, self.descriptor) };
    }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
