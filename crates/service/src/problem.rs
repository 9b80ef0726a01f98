//! Every error answer is a [`Problem`]: JSON, with words that say what to do next.

use std::any::Any;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use superstream_protocol::Problem;

use crate::directory::ServiceError;
use crate::operate;

/// An error answer on its way out.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    words: String,
}

impl ApiError {
    /// An answer with this status and these words.
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
        }
    }

    /// The status, as HTTP numbers it.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// What is wrong and what to do about it.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The answer where no status goes beside it.
    pub fn to_json(&self) -> Vec<u8> {
        json!({ "error": self.words(), "status": self.status() })
            .to_string()
            .into_bytes()
    }

    /// A message that is larger than is taken.
    pub fn too_large(most: usize) -> Self {
        let words = format!("the body is larger than {most} bytes: send less");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    }

    /// A request that cannot be read.
    pub fn bad_request(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// A message that can be read, but not meant.
    pub fn unprocessable(words: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, words)
    }

    /// A fault of the service; the words go to its log, where they help.
    pub fn internal(reason: &dyn std::fmt::Display) -> Self {
        log::error!("a request failed: {reason}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the service failed: try again later; its log tells its operator why",
        )
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let status = match &error {
            ServiceError::UnknownClient => StatusCode::NOT_FOUND,
            ServiceError::OtherClient => StatusCode::CONFLICT,
            ServiceError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ServiceError::Store(reason) => return Self::internal(reason),
            ServiceError::Partly(_, reason) => {
                log::error!("an update was not made for all: {reason}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ServiceError::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Problem { error: self.words })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Gives words to the error answers that the layers below make without any.
pub async fn speak(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let is_for_many = request.uri().path() == operate::UPDATES;
    let response = next.run(request).await;
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|t| t == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(ALLOW).cloned();
    let words = match status {
        StatusCode::METHOD_NOT_ALLOWED => format!(
            "{method} is not for this path: use one of {}",
            allow
                .as_ref()
                .and_then(|a| a.to_str().ok())
                .unwrap_or("those of docs/openapi.yaml")
        ),
        // Nothing takes back what was begun.
        StatusCode::REQUEST_TIMEOUT if is_for_many => {
            "the request took too long: the update may have been made, or be made yet, for some of \
             the clients or all; sent again, they have it twice"
                .to_owned()
        }
        StatusCode::REQUEST_TIMEOUT => {
            "the request took too long to arrive or to answer: send it again".to_owned()
        }
        other => format!("{other}: docs/openapi.yaml tells what this service understands"),
    };
    let mut spoken = ApiError::new(status, words).into_response();
    if let Some(allow) = allow {
        spoken.headers_mut().insert(ALLOW, allow);
    }
    spoken
}

/// What is left of a request whose handler panicked. The panic itself is in the log.
pub fn after_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal(&"a handler panicked").into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value;

    use super::*;
    use crate::api;
    use crate::directory::Directory;

    #[tokio::test(start_paused = true)]
    async fn who_took_too_long_is_told_what_became_of_it() {
        let router = api::router(Directory::empty().into(), Default::default(), None);
        let service = TowerToHyperService::new(router);
        let words = async |path: &str| {
            let endless = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
            let request = Request::post(path)
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from_stream(endless))
                .unwrap();
            let answer = service.call(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT, "{path}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            answer["error"].as_str().unwrap().to_owned()
        };
        let words_of_many = words("/v1/updates?all=true").await;
        assert!(words_of_many.contains("have it twice"), "{words_of_many}");
        // What is taken once only may be said again.
        let words_of_one = words("/v1/reports").await;
        assert!(words_of_one.ends_with("send it again"), "{words_of_one}");
    }
}
