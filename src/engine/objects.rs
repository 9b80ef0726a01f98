//! The loaded objects of the process: the program and its shared libraries.
//!
//! Nothing here takes a lock that a forked child could find taken: glibc renews that of `dlopen`,
//! `dlsym` and `dladdr` in each child.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Range;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Sym};

/// The public part of `struct link_map` (link.h), as far as it is read.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: *const c_void,
}

const RTLD_DI_LINKMAP: c_int = 2;
const SHN_UNDEF: u16 = 0;

unsafe extern "C" {
    fn dlinfo(handle: *mut c_void, request: c_int, answer: *mut c_void) -> c_int;
}

/// A loaded object.
#[derive(Debug)]
pub struct Object {
    /// As the loader names it; the program as it was called.
    pub name: CString,
    segments: Vec<Range<usize>>,
}

impl Object {
    /// Whether an address lies in it.
    pub fn holds(&self, address: *const c_void) -> bool {
        self.holds_word(address.addr())
    }

    /// Whether a word is an address in it.
    pub fn holds_word(&self, word: usize) -> bool {
        self.segments.iter().any(|segment| segment.contains(&word))
    }

    /// A librdkafka of its own, and not a module with one inside.
    pub fn is_librdkafka(&self) -> bool {
        let name = self.name.to_string_lossy();
        let file = Path::new(&*name).file_name().unwrap_or_default();
        file.as_encoded_bytes().starts_with(b"librdkafka.")
            || file.as_encoded_bytes().starts_with(b"librdkafka-")
    }

    /// A handle, if it is a shared library. The program itself has none: its handle is the global
    /// scope.
    pub fn open(&self) -> Option<Handle> {
        self.open_with(0)
    }

    /// Keeps it loaded for good.
    pub fn pin(&self) {
        drop(self.open_with(libc::RTLD_NODELETE));
    }

    fn open_with(&self, flags: c_int) -> Option<Handle> {
        let handle = open(&self.name, flags)?;
        handle.is_of(self).then_some(handle)
    }
}

/// A handle of a shared library that is loaded under this name.
fn open(name: &CStr, flags: c_int) -> Option<Handle> {
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | flags;
    // SAFETY: a C string; nothing is loaded, so no constructor runs.
    let handle = NonNull::new(unsafe { libc::dlopen(name.as_ptr(), flags) });
    if handle.is_none() {
        forget_error();
    }
    handle.map(Handle)
}

/// A reference to a loaded object, which stays loaded meanwhile.
#[derive(Debug)]
pub struct Handle(NonNull<c_void>);

impl Handle {
    /// Whether it is this object's. The program's name is whatever it was called by.
    pub fn is_of(&self, object: &Object) -> bool {
        let mut map = ptr::null_mut::<LinkMap>();
        // SAFETY: a handle, and a place for the loader's description of the object.
        let answer = unsafe { dlinfo(self.0.as_ptr(), RTLD_DI_LINKMAP, (&raw mut map).cast()) };
        // SAFETY: filled in where the answer is 0, and valid as long as the handle.
        answer == 0 && unsafe { map.as_ref() }.is_some_and(|map| object.holds(map.dynamic))
    }

    /// Finds a function in the object or what it depends on.
    pub fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        symbol(self.0.as_ptr(), name)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: from dlopen, and closed once.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

/// Finds a function in the objects after this library in the global scope.
pub fn next_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    symbol(libc::RTLD_NEXT, name)
}

/// Finds a function in the global scope. `RTLD_DEFAULT` would search this library first.
pub fn global_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the handle of the program, which is loaded.
    let program = NonNull::new(unsafe { libc::dlopen(ptr::null(), libc::RTLD_LAZY) })?;
    Handle(program).symbol(name)
}

thread_local! {
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a `dlsym` under way on this thread is ours: hooks that stand before it must not give us
/// our own functions.
pub fn is_looking() -> bool {
    LOOKING.get()
}

fn symbol(handle: *mut c_void, name: &CStr) -> Option<NonNull<c_void>> {
    LOOKING.set(true);
    // SAFETY: a valid handle and a C string.
    let found = NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) });
    LOOKING.set(false);
    if found.is_none() {
        forget_error();
    }
    found
}

/// An error of ours is not for the application's next `dlerror()`.
fn forget_error() {
    // SAFETY: concerns this thread alone; the text is not read.
    unsafe { libc::dlerror() };
}

const NO_INFORMATION: libc::Dl_info = libc::Dl_info {
    dli_fname: ptr::null(),
    dli_fbase: ptr::null_mut(),
    dli_sname: ptr::null(),
    dli_saddr: ptr::null_mut(),
};

/// The object that an address lies in: one that stays loaded meanwhile, because it is running or
/// somebody has a handle of it.
///
/// Asked of `dladdr`, not of `dl_iterate_phdr`: the lock of the latter is held for ever in a child
/// that was forked while another thread was in it (tried with glibc 2.36).
#[allow(clippy::not_unsafe_ptr_arg_deref)] // It is looked up, and not into.
pub fn holding(address: *const c_void) -> Option<Object> {
    let mut found = NO_INFORMATION;
    // SAFETY: fills the struct where it answers other than 0.
    if unsafe { libc::dladdr(address, &mut found) } == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a C string of the loader's, of an object that stays loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) }.to_owned();
    // SAFETY: the loader maps an object from its ELF header on.
    let segments = unsafe { segments(NonNull::new(found.dli_fbase)?.cast()) }?;
    Some(Object { name, segments })
}

/// The handles of all shared libraries.
pub fn all() -> Vec<Handle> {
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<&[u8]> = maps
        .split(|byte| *byte == b'\n')
        .filter(|line| is_code(line))
        .filter_map(|line| {
            line.iter()
                .position(|byte| *byte == b'/')
                .map(|at| &line[at..])
        })
        .collect();
    files.dedup();
    let names = files.into_iter().filter_map(|file| CString::new(file).ok());
    names.filter_map(|name| open(&name, 0)).collect()
}

/// Whether a line of `/proc/self/maps` (`from-to rwxp …`) is of executable memory.
fn is_code(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    words.nth(1).and_then(|permissions| permissions.get(2)) == Some(&b'x')
}

/// # Safety
/// An ELF header, and what it says is mapped behind it.
unsafe fn segments(start: NonNull<Elf64_Ehdr>) -> Option<Vec<Range<usize>>> {
    // SAFETY: the caller's contract.
    let header = unsafe { start.as_ref() };
    if header.e_ident.get(..4) != Some(b"\x7fELF")
        || usize::from(header.e_phentsize) != size_of::<Elf64_Phdr>()
    {
        return None;
    }
    // SAFETY: the program headers lie in the first segment, so many bytes from its start.
    let headers = unsafe {
        let first = start.as_ptr().cast::<u8>().add(header.e_phoff as usize);
        std::slice::from_raw_parts(first.cast::<Elf64_Phdr>(), usize::from(header.e_phnum))
    };
    let loaded = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD)
    };
    let first = loaded().next()?;
    let base = start
        .addr()
        .get()
        .wrapping_sub(first.p_vaddr.wrapping_sub(first.p_offset) as usize);
    let ranges = loaded().map(|header| {
        let begin = base.wrapping_add(header.p_vaddr as usize);
        begin..begin.wrapping_add(header.p_memsz as usize)
    });
    Some(ranges.collect())
}

/// How much of a configuration or handle is looked at. Each has addresses of its engine from byte
/// 112 to 1112 on, in the versions from 1.0 to 2.16, and the smallest has 1416 bytes: what lies
/// behind it is somebody else's.
const LOOKED_AT: usize = 1400;

/// A word of a configuration or handle that is an address in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    at: usize,
    word: usize,
}

impl Evidence {
    /// The first such word.
    ///
    /// # Safety
    /// `owned` is a configuration or handle of some librdkafka.
    pub unsafe fn of(owned: NonNull<c_void>, object: &Object) -> Option<Self> {
        // SAFETY: the caller's contract; none is smaller than that.
        let word = |at| unsafe { word_of(owned, at) };
        (0..LOOKED_AT / size_of::<usize>())
            .map(|at| Self { at, word: word(at) })
            .find(|evidence| object.holds_word(evidence.word))
    }

    /// Whether another configuration or handle has it too.
    ///
    /// # Safety
    /// As for [`Self::of`].
    pub unsafe fn is_in(self, owned: NonNull<c_void>) -> bool {
        // SAFETY: the caller's contract.
        self.word == unsafe { word_of(owned, self.at) }
    }
}

/// # Safety
/// `owned` has at least [`LOOKED_AT`] bytes, of which this word is one.
unsafe fn word_of(owned: NonNull<c_void>, at: usize) -> usize {
    // SAFETY: the caller's contract. Another thread of the engine may write to a handle meanwhile:
    // the words that are looked for are written before anybody else sees it.
    unsafe { owned.cast::<usize>().add(at).read_volatile() }
}

/// Whether the process's `malloc_usable_size()` is that of its `malloc()`: a program may bring an
/// allocator that has none, and that of libc would look at memory it knows nothing of.
pub fn allocator_tells_sizes() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
    match ANSWER.load(Ordering::Relaxed) {
        UNKNOWN => {
            let tells = looks_after_its_sizes().unwrap_or(false);
            let answer = if tells { YES } else { NO };
            ANSWER.store(answer, Ordering::Relaxed);
            tells
        }
        answer => answer == YES,
    }
}

fn looks_after_its_sizes() -> Option<bool> {
    let malloc = global_symbol(c"malloc")?;
    let size = global_symbol(c"malloc_usable_size")?;
    if holding(malloc.as_ptr())?.holds(size.as_ptr()) {
        return Some(true);
    }
    if !is_stub(malloc)? {
        return Some(false);
    }
    // Behind the program's stub is what some library defines: this one, if there is no other.
    let mut defined = all().into_iter().filter_map(|library| {
        let malloc = library.symbol(c"malloc")?;
        let object = holding(malloc.as_ptr())?;
        library.is_of(&object).then_some(object)
    });
    Some(defined.all(|object| object.holds(size.as_ptr())))
}

/// Whether a function is a program's own entry to a library's function: a program at a fixed address
/// has one for each function whose address it takes, and to everybody that is the function then. It
/// stands in the program's table as undefined, and has an address all the same. `None` where the
/// loader does not tell.
fn is_stub(function: NonNull<c_void>) -> Option<bool> {
    type Dladdr1 =
        unsafe extern "C" fn(*const c_void, *mut libc::Dl_info, *mut *mut c_void, c_int) -> c_int;
    const RTLD_DL_SYMENT: c_int = 1;
    // Looked up, because a libc that lacks it would not start a program with this library.
    let dladdr1 = next_symbol(c"dladdr1")?;
    // SAFETY: that function of the loader has this type.
    let dladdr1 = unsafe { std::mem::transmute::<*mut c_void, Dladdr1>(dladdr1.as_ptr()) };
    let mut found = NO_INFORMATION;
    let mut symbol = ptr::null_mut::<Elf64_Sym>();
    // SAFETY: both are filled in where the answer is not 0.
    let answer = unsafe {
        dladdr1(
            function.as_ptr(),
            &mut found,
            (&raw mut symbol).cast(),
            RTLD_DL_SYMENT,
        )
    };
    // SAFETY: null, or an entry of an object that stays loaded.
    let symbol = unsafe { symbol.as_ref() }.filter(|_| answer != 0)?;
    Some(symbol.st_shndx == SHN_UNDEF)
}
