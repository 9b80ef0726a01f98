//! Fills the installed tree.

use crate::{Failure, relocate, root, run};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// The installed tree, relative to the prefix: each path is relocatable.
const RDKAFKA_PC: &str = "\
prefix=${pcfiledir}/../..
libdir=${prefix}/lib
includedir=${prefix}/include

Name: librdkafka
Description: The Apache Kafka C library, with Superstream in it
Version: @VERSION@
Cflags: -I${includedir}
Libs: -L${libdir} -lrdkafka
";

const SUPERSTREAM_PC: &str = "\
prefix=${pcfiledir}/../..
includedir=${prefix}/include

Name: superstream
Description: Superstream's own functions in its librdkafka
Version: @VERSION@
Requires: rdkafka
Cflags: -I${includedir}
";

/// The products beside the drop-in: where cargo and `make preload` put each, and where it goes.
const PRODUCTS: &[(&str, &str, u32)] = &[
    (
        "preload/libsuperstream.so",
        "lib/libsuperstream.so.0",
        0o644,
    ),
    (
        "preload/libsuperstream-hooks.so",
        "lib/libsuperstream-hooks.so",
        0o644,
    ),
    (
        "preload/libsuperstream-plugin.so",
        "lib/libsuperstream-plugin.so",
        0o644,
    ),
    ("superstream", "bin/superstream", 0o755),
    ("superstream-service", "bin/superstream-service", 0o755),
];

/// Fills `prefix` from `built`, the folder with cargo's products, and the drop-in `library`.
pub fn fill(built: &Path, library: &Path, prefix: &Path) -> Result<(), Failure> {
    let headers = built.join("engine");
    let engine = engine_version(&fs::read_to_string(headers.join("rdkafka.h"))?)?;
    let own = env!("CARGO_PKG_VERSION");

    product(library, built, &prefix.join("lib/librdkafka.so.1"), 0o644)?;
    link("librdkafka.so.1", &prefix.join("lib/librdkafka.so"))?;
    for (from, to, mode) in PRODUCTS {
        product(&built.join(from), built, &prefix.join(to), *mode)?;
    }
    link("libsuperstream.so.0", &prefix.join("lib/libsuperstream.so"))?;

    for header in ["rdkafka.h", "rdkafka_mock.h"] {
        let to = prefix.join("include/librdkafka").join(header);
        put(&to, &fs::read(headers.join(header))?, 0o644)?;
    }
    let own_header = root().join("include/superstream.h");
    if own_header.exists() {
        put(
            &prefix.join("include/superstream.h"),
            &fs::read(own_header)?,
            0o644,
        )?;
    }

    let texts = [
        ("pkgconfig/rdkafka.pc", RDKAFKA_PC, engine.as_str()),
        ("pkgconfig/superstream.pc", SUPERSTREAM_PC, own),
        ("cmake/RdKafka/RdKafkaConfig.cmake", CMAKE_RDKAFKA, ""),
        (
            "cmake/RdKafka/RdKafkaConfigVersion.cmake",
            CMAKE_VERSION,
            &engine,
        ),
        (
            "cmake/Superstream/SuperstreamConfig.cmake",
            CMAKE_SUPERSTREAM,
            "",
        ),
        (
            "cmake/Superstream/SuperstreamConfigVersion.cmake",
            CMAKE_VERSION,
            own,
        ),
    ];
    for (name, text, version) in texts {
        let text = text.replace("@VERSION@", version);
        put(&prefix.join("lib").join(name), text.as_bytes(), 0o644)?;
    }
    println!(
        "{}: librdkafka {engine}, superstream {own}",
        prefix.display()
    );
    Ok(())
}

const CMAKE_RDKAFKA: &str = include_str!("../../../cmake/RdKafkaConfig.cmake");
const CMAKE_SUPERSTREAM: &str = include_str!("../../../cmake/SuperstreamConfig.cmake");
const CMAKE_VERSION: &str = include_str!("../../../cmake/ConfigVersion.cmake.in");

/// Installs an ELF file without debug information and without folders of this machine.
fn product(from: &Path, built: &Path, to: &Path, mode: u32) -> Result<(), Failure> {
    if !from.exists() {
        return Err(format!("{} is missing: run `make build`", from.display()).into());
    }
    let stripped = to.with_extension("stripped");
    make_folder_of(to)?;
    run(Command::new("strip")
        .arg("--strip-unneeded")
        .arg("-o")
        .arg(&stripped)
        .arg(from))?;
    let image = fs::read(&stripped);
    fs::remove_file(&stripped)?;
    let mut image = image?;

    let target = built.parent().ok_or("no target folder")?.canonicalize()?;
    let target = format!("{}/", target.display());
    let workspace = format!("{}/", root().canonicalize()?.display());
    relocate::relocate(&mut image, &target, &workspace)
        .map_err(|error| format!("{}: {error}", from.display()))?;
    put(to, &image, mode)
}

/// Replaces the file `to` as a whole: a running program keeps the one that it has mapped.
fn put(to: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
    make_folder_of(to)?;
    let fresh = to.with_extension("new");
    fs::write(&fresh, contents)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
    fs::rename(&fresh, to)?;
    Ok(())
}

fn link(target: &str, link: &Path) -> Result<(), Failure> {
    let fresh = link.with_extension("new");
    if fresh.is_symlink() {
        fs::remove_file(&fresh)?;
    }
    symlink(target, &fresh)?;
    fs::rename(&fresh, link)?;
    Ok(())
}

fn make_folder_of(file: &Path) -> Result<(), Failure> {
    fs::create_dir_all(file.parent().ok_or("a file needs a folder")?)?;
    Ok(())
}

/// `2.12.1` of `#define RD_KAFKA_VERSION 0x020c01ff`.
pub fn engine_version(header: &str) -> Result<String, Failure> {
    let number = header
        .lines()
        .find_map(|line| line.strip_prefix("#define RD_KAFKA_VERSION"))
        .and_then(|rest| u32::from_str_radix(rest.trim().strip_prefix("0x")?, 16).ok())
        .ok_or("rdkafka.h does not say its version")?;
    let [major, minor, revision, _] = number.to_be_bytes();
    Ok(format!("{major}.{minor}.{revision}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::engine_version;

    #[test]
    fn the_version_comes_from_the_header() {
        let header = "/* */\n#define RD_KAFKA_VERSION 0x020c01ff\n#define OTHER 1\n";
        assert_eq!(engine_version(header).unwrap(), "2.12.1");
        assert!(engine_version("nothing").is_err());
    }
}
