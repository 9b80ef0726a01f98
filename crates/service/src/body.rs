//! Reading a message out of a request, with a reason for every one that cannot be taken.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::ApiError;
use crate::shape;

/// Largest body that is taken.
pub const MAX_BODY: usize = 1024 * 1024;
/// The same of reports: one of 256 topics with 1024 partitions each takes more than 2 MB, and cannot
/// be sent in parts.
pub const MAX_REPORTS_BODY: usize = 4 * MAX_BODY;

/// So much of a body that is too large is still read, because most clients read an answer only
/// after they have sent everything.
const MAX_DISCARDED: usize = 16 * MAX_BODY;

/// The field that is kept as it is sent.
const CONFIGURATION: &str = "config";
/// Beyond this, a floating point number does not tell which whole number it stands for.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
/// A message of the protocol, out of a JSON body of at most so many bytes.
pub struct Message<T, const MOST: usize = MAX_BODY>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const MOST: usize> FromRequest<S> for Message<T, MOST> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let bytes = read(&parts.headers, body, MOST).await?;
        parse(&bytes).map(Self)
    }
}

/// What an operator says: no message of the protocol, whose names for kinds it does not share.
pub struct Order<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Order<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let value = json(&read(&parts.headers, body, MAX_BODY).await?)?;
        // serde would also take a list.
        match value.is_object() {
            true => understand(value).map(Self),
            false => Err(ApiError::unprocessable("the message must be a JSON object")),
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let media_type = given.split(';').next().unwrap_or("").trim();
    match media_type.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON: send it with `Content-Type: application/json`",
        )),
    }
}

async fn read(headers: &HeaderMap, mut body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::too_large(most);
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > most && headers.contains_key(EXPECT) {
        // The client waits for leave to send.
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut seen = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::bad_request(format!(
                "the body did not arrive whole ({error}): send it again"
            ))
        })?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen <= most {
            bytes.extend_from_slice(data);
        } else if seen > MAX_DISCARDED {
            break;
        }
    }
    if seen > most {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

/// The same, out of bytes that have come already and may be too many.
pub fn parse_bounded<T: DeserializeOwned>(bytes: &[u8], most: usize) -> Result<T, ApiError> {
    parse(bounded(bytes, most)?)
}

/// Bytes that have come already, unless they are too many.
pub fn bounded(bytes: &[u8], most: usize) -> Result<&[u8], ApiError> {
    match bytes.len() > most {
        true => Err(ApiError::too_large(most)),
        false => Ok(bytes),
    }
}

/// A message of the protocol, out of JSON.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut value = json(bytes)?;
    shape::check(&value).map_err(ApiError::unprocessable)?;
    for (name, field) in value.as_object_mut().into_iter().flatten() {
        if name != CONFIGURATION {
            whole_numbers(field);
        }
    }
    understand(value)
}

fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!("the body is not JSON that can be read: {error}"))
    })
}

fn understand<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let words = format!("the message is not as docs/openapi.yaml has it: {error}");
        ApiError::unprocessable(words)
    })
}

/// To JSON `5.0` is as whole as `5`, and some encoders write nothing else; to serde it is not.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or(f64::NAN);
            if float.fract() == 0.0 && float.abs() <= LARGEST_EXACT {
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use superstream_protocol::{ClientConfigUpdate, ClientReport, RegisterClient, Reports};

    fn register(text: &str) -> Result<RegisterClient, StatusCode> {
        parse(text.as_bytes()).map_err(|e| axum::response::IntoResponse::into_response(e).status())
    }

    #[test]
    fn what_cannot_be_taken() {
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        for text in ["", "{", "{\"a\":1e999}", "\u{1}", "{} {}", deep.as_str()] {
            assert_eq!(register(text), Err(StatusCode::BAD_REQUEST), "{text:.40}");
        }
        for text in [
            "[]",
            "null",
            "\"text\"",
            "{\"pid\":-1}",
            "{\"pid\":4294967296}",
            "{\"learning_factor\":1.5}",
            "{\"pid\":-1.0}",
            "{\"learning_factor\":99999999999999999999}",
            "{\"config\":[]}",
            "{\"type\":\"broker\"}",
            "{\"type\":{\"producer\":null}}",
            "{\"tags\":null}",
        ] {
            assert_eq!(
                register(text),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{text}"
            );
        }
        assert!(parse::<ClientConfigUpdate>(b"{\"mode\":\"passive\"}").is_err());
        assert!(parse::<ClientConfigUpdate>(b"{\"mode\":null}").is_err());
        assert!(parse::<ClientConfigUpdate>(b"{\"refusals\":[[\"k\",\"v\",\"r\"]]}").is_err());
    }

    #[test]
    fn lists_are_not_objects() {
        let refused = |text: &str| {
            let reports = format!("{{\"reports\":[{text}]}}");
            assert!(parse::<Reports>(reports.as_bytes()).is_err(), "{text}");
            parse::<ClientReport>(text.as_bytes()).is_err()
        };
        for text in [
            "[]",
            "{\"measured\":[]}",
            "{\"measured\":{\"other_topics\":[]}}",
            "{\"measured\":{\"topics\":{\"t\":[]}}}",
            "{\"measured\":{\"topics\":{\"t\":{\"accepted\":[1,2]}}}}",
            "{\"measured\":{\"brokers\":[[]]}}",
            "{\"measured\":{\"brokers\":[{\"sent\":[1,2]}]}}",
            "{\"measured\":{\"brokers\":[{\"round_trip_us\":{\"x\":1}}]}}",
            "{\"measured\":{\"delivery_latency_us\":{\"1\":-1}}}",
        ] {
            assert!(refused(text), "{text}");
        }
        let topic = "{\"producer_topics_partitions\":{\"measured\":[0],\"reports\":[1]}}";
        assert!(parse::<ClientReport>(topic.as_bytes()).is_ok());
        assert!(parse::<ClientReport>(b"{\"measured\":null}").is_ok());
    }

    #[test]
    fn whole_numbers_may_have_a_point() {
        let taken = register("{\"learning_factor\":-5.0,\"pid\":7.0,\"config\":{\"a\":1.0}}");
        let taken = taken.unwrap();
        assert_eq!((taken.learning_factor, taken.pid), (-5, Some(7)));
        assert_eq!(taken.config["a"].to_string(), "1.0");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert_eq!(
            register("{\"language\":\"c\",\"new\":1}").map(|r| r.language),
            Ok("c".into())
        );
    }
}
