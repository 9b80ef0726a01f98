//! The service over HTTP and JSON: each function takes a request apart, calls the
//! [`Directory`], and puts the answer together. `docs/openapi.yaml` says the same to others.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
use superstream_protocol::{
    ClientConfigUpdate, ClientError, ClientKind, ClientReport, RegisterClient, Reports,
    ReportsTaken, Updates,
};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::ask::ask;
use crate::auth;
use crate::body::{MAX_REPORTS_BODY, Message};
use crate::directory::{Directory, ServiceError};
use crate::metrics;
use crate::operate;
use crate::problem::{self, ApiError};
use crate::tally::Tally;
use crate::veltix::Links;
use crate::view::{ClientDetail, ClientList, Health, History, ListQuery, TotalsView};

/// How long a request may take, from its headers to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many clients a page of the list holds where the caller does not say.
pub const DEFAULT_PAGE: u32 = 100;
/// How many clients a page of the list holds at most.
pub const MAX_PAGE: u32 = 1_000;
/// Longest pattern to look for clients by, in characters.
pub const MAX_PATTERN: usize = 250;
/// Most tags to look for clients by.
pub const MAX_TAGS: usize = 20;

type Shared = State<Arc<Directory>>;

/// The whole API over a directory and its links, for those who know the token.
pub fn router(directory: Arc<Directory>, links: Arc<Links>, token: Option<Arc<str>>) -> Router {
    let tally = directory.tally().clone();
    let operate = operate::router(directory.clone(), links);
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/totals", get(totals))
        .route("/v1/reports", post(reports))
        .route("/v1/clients", get(list).post(register))
        .route("/v1/clients/{client_hash}", get(client).delete(goodbye))
        .route("/v1/clients/{client_hash}/config", put(configure))
        .route("/v1/clients/{client_hash}/reports", post(report))
        .route("/v1/clients/{client_hash}/history", get(history))
        .route("/v1/clients/{client_hash}/errors", post(error))
        .route("/v1/clients/{client_hash}/updates", get(updates))
        .fallback(unknown_path)
        .with_state(directory)
        .merge(operate)
        .layer(middleware::from_fn_with_state(token, auth::check))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(middleware::from_fn(problem::speak))
        .layer(middleware::from_fn_with_state(tally, count))
}

async fn count(State(tally): State<Arc<Tally>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    tally.answer(response.status().as_u16());
    response
}

async fn health(State(directory): Shared) -> Json<Health> {
    let version = env!("CARGO_PKG_VERSION");
    Json(Health {
        status: "ok",
        version,
        mode: directory.mode(),
    })
}

async fn register(
    State(directory): Shared,
    Message(message): Message<RegisterClient>,
) -> Result<Response, ApiError> {
    let answer = ask(directory, move |directory| directory.register(message)).await?;
    let status = if answer.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(answer.registered)).into_response())
}

async fn configure(
    State(directory): Shared,
    ClientHash(client): ClientHash,
    Message(message): Message<ClientConfigUpdate>,
) -> Result<StatusCode, ApiError> {
    ask(directory, move |directory| {
        directory.configure(&client, message)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn report(
    State(directory): Shared,
    ClientHash(client): ClientHash,
    Message(message): Message<ClientReport>,
) -> Result<StatusCode, ApiError> {
    ask(directory, move |directory| {
        directory.report(&client, message)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reports(
    State(directory): Shared,
    Message(message): Message<Reports, MAX_REPORTS_BODY>,
) -> Result<Json<ReportsTaken>, ApiError> {
    ask(directory, move |directory| directory.reports(message))
        .await
        .map(Json)
}

async fn error(
    State(directory): Shared,
    ClientHash(client): ClientHash,
    Message(message): Message<ClientError>,
) -> Result<StatusCode, ApiError> {
    ask(directory, move |directory| {
        directory.error(&client, message)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn updates(
    State(directory): Shared,
    ClientHash(client): ClientHash,
    RawQuery(query): RawQuery,
) -> Result<Json<Updates>, ApiError> {
    let mut after = 0;
    for (name, value) in pairs(query.as_deref()) {
        if name == "after" {
            after = number(&name, &value, 0, i64::MAX as u64)?;
        }
    }
    ask(directory, move |directory| {
        directory.updates(&client, after)
    })
    .await
    .map(Json)
}

async fn goodbye(
    State(directory): Shared,
    ClientHash(client): ClientHash,
) -> Result<StatusCode, ApiError> {
    ask(directory, move |directory| directory.goodbye(&client)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn client(
    State(directory): Shared,
    ClientHash(client): ClientHash,
) -> Result<Json<ClientDetail>, ApiError> {
    ask(directory, move |directory| directory.client(&client))
        .await
        .map(Json)
}

async fn list(
    State(directory): Shared,
    RawQuery(query): RawQuery,
) -> Result<Json<ClientList>, ApiError> {
    let query = list_query(query.as_deref())?;
    ask(directory, move |directory| directory.list(&query))
        .await
        .map(Json)
}

async fn history(
    State(directory): Shared,
    ClientHash(client): ClientHash,
    RawQuery(query): RawQuery,
) -> Result<Json<History>, ApiError> {
    let (limit, after) = page(query.as_deref())?;
    ask(directory, move |directory| {
        directory.history(&client, limit, after)
    })
    .await
    .map(Json)
}

async fn totals(State(directory): Shared) -> Result<Json<TotalsView>, ApiError> {
    ask(directory, Directory::totals).await.map(Json)
}

async fn metrics(State(directory): Shared) -> Result<Response, ApiError> {
    let text = ask(directory, Directory::metrics).await?;
    Ok(([(CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}

async fn unknown_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path: docs/openapi.yaml lists the paths of this service",
    )
}

/// The client that a path names.
struct ClientHash(String);

impl<S: Send + Sync> FromRequestParts<S> for ClientHash {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        match path {
            Ok(Path(client)) => Ok(Self(client)),
            // Bytes that are no text name nobody.
            Err(_) => Err(ServiceError::UnknownClient.into()),
        }
    }
}

/// How much of a list is wanted, and after which point of it.
fn page(query: Option<&str>) -> Result<(u32, Option<i64>), ApiError> {
    let mut page = (DEFAULT_PAGE, None);
    for (name, value) in pairs(query) {
        match name.as_str() {
            "limit" => {
                let limit = number(&name, &value, 1, MAX_PAGE.into())?;
                page.0 = u32::try_from(limit).unwrap_or(MAX_PAGE);
            }
            "after" => {
                let after = number(&name, &value, 0, i64::MAX as u64)?;
                page.1 = Some(i64::try_from(after).unwrap_or(i64::MAX));
            }
            _ => {}
        }
    }
    Ok(page)
}

/// Which clients are wanted.
pub(crate) fn list_query(query: Option<&str>) -> Result<ListQuery, ApiError> {
    let (limit, after) = page(query)?;
    let mut list = ListQuery {
        limit,
        after,
        ..ListQuery::default()
    };
    for (name, value) in pairs(query) {
        match name.as_str() {
            "type" => list.kind = Some(kind(&value)?),
            "client_id" if value.chars().count() > MAX_PATTERN => {
                let words = format!("client_id must have at most {MAX_PATTERN} characters");
                return Err(ApiError::bad_request(words));
            }
            "client_id" => list.client_id = Some(value),
            "tag" if list.tags.len() == MAX_TAGS => {
                let words = format!("tag must be given at most {MAX_TAGS} times");
                return Err(ApiError::bad_request(words));
            }
            "tag" => list.tags.push(match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value, None),
            }),
            "alive" => list.alive = Some(truth(&name, &value)?),
            _ => {}
        }
    }
    Ok(list)
}

/// The parameters of a query.
pub(crate) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let query = query.unwrap_or("").as_bytes();
    form_urlencoded::parse(query).into_owned().collect()
}

/// A number of digits only: Rust would also take a sign.
fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, ApiError> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
        _ => {
            let words = format!("{name} must be a whole number from {least} to {most}");
            Err(ApiError::bad_request(words))
        }
    }
}

fn truth(name: &str, value: &str) -> Result<bool, ApiError> {
    let words = format!("{name} must be true or false");
    value.parse().map_err(|_| ApiError::bad_request(words))
}

fn kind(value: &str) -> Result<ClientKind, ApiError> {
    let kinds = [
        ClientKind::Producer,
        ClientKind::Consumer,
        ClientKind::Admin,
    ];
    let found = kinds.into_iter().find(|kind| kind.as_str() == value);
    found.ok_or_else(|| ApiError::bad_request("type must be producer, consumer or admin"))
}
