//! What the two sides say to each other first.

use serde_json::{Value, json};

use crate::error::CloseReason;

/// What we are, to a peer of 1.6.3.
pub const VERSION_V1: &str = "1.6.3";
/// What we are, to a peer of 2.0.0. Its release candidate takes any suffix for the same.
pub const VERSION_V2: &str = "2.0.0";
/// No handshake of 2.0.0 is nearly as long.
const MAX_JSON: usize = 4096;

/// The payload of HELLO and HELLO_ACK.
pub(super) fn hello() -> Vec<u8> {
    let mut payload = (VERSION_V1.len() as u16).to_be_bytes().to_vec();
    payload.extend_from_slice(VERSION_V1.as_bytes());
    payload
}

/// The peer's version: three numbers, the same as ours. Bytes behind it have no meaning.
pub(super) fn check_hello(payload: &[u8]) -> Result<(), CloseReason> {
    let text = payload
        .split_first_chunk::<2>()
        .and_then(|(length, rest)| rest.get(..u16::from_be_bytes(*length).into()))
        .and_then(|bytes| str::from_utf8(bytes).ok())
        .ok_or(CloseReason::Handshake("a greeting without a version"))?;
    match numbers(text, |part| part.parse().ok()) {
        Some([1, 6, 3]) if text.split('.').count() == 3 => Ok(()),
        _ => Err(CloseReason::Version(shown(text))),
    }
}

/// The same of 2.0.0, where a suffix of a number is dropped.
fn check_version(text: &str) -> Result<(), CloseReason> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let leading = |part: &str| {
        let end = part
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(part.len());
        part[..end].parse().ok()
    };
    match numbers(bare, leading) {
        Some([2, 0, 0]) => Ok(()),
        _ => Err(CloseReason::Version(shown(text))),
    }
}

fn numbers(text: &str, understand: impl Fn(&str) -> Option<u32>) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(understand);
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// What a stranger calls itself ends up in logs: all of it where it may be a version, or nothing. It may
/// repeat a secret of ours, which nobody would know by a part of it.
fn shown(text: &str) -> String {
    let fits = |letter: u8| letter == b'.' || letter.is_ascii_alphanumeric();
    match text.len() <= 16 && text.bytes().all(fits) {
        true => text.to_owned(),
        false => String::new(),
    }
}

pub(super) fn server_json(window: u16) -> Vec<u8> {
    framed(&json!({"v": VERSION_V2, "meta": {"id_window": window}}))
}

pub(super) fn client_json() -> Vec<u8> {
    framed(&json!({"v": VERSION_V2, "meta": {}}))
}

pub(super) fn result_json() -> Vec<u8> {
    framed(&json!({"result": "ok"}))
}

fn framed(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Takes a handshake message out of `input`, keeping in `kept` what is incomplete.
pub(super) fn next_json(
    kept: &mut Vec<u8>,
    input: &mut &[u8],
) -> Result<Option<Value>, CloseReason> {
    while let Some((first, rest)) = input.split_first() {
        kept.push(*first);
        *input = rest;
        let Some((length, text)) = kept.split_first_chunk::<2>() else {
            continue;
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_JSON {
            return Err(CloseReason::Handshake("a greeting that is too long"));
        }
        if text.len() >= length {
            let value = serde_json::from_slice(text)
                .map_err(|_| CloseReason::Handshake("a greeting that is no JSON"))?;
            *kept = Vec::new();
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The version in a message of either side.
pub(super) fn check_json(value: &Value) -> Result<(), CloseReason> {
    let version = value
        .get("v")
        .and_then(Value::as_str)
        .ok_or(CloseReason::Handshake("a greeting without a version"))?;
    check_version(version)
}

/// The ids that a server of 2.0.0 gives to each side.
pub(super) fn window(value: &Value) -> u64 {
    value
        .pointer("/meta/id_window")
        .and_then(Value::as_u64)
        .unwrap_or(30_000)
}

pub(super) fn check_result(value: &Value) -> Result<(), CloseReason> {
    match value.get("result").and_then(Value::as_str) {
        Some("ok") => Ok(()),
        _ => Err(CloseReason::Handshake("the server did not say ok")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_the_python_library_does() {
        let hello = |text: &str| {
            let mut payload = (text.len() as u16).to_be_bytes().to_vec();
            payload.extend_from_slice(text.as_bytes());
            payload.extend_from_slice(b"more");
            payload
        };
        assert_eq!(check_hello(&hello("1.6.3")), Ok(()));
        for other in [
            "1.6.4", "9.9.9", "1.6", "1.6.3.1", "2.0.0rc1", "1.6.3rc1", "",
        ] {
            assert_eq!(
                check_hello(&hello(other)),
                Err(CloseReason::Version(other.to_owned()))
            );
        }
        assert!(check_hello(&[]).is_err());
        assert!(check_hello(&[0, 9, b'1']).is_err());
        assert!(check_hello(&[0, 1, 0xff]).is_err());
        for same in ["2.0.0", "v2.0.0", "2.0.0rc1", "2.0.0b1"] {
            assert_eq!(check_version(same), Ok(()), "{same}");
        }
        for other in ["2.0.1", "1.6.3", "2", "", "x.y.z"] {
            assert!(check_version(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_a_stranger_says_is_shown_in_one_short_line() {
        for (said, shown) in [
            ("2.0.1rc1", "2.0.1rc1"),
            ("", ""),
            ("1\n2", ""),
            // Whoever hides a secret in what he logs would not know the beginning of one.
            ("a0123456789abcdef", ""),
        ] {
            let reason = check_version(said).unwrap_err();
            assert_eq!(reason, CloseReason::Version(shown.to_owned()));
            let text = reason.to_string();
            assert!(text.ends_with(if shown.is_empty() {
                "another version"
            } else {
                shown
            }));
        }
    }
}
