//! The environment: which variables there are, what they mean, what is used where one is bad.
//!
//! A bad value never reaches the application. It gives a complaint for the debug log that says
//! what is wrong and what is used instead.

use std::ffi::{CStr, OsString, c_char};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::service::endpoint::Endpoint;
use crate::{debug, log};

/// `SUPERSTREAM_RESPONSE_TIMEOUT` where it is not set.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_millis(3000);
/// An hour: longer than anybody means, short enough for every clock.
const MAX_RESPONSE_TIMEOUT_MS: f64 = 3_600_000.0;
/// `SUPERSTREAM_TAGS` longer than this are left out: they are a label, not a document.
const MAX_TAGS_BYTES: usize = 16 * 1024;
/// A token is short; what is longer is not one.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;

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
    /// A text that can be sent. The error names where it came from, and not the text.
    fn new(name: &str, text: String) -> Result<Self, String> {
        if text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Ok(Self(text));
        }
        Err(format!(
            "{name} has a blank, a line end or a character outside ASCII in it: no token is sent"
        ))
    }

    /// The text, to be sent to the service.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

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

/// Whether `SUPERSTREAM_HOST` is set and not empty, and nobody has disabled it. Takes no lock and no
/// memory: it is all that a process without Superstream ever runs of ours. A program that runs with
/// more rights than its caller (set-uid, file capabilities) has Superstream off: its caller must not
/// choose whom it tells its configuration.
pub fn is_host_set() -> bool {
    let host = secure_variable(c"SUPERSTREAM_HOST");
    let disabled = secure_variable(c"SUPERSTREAM_DISABLED");
    host.is_some_and(|host| !host.is_empty())
        && !disabled.is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// A variable of the environment, to be looked at right away: an application that changes its
/// environment meanwhile on another thread has the same race with librdkafka and libc.
fn secure_variable(name: &CStr) -> Option<&[u8]> {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: a C string; the result is null or one.
    unsafe {
        let value = secure_getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Turns the log on or off by `SUPERSTREAM_DEBUG`, before the rest of the environment is read.
#[cfg(not(feature = "embedded-engine"))]
pub fn enable_log() {
    let environment = Environment {
        variable: |name: &str| std::env::var_os(name),
        complaints: Vec::new(),
    };
    log::enable(environment.is_true("SUPERSTREAM_DEBUG"));
}

/// Reads the process's environment.
pub fn read() -> Reading {
    parse(|name| std::env::var_os(name))
}

/// Reads the process's environment, and tells the log what is wrong with it. `None` where
/// Superstream stays off.
pub fn read_and_tell() -> Option<Box<Settings>> {
    match read() {
        Reading::Off => None,
        Reading::Unusable { debug, reason } => {
            log::enable(debug);
            debug!("{reason}");
            None
        }
        Reading::On {
            settings,
            complaints,
        } => {
            log::enable(settings.debug);
            for complaint in complaints {
                debug!("{complaint}");
            }
            Some(settings)
        }
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
    };
    Reading::On {
        settings: Box::new(settings),
        complaints: environment.complaints,
    }
}

impl TokenSource {
    /// The token. The error says what is wrong with the file, and that none is sent. It may take
    /// as long as the file's disk takes, so it is for the background thread.
    pub fn read(&self) -> Result<Option<Token>, String> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Given(token) => return Ok(Some(token.clone())),
            Self::File(path) => path,
        };
        let name = format!("SUPERSTREAM_TOKEN_FILE {}", path.display());
        let text = read_token_file(path)
            .map_err(|error| format!("{name} cannot be read: {error}: no token is sent"))?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(format!("{name} is empty: no token is sent")),
            token => Token::new(&name, token.to_owned()).map(Some),
        }
    }
}

/// Reads a regular file of a plausible length; never waits for one that is something else.
fn read_token_file(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
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

    /// Exactly `true`, in any case: neither `t` nor `1`, nor a blank beside it.
    fn is_true(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The token itself, or else the file that is named.
    fn token(&mut self) -> TokenSource {
        if let Some(token) = self.text("SUPERSTREAM_TOKEN", "no token is sent") {
            return match Token::new("SUPERSTREAM_TOKEN", token) {
                Ok(token) => TokenSource::Given(token),
                Err(complaint) => {
                    self.complain(complaint);
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
        if tags.len() > MAX_TAGS_BYTES {
            self.complain(format!(
                "SUPERSTREAM_TAGS is longer than {MAX_TAGS_BYTES} bytes: no tags are sent"
            ));
            return String::new();
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&tags) {
            self.complain(format!(
                "SUPERSTREAM_TAGS is not JSON ({error}): no tags are sent"
            ));
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
        ]);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(token(&settings), Ok(Some("abc".to_owned())));
        assert_eq!(settings.tags, r#"{"team":"orders"}"#);
        assert_eq!(settings.response_timeout, Duration::from_micros(1_500_500));
        assert!(settings.latency_sensitive && settings.observe);
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
