//! Finds a command as `execvp` does.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What glibc uses where there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why there is nothing to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was looked for.
    pub name: String,
    /// It is there, but may not be executed.
    pub is_forbidden: bool,
    /// The script or launcher that named it.
    by: Option<PathBuf>,
}

impl NotFound {
    pub fn named_by(self, file: &Path) -> Self {
        Self {
            by: Some(file.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(by) = &self.by {
            write!(formatter, ", which {} names,", by.display())?;
        }
        match self.is_forbidden {
            true => formatter.write_str(" may not be executed (permission denied)"),
            false => formatter.write_str(" is not found"),
        }
    }
}

/// The file that a name stands for.
pub fn find(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, NotFound> {
    let mut not_found = NotFound {
        name: name.to_string_lossy().into_owned(),
        is_forbidden: false,
        by: None,
    };
    if name.is_empty() {
        return Err(not_found);
    }
    let has_folder = name.as_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = if has_folder {
        vec![PathBuf::from(name)]
    } else {
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        // An empty folder means the present one.
        std::env::split_paths(path)
            .map(|folder| Path::new(".").join(folder).join(name))
            .map(|file| file.strip_prefix("./").map(Path::to_owned).unwrap_or(file))
            .collect()
    };
    for candidate in candidates {
        match candidate.metadata() {
            Ok(metadata) if metadata.is_file() && may_execute(&candidate) => return Ok(candidate),
            Ok(_) => not_found.is_forbidden = true,
            // A folder of PATH that is closed to us holds nothing for us.
            Err(error) => {
                let is_closed = error.kind() == std::io::ErrorKind::PermissionDenied;
                not_found.is_forbidden |= is_closed && has_folder;
            }
        }
    }
    Err(not_found)
}

/// Whether this user may execute a file.
pub fn may_execute(file: &Path) -> bool {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: a C string. The effective user is the one that execve will check.
    unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn executable(file: &Path, mode: u32) {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_executable_along_the_path_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| {
            let part = folder.path().join(name);
            fs::create_dir(&part).unwrap();
            part
        });
        executable(&one.join("app"), 0o644);
        executable(&two.join("app"), 0o755);
        fs::create_dir(one.join("dir")).unwrap();
        let path = std::env::join_paths([&one, &two]).unwrap();

        let found = |name: &str| find(OsStr::new(name), Some(&path));
        assert_eq!(found("app"), Ok(two.join("app")));
        assert!(!found("nothing").unwrap_err().is_forbidden);
        assert!(found("dir").unwrap_err().is_forbidden);
        assert!(!found("").unwrap_err().is_forbidden);
        let direct = one.join("app");
        assert!(find(direct.as_os_str(), None).unwrap_err().is_forbidden);
    }

    #[test]
    fn without_a_path_the_systems_folders_are_searched() {
        assert!(find(OsStr::new("sh"), None).is_ok());
        assert!(find(OsStr::new("sh"), Some(OsStr::new("/nowhere"))).is_err());
    }
}
