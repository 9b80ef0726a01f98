//! `superstream`, the program.
//!
//! C's `main`, not Rust's: Rust's start-up would have SIGPIPE ignored before our first line, and
//! `superstream run` hands the signals on to its command exactly as it was given them.
#![no_main]

use std::ffi::{c_char, c_int};

#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    c_int::from(superstream_cli::superstream(std::env::args_os()))
}
