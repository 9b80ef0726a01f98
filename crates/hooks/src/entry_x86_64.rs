//! `dlsym` and `dlopen` for x86-64.
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
            "endbr64",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "mov rdx, [rsp + 8]",
            // With the return address and one argument on it, the stack is aligned.
            "call {decide}",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "mov rsi, rdx",
            "test rax, rax",
            "jz 2f",
            "jmp rax",
            "2:",
            "mov rax, rdx",
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
