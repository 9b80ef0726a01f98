//! The libraries as they are measured: several copies of each.

use std::fs;
use std::path::PathBuf;

use superstream_tests::{Library, run, scratch, tool, unique};

/// How the pages of a file lie in memory differs from copy to copy and is worth a percent, so
/// each library is measured in several.
pub const COPIES: usize = 8;

/// Ours first.
pub const LIBRARIES: [Library; 2] = [Library::DropIn, Library::Stock];

/// Copies of the two libraries, each in a folder of its own. Another build meanwhile does not
/// touch them. They have no debug information: the loader never looks at it.
pub struct Copies {
    pub folder: PathBuf,
}

impl Copies {
    pub fn make() -> Self {
        let copies = Self {
            folder: unique(scratch(), "cost"),
        };
        fs::create_dir_all(&copies.folder).unwrap();
        for library in LIBRARIES {
            let original = library.folder().join("librdkafka.so.1");
            let stripped = unique(&copies.folder, "stripped");
            run(tool("strip")
                .arg("--strip-debug")
                .arg("-o")
                .args([&stripped, &original]));
            for copy in 0..COPIES {
                let file = copies.file(library, copy);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                // A file lies in memory as it was written, and that decides how much of it the
                // kernel maps at once. `cp` and installers write it in large pieces, `strip`
                // does not, and the figures differ.
                fs::copy(&stripped, &file).unwrap();
            }
        }
        copies
    }

    pub fn folder(&self, library: Library, copy: usize) -> PathBuf {
        self.folder.join(format!("{library:?}-{copy}"))
    }

    pub fn file(&self, library: Library, copy: usize) -> PathBuf {
        self.folder(library, copy).join("librdkafka.so.1")
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // Nothing that a failure here could spoil.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
