//! The settings that a command gets, checked before anything is started.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the library speaks.
const SCHEMES: [&str; 2] = ["http://", "https://"];
/// The library leaves longer tags out.
const MAX_TAGS_BYTES: usize = 16 * 1024;
/// Longer than any token.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Checks `--host` for what would give a password away, and for what the library would not take:
/// it stays off then, and says so in its log alone.
pub fn check_host(host: &OsStr) -> Result<(), String> {
    let bytes = host.as_bytes();
    if bytes.is_empty() {
        return Err("--host is empty; leave it out to run without Superstream".to_owned());
    }
    if bytes.contains(&b'@') {
        return Err(
            "--host has credentials in it, which every user of this machine could read; put the \
             token into a file and name it with --token-file"
                .to_owned(),
        );
    }
    let text = host.to_str().unwrap_or(" ");
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("--host is no address: there is a blank or another odd character in it".into());
    }
    let is_spoken = |scheme: &&str| {
        let given = text.get(..scheme.len()).unwrap_or_default();
        given.eq_ignore_ascii_case(scheme) && text.len() > scheme.len()
    };
    match SCHEMES.iter().any(is_spoken) {
        true => Ok(()),
        false => Err(format!(
            "--host {text}: write it as http://HOST:PORT or https://HOST:PORT"
        )),
    }
}

/// Checks `--tags`.
pub fn check_tags(tags: &str) -> Result<(), String> {
    if tags.len() > MAX_TAGS_BYTES {
        return Err(format!("--tags is longer than {MAX_TAGS_BYTES} bytes"));
    }
    match serde_json::from_str::<serde_json::Value>(tags) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "--tags is not JSON ({error}); write it as '{{\"team\":\"orders\"}}', in single quotes \
             where a shell reads it"
        )),
    }
}

/// Checks that a token file can be read, now and later, and holds a token. Returns its absolute
/// path, for the command may change its folder. Symbolic links stay: they are how tokens are
/// changed.
pub fn check_token_file(file: &Path) -> Result<PathBuf, String> {
    check_token(file).map_err(|why| format!("--token-file {why}"))
}

/// The same of the file that `SUPERSTREAM_TOKEN_FILE` names, where it is the one that counts.
pub fn check_environment() -> Result<(), String> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (given("SUPERSTREAM_TOKEN"), given("SUPERSTREAM_TOKEN_FILE")) {
        (None, Some(file)) => check_token(Path::new(&file))
            .map(|_| ())
            .map_err(|why| format!("SUPERSTREAM_TOKEN_FILE {why}")),
        _ => Ok(()),
    }
}

fn check_token(file: &Path) -> Result<PathBuf, String> {
    let refuse = |why: String| Err(format!("{} {why}", file.display()));
    match fs::metadata(file) {
        Err(error) => return refuse(format!("cannot be read: {error}")),
        Ok(metadata) if !metadata.is_file() => {
            return refuse("is no regular file: it has to be readable at any time".to_owned());
        }
        Ok(_) => {}
    }
    match read(file) {
        Err(error) => return refuse(format!("cannot be read: {error}")),
        Ok(token) => {
            // A line end is no part of it; a blank behind it would be.
            let end = token.iter().rposition(|byte| !b"\r\n".contains(byte));
            let token = &token[..end.map_or(0, |last| last + 1)];
            if token.is_empty() {
                return refuse("is empty".to_owned());
            }
            if token.iter().any(|byte| !(0x21..=0x7e).contains(byte)) {
                return refuse(
                    "holds a blank, a second line or a character outside ASCII: that is no token"
                        .to_owned(),
                );
            }
        }
    }
    std::path::absolute(file).or_else(|error| refuse(format!("has no absolute path: {error}")))
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // Should it have become a pipe meanwhile, opening it does not wait.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(file)?
        .take(MAX_TOKEN_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_cannot_be_meant_are_refused() {
        for good in ["https://s.example.com", "http://h:7777", "HTTP://h"] {
            assert_eq!(check_host(OsStr::new(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://u:secret@h",
            "a b",
            "http://h\n",
            " ",
            "h:7777",
            "nats://h:4222",
            "http://",
        ] {
            let error = check_host(OsStr::new(bad)).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn tags_are_json() {
        assert_eq!(check_tags(r#"{"team":"orders"}"#), Ok(()));
        assert!(
            check_tags("{team:orders}")
                .unwrap_err()
                .contains("not JSON")
        );
        let long = format!("\"{}\"", "x".repeat(MAX_TAGS_BYTES));
        assert!(check_tags(&long).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_token_file_holds_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (content, complaint) in [
            ("a b", "no token"),
            ("a \n", "no token"),
            ("a\nb\n", "no token"),
            ("\r\n", "empty"),
        ] {
            fs::write(&file, content).unwrap();
            let error = check_token_file(&file).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
        fs::write(&file, "good\n").unwrap();
        assert_eq!(check_token_file(&file), Ok(file.clone()));
        assert!(
            check_token_file(folder.path())
                .unwrap_err()
                .contains("no regular file")
        );
        let missing = folder.path().join("missing");
        assert!(
            check_token_file(&missing)
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
