//! Asks the service. Nothing that comes back is trusted: answers are bounded before they are
//! parsed, redirects are not followed, certificates are checked against the system's trust store,
//! and the token goes to the given address alone, through no proxy.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use superstream_protocol::Problem;
use superstream_settings::{Endpoint, Token, TokenSource};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

use super::View;
use super::rows::Row;

/// One question may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
const PAGE: u32 = 500;
/// As many pages as hold 100,000 registrations.
const MOST_PAGES: usize = 200;
/// A page of clients with the longest names and tags that a service shows.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Longest sentence of the service that is shown.
const MAX_REASON_CHARS: usize = 300;

/// The service, and what is asked of it.
pub struct Service {
    agent: Agent,
    base: String,
    token: TokenSource,
    /// What names the clients that are wanted.
    query: Vec<(&'static str, String)>,
    keeps_documents: bool,
}

/// What the service said.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When, by the service's clock.
    pub at_ms: i64,
    /// How often clients are to report.
    pub report_interval_ms: u64,
    /// The clients that are wanted.
    pub rows: Vec<Row>,
    /// As the service gave them.
    pub totals: Value,
    /// There are more clients than were looked at.
    pub is_cut: bool,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Asking again gives the same.
    Refused(String),
    /// It may be well in a moment: a predicate of the service.
    Away(String),
}

impl Service {
    /// `keeps_documents` has the rows keep the documents that they were made from.
    pub fn new(
        endpoint: &Endpoint,
        token: TokenSource,
        view: &View,
        keeps_documents: bool,
    ) -> Self {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend((!view.all).then(|| ("alive", true.to_string())));
        query.extend(view.tags.iter().map(|tag| ("tag", tag.as_text())));
        let config =
            superstream_settings::agent(concat!("superstream-top/", env!("CARGO_PKG_VERSION")))
                .timeout_global(Some(PATIENCE))
                .build();
        Self {
            agent: config.into(),
            base: endpoint.to_string(),
            token,
            query,
            keeps_documents,
        }
    }

    /// The clients and the totals, as they are now.
    pub fn look(&mut self) -> Result<Snapshot, Failure> {
        let token = match &self.token {
            // By what name the file was given is not known here.
            TokenSource::File(path) => Token::of_file(path).map(Some).map_err(|error| {
                Failure::Away(format!(
                    "was not asked: the token file {} {error}",
                    path.display()
                ))
            })?,
            given => given.read().map_err(Failure::Away)?,
        };
        let token = token.as_ref();
        let mut snapshot = self.clients(token)?;
        (snapshot.totals, _) = self.get("/v1/totals", &[], token)?;
        Ok(snapshot)
    }

    /// All pages of clients.
    fn clients(&self, token: Option<&Token>) -> Result<Snapshot, Failure> {
        let mut after = None;
        let mut snapshot = Snapshot {
            at_ms: 0,
            report_interval_ms: 0,
            rows: Vec::new(),
            totals: Value::Null,
            is_cut: false,
        };
        for _ in 0..MOST_PAGES {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(
                self.query
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            );
            query.extend(after.as_deref().map(|after| ("after", after)));
            let (mut page, now_ms) = self.get("/v1/clients", &query, token)?;
            let Some(interval) = page["report_interval_ms"].as_u64() else {
                return Err(not_understood("it has no report_interval_ms"));
            };
            let Some(documents) = page["clients"].as_array_mut() else {
                return Err(not_understood("it has no clients"));
            };
            snapshot.at_ms = now_ms;
            snapshot.report_interval_ms = interval;
            snapshot
                .rows
                .extend(documents.drain(..).map(|document| Row {
                    document: self.keeps_documents.then(|| document.clone()),
                    ..Row::of(&document, now_ms)
                }));
            match page["next"].as_i64() {
                Some(next) => after = Some(next.to_string()),
                None => return Ok(snapshot),
            }
        }
        snapshot.is_cut = true;
        Ok(snapshot)
    }

    fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        token: Option<&Token>,
    ) -> Result<(Value, i64), Failure> {
        self.ask(token, || {
            let request = self.agent.get(format!("{}{path}", self.base));
            authorized(request, token)
                .query_pairs(query.iter().copied())
                .call()
        })
    }

    /// The document of an answer, and the time on the service's clock. A kept connection that the
    /// service has just closed is no failure: every question may be asked again, on a new one.
    fn ask(
        &self,
        token: Option<&Token>,
        question: impl Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<(Value, i64), Failure> {
        let answer = match question() {
            Err(ureq::Error::Io(error)) if error.kind() != ErrorKind::ConnectionRefused => {
                question()
            }
            other => other,
        };
        let answer = answer.map_err(|error| unanswered(error.to_string()))?;
        let now_ms = clock(answer.headers());
        let status = answer.status();
        let document = document(answer, token);
        if status.is_success() {
            return document.map(|document| (document, now_ms));
        }
        let problem = document
            .ok()
            .and_then(|document| serde_json::from_value::<Problem>(document).ok());
        Err(refused(status, &problem.map_or(String::new(), |p| p.error)))
    }
}

fn authorized<B>(
    request: ureq::RequestBuilder<B>,
    token: Option<&Token>,
) -> ureq::RequestBuilder<B> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {}", token.reveal())),
        None => request,
    }
}

/// What an error answer means for us.
fn refused(status: StatusCode, told: &str) -> Failure {
    let told: String = told.chars().take(MAX_REASON_CHARS).collect();
    let reason = format!("{status} {told}").trim_end().to_owned();
    match status.as_u16() {
        401 | 403 => Failure::Refused(format!(
            "does not take the token ({reason}): give the one that its operator hands out, with \
             --token-file"
        )),
        404 | 405 => Failure::Refused(format!(
            "is no Superstream service that shows its clients ({reason}): correct --host"
        )),
        300..=399 => Failure::Refused(format!(
            "answers {status}: redirects are not followed, give the address itself with --host"
        )),
        408 | 425 | 429 => unanswered(reason),
        400..=499 => Failure::Refused(format!("refuses the question: {reason}")),
        _ => unanswered(reason),
    }
}

/// The document of an answer. What the service repeats of the token is gone before anything can
/// show it.
fn document(answer: Response<Body>, token: Option<&Token>) -> Result<Value, Failure> {
    let body = answer
        .into_body()
        .into_with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_vec()
        .map_err(|error| unanswered(error.to_string()))?;
    let mut document =
        serde_json::from_slice(&body).map_err(|error| not_understood(&error.to_string()))?;
    if let Some(token) = token {
        token.mask_in(&mut document);
    }
    Ok(document)
}

fn unanswered(why: String) -> Failure {
    Failure::Away(format!("does not answer: {why}"))
}

fn not_understood(why: &str) -> Failure {
    Failure::Away(format!(
        "gives an answer that is not understood ({why}): correct --host, or update the service if \
         it is older than this program"
    ))
}

/// The time of an answer; by our own clock where it has none.
fn clock(headers: &HeaderMap) -> i64 {
    let told = headers.get("date").and_then(|date| date.to_str().ok());
    let time = told.and_then(|date| httpdate::parse_http_date(date).ok());
    let since = time
        .unwrap_or_else(SystemTime::now)
        .duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_token_is_told_from_a_service_in_trouble() {
        for (status, is_over) in [
            (401, true),
            (403, true),
            (404, true),
            (302, true),
            (400, true),
            (408, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let failure = refused(StatusCode::from_u16(status).unwrap(), "why");
            assert_eq!(matches!(failure, Failure::Refused(_)), is_over, "{status}");
        }
    }
}
