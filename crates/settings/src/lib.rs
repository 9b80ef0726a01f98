//! The environment: which variables there are, what they mean, what is used where one is bad.
//!
//! A bad value never reaches the application. It gives a complaint for the debug log that says
//! what is wrong and what is used instead. The command line holds its options to the same rules.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod agent;
mod endpoint;
mod tls;
mod token;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

pub use agent::agent;
pub use endpoint::Endpoint;
pub use tls::tls;
pub use token::{MASK, Token, TokenSource};

/// `SUPERSTREAM_RESPONSE_TIMEOUT` where it is not set.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_millis(3000);
/// An hour: longer than anybody means, short enough for every clock.
const MAX_RESPONSE_TIMEOUT_MS: f64 = 3_600_000.0;
/// `SUPERSTREAM_TAGS` longer than this are left out: they are a label, not a document.
const MAX_TAGS_BYTES: usize = 16 * 1024;

/// What the environment asks for, once Superstream is on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `SUPERSTREAM_HOST`.
    pub endpoint: Endpoint,
    /// `SUPERSTREAM_TOKEN`, or the file that `SUPERSTREAM_TOKEN_FILE` names.
    pub token: TokenSource,
    /// `SUPERSTREAM_TAGS`: valid JSON, or empty.
    pub tags: String,
    /// `SUPERSTREAM_DEBUG`.
    pub debug: bool,
    /// `SUPERSTREAM_RESPONSE_TIMEOUT`: what creating a client may wait for the service, all in.
    pub response_timeout: Duration,
    /// `SUPERSTREAM_LATENCY_SENSITIVE`: linger stays as it is.
    pub latency_sensitive: bool,
    /// `SUPERSTREAM_MODE=observe`: plan and report, change nothing.
    pub observe: bool,
    /// `SUPERSTREAM_READ_CONNECTION_ID`: ask each Kafka cluster for its number at the service.
    pub read_connection_id: bool,
}

/// What the environment says.
#[derive(Debug, PartialEq)]
pub enum Reading {
    /// No host, or disabled: we are plain librdkafka.
    Off,
    /// A host that cannot be used: plain librdkafka too, and a line in the debug log.
    Unusable {
        /// `SUPERSTREAM_DEBUG`.
        debug: bool,
        /// What is wrong with the host.
        reason: String,
    },
    /// Superstream is on.
    On {
        /// What to do.
        settings: Box<Settings>,
        /// What was wrong with single variables, and what is used instead.
        complaints: Vec<String>,
    },
}

/// Exactly `true`, in any case: neither `t` nor `1`, nor a blank beside it.
pub fn is_true(value: &OsStr) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// Whether tags can be sent. The error completes a sentence that begins with where they came from.
pub fn check_tags(tags: &str) -> Result<(), String> {
    if tags.len() > MAX_TAGS_BYTES {
        return Err(format!("is longer than {MAX_TAGS_BYTES} bytes"));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(tags) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is not JSON ({error})")),
    }
}

/// Reads an environment given as a function.
pub fn parse(variable: impl Fn(&str) -> Option<OsString>) -> Reading {
    let mut environment = Environment {
        variable,
        complaints: Vec::new(),
    };
    let Some(host) = environment.text("SUPERSTREAM_HOST", "Superstream stays off") else {
        return match environment.complaints.pop() {
            Some(reason) => Reading::Unusable {
                debug: environment.is_true("SUPERSTREAM_DEBUG"),
                reason,
            },
            None => Reading::Off,
        };
    };
    if environment.is_true("SUPERSTREAM_DISABLED") {
        return Reading::Off;
    }
    let debug = environment.is_true("SUPERSTREAM_DEBUG");
    let endpoint = match Endpoint::parse(&host) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return Reading::Unusable {
                debug,
                reason: format!("SUPERSTREAM_HOST {error}: Superstream stays off"),
            };
        }
    };
    let settings = Settings {
        endpoint,
        token: environment.token(),
        tags: environment.tags(),
        debug,
        response_timeout: environment.response_timeout(),
        latency_sensitive: environment.is_true("SUPERSTREAM_LATENCY_SENSITIVE"),
        observe: environment.observe(),
        read_connection_id: environment.is_true("SUPERSTREAM_READ_CONNECTION_ID"),
    };
    Reading::On {
        settings: Box::new(settings),
        complaints: environment.complaints,
    }
}

struct Environment<F> {
    variable: F,
    complaints: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    /// A variable that is set and not empty.
    fn text(&mut self, name: &str, instead: &str) -> Option<String> {
        let value = (self.variable)(name)?;
        match value.into_string() {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(text),
            Err(_) => {
                self.complain(format!("{name} is not UTF-8: {instead}"));
                None
            }
        }
    }

    fn is_true(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|value| is_true(&value))
    }

    /// The token itself, or else the file that is named.
    fn token(&mut self) -> TokenSource {
        let given = (self.variable)("SUPERSTREAM_TOKEN").filter(|token| !token.is_empty());
        if let Some(token) = given {
            let text = token.into_string();
            let token = text.map_err(|_| "is not UTF-8".to_owned());
            return match token.and_then(|text| Token::parse(&text)) {
                Ok(token) => TokenSource::Given(token),
                Err(error) => {
                    self.complain(format!("SUPERSTREAM_TOKEN {error}: no token is sent"));
                    TokenSource::None
                }
            };
        }
        match (self.variable)("SUPERSTREAM_TOKEN_FILE").filter(|path| !path.is_empty()) {
            // It is read later, when the application may be in another folder.
            Some(path) => TokenSource::File(
                std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(path)),
            ),
            None => TokenSource::None,
        }
    }

    fn tags(&mut self) -> String {
        let Some(tags) = self.text("SUPERSTREAM_TAGS", "no tags are sent") else {
            return String::new();
        };
        if let Err(error) = check_tags(&tags) {
            self.complain(format!("SUPERSTREAM_TAGS {error}: no tags are sent"));
            return String::new();
        }
        tags
    }

    fn response_timeout(&mut self) -> Duration {
        let name = "SUPERSTREAM_RESPONSE_TIMEOUT";
        let instead = format!("{} ms are used", DEFAULT_RESPONSE_TIMEOUT.as_millis());
        let Some(text) = self.text(name, &instead) else {
            return DEFAULT_RESPONSE_TIMEOUT;
        };
        match text.trim().parse::<f64>() {
            Ok(ms) if (0.0..=MAX_RESPONSE_TIMEOUT_MS).contains(&ms) => {
                Duration::from_secs_f64(ms / 1000.0)
            }
            _ => {
                self.complain(format!(
                    "{name} {text:?} is not a number of milliseconds from 0 to \
                     {MAX_RESPONSE_TIMEOUT_MS}: {instead}"
                ));
                DEFAULT_RESPONSE_TIMEOUT
            }
        }
    }

    /// A mode that is not known means observe: whoever set it did not mean "change everything".
    fn observe(&mut self) -> bool {
        let Some(mode) = self.text("SUPERSTREAM_MODE", "observe is used") else {
            return false;
        };
        match mode.as_str() {
            "active" => false,
            "observe" => true,
            _ => {
                self.complain(format!(
                    "SUPERSTREAM_MODE {mode:?} is neither active nor observe: observe is used"
                ));
                true
            }
        }
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Reading {
        parse(|name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        })
    }

    fn on(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let mut all = vec![("SUPERSTREAM_HOST", "http://127.0.0.1:1")];
        all.extend_from_slice(variables);
        match environment(&all) {
            Reading::On {
                settings,
                complaints,
            } => (*settings, complaints),
            other => panic!("not on: {other:?}"),
        }
    }

    #[test]
    fn without_a_host_everything_is_off() {
        assert_eq!(environment(&[]), Reading::Off);
        assert_eq!(environment(&[("SUPERSTREAM_HOST", "")]), Reading::Off);
        assert_eq!(
            environment(&[("SUPERSTREAM_TOKEN", "t"), ("SUPERSTREAM_DEBUG", "true")]),
            Reading::Off
        );
    }

    #[test]
    fn disabled_wins_over_everything() {
        let reading = environment(&[
            ("SUPERSTREAM_HOST", "http://h"),
            ("SUPERSTREAM_DISABLED", "TRUE"),
            ("SUPERSTREAM_DEBUG", "true"),
        ]);
        assert_eq!(reading, Reading::Off);
    }

    #[test]
    fn true_is_exact() {
        for (value, expected) in [
            ("true", true),
            ("True", true),
            ("TRUE", true),
            ("", false),
            ("t", false),
            ("rue", false),
            ("1", false),
            ("yes", false),
            (" true", false),
            ("true ", false),
            ("truest", false),
        ] {
            let (settings, _) = on(&[("SUPERSTREAM_DEBUG", value)]);
            assert_eq!(settings.debug, expected, "{value:?}");
        }
    }

    #[test]
    fn a_bad_value_is_named_and_replaced() {
        for (name, value, instead) in [
            ("SUPERSTREAM_TAGS", "{not json", "no tags are sent"),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "abc", "3000 ms are used"),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "-1", "3000 ms are used"),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "NaN", "3000 ms are used"),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "1e99", "3000 ms are used"),
            ("SUPERSTREAM_MODE", "obzerve", "observe is used"),
            ("SUPERSTREAM_TOKEN", "two words", "no token is sent"),
        ] {
            let (settings, complaints) = on(&[(name, value)]);
            assert_eq!(complaints.len(), 1, "{name}={value}");
            assert!(complaints[0].contains(name), "{complaints:?}");
            assert!(complaints[0].contains(instead), "{complaints:?}");
            assert_eq!(settings.tags, "");
            assert_eq!(settings.response_timeout, DEFAULT_RESPONSE_TIMEOUT);
            assert_eq!(settings.token, TokenSource::None);
        }
    }

    #[test]
    fn a_complaint_never_shows_the_token() {
        let (_, complaints) = on(&[("SUPERSTREAM_TOKEN", "very secret\n")]);
        assert!(!complaints[0].contains("secret"));
        let (settings, _) = on(&[("SUPERSTREAM_TOKEN", "very-secret")]);
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn good_values_are_taken() {
        let (settings, complaints) = on(&[
            ("SUPERSTREAM_TOKEN", "abc"),
            ("SUPERSTREAM_TAGS", r#"{"team":"orders"}"#),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "1500.5"),
            ("SUPERSTREAM_LATENCY_SENSITIVE", "true"),
            ("SUPERSTREAM_MODE", "observe"),
            ("SUPERSTREAM_READ_CONNECTION_ID", "True"),
        ]);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(token(&settings), Ok(Some("abc".to_owned())));
        assert_eq!(settings.tags, r#"{"team":"orders"}"#);
        assert_eq!(settings.response_timeout, Duration::from_micros(1_500_500));
        assert!(settings.latency_sensitive && settings.observe && settings.read_connection_id);
    }

    #[test]
    fn a_token_may_come_from_a_file() {
        let file = std::env::temp_dir().join(format!("superstream-token-{}", std::process::id()));
        let path = file.to_str().unwrap().to_owned();
        let name = "SUPERSTREAM_TOKEN_FILE";
        for (text, expected) in [
            ("abc", Some("abc")),
            ("abc\r\n", Some("abc")),
            ("", None),
            ("two words", None),
        ] {
            std::fs::write(&file, text).unwrap();
            let (settings, _) = on(&[(name, &path)]);
            match expected {
                Some(text) => assert_eq!(token(&settings), Ok(Some(text.to_owned()))),
                None => assert!(token(&settings).unwrap_err().contains(&path)),
            }
        }
        let (settings, _) = on(&[(name, &path), ("SUPERSTREAM_TOKEN", "first")]);
        assert_eq!(token(&settings), Ok(Some("first".to_owned())));
        std::fs::write(&file, "x".repeat(64 * 1024 + 1)).unwrap();
        let (settings, _) = on(&[(name, &path)]);
        assert!(token(&settings).unwrap_err().contains("too long"));
        std::fs::remove_file(&file).unwrap();
        for no_file in [&*path, "/dev/zero", "/"] {
            let (settings, _) = on(&[(name, no_file)]);
            assert!(token(&settings).unwrap_err().contains(no_file));
        }
    }

    fn token(settings: &Settings) -> Result<Option<String>, String> {
        let token = settings.token.read()?;
        Ok(token.map(|token| token.reveal().to_owned()))
    }

    #[test]
    fn a_host_that_is_no_url_is_unusable() {
        for host in [
            "ftp://h",
            "http://",
            "http://user:pw@h",
            "ht tp://h",
            "http://h:99999",
        ] {
            let reading = environment(&[("SUPERSTREAM_HOST", host)]);
            let Reading::Unusable { reason, .. } = reading else {
                panic!("{host} gave {reading:?}");
            };
            assert!(reason.contains("SUPERSTREAM_HOST"), "{reason}");
            assert!(!reason.contains("pw"), "{reason}");
        }
    }
}
