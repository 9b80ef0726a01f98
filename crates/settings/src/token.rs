//! The token, and the file that it may come from.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Stands for what is not shown.
pub const MASK: &str = "[masked]";
/// A token shorter than this is no secret, and may well be a word of an answer.
const SHORTEST_SECRET: usize = 8;

/// A token is short; what is longer is not one.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// `SUPERSTREAM_TOKEN`. Its text is shown to nobody but the transport.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Where the token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// Nowhere.
    None,
    /// `SUPERSTREAM_TOKEN`.
    Given(Token),
    /// `SUPERSTREAM_TOKEN_FILE`: a file that ends with the token, or with a line end after it.
    /// Whoever reads the environment of a process sees its name only.
    File(PathBuf),
}

impl Token {
    /// A text that can be sent. The error completes a sentence that begins with where the text
    /// came from, and does not show it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is empty".to_owned()),
            _ if text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(
                "has a blank, a second line or a character outside ASCII in it: that is no token"
                    .to_owned(),
            ),
        }
    }

    /// Reads a regular file of a plausible length; never waits for one that is something else. The
    /// error completes a sentence that begins with the file's name.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let text = read(path).map_err(|error| format!("cannot be read: {error}"))?;
        Self::parse(text.trim_end_matches(['\r', '\n']))
    }

    /// The text, to be sent to the service.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A text without the token, which somebody may have written who was sent it.
    pub fn masked(&self, text: &str) -> String {
        let mut text = Value::from(text);
        self.mask_in(&mut text);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Masks the token wherever it stands in a document, which somebody may have written who was
    /// sent it.
    pub fn mask_in(&self, document: &mut Value) {
        if self.0.len() >= SHORTEST_SECRET {
            mask(&self.0, document);
        }
    }
}

fn mask(secret: &str, document: &mut Value) {
    match document {
        Value::String(text) => *text = text.replace(secret, MASK),
        Value::Array(values) => values.iter_mut().for_each(|value| mask(secret, value)),
        Value::Object(members) => {
            let masked = std::mem::take(members)
                .into_iter()
                .map(|(name, mut value)| {
                    mask(secret, &mut value);
                    (name.replace(secret, MASK), value)
                });
            *members = masked.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl TokenSource {
    /// The token. The error says what is wrong with the file, and that none is sent. It may take
    /// as long as the file's disk takes, so it is for the background thread.
    pub fn read(&self) -> Result<Option<Token>, String> {
        match self {
            Self::None => Ok(None),
            Self::Given(token) => Ok(Some(token.clone())),
            Self::File(path) => Token::of_file(path).map(Some).map_err(|error| {
                let path = path.display();
                format!("SUPERSTREAM_TOKEN_FILE {path} {error}: no token is sent")
            }),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(io::Error::other("it is too long for a token")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_token_is_gone_wherever_it_stands() {
        let mut document =
            json!({"a very-secret b": ["very-secret", {"x": "1very-secret2"}], "n": 1});
        Token("very-secret".to_owned()).mask_in(&mut document);
        assert_eq!(
            document,
            json!({"a [masked] b": ["[masked]", {"x": "1[masked]2"}], "n": 1})
        );
    }
}
