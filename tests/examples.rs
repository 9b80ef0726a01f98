//! The ways in which projects find the installed tree, each by an example.

use std::fs;
use std::path::Path;
use std::process::Command;
use superstream_tests::tree::{library, tree};
use superstream_tests::{Cluster, assert_success, root, run, scratch, tool, unique};

/// A command that finds the tree by pkg-config and nothing else by it.
fn with_pkg_config(program: &str) -> Command {
    let mut command = tool(program);
    command
        .env("PKG_CONFIG_LIBDIR", library().join("pkgconfig"))
        .env_remove("PKG_CONFIG_PATH");
    command
}

/// Runs a program that got the tree's library when it was linked, and none at another place.
fn version_of(program: &Path) -> String {
    run(&mut superstream_tests::with_library_in(&library(), program))
}

#[test]
fn a_project_finds_it_by_pkg_config() {
    assert_eq!(
        run(with_pkg_config("pkg-config").args(["--modversion", "rdkafka"])),
        "2.12.1\n"
    );
    let folder = unique(scratch(), "pkg-config-example");
    copy(&root().join("examples/pkg_config"), &folder);
    run(with_pkg_config("make").arg("-C").arg(&folder));
    assert_eq!(version_of(&folder.join("version")), "librdkafka 2.12.1\n");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_project_finds_it_by_find_package() {
    let build = unique(scratch(), "find-package-example");
    run(tool("cmake")
        .arg("-S")
        .arg(root().join("examples/find_package"))
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", tree().display())));
    run(tool("cmake").arg("--build").arg(&build));
    for program in ["version", "version_superstream"] {
        // Without LD_LIBRARY_PATH: CMake's RPATH leads to the tree.
        assert_eq!(run(&mut tool(build.join(program))), "librdkafka 2.12.1\n");
    }
    fs::remove_dir_all(build).unwrap();
}

#[test]
fn python_uses_it_through_ctypes() {
    let cluster = Cluster::start(&["records:4"]);
    let mut python = tool("python3");
    python
        .arg(root().join("examples/python/produce_consume.py"))
        .args([&cluster.brokers, "records", "-n", "2000"])
        .env("RDKAFKA_LIBRARY", library().join("librdkafka.so.1"));
    assert_eq!(
        run(&mut python),
        "librdkafka 2.12.1\nproduced 2000\nconsumed 2000\n"
    );
    cluster.stop();
}

/// The target folder is a fixed one: `xtask matrix` reads there what the program imports.
#[test]
fn rust_links_it_dynamically() {
    let target = scratch().join("rust-example");
    let mut build = with_pkg_config(env!("CARGO"));
    build
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--manifest-path",
        ])
        .arg(root().join("examples/rust/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(root().join("examples/rust"));
    run(&mut build);

    let cluster = Cluster::start(&["records:4"]);
    let program = target.join("release/produce-consume");
    let mut command = superstream_tests::with_library_in(&library(), program);
    let output = command
        .args([&cluster.brokers, "records", "2000"])
        .output()
        .unwrap();
    assert_success(&command, &output);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "librdkafka 2.12.1\nproduced 2000\nconsumed 2000\n");
    cluster.stop();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
