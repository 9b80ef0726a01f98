//! Who may ask: those who know the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::problem::ApiError;

/// The one path that needs no token: it tells nothing about clients.
const OPEN_PATH: &str = "/health";

/// Lets a request through if it carries the token, or if there is none to carry.
pub async fn check(
    State(token): State<Option<Arc<str>>>,
    request: Request,
    next: Next,
) -> Response {
    match token {
        Some(token) if request.uri().path() != OPEN_PATH => {
            match carries(request.headers(), &token) {
                Ok(()) => next.run(request).await,
                Err(words) => ApiError::new(StatusCode::UNAUTHORIZED, words).into_response(),
            }
        }
        _ => next.run(request).await,
    }
}

fn carries(headers: &HeaderMap, token: &str) -> Result<(), &'static str> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err("no token: send the header `Authorization: Bearer TOKEN`");
    };
    let (scheme, given) = match header.as_bytes().iter().position(|&b| b == b' ') {
        Some(at) => header.as_bytes().split_at(at),
        None => (header.as_bytes(), &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err("not a bearer token: send the header `Authorization: Bearer TOKEN`");
    }
    is_right(given.trim_ascii(), token)
}

/// Whether what was given is the token.
pub fn is_right(given: &[u8], token: &str) -> Result<(), &'static str> {
    // Equal time for every wrong token, so that none can be guessed piece by piece.
    match given.ct_eq(token.as_bytes()).into() {
        true => Ok(()),
        false => Err("this is not the token of this service: ask its operator for the right one"),
    }
}
