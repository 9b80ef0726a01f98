//! What the service answers, asked through the preload library itself: its transport, its
//! deadline, its reading of the environment. A dry run: the reference service keeps nothing of it. A
//! deployed one knows no dry runs, and takes it for two clients until the connection closes.

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::path::Path;

use libloading::{Library, Symbol};
use serde_json::{Value, json};

/// The `client.id` of a client that sets none.
const CLIENT_ID: &CStr = c"rdkafka";
/// The kinds of client, as `rd_kafka_type_t` counts them.
const KINDS: [(c_int, &str); 2] = [(0, "producer"), (1, "consumer")];

type Advise = unsafe extern "C" fn(c_int, *const c_char) -> *mut c_char;
type Free = unsafe extern "C" fn(*mut c_char);

/// What came of asking.
#[derive(Debug)]
pub struct Answer {
    pub host: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    pub reason: Option<String>,
    pub token: Token,
    pub advice: Vec<Advice>,
}

/// What became of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    NotGiven,
    Accepted,
    /// There is one, and the service does not take it; or it wants one, and there is none.
    Refused,
    Unknown,
}

impl Token {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotGiven => "not-given",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// What one kind of client would be advised.
#[derive(Debug)]
pub struct Advice {
    pub kind: &'static str,
    /// `optimized_configuration`.
    pub configuration: Value,
    pub mode: Option<String>,
    /// What the service or the library has to say to it.
    pub remarks: Vec<String>,
}

impl Answer {
    /// Whether clients would get advice.
    pub fn is_good(&self) -> bool {
        self.state == "up" && self.token != Token::Refused && !self.advice.is_empty()
    }

    pub fn to_json(&self) -> Value {
        let advice = self.advice.iter().map(|advice| {
            json!({
                "type": advice.kind,
                "optimized_configuration": advice.configuration,
                "mode": advice.mode,
                "remarks": advice.remarks,
            })
        });
        json!({
            "host": self.host,
            "state": self.state,
            "reason": self.reason,
            "token": self.token.name(),
            "answers": self.is_good(),
            "advice": advice.collect::<Vec<_>>(),
        })
    }
}

/// Asks the service at `host` with the token of a file or else of the environment. The error says
/// why it could not be asked at all.
pub fn ask(library: &Path, host: &OsStr, token_file: Option<&Path>) -> Result<Answer, String> {
    // SAFETY: this process has one thread until the library starts its own, below.
    unsafe {
        std::env::set_var("SUPERSTREAM_HOST", host);
        if let Some(file) = token_file {
            std::env::set_var("SUPERSTREAM_TOKEN_FILE", file);
            std::env::remove_var("SUPERSTREAM_TOKEN");
        }
    }
    let named = ["SUPERSTREAM_TOKEN", "SUPERSTREAM_TOKEN_FILE"];
    let has_token = named
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));

    let name = library.display();
    // SAFETY: our own library, which has no constructor.
    let opened = unsafe { Library::new(library) }.map_err(|error| format!("{name}: {error}"))?;
    // Its background thread may still run when we end: it stays loaded.
    let opened = std::mem::ManuallyDrop::new(opened);
    // SAFETY: the types of these two functions, as superstream.h has them.
    let (advise, free): (Symbol<'_, Advise>, Symbol<'_, Free>) = unsafe {
        let find = |error| format!("{name} is not of this version: {error}");
        let advise = opened.get(b"superstream_advise\0").map_err(find)?;
        (advise, opened.get(b"superstream_free\0").map_err(find)?)
    };

    let mut answers = Vec::new();
    for (number, kind) in KINDS {
        let client_id = CString::from(CLIENT_ID);
        // SAFETY: a C string; what is returned is a C string of ours, or NULL, and freed once.
        let document = unsafe {
            let text = advise(number, client_id.as_ptr());
            if text.is_null() {
                return Err(off());
            }
            let document = serde_json::from_slice(CStr::from_ptr(text).to_bytes());
            free(text);
            document
        };
        let document: Value =
            document.map_err(|error| format!("{name} answers what is no JSON: {error}"))?;
        let is_up = document["service"]["state"] == "up";
        answers.push((kind, document));
        if !is_up {
            // The second kind would only wait once more.
            break;
        }
    }
    Ok(read(&answers, has_token))
}

/// Why the library stays off although there is a host.
fn off() -> String {
    let disabled = std::env::var_os("SUPERSTREAM_DISABLED");
    match disabled.is_some_and(|value| superstream_settings::is_true(&value)) {
        true => "SUPERSTREAM_DISABLED=true keeps Superstream off".to_owned(),
        false => {
            "the host cannot be used: Superstream stays off (SUPERSTREAM_DEBUG=true tells why)"
                .to_owned()
        }
    }
}

/// From the library's documents to an answer.
fn read(documents: &[(&'static str, Value)], has_token: bool) -> Answer {
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let last = documents
        .last()
        .map_or(&Value::Null, |(_, document)| document);
    let service = &last["service"];
    let mut answer = Answer {
        host: text(&service["host"]).unwrap_or_default(),
        state: text(&service["state"]).unwrap_or("unknown".to_owned()),
        reason: text(&service["reason"]),
        token: Token::Unknown,
        advice: Vec::new(),
    };
    let mut remarks = Vec::new();
    for (kind, document) in documents {
        let answered = &document["answered"];
        let said = [text(&document["note"]), text(&answered["error"])];
        remarks.extend(said.iter().flatten().cloned());
        if answered.is_object() {
            answer.advice.push(Advice {
                kind,
                configuration: answered["optimized_configuration"].clone(),
                mode: text(&answered["mode"]),
                remarks: said.into_iter().flatten().collect(),
            });
        }
    }
    remarks.extend(answer.reason.clone());
    answer.token = if remarks.iter().any(|remark| names_the_token(remark)) {
        Token::Refused
    } else if !has_token {
        Token::NotGiven
    } else if answer.state == "up" && !answer.advice.is_empty() {
        Token::Accepted
    } else {
        Token::Unknown
    };
    if answer.advice.is_empty() && answer.reason.is_none() {
        answer.reason = remarks.into_iter().next();
    }
    answer
}

/// The statuses with which HTTP refuses a token, and NATS's word for it.
fn names_the_token(remark: &str) -> bool {
    let words = ["401 ", "403 ", "Authorization Violation"];
    words
        .iter()
        .any(|word| remark.contains(word) || remark == word.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(answered: Value) -> Value {
        json!({"service": {"host": "http://h", "state": "up"}, "answered": answered, "note": ""})
    }

    #[test]
    fn an_answer_is_good_where_there_is_advice() {
        let advice = json!({"start": true, "optimized_configuration": {"linger.ms": 100}});
        let answer = read(&[("producer", up(advice))], true);
        assert!(answer.is_good());
        assert_eq!(answer.token, Token::Accepted);
        assert_eq!(answer.advice[0].configuration["linger.ms"], 100);
    }

    #[test]
    fn a_refused_token_is_told_from_a_service_that_is_down() {
        let refused = json!({
            "service": {"host": "http://h", "state": "up"},
            "answered": null,
            "note": "refused: 401 Unauthorized the token is wrong",
        });
        let answer = read(&[("producer", refused)], true);
        assert_eq!((answer.token, answer.is_good()), (Token::Refused, false));
        assert!(answer.reason.unwrap().contains("401"));

        let down = json!({
            "service": {"host": "http://h", "state": "down", "reason": "connection refused"},
            "answered": null,
        });
        let answer = read(&[("producer", down)], true);
        assert_eq!((answer.token, answer.is_good()), (Token::Unknown, false));
    }
}
