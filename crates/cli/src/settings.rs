//! The settings that a command gets, checked before anything is started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use superstream_settings::{Endpoint, Token};

/// Checks `--host` for what would give a password away, and for what the library would not take:
/// it stays off then, and says so in its log alone.
pub fn check_host(host: &OsStr) -> Result<(), String> {
    if host.is_empty() {
        return Err("--host is empty; leave it out to run without Superstream".to_owned());
    }
    let Some(text) = host.to_str() else {
        return Err("--host is not UTF-8".to_owned());
    };
    match Endpoint::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "--host {error}; write it as https://HOST:PORT or nats://HOST:PORT, and name the token's \
             file with --token-file"
        )),
    }
}

/// Checks `--tags`.
pub fn check_tags(tags: &str) -> Result<(), String> {
    superstream_settings::check_tags(tags).map_err(|error| {
        format!(
            "--tags {error}; write it as '{{\"team\":\"orders\"}}', in single quotes where a \
             shell reads it"
        )
    })
}

/// Checks that a token file can be read, now and later, and holds a token. Returns its absolute
/// path, for the command may change its folder. Symbolic links stay: they are how tokens are
/// changed.
pub fn check_token_file(file: &Path) -> Result<PathBuf, String> {
    let checked = Token::of_file(file).and_then(|_| {
        std::path::absolute(file).map_err(|error| format!("has no absolute path: {error}"))
    });
    checked.map_err(|error| format!("--token-file {} {error}", file.display()))
}

/// The same of the file that `SUPERSTREAM_TOKEN_FILE` names, where it is the one that counts.
pub fn check_environment() -> Result<(), String> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (given("SUPERSTREAM_TOKEN"), given("SUPERSTREAM_TOKEN_FILE")) {
        (None, Some(file)) => Token::of_file(Path::new(&file))
            .map(drop)
            .map_err(|error| format!("SUPERSTREAM_TOKEN_FILE {} {error}", file.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn hosts_that_cannot_be_meant_are_refused() {
        for good in [
            "https://s.example.com",
            "http://h:7777",
            "HTTP://h",
            "nats://h:4222",
            "tls://h",
            "h:4222",
            "veltix://h",
            "veltixs://h:8080",
            "s.example.com",
        ] {
            assert_eq!(check_host(OsStr::new(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://u:secret@h",
            "nats://u:secret@h",
            "u:secret@h",
            "ws://h",
            "veltix://u:secret@h",
            "a b",
            "http://h\n",
            " ",
            "h:99999",
            "nats://",
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
        let long = format!("\"{}\"", "x".repeat(16 * 1024));
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
