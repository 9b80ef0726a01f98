//! The functions behind ours: those of the next library in the global scope that defines them.
//! That is libc, or another preload library with hooks of its own.

use core::ffi::{CStr, c_char, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// libc's type of `dlsym`.
pub type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// The versions that glibc gives both functions, the oldest first: each glibc still has that one,
/// and a lookup that fails takes memory for its error text.
#[cfg(target_arch = "x86_64")]
const VERSIONS: [&CStr; 2] = [c"GLIBC_2.2.5", c"GLIBC_2.34"];
#[cfg(target_arch = "aarch64")]
const VERSIONS: [&CStr; 2] = [c"GLIBC_2.17", c"GLIBC_2.34"];

/// A function that is looked for at its first use, and then known. Two threads that look at the
/// same time find the same.
struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

static DLSYM: Next = Next::named(c"dlsym");
static DLOPEN: Next = Next::named(c"dlopen");

/// The next `dlsym`. `None` where there is none, which no glibc has been seen to do.
pub fn dlsym() -> Option<Dlsym> {
    let found = DLSYM.get();
    // SAFETY: a function of libc's type, or NULL, which is `None`.
    unsafe { transmute::<*mut c_void, Option<Dlsym>>(found) }
}

/// The address of the next `dlopen`, which is only jumped to; NULL as above.
pub fn dlopen() -> *mut c_void {
    DLOPEN.get()
}

impl Next {
    const fn named(name: &'static CStr) -> Self {
        Self {
            name,
            found: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn get(&self) -> *mut c_void {
        let known = self.found.load(Ordering::Acquire);
        if !known.is_null() {
            return known;
        }
        let found = find(self.name);
        self.found.store(found, Ordering::Release);
        found
    }
}

/// Only `dlvsym` can be asked, for it is not hooked. It sees libc's function alone: those of other
/// hooks have no version. Libc's `dlsym` then sees the others too, and gives the next one.
#[cold]
fn find(name: &CStr) -> *mut c_void {
    let versioned = |name| {
        VERSIONS
            .iter()
            .map(|version| of_libc(name, version))
            .find(|found| !found.is_null())
            .unwrap_or(ptr::null_mut())
    };
    // SAFETY: libc's function of that name, or NULL, which is `None`.
    let dlsym = unsafe { transmute::<*mut c_void, Option<Dlsym>>(versioned(c"dlsym")) };
    let Some(dlsym) = dlsym else {
        return ptr::null_mut();
    };
    // SAFETY: a C string. The call comes from this library, so that "next" means next after it.
    let next = unsafe { dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if next.is_null() {
        versioned(name)
    } else {
        next
    }
}

fn of_libc(name: &CStr, version: &CStr) -> *mut c_void {
    // SAFETY: C strings. The call comes from this library, as above.
    unsafe { libc::dlvsym(libc::RTLD_NEXT, name.as_ptr(), version.as_ptr()) }
}
