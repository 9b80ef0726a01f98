//! One way for all calls of a function of glibc.
//!
//! The engine's C calls a function through one slot of the library and Rust through another, and
//! whoever opens the library pays for a look-up for each. For the functions in `calls.c` the linker
//! sends both to a jump of ours, which is as long as the engine's own would be, and the loader looks
//! once. A function that is not in there is looked up twice, and one that only C or only Rust calls
//! need not be: `make bench` tells what opening costs.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Sends all calls of these functions through one slot each. `sources` is the folder of this file.
pub fn share(sources: &Path) -> Result<(), Box<dyn Error>> {
    let source = sources.join("calls.c");
    let text = fs::read_to_string(&source)?;
    let shared = text
        .lines()
        .filter_map(|line| line.strip_prefix("SHARE(")?.strip_suffix(')'));
    for function in shared {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap={function}");
    }
    cc::Build::new().file(&source).compile("superstream_calls");
    Ok(())
}
