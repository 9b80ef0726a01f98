//! The loaded objects of the process: the program and its shared libraries.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Range;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

/// A loaded object.
#[derive(Debug)]
pub struct Object {
    /// As the loader names it; empty for the program itself.
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

    /// A handle, if it is (still) loaded. The program itself has none: its handle is the global
    /// scope.
    pub fn open(&self) -> Option<Handle> {
        self.open_with(0)
    }

    /// Keeps it loaded for good.
    pub fn pin(&self) {
        drop(self.open_with(libc::RTLD_NODELETE));
    }

    fn open_with(&self, flags: c_int) -> Option<Handle> {
        if self.name.is_empty() {
            return None;
        }
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | flags;
        // SAFETY: a C string; nothing is loaded, so no constructor runs.
        let handle = NonNull::new(unsafe { libc::dlopen(self.name.as_ptr(), flags) });
        if handle.is_none() {
            forget_error();
        }
        handle.map(Handle)
    }
}

/// A reference to a loaded object, which stays loaded meanwhile.
#[derive(Debug)]
pub struct Handle(NonNull<c_void>);

impl Handle {
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

/// Something that differs once an object was loaded or unloaded.
pub fn stamp() -> [u64; 2] {
    let mut stamp = [0; 2];
    each(&mut |information| {
        stamp = [information.dlpi_adds, information.dlpi_subs];
        false
    });
    stamp
}

/// All loaded objects, in the order of loading.
pub fn loaded() -> Vec<Object> {
    // The loader's lock is held in `each`, and an allocator of the application's may need it on
    // another thread: memory is taken outside.
    loop {
        let mut needed = Buffer::default();
        each(&mut |information| {
            needed.count(information);
            true
        });
        let mut buffer = Buffer::with_room_of(&needed);
        let mut fits = true;
        each(&mut |information| {
            fits = buffer.add(information);
            fits
        });
        if fits {
            return buffer.objects();
        }
    }
}

/// The object that an address lies in.
pub fn holding(address: *const c_void) -> Option<Object> {
    loaded().into_iter().find(|object| object.holds(address))
}

/// What is copied of the loader's list. Its capacities are never exceeded.
#[derive(Default)]
struct Buffer {
    /// Where an object's name and segments end.
    ends: Vec<(usize, usize)>,
    names: Vec<u8>,
    segments: Vec<Range<usize>>,
    counts: [usize; 3],
}

impl Buffer {
    fn with_room_of(other: &Self) -> Self {
        let [objects, bytes, segments] = other.counts;
        Self {
            ends: Vec::with_capacity(objects),
            names: Vec::with_capacity(bytes),
            segments: Vec::with_capacity(segments),
            counts: other.counts,
        }
    }

    fn count(&mut self, information: &libc::dl_phdr_info) {
        let [objects, bytes, segments] = &mut self.counts;
        *objects += 1;
        *bytes += name(information).count_bytes();
        *segments += usize::from(information.dlpi_phnum);
    }

    /// False where there is no room.
    fn add(&mut self, information: &libc::dl_phdr_info) -> bool {
        let name = name(information).to_bytes();
        let [objects, bytes, segments] = self.counts;
        let has_room = self.ends.len() < objects
            && self.names.len() + name.len() <= bytes
            && self.segments.len() + usize::from(information.dlpi_phnum) <= segments;
        if has_room {
            self.names.extend_from_slice(name);
            self.segments.extend(loaded_segments(information));
            self.ends.push((self.names.len(), self.segments.len()));
        }
        has_room
    }

    fn objects(self) -> Vec<Object> {
        let mut begin = (0, 0);
        let objects = self.ends.iter().map(|&end| {
            let name = &self.names[begin.0..end.0];
            let segments = self.segments[begin.1..end.1].to_vec();
            begin = end;
            Object {
                // It comes from a C string.
                name: CString::new(name).unwrap_or_default(),
                segments,
            }
        });
        objects.collect()
    }
}

fn name(information: &libc::dl_phdr_info) -> &CStr {
    if information.dlpi_name.is_null() {
        return c"";
    }
    // SAFETY: a C string by the loader's contract.
    unsafe { CStr::from_ptr(information.dlpi_name.cast::<c_char>()) }
}

fn loaded_segments(information: &libc::dl_phdr_info) -> impl Iterator<Item = Range<usize>> {
    let count = usize::from(information.dlpi_phnum);
    let headers = match NonNull::new(information.dlpi_phdr.cast_mut()) {
        // SAFETY: so many program headers by the loader's contract.
        Some(headers) => unsafe { std::slice::from_raw_parts(headers.as_ptr(), count) },
        None => &[],
    };
    let base = information.dlpi_addr as usize;
    let loaded = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD);
    loaded.map(move |header| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    })
}

/// Calls `visit` for each loaded object while it answers true. It must not allocate.
fn each(visit: &mut dyn FnMut(&libc::dl_phdr_info) -> bool) {
    unsafe extern "C" fn step(
        information: *mut libc::dl_phdr_info,
        _size: usize,
        visit: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader's description of an object, valid during this call, and the pointer
        // to the closure that is passed below.
        let (information, visit) = unsafe {
            (
                &*information,
                &mut *visit.cast::<&mut dyn FnMut(&libc::dl_phdr_info) -> bool>(),
            )
        };
        c_int::from(!visit(information))
    }
    let mut visit = visit;
    let pointer: *mut &mut dyn FnMut(&libc::dl_phdr_info) -> bool = &mut visit;
    // SAFETY: `step` gets the closure and keeps nothing.
    unsafe { libc::dl_iterate_phdr(Some(step), pointer.cast()) };
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
            let [malloc, size] = [c"malloc", c"malloc_usable_size"].map(global_symbol);
            let are_together = match (malloc, size) {
                (Some(malloc), Some(size)) => {
                    holding(malloc.as_ptr()).is_some_and(|object| object.holds(size.as_ptr()))
                }
                _ => false,
            };
            let answer = if are_together { YES } else { NO };
            ANSWER.store(answer, Ordering::Relaxed);
            are_together
        }
        answer => answer == YES,
    }
}
