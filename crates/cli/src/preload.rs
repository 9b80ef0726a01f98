//! `LD_PRELOAD`: our libraries in front of what is there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Characters of a path that the loader gives a meaning: it splits at the first two, and replaces
/// `$ORIGIN` and the like.
const SPECIAL: [(u8, &str); 3] = [
    (b' ', "a space"),
    (b':', "a colon"),
    (b'$', "a dollar sign"),
];

/// Why a library cannot be named in `LD_PRELOAD`, if so.
pub fn unusable(library: &Path) -> Option<String> {
    let path = library.as_os_str().as_bytes();
    SPECIAL.iter().find_map(|(byte, name)| {
        path.contains(byte).then(|| {
            format!(
                "{} has {name} in it, which LD_PRELOAD cannot name; install Superstream where its \
                 path has none",
                library.display()
            )
        })
    })
}

/// `LD_PRELOAD` with our libraries in front, once. What others have put there stays, in its order;
/// AddressSanitizer's library stays the first, or it ends the program.
pub fn in_front(libraries: &[&Path], present: &OsStr) -> OsString {
    let mut value: Vec<u8> = Vec::new();
    let ours = libraries
        .iter()
        .map(|library| library.as_os_str().as_bytes());
    let (first, others): (Vec<_>, Vec<_>) = others(present).partition(|entry| is_sanitizer(entry));
    for entry in first.into_iter().chain(ours).chain(others) {
        if !value.is_empty() {
            value.push(b':');
        }
        value.extend_from_slice(entry);
    }
    OsString::from_vec(value)
}

/// Whether the library with the hooks is there already.
pub fn has_hooks(present: &OsStr) -> bool {
    entries(present).any(|entry| is_hooks(Path::new(OsStr::from_bytes(entry))))
}

/// Whether AddressSanitizer's library is there.
pub fn has_sanitizer(present: &OsStr) -> bool {
    entries(present).any(is_sanitizer)
}

/// AddressSanitizer's library, by the names that it knows itself under.
pub fn is_sanitizer(entry: &[u8]) -> bool {
    let name = file_name(entry);
    name.starts_with(b"libasan.so") || name.starts_with(b"libclang_rt.asan")
}

/// Whether a file is the first library.
pub fn is_first(library: &Path) -> bool {
    file_name(library.as_os_str().as_bytes()).starts_with(b"libsuperstream.so")
}

/// Whether a file is the library with the hooks.
pub fn is_hooks(library: &Path) -> bool {
    file_name(library.as_os_str().as_bytes()).starts_with(b"libsuperstream-hooks.so")
}

fn others(present: &OsStr) -> impl Iterator<Item = &[u8]> {
    entries(present).filter(|entry| !is_ours(entry))
}

fn entries(present: &OsStr) -> impl Iterator<Item = &[u8]> {
    present
        .as_bytes()
        .split(|byte| matches!(byte, b' ' | b':'))
        .filter(|entry| !entry.is_empty())
}

/// Ours, of whichever installation: two of them in one process would act twice.
fn is_ours(entry: &[u8]) -> bool {
    let library = Path::new(OsStr::from_bytes(entry));
    is_first(library) || is_hooks(library)
}

fn file_name(entry: &[u8]) -> &[u8] {
    entry.rsplit(|byte| *byte == b'/').next().unwrap_or(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preload(libraries: &[&str], present: &str) -> String {
        let libraries: Vec<&Path> = libraries.iter().map(Path::new).collect();
        in_front(&libraries, OsStr::new(present))
            .into_string()
            .unwrap()
    }

    #[test]
    fn what_is_there_stays_behind_ours() {
        for (present, expected) in [
            ("", "/s/libsuperstream.so.0"),
            ("/m.so", "/s/libsuperstream.so.0:/m.so"),
            (
                "/m.so /n.so:o.so",
                "/s/libsuperstream.so.0:/m.so:/n.so:o.so",
            ),
            (" :/m.so: ", "/s/libsuperstream.so.0:/m.so"),
        ] {
            assert_eq!(preload(&["/s/libsuperstream.so.0"], present), expected);
        }
    }

    #[test]
    fn ours_is_there_once_and_first() {
        let present = "/m.so:/s/libsuperstream.so.0 /old/libsuperstream.so:libsuperstream-hooks.so";
        assert_eq!(preload(&["/s/a", "/s/b"], present), "/s/a:/s/b:/m.so");
        assert!(has_hooks(OsStr::new(present)));
        assert!(!has_hooks(OsStr::new("/libsuperstream-hooks.so.d/m.so")));
        let foreign = "/x/libsuperstreamer.so";
        assert_eq!(preload(&["/s/a"], foreign), format!("/s/a:{foreign}"));
    }

    #[test]
    fn a_sanitizer_stays_the_first() {
        let present = "/m.so:/lib/libasan.so.8";
        assert_eq!(preload(&["/s/a"], present), "/lib/libasan.so.8:/s/a:/m.so");
        assert!(has_sanitizer(OsStr::new(present)));
        assert!(!has_sanitizer(OsStr::new("/libasan.so.d/libtsan.so.2")));
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_named() {
        assert_eq!(unusable(Path::new("/opt/superstream/lib/l.so")), None);
        for (path, what) in [("/my lib/l.so", "a space"), ("/a:b/l.so", "a colon")] {
            assert!(unusable(Path::new(path)).unwrap().contains(what));
        }
    }
}
