//! An installed tree for the tests.

use super::{Library, built, own_name, run, scratch, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An installed tree with the library of this test run and the service that was built last,
/// moved after it was made: nothing in it may name its folder.
pub fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        // Each test program has its own: they may run side by side.
        let name = own_name();
        let made = scratch().join(format!("tree-made-{name}"));
        let moved = scratch().join(format!("tree-{name}"));
        for old in [&made, &moved] {
            if old.exists() {
                fs::remove_dir_all(old).unwrap();
            }
        }
        run(tool(built().join("xtask"))
            .arg("dist")
            .arg("--library")
            .arg(Library::DropIn.file())
            .arg("--prefix")
            .arg(&made));
        fs::rename(&made, &moved).unwrap();
        moved
    })
}

pub fn library() -> PathBuf {
    tree().join("lib")
}
