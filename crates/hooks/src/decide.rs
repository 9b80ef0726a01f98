//! What becomes of a call: a jump to the function behind ours, or an answer.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use crate::next::Dlsym;
use crate::superstream::Superstream;
use crate::{elf, errno, names, next};

/// What `entry` does next, in the two registers that a C function answers in.
#[repr(C)]
pub struct Decision {
    /// Where to jump to. NULL: return `value`.
    function: *mut c_void,
    /// The second argument of that function (the first is the caller's), or the answer.
    value: usize,
}

impl Decision {
    fn jump(function: *mut c_void, second_argument: usize) -> Self {
        Self {
            function,
            value: second_argument,
        }
    }

    fn answer(value: *mut c_void) -> Self {
        Self {
            function: ptr::null_mut(),
            value: value.addr(),
        }
    }

    /// Nothing to jump to. "Not found" is what every caller of both functions must expect; there
    /// is no text for `dlerror()`, which says NULL.
    fn nothing() -> Self {
        Self::answer(ptr::null_mut())
    }
}

/// Decides on `dlsym(handle, name)`, called from the code at `caller`.
///
/// # Safety
/// The arguments keep the contract of `dlsym`.
pub unsafe extern "C" fn dlsym(
    handle: *mut c_void,
    name: *const c_char,
    caller: *const c_void,
) -> Decision {
    let Some(next) = next::dlsym() else {
        return Decision::nothing();
    };
    // SAFETY: a name for dlsym is a C string.
    let is_ours = handle != libc::RTLD_DEFAULT
        && handle != libc::RTLD_NEXT
        && unsafe { names::is_intercepted(name) };
    if is_ours {
        // SAFETY: the caller's arguments.
        unsafe { lookup(next, handle, name, caller) }
    } else {
        Decision::jump(next as *mut c_void, name.addr())
    }
}

/// A library is asked for a function that we intercept.
///
/// # Safety
/// The arguments keep the contract of `dlsym`.
#[cold]
unsafe fn lookup(
    next: Dlsym,
    handle: *mut c_void,
    name: *const c_char,
    caller: *const c_void,
) -> Decision {
    // This comes first: what it leaves for dlerror() is gone when the real dlsym has been called.
    let Some(superstream) = errno::kept(|| Superstream::for_call_from(caller)) else {
        return Decision::jump(next as *mut c_void, name.addr());
    };
    // SAFETY: the caller's arguments. With a real handle it does not matter who asks.
    let function = unsafe { next(handle, name) };
    if function.is_null() {
        return Decision::answer(function);
    }
    // SAFETY: a C string, and what was found under that name.
    Decision::answer(errno::kept(|| unsafe {
        superstream.interpose(name, function)
    }))
}

/// Decides on `dlopen(file, flags)`, called from the code at `caller`.
///
/// # Safety
/// The arguments keep the contract of `dlopen`.
pub unsafe extern "C" fn dlopen(
    file: *const c_char,
    flags: c_int,
    caller: *const c_void,
) -> Decision {
    let next = next::dlopen();
    if next.is_null() {
        return Decision::nothing();
    }
    let mut flags = flags;
    if flags & libc::RTLD_DEEPBIND != 0 && !file.is_null() {
        // SAFETY: a file's name for dlopen is a C string.
        let file = unsafe { CStr::from_ptr(file) };
        if is_cut_off(file, caller) {
            flags &= !libc::RTLD_DEEPBIND;
        }
    }
    // The flags fill the lower half of a register.
    Decision::jump(next, flags as u32 as usize)
}

/// Whether the library in `file` would miss Superstream because of `RTLD_DEEPBIND` alone. With an
/// engine in the global scope it would find that engine without the flag, and not its own.
#[cold]
fn is_cut_off(file: &CStr, caller: *const c_void) -> bool {
    // Other names are searched for, and found where only libc knows.
    file.to_bytes().contains(&b'/')
        && errno::kept(|| {
            Superstream::for_call_from(caller).is_some()
                && elf::imports_any(file, &names::INTERCEPTED)
                && !is_engine_global()
        })
}

fn is_engine_global() -> bool {
    // SAFETY: a C string. What it leaves for dlerror() is gone when the real dlopen is called.
    next::dlsym().is_some_and(|dlsym| unsafe {
        !dlsym(libc::RTLD_DEFAULT, names::OF_ANY_ENGINE.as_ptr()).is_null()
    })
}
