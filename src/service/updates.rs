//! Updates: what the service has for a client that runs.

use serde_json::Value;

use super::answer;
use crate::settings::Token;

/// An update is a few hundred bytes; a schema may be longer.
const MAX_BYTES: usize = 64 * 1024;

/// The codecs that a producer may be told to use.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What an update asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// Another codec.
    Codec(&'static str),
    /// What this library does not do.
    NotSupported(&'static str),
    /// Nothing: it is for newer clients, or has no effect.
    Nothing,
}

/// Understands an update. The error is for the service.
pub(super) fn read(payload: &[u8], token: Option<&Token>) -> Result<Update, String> {
    understand(&envelope(payload, token)?, token)
}

/// The document of an update.
pub(super) fn envelope(payload: &[u8], token: Option<&Token>) -> Result<Value, String> {
    if payload.len() > MAX_BYTES {
        return Err(format!("an update is longer than {MAX_BYTES} bytes"));
    }
    document(payload, token).map_err(|_| "an update is no JSON".to_owned())
}

/// Understands what [`envelope`] gave.
pub(super) fn understand(envelope: &Value, token: Option<&Token>) -> Result<Update, String> {
    let (Some(kind), Some(body)) = (envelope["type"].as_str(), envelope["payload"].as_str()) else {
        return Err("an update has no type or no payload".to_owned());
    };
    match kind {
        "LearnedSchema" => Ok(Update::NotSupported("LearnedSchema")),
        "ToggleReduction" => Ok(Update::NotSupported("ToggleReduction")),
        "CompressionUpdate" => {
            codec(body, token).ok_or_else(|| "a CompressionUpdate has no valid payload".to_owned())
        }
        _ => Ok(Update::Nothing),
    }
}

fn codec(body: &str, token: Option<&Token>) -> Option<Update> {
    let body = document(&base64(body)?, token).ok()?;
    // Both members are to be there; the first one has no effect.
    body.get("enable_compression")?.as_bool()?;
    match body.get("compression_type")? {
        Value::Null => Some(Update::Nothing),
        Value::String(asked) => {
            let known = CODECS.iter().find(|codec| *codec == asked);
            Some(known.map_or(Update::Nothing, |codec| Update::Codec(codec)))
        }
        _ => None,
    }
}

fn document(text: &[u8], token: Option<&Token>) -> Result<Value, ()> {
    answer::document(text, token).map_err(drop)
}

/// Decodes base64 of the standard alphabet. What is none of it is left out, as the deployed clients do;
/// `None` where what remains is no whole number of bytes.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for character in text.bytes() {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                // The end, as soon as there is enough of it.
                if digits % 4 >= 2 && digits % 4 + padding >= 4 {
                    return Some(bytes);
                }
                continue;
            }
            _ => continue,
        };
        padding = 0;
        digits += 1;
        held = held << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    digits.is_multiple_of(4).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's `base64.b64decode` has it, which the deployed clients use.
    #[test]
    fn base64_is_read_as_the_deployed_clients_read_it() {
        for (text, expected) in [
            ("", Some("")),
            ("YQ==", Some("a")),
            ("YWI=", Some("ab")),
            ("YWJj", Some("abc")),
            ("YWJjZA==", Some("abcd")),
            ("Y W\nJ\tj", Some("abc")),
            ("Y-W_J!j", Some("abc")),
            ("=YWJj", Some("abc")),
            ("YQ==YWJj", Some("a")),
            ("YQ=\n=", Some("a")),
            ("YQ", None),
            ("YQ=", None),
            ("Y", None),
            ("Y===", None),
            ("YWJjZ", None),
        ] {
            let decoded = base64(text);
            assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
        assert_eq!(base64("+/8="), Some(vec![0xfb, 0xff]));
    }

    #[test]
    fn updates_do_what_this_library_can() {
        let compression =
            "eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWUsImNvbXByZXNzaW9uX3R5cGUiOiJ6c3RkIn0=";
        for (kind, payload, expected) in [
            ("CompressionUpdate", compression, Ok(Update::Codec("zstd"))),
            // {"enable_compression":true,"compression_type":null}
            (
                "CompressionUpdate",
                "eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWUsImNvbXByZXNzaW9uX3R5cGUiOm51bGx9",
                Ok(Update::Nothing),
            ),
            // {"enable_compression":false,"compression_type":"brotli"}
            (
                "CompressionUpdate",
                "eyJlbmFibGVfY29tcHJlc3Npb24iOmZhbHNlLCJjb21wcmVzc2lvbl90eXBlIjoiYnJvdGxpIn0=",
                Ok(Update::Nothing),
            ),
            // {"enable_compression":true}
            (
                "CompressionUpdate",
                "eyJlbmFibGVfY29tcHJlc3Npb24iOnRydWV9",
                Err(()),
            ),
            ("CompressionUpdate", "YQ", Err(())),
            ("CompressionUpdate", "", Err(())),
            (
                "ToggleReduction",
                "eyJlbmFibGVfcmVkdWN0aW9uIjp0cnVlfQ==",
                Ok(Update::NotSupported("ToggleReduction")),
            ),
            (
                "LearnedSchema",
                "e30=",
                Ok(Update::NotSupported("LearnedSchema")),
            ),
            ("Another", "e30=", Ok(Update::Nothing)),
        ] {
            let update = format!(r#"{{"type":"{kind}","payload":"{payload}","sequence":1}}"#);
            let read = read(update.as_bytes(), None);
            assert_eq!(read.map_err(drop), expected, "{update}");
        }
    }

    #[test]
    fn what_is_no_update_is_told_without_its_words() {
        let long = format!(r#"{{"type":"x","payload":"{}"}}"#, "A".repeat(MAX_BYTES));
        for bad in [
            "",
            "very-secret",
            "[]",
            r#"{"type":"x"}"#,
            r#"{"type":1,"payload":""}"#,
            &long,
        ] {
            let error = read(bad.as_bytes(), None).unwrap_err();
            assert!(
                error.starts_with("an update ") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
