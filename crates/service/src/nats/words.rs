//! What is said over NATS and not over HTTP: the messages of the deployed SDKs.

use serde::Deserialize;
use serde_json::{Value, json};
use superstream_protocol::{ClientKind, Registered, StartClient, Update};

use crate::quiet;

/// The learning factor of a client that names none.
const LEARNING_FACTOR: i64 = 20;

/// `internal.clientTypeUpdate`.
#[derive(Debug, Deserialize)]
pub struct TypeUpdate {
    /// Names the client.
    pub client_hash: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: ClientKind,
}

/// `internal_tasks.clientReconnectionUpdate`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reconnection {
    /// The connection that the client has now.
    pub new_nats_connection_id: String,
    /// Names the client.
    pub client_hash: String,
}

/// The learning factor that a registration names: 0 is one too.
pub fn learning_factor(registration: &[u8], read: i64) -> i64 {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Given {
        learning_factor: Option<Value>,
    }
    let given: Given = serde_json::from_slice(registration).unwrap_or_default();
    match given.learning_factor {
        Some(_) => read,
        None => LEARNING_FACTOR,
    }
}

/// The answer to the registration of a deployed SDK.
pub fn registered(registered: &Registered, learning_factor: i64) -> Vec<u8> {
    let answer = json!({
        "account_name": registered.account_name,
        "learning_factor": learning_factor,
        "client_hash": registered.client_hash,
    });
    answer.to_string().into_bytes()
}

/// The start message for a deployed SDK.
pub fn start(answer: &StartClient) -> Vec<u8> {
    let start = quiet::start(answer);
    let mut message = json!({ "start": start.start });
    if let Some(advice) = start.optimized_configuration {
        message["optimized_configuration"] = advice.into();
    }
    if let Some(error) = start.error {
        message["error"] = error.into();
    }
    message.to_string().into_bytes()
}

/// An update in its envelope.
pub fn update(update: &Update) -> Vec<u8> {
    let envelope = json!({ "type": update.kind, "payload": update.payload });
    envelope.to_string().into_bytes()
}

/// An update that is none: clients ignore kinds that they do not know. The payload is `{}`.
pub fn look() -> Vec<u8> {
    json!({ "type": "StillThere", "payload": "e30=" })
        .to_string()
        .into_bytes()
}

/// Whom an error report is from, and what it says. The rest of what stands in front of that is known
/// from the registration.
pub fn error_report(text: &str) -> Option<(&str, &str)> {
    let (client, rest) = text.strip_prefix("[clientHash: ")?.split_once(']')?;
    Some((client, without_origin(rest.trim_start())))
}

/// What follows `[sdk: …][version: …][tags: …] `, or everything where that is not there.
fn without_origin(text: &str) -> &str {
    let after = |text: &'_ str, name: &str| -> Option<usize> {
        let rest = text.strip_prefix(name)?;
        Some(name.len() + rest.find(']')? + 1)
    };
    let origin = || {
        let sdk = after(text, "[sdk: ")?;
        let version = sdk + after(&text[sdk..], "[version: ")?;
        let tags = version + "[tags: ".len();
        text[version..].strip_prefix("[tags: ")?;
        // Tags are most often an object, and may then hold any sign.
        let mut objects = serde_json::Deserializer::from_str(&text[tags..]).into_iter::<Value>();
        let end = match objects.next() {
            Some(Ok(Value::Object(_))) => tags + objects.byte_offset(),
            _ => tags,
        };
        let end = end + text[end..].find(']')? + 1;
        Some(text[end..].trim_start())
    };
    origin().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use superstream_protocol::{Configuration, Mode};

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_start_message_has_what_an_sdk_knows() {
        let advice: Configuration = [("linger.ms".to_owned(), 5.into())].into_iter().collect();
        let mut answer = StartClient {
            start: true,
            optimized_configuration: Some(advice),
            ..StartClient::default()
        };
        let told = r#"{"optimized_configuration":{"linger.ms":5},"start":true}"#;
        assert_eq!(text(start(&answer)), told);
        answer.mode = Mode::Observe;
        assert_eq!(text(start(&answer)), r#"{"start":true}"#);
        let withheld = StartClient {
            error: Some("no".into()),
            ..StartClient::default()
        };
        assert_eq!(text(start(&withheld)), r#"{"error":"no","start":false}"#);
    }

    #[test]
    fn a_learning_factor_that_was_given_is_given_back() {
        for (registration, read, expected) in [
            ("{\"learning_factor\":7}", 7, 7),
            ("{\"learning_factor\":0}", 0, 0),
            ("{}", 0, 20),
        ] {
            assert_eq!(learning_factor(registration.as_bytes(), read), expected);
        }
    }

    #[test]
    fn an_error_report_names_its_client() {
        for (report, expected) in [
            (
                "[clientHash: 9f2c1e7a] [sdk: python][version: 2.4.0.4][tags: {\"env\":\"dev\"}] \
                 error getting schema with id: 7",
                Some(("9f2c1e7a", "error getting schema with id: 7")),
            ),
            (
                "[clientHash: 9f2c1e7a] [sdk: python][version: 2.4.0.3][tags: ] error: [a] b",
                Some(("9f2c1e7a", "error: [a] b")),
            ),
            (
                "[clientHash: a] [sdk: c][version: 1][tags: {\"x\":\"]\"}] words",
                Some(("a", "words")),
            ),
            ("[clientHash: a] [sdk: words", Some(("a", "[sdk: words"))),
            ("[clientHash: a] words", Some(("a", "words"))),
            ("[clientHash: a]", Some(("a", ""))),
            ("[clientHash: a", None),
            ("[sdk: python][version: 1][tags: ] words", None),
            ("", None),
        ] {
            assert_eq!(error_report(report), expected, "{report}");
        }
    }
}
