//! The second preload library: it brings Superstream to bindings that the first one alone cannot
//! reach.
//!
//! `libsuperstream.so` takes librdkafka's functions by their names in the global scope. A binding
//! that fetches them by `dlsym` from the engine's own handle (.NET, JNA, ruby-ffi, LuaJIT), or
//! that is opened with `RTLD_DEEPBIND` (PHP), never looks there. So this library defines `dlsym`
//! and `dlopen`, and in two cases, and only with `SUPERSTREAM_HOST` set, does something of its
//! own:
//!
//! - Somebody asks a library for one of the `names::INTERCEPTED` functions: the answer is what
//!   `superstream_interpose()` makes of the address.
//! - Somebody opens a library with `RTLD_DEEPBIND` that imports one of them: it is opened without.
//!
//! Everything else is a jump to the function that the caller would have had without us, with its
//! arguments, its stack and its return address: libc looks at the latter. The library has no
//! constructor, no thread, no lock and no memory of its own.
//!
//! - `entry`: `dlsym` and `dlopen` as machine code. `decide`: what becomes of a call.
//! - `next`: the functions behind ours. `names`: the functions that matter.
//! - `superstream`: whether Superstream is on, and the first library. `elf`: what a file imports.
//!   `errno`: the caller's.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// A library whose panics unwind gets its panic handler from the standard library, and with it all
// that a handler needs. Built with `panic = "abort"`, it consists of the code here alone.
#[cfg(all(not(test), panic = "unwind"))]
extern crate std;

// What the standard library links otherwise. Before glibc 2.34 `dlvsym` is in a library of its own.
#[cfg(all(not(test), panic = "abort"))]
#[link(name = "dl")]
#[link(name = "c")]
unsafe extern "C" {}

/// Never called: nothing here can panic.
#[cfg(all(not(test), panic = "abort"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: no arguments.
    unsafe { libc::abort() }
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64",
    target_endian = "little"
)))]
compile_error!("the hooks are written for 64-bit little-endian Linux with glibc");

mod decide;
mod elf;
#[cfg_attr(target_arch = "x86_64", path = "entry_x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "entry_aarch64.rs")]
mod entry;
mod errno;
mod names;
mod next;
mod superstream;

#[cfg(test)]
mod tests {
    use crate::entry::{dlopen, dlsym};

    /// The hooks as this program's own functions; what a process sees is in `tests/hooks.rs`.
    #[test]
    fn calls_that_are_nobodys_business_get_what_libc_answers() {
        // SAFETY: C strings, and handles that were opened.
        unsafe {
            let program = dlopen(core::ptr::null(), libc::RTLD_NOW);
            assert!(!program.is_null());
            for handle in [program, libc::RTLD_DEFAULT, libc::RTLD_NEXT] {
                for name in [c"malloc", c"rd_kafka_new", c"no_such_function"] {
                    assert_eq!(
                        dlsym(handle, name.as_ptr()),
                        libc::dlsym(handle, name.as_ptr()),
                        "{name:?}"
                    );
                }
            }
            assert!(
                dlopen(
                    c"/no/such/file".as_ptr(),
                    libc::RTLD_NOW | libc::RTLD_DEEPBIND
                )
                .is_null()
            );
        }
    }
}
