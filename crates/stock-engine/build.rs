//! Links the engine's archive as it is, with the link arguments of the drop-in.

#[path = "../../embed/glibc.rs"]
mod glibc;
#[path = "../../embed/headers.rs"]
mod headers;
#[path = "../../embed/link.rs"]
mod link;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    for source in ["glibc.c", "glibc.rs", "headers.rs", "link.rs"] {
        println!("cargo:rerun-if-changed=../../embed/{source}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let engine = PathBuf::from(
        env::var("DEP_RDKAFKA_ROOT")
            .map_err(|_| "rdkafka-sys did not say where it built librdkafka (DEP_RDKAFKA_ROOT)")?,
    )
    .join("src");

    // A name of its own: rdkafka-sys links `librdkafka.a` too, without `whole-archive`.
    fs::copy(engine.join("librdkafka.a"), out.join("libstock_engine.a"))?;
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static:+whole-archive=stock_engine");

    let script = out.join("exports.map");
    fs::write(
        &script,
        link::version_script(&headers::public_functions(&engine)?),
    )?;
    link::link_as_librdkafka(&script);
    glibc::link(Path::new("../../embed"), &out)?;
    Ok(())
}
