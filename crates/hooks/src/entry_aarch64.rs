//! `dlsym` and `dlopen` for aarch64.
//!
//! Both save the first argument, ask [`decide`] with the return address as the third one, and
//! then jump or return. Where they jump, the stack is as the caller made it.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};

use crate::decide;

macro_rules! hook {
    ($decide:path) => {
        naked_asm!(
            ".cfi_startproc",
            // `bti c`, which older processors take for nothing.
            "hint #34",
            "stp x29, x30, [sp, #-32]!",
            ".cfi_def_cfa_offset 32",
            ".cfi_offset x29, -32",
            ".cfi_offset x30, -24",
            "str x0, [sp, #16]",
            "mov x2, x30",
            "bl {decide}",
            "mov x16, x0",
            "ldr x0, [sp, #16]",
            "ldp x29, x30, [sp], #32",
            ".cfi_def_cfa_offset 0",
            ".cfi_restore x29",
            ".cfi_restore x30",
            // The second word is in x1, where a second argument belongs.
            "cbz x16, 2f",
            "br x16",
            "2:",
            "mov x0, x1",
            "ret",
            ".cfi_endproc",
            decide = sym $decide,
        )
    };
}

/// libc's `dlsym()`.
///
/// # Safety
/// As libc documents it.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    hook!(decide::dlsym)
}

/// libc's `dlopen()`.
///
/// # Safety
/// As libc documents it.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void {
    hook!(decide::dlopen)
}
