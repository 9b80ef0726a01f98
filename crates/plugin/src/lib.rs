//! `libsuperstream-plugin.so`: the way in by `plugin.library.paths`, where nothing can be
//! preloaded.
//!
//! librdkafka calls `conf_init` when an application sets that property. All that it does here is
//! to hand the configuration on to `libsuperstream.so`, which lies beside it. It is a library of
//! its own because the name `conf_init` is so general: a preloaded library that exports it would
//! take the place of other programs' functions.

use std::arch::naked_asm;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::mem::{MaybeUninit, transmute};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::catch_unwind;
use std::path::Path;

/// `RD_KAFKA_RESP_ERR_NO_ERROR`.
const NO_ERROR: c_int = 0;
/// What hands a configuration on, in every library of ours that knows an engine.
const CONF_INIT: &CStr = c"superstream_conf_init";
/// The libraries that may lie beside this one.
const BESIDE: [&str; 2] = ["libsuperstream.so.0", "libsuperstream.so"];

type ConfInit = unsafe extern "C" fn(conf: *mut c_void, caller: *const c_void);

/// librdkafka's entry point of a plugin. It never fails, for then the application's
/// `rd_kafka_conf_set()` would.
///
/// # Safety
/// As librdkafka documents it.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn conf_init() {
    // The engine is told by the return address, handed on as a fifth argument.
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov r8, [rsp]", "jmp {inner}", inner = sym conf_init_from);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x4, x30", "b {inner}", inner = sym conf_init_from);
}

unsafe extern "C" fn conf_init_from(
    conf: *mut c_void,
    _plugin_opaque: *mut *mut c_void,
    _errstr: *mut c_char,
    _errstr_size: usize,
    caller: *const c_void,
) -> c_int {
    if superstream_switch::is_on() {
        uncancelled(|| {
            // A panic has no message here: nobody asked for one.
            let _ = catch_unwind(|| {
                if let Some(conf_init) = find(caller) {
                    // SAFETY: the engine's configuration and an address in the engine, as the
                    // library expects them.
                    unsafe { conf_init(conf, caller) };
                }
            });
        });
    }
    NO_ERROR
}

/// Runs `work` on a thread that cannot be cancelled meanwhile: that would unwind our stack, and not
/// by our unwinder.
fn uncancelled(work: impl FnOnce()) {
    const DISABLE: c_int = 1;
    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = 0;
    // SAFETY: concerns this thread alone; `before` is filled in.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    work();
    // SAFETY: the state that was in force.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
}

/// The library that is preloaded, or carries the engine, knows the configuration from elsewhere and
/// says so; without one, the library beside this one is loaded for good.
fn find(caller: *const c_void) -> Option<ConfInit> {
    let of_engine = file_of(caller).and_then(|file| open(&file, libc::RTLD_NOLOAD));
    let found = of_engine
        .and_then(symbol)
        .or_else(|| symbol(libc::RTLD_DEFAULT))
        .or_else(|| {
            let own = file_of(conf_init as *const c_void)?;
            let own = Path::new(OsStr::from_bytes(own.as_bytes()));
            let folder = own.parent()?;
            BESIDE.into_iter().find_map(|name| {
                let path = CString::new(folder.join(name).as_os_str().as_bytes()).ok()?;
                symbol(open(&path, libc::RTLD_NODELETE)?)
            })
        });
    // What was not found on the way is no error of the application's.
    // SAFETY: concerns this thread alone; the text is not read.
    unsafe { libc::dlerror() };
    found
}

/// The file of the object that an address lies in.
fn file_of(address: *const c_void) -> Option<CString> {
    let mut information = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address will do; the result is filled in where one is found.
    let information = unsafe {
        if libc::dladdr(address, information.as_mut_ptr()) == 0 {
            return None;
        }
        information.assume_init()
    };
    if information.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's name of the object, which is loaded.
    Some(unsafe { CStr::from_ptr(information.dli_fname) }.to_owned())
}

fn open(file: &CStr, flags: c_int) -> Option<*mut c_void> {
    // SAFETY: a C string. The handle is kept for good, so what is found in it stays valid.
    let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL | flags) };
    (!handle.is_null()).then_some(handle)
}

fn symbol(handle: *mut c_void) -> Option<ConfInit> {
    // SAFETY: a valid handle and a C string.
    let function = unsafe { libc::dlsym(handle, CONF_INIT.as_ptr()) };
    // SAFETY: the function of that name has this type in every library of ours.
    (!function.is_null()).then(|| unsafe { transmute::<*mut c_void, ConfInit>(function) })
}
