//! What is answered to requests, by our own service and by the deployed one.

use serde_json::Value;
use superstream_protocol::{Mode, Registered, StartClient};

use crate::service::answer::{self, bounded, short};
use crate::service::{Failure, Registration};
use crate::settings::Token;

/// The answer to a registration. Our service's has the word to start in it.
pub(super) fn registration(document: Value, is_dry_run: bool) -> Result<Registration, Failure> {
    if document.get("start").is_none() {
        return named(&document).map(Registration::Named);
    }
    let registered: Registered = answer::message(document)?;
    if !is_dry_run {
        answer::usable_hash(&registered.client_hash)?;
    }
    Ok(Registration::Answered(registered))
}

/// The deployed service's. It has no shape for a no: what is not valid is one.
fn named(document: &Value) -> Result<Registered, Failure> {
    let text = |name: &str| document[name].as_str();
    let client_hash = text("client_hash").unwrap_or_default();
    let factor = learning_factor(&document["learning_factor"]);
    let (Some(account_name), Some(learning_factor), false) =
        (text("account_name"), factor, client_hash.is_empty())
    else {
        return Err(Failure::Failed(match text("error") {
            Some(error) => format!("it does not register: {}", short(&error)),
            None => "its answer is no registration".to_owned(),
        }));
    };
    answer::usable_hash(client_hash)?;
    Ok(Registered {
        client_hash: client_hash.to_owned(),
        account_name: account_name.to_owned(),
        learning_factor,
        ..Registered::default()
    })
}

/// 20, 20.0 and "20".
fn learning_factor(value: &Value) -> Option<i64> {
    let of_float = |number: f64| {
        let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
        is_whole.then_some(number as i64)
    };
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(of_float)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The deployed service's word to start; `None` where it is not one.
pub(super) fn start(payload: &[u8], token: Option<&Token>) -> Option<StartClient> {
    bounded(payload, answer::longest(0)).ok()?;
    let document = answer::document(payload, token).ok()?;
    let mode = document.get("mode").cloned();
    // What is not understood is read with care, as an unknown word is.
    let mode = mode.map(|mode| answer::message(mode).unwrap_or(Mode::Observe));
    Some(StartClient {
        start: is_truthy(document.get("start")?),
        optimized_configuration: document["optimized_configuration"].as_object().cloned(),
        error: document["error"].as_str().map(|error| short(&error)),
        mode: mode.unwrap_or_default(),
    })
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_registration_of_the_deployed_service_is_valid_or_a_failure() {
        for (answer, factor) in [
            (
                json!({"account_name": "a", "learning_factor": 20, "client_hash": "h"}),
                Some(20),
            ),
            (
                json!({"account_name": "a", "learning_factor": 20.0, "client_hash": "h"}),
                Some(20),
            ),
            (
                json!({"account_name": "a", "learning_factor": "20", "client_hash": "h", "x": 1}),
                Some(20),
            ),
            (
                json!({"account_name": "", "learning_factor": 0, "client_hash": "h"}),
                Some(0),
            ),
            (json!({"account_name": "a", "client_hash": "h"}), None),
            (
                json!({"account_name": "a", "learning_factor": null, "client_hash": "h"}),
                None,
            ),
            (
                json!({"account_name": "a", "learning_factor": 1.5, "client_hash": "h"}),
                None,
            ),
            (
                json!({"account_name": "a", "learning_factor": "x", "client_hash": "h"}),
                None,
            ),
            (
                json!({"account_name": 1, "learning_factor": 1, "client_hash": "h"}),
                None,
            ),
            (json!({"learning_factor": 1, "client_hash": "h"}), None),
            (
                json!({"account_name": "a", "learning_factor": 1, "client_hash": ""}),
                None,
            ),
            (
                json!({"account_name": "a", "learning_factor": 1, "client_hash": "a.b"}),
                None,
            ),
            (
                json!({"account_name": "a", "learning_factor": 1, "client_hash": 7}),
                None,
            ),
            (json!({"account_name": "a", "learning_factor": 1}), None),
            (json!({"error": "account suspended"}), None),
            (json!("h"), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            let registered = registration(answer.clone(), false);
            match (registered, factor) {
                (Ok(Registration::Named(registered)), Some(factor)) => {
                    assert_eq!(registered.client_hash, "h");
                    assert_eq!(registered.learning_factor, factor);
                    assert!(!registered.start.start, "that is said later");
                }
                (Err(Failure::Failed(_)), None) => {}
                (other, _) => panic!("{answer}: {other:?}"),
            }
        }
        let failure = registration(json!({"error": "account suspended"}), false);
        assert!(format!("{failure:?}").contains("account suspended"));
    }

    #[test]
    fn our_service_answers_whole_or_with_a_status() {
        let whole = json!({
            "account_name": "a", "learning_factor": 0, "client_hash": "h", "start": true,
            "optimized_configuration": {"linger.ms": 100}, "report_interval_ms": 1000,
        });
        let Ok(Registration::Answered(registered)) = registration(whole, false) else {
            panic!("it has the word to start");
        };
        assert_eq!(registered.report_interval_ms, Some(1000));
        let dry = json!({"account_name": "", "learning_factor": 0, "start": true});
        assert!(registration(dry.clone(), true).is_ok());
        assert!(registration(dry, false).is_err());

        for (body, expected) in [
            (
                r#"{"error":"no such client","status":404}"#,
                Some(Failure::Refused("404 no such client".to_owned())),
            ),
            (
                r#"{"error":"too many","status":429}"#,
                Some(Failure::Failed("429 too many".to_owned())),
            ),
            (
                r#"{"error":"","status":500}"#,
                Some(Failure::Failed("500".to_owned())),
            ),
            (
                r#"{"error":"x","status":99999999}"#,
                Some(Failure::Failed("500 x".to_owned())),
            ),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(
                answer::accepted(body.as_bytes(), None, 100).err(),
                expected,
                "{body}"
            );
        }
        assert!(answer::accepted(b"{}", None, 1).is_err());
        assert!(matches!(
            answer::accepted(b"no", None, 2),
            Err(Failure::Failed(_))
        ));
    }

    #[test]
    fn what_is_repeated_of_the_token_is_gone() {
        let token = Token::parse("very-secret").unwrap();
        let body = br#"{"error":"very-secret is wrong","status":401}"#;
        let failure = answer::accepted(body, Some(&token), 100).unwrap_err();
        assert_eq!(
            failure,
            Failure::Refused("401 [masked] is wrong".to_owned())
        );
        let body = br#"{"start":false,"error":"very-secret"}"#;
        let said = start(body, Some(&token)).unwrap();
        assert_eq!(said.error.as_deref(), Some("[masked]"));
    }

    #[test]
    fn a_word_to_start_is_read_as_the_deployed_clients_read_it() {
        for (payload, expected) in [
            (r#"{"start":true}"#, Some(true)),
            (r#"{"start":1}"#, Some(true)),
            (
                r#"{"start":"yes","optimized_configuration":[]}"#,
                Some(true),
            ),
            (
                r#"{"start":false,"error":"account suspended"}"#,
                Some(false),
            ),
            (r#"{"start":0}"#, Some(false)),
            (r#"{"start":null}"#, Some(false)),
            (r#"{"optimized_configuration":{}}"#, None),
            (r#"[]"#, None),
            ("", None),
            ("{", None),
        ] {
            let said = start(payload.as_bytes(), None);
            assert_eq!(said.map(|said| said.start), expected, "{payload}");
        }
        let whole = br#"{"start":true,"optimized_configuration":{"linger.ms":100},"mode":"new"}"#;
        let said = start(whole, None).unwrap();
        assert_eq!(said.optimized_configuration.unwrap()["linger.ms"], 100);
        assert_eq!(said.mode, Mode::Observe);
        let said = start(br#"{"start":true,"mode":1}"#, None).unwrap();
        assert_eq!((said.start, said.mode), (true, Mode::Observe));
    }
}
