//! What comes back from the service, however it comes: bounded, understood, and sorted into what is
//! worth another try and what is not. Nothing of it is trusted.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;
use crate::settings::Token;

/// An advice is a few hundred bytes. It is kept as long as its client.
const MAX_BYTES: usize = 32 * 1024;
/// What an answer may take more for each report that it answers: other advice may come with it.
const MAX_BYTES_A_REPORT: usize = 4 * 1024;
/// What a message that nobody waits for may take, within what a creator waits.
const QUIET_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The reason in an error answer goes into the log and the status: a sentence is enough.
pub(super) const MAX_REASON_CHARS: usize = 300;

/// How long an answer to so many reports may be; to another message, to none.
pub(super) fn longest(reports: usize) -> usize {
    MAX_BYTES.saturating_add(MAX_BYTES_A_REPORT.saturating_mul(reports))
}

/// What a message that nobody waits for may take. It must not hold up a creator for much longer than
/// its `patience`.
pub(super) fn quiet_limit(patience: Duration) -> Duration {
    patience.clamp(QUIET_LIMITS.0, QUIET_LIMITS.1)
}

/// The document of an answer. serde_json stops at a depth of 128. What the service repeats of the
/// token is gone before anything can show it.
pub(super) fn document(body: &[u8], token: Option<&Token>) -> Result<Value, Failure> {
    let mut document: Value = serde_json::from_slice(body).map_err(not_understood)?;
    if let Some(token) = token {
        token.mask_in(&mut document);
    }
    Ok(document)
}

/// The document of an answer that says yes.
pub(super) fn accepted(
    body: &[u8],
    token: Option<&Token>,
    longest: usize,
) -> Result<Value, Failure> {
    bounded(body, longest)?;
    // To what is only told, any answer is one.
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let document = document(body, token)?;
    agrees(&document)?;
    Ok(document)
}

pub(super) fn bounded(body: &[u8], longest: usize) -> Result<(), Failure> {
    match body.len() > longest {
        true => Err(Failure::Failed(format!(
            "its answer is longer than {longest} bytes"
        ))),
        false => Ok(()),
    }
}

/// Our service says no with the status that it has for it over HTTP.
fn agrees(document: &Value) -> Result<(), Failure> {
    let status = document["status"].as_u64();
    let (Some(error), Some(status)) = (document["error"].as_str(), status) else {
        return Ok(());
    };
    let status = u16::try_from(status).unwrap_or(500);
    let reason = format!("{status} {}", short(&error));
    Err(refusal(status, reason.trim_end().to_owned()))
}

/// A message of a document.
pub(super) fn message<M: DeserializeOwned>(document: Value) -> Result<M, Failure> {
    serde_json::from_value(document).map_err(not_understood)
}

/// What an answer means that says no, by the status that HTTP has for it.
pub(super) fn refusal(status: u16, reason: String) -> Failure {
    // Too many requests and a request that took too long are the service's state, not ours.
    match status {
        408 | 425 | 429 => Failure::Failed(reason),
        400..=499 => Failure::Refused(reason),
        _ => Failure::Failed(reason),
    }
}

/// The hash becomes part of a path or of a subject: nothing in it may have a meaning there.
pub(super) fn usable_hash(hash: &str) -> Result<(), Failure> {
    match is_token(hash) {
        true => Ok(()),
        false => Err(Failure::Failed(
            "its answer has no usable client_hash".to_owned(),
        )),
    }
}

fn is_token(hash: &str) -> bool {
    (1..=128).contains(&hash.len())
        && hash
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// An error may quote an answer, and is kept and told.
pub(super) fn short(error: &impl ToString) -> String {
    error.to_string().chars().take(MAX_REASON_CHARS).collect()
}

/// A message that cannot be sent at all.
pub(super) fn never_sent(error: impl std::error::Error) -> Failure {
    Failure::Refused(short(&error))
}

fn not_understood(error: serde_json::Error) -> Failure {
    Failure::Failed(format!("its answer is not understood: {}", short(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_one_word_of_a_path_and_of_a_subject() {
        for good in ["9f2c1e7a", "A-b_9", &"x".repeat(128)] {
            assert_eq!(usable_hash(good), Ok(()), "{good}");
        }
        let long = "x".repeat(129);
        for bad in ["", "a.b", "a b", "*", ">", "a/b", "é", "a\r\nPUB", &long] {
            assert!(usable_hash(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_the_services_state_is_tried_again() {
        for (status, is_over) in [
            (400, true),
            (401, true),
            (404, true),
            (408, false),
            (425, false),
            (429, false),
            (500, false),
            (503, false),
            (200, false),
        ] {
            let failure = refusal(status, String::new());
            assert_eq!(matches!(failure, Failure::Refused(_)), is_over, "{status}");
        }
    }
}
