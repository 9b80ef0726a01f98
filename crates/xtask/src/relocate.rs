//! Takes the build machine's folders out of a linked library.
//!
//! The vendored OpenSSL, Kerberos and SASL libraries have the folder that they were built in
//! compiled in, and look there for plugins, modules and configuration. On another machine that
//! folder is nobody's: whoever can create it has code loaded into the process. So each such
//! string is overwritten with the place that the distribution uses. The new text is shorter and
//! padded with NULs, as `conda` relocates its packages.
//!
//! The link must not let strings share tails (`embed/link.rs` sees to that), and none of these
//! texts is used with `sizeof` but for the size of a buffer (`g_initialize.c`).

use std::path::Path;

/// The old text, where `@name@` stands for the output folder of that package's build, and the
/// new one, where `{lib}` stands for the system's library folder. These are Debian's values.
const PLACES: &[(&str, &str)] = &[
    ("@krb5-src@/install/bin", "/usr/bin"),
    ("@krb5-src@/install/sbin", "/usr/sbin"),
    ("@krb5-src@/install/lib", "{lib}"),
    ("@krb5-src@/install/lib/gss/", "{lib}/gss/"),
    ("@krb5-src@/install/lib/krb5/plugins", "{lib}/krb5/plugins"),
    (
        "@krb5-src@/install/lib/krb5/plugins/authdata",
        "{lib}/krb5/plugins/authdata",
    ),
    (
        "@krb5-src@/install/lib/krb5/plugins/libkrb5",
        "{lib}/krb5/plugins/libkrb5",
    ),
    ("@krb5-src@/install/etc/gss/mech", "/etc/gss/mech"),
    (
        "@krb5-src@/install/etc/gss/mech.d/*.conf",
        "/etc/gss/mech.d/*.conf",
    ),
    (
        "/etc/krb5.conf:@krb5-src@/install/etc/krb5.conf",
        "/etc/krb5.conf",
    ),
    (
        "@krb5-src@/install/var/krb5kdc/kdc.conf",
        "/etc/krb5kdc/kdc.conf",
    ),
    (
        "FILE:@krb5-src@/install/var/krb5/user/%{euid}/client.keytab",
        "FILE:/etc/krb5/user/%{euid}/client.keytab",
    ),
    ("@sasl2-sys@/install/lib/sasl2", "{lib}/sasl2"),
    (
        "@sasl2-sys@/install/lib/sasl2:@sasl2-sys@/install/etc/sasl2",
        "/etc/sasl2:/etc/sasl:{lib}/sasl2:/usr/lib/sasl2",
    ),
    (
        "@openssl-sys@/openssl-build/install/lib/engines-3",
        "{lib}/engines-3",
    ),
    (
        "@openssl-sys@/openssl-build/install/lib/ossl-modules",
        "{lib}/ossl-modules",
    ),
    (
        "ENGINESDIR: \"@openssl-sys@/openssl-build/install/lib/engines-3\"",
        "ENGINESDIR: \"{lib}/engines-3\"",
    ),
    (
        "MODULESDIR: \"@openssl-sys@/openssl-build/install/lib/ossl-modules\"",
        "MODULESDIR: \"{lib}/ossl-modules\"",
    ),
];

/// Rewrites the `image` of an ELF file that was built in the folder `target` of the folder
/// `workspace` (each ends in a slash). Returns how many strings were rewritten; an error names
/// all those for which there is no rule, and then the image must not be used.
pub fn relocate(image: &mut [u8], target: &str, workspace: &str) -> Result<usize, String> {
    let library_folder = format!("/usr/lib/{}", multiarch(image)?);
    let mut rewritten = 0;
    let mut refused = Vec::new();
    for folder in [target, workspace] {
        let mut from = 0;
        while let Some(at) = find(&image[from..], folder.as_bytes()).map(|at| from + at) {
            let (start, end) = bounds(image, at);
            from = at + folder.len();
            // A workspace may well be /src, which is a part of many a longer path.
            if folder == workspace && ends_a_name(&image[start..at]) {
                continue;
            }
            if let Some(text) = replacement(&image[start..end], target, &library_folder) {
                overwrite(&mut image[start..end], &text)?;
                rewritten += 1;
                from = end;
            } else if !names_a_source_file(&image[at..end]) {
                let shown = &image[start.max(at.saturating_sub(40))..end.min(at + 200)];
                refused.push(String::from_utf8_lossy(shown).into_owned());
            }
        }
    }
    if refused.is_empty() {
        return Ok(rewritten);
    }
    Err(format!(
        "folders of this machine would be built in:\n  {}",
        refused.join("\n  ")
    ))
}

/// Where Debian keeps the libraries of the machine that the ELF file is for.
fn multiarch(image: &[u8]) -> Result<&'static str, String> {
    if image.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("not a little-endian 64-bit ELF file".to_owned());
    }
    match image.get(18..20) {
        Some([0x3e, 0]) => Ok("x86_64-linux-gnu"),
        Some([0xb7, 0]) => Ok("aarch64-linux-gnu"),
        other => Err(format!(
            "no library folder is known for the machine {other:?}"
        )),
    }
}

/// The NUL-terminated string around `at`.
fn bounds(image: &[u8], at: usize) -> (usize, usize) {
    let start = image[..at]
        .iter()
        .rposition(|byte| *byte == 0)
        .map_or(0, |nul| nul + 1);
    let end = image[at..]
        .iter()
        .position(|byte| *byte == 0)
        .map_or(image.len(), |nul| at + nul);
    (start, end)
}

fn ends_a_name(text: &[u8]) -> bool {
    text.last()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
}

fn replacement(old: &[u8], target: &str, library_folder: &str) -> Option<String> {
    let general = generalised(std::str::from_utf8(old).ok()?, target);
    let (_, new) = PLACES.iter().find(|(place, _)| *place == general)?;
    Some(new.replace("{lib}", library_folder))
}

/// Writes `@name@` for `<target>/<profile>/build/<name>-<hash>/out`, wherever that stands.
fn generalised(text: &str, target: &str) -> String {
    let mut general = String::new();
    let mut rest = text;
    while let Some((at, length, name)) = output_folder(rest, target) {
        general.push_str(&rest[..at]);
        general.push_str(&format!("@{name}@"));
        rest = &rest[at + length..];
    }
    general + rest
}

/// The first output folder of a build in `text`: its place, its length and the package's name.
fn output_folder<'a>(text: &'a str, target: &str) -> Option<(usize, usize, &'a str)> {
    let at = text.find(target)?;
    let path = &text[at..];
    let build = path.find("/build/")? + "/build/".len();
    let package = build + path[build..].find("/out/")?;
    let (name, hash) = path[build..package].rsplit_once('-')?;
    let sound = !name.contains('/') && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then_some((at, package + "/out".len(), name))
}

fn overwrite(place: &mut [u8], text: &str) -> Result<(), String> {
    if text.len() > place.len() {
        return Err(format!(
            "no room for {text}: build in a folder with a longer name"
        ));
    }
    place.fill(0);
    place[..text.len()].copy_from_slice(text.as_bytes());
    Ok(())
}

/// `__FILE__` and Rust's panic locations name sources that were compiled here; nothing opens
/// them. Rust's are not terminated, so the file must exist for the name to count.
fn names_a_source_file(text: &[u8]) -> bool {
    let path: String = text
        .iter()
        .take(4096)
        .map(|byte| char::from(*byte))
        .collect();
    [".rs", ".c", ".h", ".S", ".cc", ".cpp"]
        .iter()
        .any(|extension| {
            path.match_indices(extension)
                .any(|(at, _)| Path::new(&path[..at + extension.len()]).is_file())
        })
}

fn find(image: &[u8], text: &[u8]) -> Option<usize> {
    let first = text.first()?;
    let mut from = 0;
    loop {
        let at = from + image.get(from..)?.iter().position(|byte| byte == first)?;
        if image[at..].starts_with(text) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
#[path = "relocate_tests.rs"]
mod tests;
