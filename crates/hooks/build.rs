//! Links the second preload library. What it exports is what its code exports: rustc's own
//! version script names `dlsym` and `dlopen`, and nothing else.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-Wl,-soname,libsuperstream-hooks.so",
        "-Wl,-Bsymbolic",
        // Other libraries keep the addresses of its functions.
        "-Wl,-z,nodelete",
        "-Wl,-z,defs",
        // The first call to a function of another library must not need the loader's lock.
        "-Wl,-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
