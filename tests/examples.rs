//! The installed tree, and the ways in which projects find it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "each test uses a part of the support")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::{Cluster, assert_success, built, cargo, root, run, scratch, tool, unique};

/// An installed tree, moved after it was made: nothing in it may name its folder.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        cargo(&["build", "--quiet", "--workspace"]);
        let made = scratch().join("dist-made");
        let moved = scratch().join("dist-moved");
        for old in [&made, &moved] {
            if old.exists() {
                fs::remove_dir_all(old).unwrap();
            }
        }
        run(tool(built().join("xtask"))
            .arg("dist")
            .arg("--prefix")
            .arg(&made));
        fs::rename(&made, &moved).unwrap();
        moved
    })
}

fn library() -> PathBuf {
    tree().join("lib")
}

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
    run(support::with_library_in(&library(), program).env_remove("SUPERSTREAM_HOST"))
}

#[test]
fn the_tree_is_complete() {
    for file in [
        "lib/librdkafka.so.1",
        "lib/librdkafka.so",
        "lib/pkgconfig/rdkafka.pc",
        "lib/cmake/RdKafka/RdKafkaConfig.cmake",
        "include/librdkafka/rdkafka.h",
        "include/librdkafka/rdkafka_mock.h",
        "bin/superstream-service",
    ] {
        assert!(tree().join(file).exists(), "{file} is missing");
    }
    let link = fs::read_link(library().join("librdkafka.so")).unwrap();
    assert_eq!(link, Path::new("librdkafka.so.1"));
}

#[test]
fn the_loader_cache_takes_the_library_under_its_soname() {
    let cache = unique(scratch(), "ld.so.cache");
    let configuration = unique(scratch(), "ld.so.conf");
    fs::write(&configuration, format!("{}\n", library().display())).unwrap();
    run(tool("/sbin/ldconfig")
        .arg("-N")
        .arg("-X")
        .arg("-f")
        .arg(&configuration));
    run(tool("/sbin/ldconfig")
        .arg("-X")
        .arg("-C")
        .arg(&cache)
        .arg("-f")
        .arg(&configuration));
    let listed = run(tool("/sbin/ldconfig").arg("-p").arg("-C").arg(&cache));
    let ours = library().join("librdkafka.so.1");
    assert!(
        listed.contains(&format!("=> {}", ours.display())),
        "{listed}"
    );
    fs::remove_file(cache).unwrap();
    fs::remove_file(configuration).unwrap();
}

/// A folder of the build machine is nobody's elsewhere: what is looked for there is whatever
/// somebody puts there.
#[test]
fn no_folder_of_the_build_machine_is_left() {
    let strings = run(tool("strings")
        .arg("-a")
        .arg(library().join("librdkafka.so.1")));
    let target = built().parent().unwrap().to_owned();
    for text in strings
        .lines()
        .filter(|text| text.contains(target.to_str().unwrap()))
    {
        assert!(text.contains(".rs") || text.ends_with(".c"), "{text}");
    }
    for place in ["/etc/krb5.conf", "/etc/gss/mech"] {
        assert!(
            strings.lines().any(|text| text == place),
            "{place} is missing"
        );
    }
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
fn cmake_installs_the_same_tree() {
    let build = unique(scratch(), "cmake-build");
    let prefix = unique(scratch(), "cmake-prefix");
    run(tool("cmake").arg("-S").arg(root()).arg("-B").arg(&build));
    run(tool("cmake")
        .arg("--install")
        .arg(&build)
        .arg("--prefix")
        .arg(&prefix));
    assert_eq!(files(&prefix), files(tree()));
    fs::remove_dir_all(build).unwrap();
    fs::remove_dir_all(prefix).unwrap();
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
    let mut command = support::with_library_in(&library(), program);
    let output = command
        .args([&cluster.brokers, "records", "2000"])
        .output()
        .unwrap();
    assert_success(&command, &output);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "librdkafka 2.12.1\nproduced 2000\nconsumed 2000\n");
    cluster.stop();
}

/// The names and contents of all files below `folder`.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
