//! Embeds the engine: takes the archive that `rdkafka-sys` built, renames the functions that
//! we intercept so that Rust can define them, and exports the engine's public functions.
//!
//! Without the feature `embedded-engine` there is nothing to embed.

mod archive;
mod calls;
mod glibc;
mod headers;
mod link;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The functions that `src/entry.rs` defines in the engine's place. Their originals stay
/// reachable under the prefix of [`archive::RENAMED`].
const INTERCEPTED: &[&str] = &["rd_kafka_new", "rd_kafka_topic_new"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=embed");
    if env::var_os("CARGO_FEATURE_EMBEDDED_ENGINE").is_none() {
        link::link_as_preload();
        return Ok(());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let engine = PathBuf::from(
        env::var("DEP_RDKAFKA_ROOT")
            .map_err(|_| "rdkafka-sys did not say where it built librdkafka (DEP_RDKAFKA_ROOT)")?,
    );

    let archive = out.join("libsuperstream_engine.a");
    archive::embed(&engine.join("src/librdkafka.a"), &archive, INTERCEPTED)?;
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static:+whole-archive=superstream_engine");
    compile_mend(&engine)?;

    let functions = headers::public_functions(&engine.join("src"))?;
    let script = out.join("exports.map");
    fs::write(&script, link::version_script(&functions))?;
    link::link_as_librdkafka(&script);
    glibc::link(Path::new("embed"), &out)?;
    calls::share(Path::new("embed"))?;
    publish(&engine, &functions, &out)?;
    Ok(())
}

/// `mend.c` sees the engine's private types, so it is compiled with the engine's own flags.
fn compile_mend(engine: &Path) -> Result<(), Box<dyn Error>> {
    let configuration = fs::read_to_string(engine.join("Makefile.config"))?;
    let mut mend = cc::Build::new();
    let flags = configuration
        .lines()
        .filter(|line| line.starts_with("CFLAGS") || line.starts_with("CPPFLAGS"))
        .flat_map(str::split_whitespace);
    for flag in flags {
        if flag.starts_with("-I") || flag.starts_with("-D") {
            mend.flag(flag);
        }
    }
    mend.include(engine)
        .include(engine.join("src"))
        .warnings(false)
        .file("embed/mend.c")
        .compile("superstream_mend");
    Ok(())
}

/// What the tools of the project need of this build, where they can find it: beside the product.
fn publish(engine: &Path, functions: &[String], out: &Path) -> Result<(), Box<dyn Error>> {
    // OUT_DIR is target/<profile>/build/<package>/out.
    let profile = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR is not inside a target folder")?;
    let folder = profile.join("engine");
    fs::create_dir_all(&folder)?;
    for header in headers::HEADERS {
        fs::copy(engine.join("src").join(header), folder.join(header))?;
    }
    fs::write(folder.join("functions.txt"), functions.join("\n") + "\n")?;
    fs::write(
        folder.join("intercepted.txt"),
        INTERCEPTED.join("\n") + "\n",
    )?;
    Ok(())
}
