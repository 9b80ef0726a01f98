//! Which libraries a file would get: asked of the system's own loader, in its listing mode.
//!
//! The loader maps the files to read them; it runs nothing of them, not even their own idea of a
//! loader: only the one of glibc is started, at the place where glibc has it. What it would run are
//! the audit libraries that a file names: such files must not be given to it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// Where glibc has its loader, by the machine that this program was built for.
const LOADER: &str = match cfg!(target_arch = "aarch64") {
    true => "/lib/ld-linux-aarch64.so.1",
    false => "/lib64/ld-linux-x86-64.so.2",
};

/// What kind of loader a program names for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// glibc's, where it belongs.
    Ours,
    /// One that looks like glibc's, elsewhere.
    LikeOurs,
    Musl,
    Other,
}

impl Loader {
    pub fn of(interpreter: &str) -> Self {
        let name = interpreter.rsplit('/').next().unwrap_or(interpreter);
        let own = LOADER.rsplit('/').next().unwrap_or(LOADER);
        match name {
            _ if interpreter == LOADER => Self::Ours,
            // Debian's merged folders, and the link's target.
            _ if name == own && same_file(interpreter) => Self::Ours,
            _ if name.starts_with("ld-musl") => Self::Musl,
            _ if name.starts_with("ld-linux") => Self::LikeOurs,
            _ => Self::Other,
        }
    }
}

fn same_file(interpreter: &str) -> bool {
    match (
        Path::new(interpreter).canonicalize(),
        Path::new(LOADER).canonicalize(),
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The libraries that the loader would map for a file, in its order. The error says what the
/// loader says.
pub fn list(file: &Path, library_path: Option<&OsStr>) -> Result<Vec<PathBuf>, String> {
    let mut command = Command::new(LOADER);
    command.arg("--list").arg(file);
    // What the caller preloads, audits or debugs is not the program's.
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"LD_") || name == "GLIBC_TUNABLES" {
            command.env_remove(name);
        }
    }
    if let Some(path) = library_path {
        command.env("LD_LIBRARY_PATH", path);
    }
    let (listed, said) = output(&mut command).map_err(|error| format!("{LOADER}: {error}"))?;
    let libraries = parse(&listed);
    match said.lines().next() {
        Some(complaint) if libraries.is_empty() => Err(complaint.to_owned()),
        _ => Ok(libraries),
    }
}

/// Runs a command to its end. Its exit code is not asked for: where a parent ignores SIGCHLD,
/// there is none.
fn output(command: &mut Command) -> std::io::Result<(Vec<u8>, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut listed = Vec::new();
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut listed)?;
    }
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut said)?;
    }
    // Collected, so that no zombie is left to the command that this process may become.
    let _ = child.wait();
    forget_its_signal();
    Ok((listed, said))
}

/// Where SIGCHLD is blocked, the one of our child would stay pending for the command. Setting a
/// signal that is ignored, by default or not, to what it is discards it.
fn forget_its_signal() {
    // SAFETY: a struct of integers and an optional function, for which zeros are values; it is
    // filled in before it is set again, and no signal handler is ever set here.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut present) == 0 {
            libc::sigaction(libc::SIGCHLD, &raw const present, std::ptr::null_mut());
        }
    }
}

/// Lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`.
fn parse(listed: &[u8]) -> Vec<PathBuf> {
    listed
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let line = line.trim_ascii();
            let end = memchr::memmem::rfind(line, b" (0x")?;
            let line = &line[..end];
            let start = memchr::memmem::find(line, b" => ").map_or(0, |at| at + 4);
            line[start..]
                .starts_with(b"/")
                .then(|| path(&line[start..]))
        })
        .collect()
}

/// A path without the `..` that a wheel's `$ORIGIN/../x.libs` leaves in it.
fn path(bytes: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(bytes));
    let has_steps_up = path.components().any(|part| part == Component::ParentDir);
    match has_steps_up.then(|| path.canonicalize()) {
        Some(Ok(straight)) => straight,
        Some(Err(_)) | None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_is_understood() {
        let listed = b"\tlinux-vdso.so.1 (0x00007f03fd148000)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f03fcd5b000)\n\
            \tlibmy.so => /my folder (0x1)/libmy.so (0x00007f03fcd35000)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f03fd14a000)\n\
            \tstatically linked\n";
        assert_eq!(
            parse(listed),
            [
                Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
                Path::new("/my folder (0x1)/libmy.so"),
                Path::new("/lib64/ld-linux-x86-64.so.2"),
            ]
        );
    }

    #[test]
    fn loaders_are_told_apart() {
        assert_eq!(Loader::of(LOADER), Loader::Ours);
        assert_eq!(Loader::of("/lib/ld-musl-x86_64.so.1"), Loader::Musl);
        assert_eq!(
            Loader::of("/nix/store/x/lib/ld-linux-x86-64.so.2"),
            Loader::LikeOurs
        );
        assert_eq!(Loader::of("/system/bin/linker64"), Loader::Other);
    }

    #[test]
    fn this_test_has_a_libc() {
        let own = std::env::current_exe().unwrap();
        let libraries = list(&own, None).unwrap();
        assert!(
            libraries
                .iter()
                .any(|library| library.ends_with("libc.so.6")),
            "{libraries:?}"
        );
    }
}
