//! The first library, `libsuperstream.so`, where it is loaded and has something to do.

use core::ffi::{c_char, c_void};
use core::mem::transmute;

use crate::next;

type Interpose = unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut c_void;

/// The first library's part in this.
pub struct Superstream {
    interpose: Interpose,
}

impl Superstream {
    /// `None` where a call from `caller` is not our business: Superstream is off, the first
    /// library is not loaded, or the call is its own.
    pub fn for_call_from(caller: *const c_void) -> Option<Self> {
        if !superstream_switch::is_on() {
            return None;
        }
        let dlsym = next::dlsym()?;
        // SAFETY: a C string.
        let found = unsafe { dlsym(libc::RTLD_DEFAULT, c"superstream_interpose".as_ptr()) };
        // SAFETY: a function of this type wherever it has this name, or NULL, which is `None`.
        let interpose = unsafe { transmute::<*mut c_void, Option<Interpose>>(found) }?;
        let home = object_of(caller);
        let is_own = !home.is_null() && home == object_of(found);
        (!is_own).then_some(Self { interpose })
    }

    /// The function to hand out for the engine's own `function`.
    ///
    /// # Safety
    /// `function` is the engine's function of this name.
    pub unsafe fn interpose(&self, name: *const c_char, function: *mut c_void) -> *mut c_void {
        // SAFETY: the caller's word.
        let answer = unsafe { (self.interpose)(name, function) };
        // A lookup that succeeded leaves nothing for the caller's dlerror().
        // SAFETY: no arguments.
        unsafe { libc::dlerror() };
        answer
    }
}

/// The base address of the library that holds `address`; NULL for code of no library.
fn object_of(address: *const c_void) -> *const c_void {
    // SAFETY: plain data, filled in by the call.
    let mut about: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked about.
    match unsafe { libc::dladdr(address, &mut about) } {
        0 => core::ptr::null(),
        _ => about.dli_fbase,
    }
}
