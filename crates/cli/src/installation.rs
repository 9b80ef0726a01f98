//! Where the libraries are: beside this program, in an installation or where cargo builds.

use std::path::{Path, PathBuf};

/// The libraries that belong to this program.
pub struct Installation {
    /// The preload library.
    pub library: PathBuf,
    /// The second one, with hooks on `dlsym` and `dlopen`.
    pub hooks: PathBuf,
}

impl Installation {
    /// Finds the libraries relative to this program's own file. The error says what is missing.
    pub fn find() -> Result<Self, String> {
        let program = std::env::current_exe()
            .and_then(|program| program.canonicalize())
            .map_err(|error| format!("cannot tell where this program lies: {error}"))?;
        let folder = program.parent().unwrap_or(Path::new("/"));
        let installed = folder.parent().unwrap_or(folder).join("lib");
        let built = folder.join("preload");
        let candidates = [
            (installed.join("libsuperstream.so.0"), &installed),
            (built.join("libsuperstream.so"), &built),
        ];
        for (library, beside) in &candidates {
            if library.is_file() {
                return Ok(Self {
                    library: library.clone(),
                    hooks: beside.join("libsuperstream-hooks.so"),
                });
            }
        }
        let [(first, _), (second, _)] = &candidates;
        Err(format!(
            "the preload library is neither {} nor {}; install the whole tree, with `lib` beside \
             `bin`",
            first.display(),
            second.display()
        ))
    }
}
