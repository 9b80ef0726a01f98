//! Programs that get more rights than their caller: the loader takes LD_PRELOAD from them, and
//! Superstream stays off in them.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What gives the rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    SetUser,
    SetGroup,
    Capabilities,
}

impl Privilege {
    pub fn describe(self) -> &'static str {
        match self {
            Self::SetUser => "it is set-user-ID",
            Self::SetGroup => "it is set-group-ID",
            Self::Capabilities => "it has file capabilities",
        }
    }
}

/// Who would start the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: u32,
    pub group: u32,
    /// The kernel gives this process and its children no more rights, whatever a file asks for.
    pub gains_nothing: bool,
}

impl Caller {
    pub fn own() -> Self {
        // SAFETY: these only read numbers of this process.
        unsafe {
            Self {
                user: libc::getuid(),
                group: libc::getgid(),
                gains_nothing: libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
            }
        }
    }
}

/// What a file gives, and whether that makes a difference for this caller: to root, a program
/// that is set-user-ID root gives nothing.
pub fn of(file: &Path, caller: Caller) -> Option<(Privilege, bool)> {
    let metadata = file.metadata().ok()?;
    let mode = metadata.mode();
    let heeded = !caller.gains_nothing && !ignores_set_user(file);
    if mode & libc::S_ISUID != 0 {
        return Some((Privilege::SetUser, heeded && metadata.uid() != caller.user));
    }
    // Without the group's execute bit, it means mandatory locking.
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 {
        return Some((
            Privilege::SetGroup,
            heeded && metadata.gid() != caller.group,
        ));
    }
    has_capabilities(file).then_some((Privilege::Capabilities, heeded && caller.user != 0))
}

fn has_capabilities(file: &Path) -> bool {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    let attribute = c"security.capability";
    // SAFETY: two C strings; with a size of 0 nothing is written.
    let size =
        unsafe { libc::getxattr(name.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0) };
    size > 0
}

fn ignores_set_user(file: &Path) -> bool {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: a struct of integers, for which zeros are values.
    let mut system: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a struct to be filled.
    let answer = unsafe { libc::statvfs(name.as_ptr(), &raw mut system) };
    answer == 0 && system.f_flag & libc::ST_NOSUID != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn more_rights_are_seen_and_weighed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app");
        fs::write(&file, "").unwrap();
        let metadata = file.metadata().unwrap();
        let owner = Caller {
            user: metadata.uid(),
            group: metadata.gid(),
            gains_nothing: false,
        };
        let stranger = Caller {
            user: owner.user + 1,
            group: owner.group + 1,
            ..owner
        };
        let heeded = !ignores_set_user(&file);
        assert_eq!(of(&file, stranger), None);

        for (mode, privilege) in [(0o4755, Privilege::SetUser), (0o2755, Privilege::SetGroup)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(of(&file, stranger), Some((privilege, heeded)));
            assert_eq!(of(&file, owner), Some((privilege, false)));
            let bound = Caller {
                gains_nothing: true,
                ..stranger
            };
            assert_eq!(of(&file, bound), Some((privilege, false)));
        }
    }
}
