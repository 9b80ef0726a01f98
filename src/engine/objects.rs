//! The loaded objects of the process: the program and its shared libraries.
//!
//! `dladdr` and its relatives are not used: a process on musl, into which this library may be
//! preloaded by mistake, does not start where one of them is missing.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ops::Range;
use std::path::Path;
use std::ptr::{self, NonNull};

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
        let address = address.addr();
        self.segments
            .iter()
            .any(|segment| segment.contains(&address))
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

fn symbol(handle: *mut c_void, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: a valid handle and a C string.
    let found = NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) });
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

/// All loaded objects, in the order of loading.
pub fn loaded() -> Vec<Object> {
    unsafe extern "C" fn add(
        information: *mut libc::dl_phdr_info,
        _size: usize,
        objects: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader's description of an object, valid during this call, and the vector
        // that is passed below.
        let (information, objects) =
            unsafe { (&*information, &mut *objects.cast::<Vec<Object>>()) };
        let name = NonNull::new(information.dlpi_name.cast_mut());
        // SAFETY: a C string by the loader's contract, where it is not null.
        let name = name.map(|name| unsafe { CStr::from_ptr(name.as_ptr()) }.to_owned());
        let headers = NonNull::new(information.dlpi_phdr.cast_mut());
        let headers = headers.map_or(&[][..], |headers| {
            // SAFETY: so many program headers by the loader's contract.
            unsafe {
                std::slice::from_raw_parts(headers.as_ptr(), usize::from(information.dlpi_phnum))
            }
        });
        let loaded = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD);
        let segments = loaded.map(|header| {
            let start = (information.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            start..start.wrapping_add(header.p_memsz as usize)
        });
        objects.push(Object {
            name: name.unwrap_or_default(),
            segments: segments.collect(),
        });
        0
    }
    let mut objects: Vec<Object> = Vec::new();
    let pointer: *mut Vec<Object> = &mut objects;
    // SAFETY: `add` gets the vector and keeps nothing.
    unsafe { libc::dl_iterate_phdr(Some(add), pointer.cast()) };
    objects
}

/// The object that an address lies in.
pub fn holding(address: *const c_void) -> Option<Object> {
    loaded().into_iter().find(|object| object.holds(address))
}
