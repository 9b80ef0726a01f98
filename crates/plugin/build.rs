//! Links the plugin: what it exports is what its code exports, `conf_init` alone.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-Wl,-soname,libsuperstream-plugin.so",
        "-Wl,-Bsymbolic",
        // The engine closes its plugins, and something of ours may still be in use then.
        "-Wl,-z,nodelete",
        "-Wl,-z,defs",
        "-Wl,-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
