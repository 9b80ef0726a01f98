//! How a library that carries the engine is linked: the drop-in, and the stock engine that the
//! tests and benches compare it with.

use std::env;
use std::path::Path;

/// rust-lld merges this script with rustc's own, which exports what the Rust code defines.
pub fn version_script(functions: &[String]) -> String {
    let mut script = String::from("{\n  global:\n");
    for function in functions {
        script.push_str(&format!("    {function};\n"));
    }
    script.push_str("  local: *;\n};\n");
    script
}

/// Links the cdylib of this package as `librdkafka.so.1` with the exports of `script`.
pub fn link_as_librdkafka(script: &Path) {
    let arguments = [
        format!("-Wl,--version-script={}", script.display()),
        "-Wl,-soname,librdkafka.so.1".to_owned(),
        // The engine's calls to its own public functions stay inside, whichever librdkafka the
        // process loaded first: a handle never reaches another engine.
        "-Wl,-Bsymbolic".to_owned(),
        "-Wl,-z,nodelete".to_owned(),
        "-Wl,-z,defs".to_owned(),
        "-Wl,-z,now".to_owned(),
        // From -O2 on, strings share their tails; `xtask dist` shortens some of them in place.
        "-Wl,-O1".to_owned(),
        // Two version scripts need lld; x86-64 has it by default.
        "-fuse-ld=lld".to_owned(),
    ];
    let needs_lld = env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64");
    for argument in arguments {
        if argument == "-fuse-ld=lld" && !needs_lld {
            continue;
        }
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// Links the cdylib of this package as the library that is preloaded. Its exports are what the Rust
/// code defines: rustc's own version script names them.
#[allow(dead_code, reason = "the stock engine shares this file")]
pub fn link_as_preload() {
    let arguments = [
        "-Wl,-soname,libsuperstream.so.0",
        // Its own functions are its own, whoever else defines some of the same name.
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
        "-Wl,-z,defs",
        "-Wl,-z,now",
    ];
    for argument in arguments {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
