//! Which subjects may be sent: one with a blank or a line end would be read as something else.

use crate::error::{Error, told};

/// The server takes 4096 bytes for a line, which has two subjects at most.
const MAX_BYTES: usize = 1024;

/// A subject that a message can go to, or the name of a queue group.
pub fn check_literal(subject: &str) -> Result<(), Error> {
    check(subject, |token| !token.contains(['*', '>']))
}

/// A subject that can be listened to: `*` for one token, `>` for all that follow.
pub fn check_pattern(subject: &str) -> Result<(), Error> {
    let last = subject.rsplit('.').next();
    check(subject, |token| match token {
        "*" => true,
        // Only the last is the rest of the subject itself.
        ">" => last.is_some_and(|last| std::ptr::eq(last, token)),
        _ => !token.contains(['*', '>']),
    })
}

fn check(subject: &str, is_good: impl Fn(&str) -> bool) -> Result<(), Error> {
    let whole = subject.len() <= MAX_BYTES
        && !subject.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
        && subject
            .split('.')
            .all(|token| !token.is_empty() && is_good(token));
    match whole {
        true => Ok(()),
        false => Err(Error::BadSubject(told(subject, None))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_whole_and_wildcards_are_for_listeners() {
        for good in ["a", "a.b", "_INBOX.x.1", "ü.$SYS"] {
            assert!(
                check_literal(good).is_ok() && check_pattern(good).is_ok(),
                "{good}"
            );
        }
        for pattern in ["*", ">", "a.*", "*.b", "a.>", "a.*.>"] {
            assert!(
                check_literal(pattern).is_err() && check_pattern(pattern).is_ok(),
                "{pattern}"
            );
        }
        let long = "a".repeat(1025);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "a\r\nPING",
            "a\0",
            ">.a",
            "a.>.b",
            "a*",
            "a>",
            ">.>",
            &long,
        ] {
            assert!(
                check_literal(bad).is_err() && check_pattern(bad).is_err(),
                "{bad:?}"
            );
        }
    }
}
