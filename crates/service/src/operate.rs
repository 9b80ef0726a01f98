//! What operators have sent to clients, over HTTP: updates, and the wish for reports.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use superstream_protocol::Update;

use crate::api::{list_query, pairs};
use crate::ask::ask;
use crate::body::Order;
use crate::directory::{Directory, ServiceError};
use crate::problem::ApiError;
use crate::veltix::{Links, ask_clients_to_report};
use crate::view::ListQuery;

/// Where updates are made.
pub const UPDATES: &str = "/v1/updates";
/// Longest name of a kind of update, in characters.
const MAX_KIND: usize = 100;
/// Longest update as it is sent. The library takes no longer one, and a hundred are kept for each client.
const MAX_UPDATE: usize = 64 * 1024;
/// The share that its sequence and the name of its client have, at most.
const MAX_ADDRESS: usize = 256;

#[derive(Clone)]
struct Operated {
    directory: Arc<Directory>,
    links: Arc<Links>,
}

/// The part of the API for it.
pub fn router(directory: Arc<Directory>, links: Arc<Links>) -> Router {
    Router::new()
        .route(UPDATES, post(update))
        .route("/v1/report-now", post(report_now))
        .with_state(Operated { directory, links })
}

/// What clients are told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewUpdate {
    #[serde(rename = "type")]
    kind: String,
    payload: String,
}

impl NewUpdate {
    fn check(&self) -> Result<(), ApiError> {
        if self.kind.is_empty() || self.kind.chars().count() > MAX_KIND {
            let words = format!("type must have 1 to {MAX_KIND} characters: CompressionUpdate, …");
            return Err(ApiError::unprocessable(words));
        }
        // A kind of other than plain letters is longer when it is sent.
        let sent = serde_json::to_vec(&Update {
            sequence: 0,
            kind: self.kind.clone(),
            payload: self.payload.clone(),
        });
        let sent = sent.map_err(|error| ApiError::internal(&error))?;
        if sent.len() > MAX_UPDATE - MAX_ADDRESS {
            let words = format!(
                "the update is too long: as JSON, type and payload must have at most {} bytes",
                MAX_UPDATE - MAX_ADDRESS
            );
            return Err(ApiError::unprocessable(words));
        }
        match is_json_in_base64(&self.payload) {
            true => Ok(()),
            false => Err(ApiError::unprocessable(
                "payload must be the Base64 of a JSON text: that of {} is e30=",
            )),
        }
    }
}

fn is_json_in_base64(text: &str) -> bool {
    let json = decode(text);
    json.is_some_and(|json| serde_json::from_slice::<IgnoredAny>(&json).is_ok())
}

/// What Base64 stands for.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// How far something went.
#[derive(Debug, Serialize)]
struct Reached {
    /// The clients that it is for.
    clients: usize,
    /// Those of them that are on a link of this instance of the service now.
    reached: usize,
    /// Those that another instance has on a link, as far as the store knows. It tells them.
    elsewhere: usize,
}

async fn update(
    State(Operated { directory, links }): State<Operated>,
    RawQuery(query): RawQuery,
    Order(update): Order<NewUpdate>,
) -> Result<Json<Reached>, ApiError> {
    let wanted = Wanted::of(query.as_deref())?;
    update.check()?;
    ask(directory, move |directory| {
        let clients = wanted.clients(directory)?;
        let made = directory.push_updates(&clients, &update.kind, &update.payload)?;
        let here = made.iter().filter(|made| !made.is_elsewhere);
        let here: Vec<_> = here.map(|made| made.hash.clone()).collect();
        Ok(Reached {
            clients: made.len(),
            reached: links.of_all(&here).iter().map(|(_, c)| c.len()).sum(),
            elsewhere: made.len() - here.len(),
        })
    })
    .await
    .map(Json)
}

async fn report_now(
    State(Operated { directory, links }): State<Operated>,
    RawQuery(query): RawQuery,
) -> Result<Json<Reached>, ApiError> {
    let wanted = Wanted::of(query.as_deref())?;
    let (mut clients, elsewhere) = ask(directory, move |directory| {
        let clients = wanted.clients(directory)?;
        let elsewhere = directory.want_elsewhere(&clients)?;
        Ok((clients, elsewhere))
    })
    .await?;
    let all = clients.len();
    clients.retain(|client| !elsewhere.contains(client));
    Ok(Json(Reached {
        clients: all,
        reached: ask_clients_to_report(&links, &clients),
        elsewhere: elsewhere.len(),
    }))
}

/// Whom something is for.
enum Wanted {
    One(String),
    Matching(ListQuery),
}

impl Wanted {
    /// A name that is not understood would make it more than were meant.
    fn of(query: Option<&str>) -> Result<Self, ApiError> {
        let (mut one, mut is_all, mut filters) = (None, false, 0);
        for (name, value) in pairs(query) {
            match name.as_str() {
                "client_hash" if one.is_some() => {
                    let words = "client_hash must be given once: ask once for each client";
                    return Err(ApiError::bad_request(words));
                }
                "client_hash" => one = Some(value),
                "all" if value == "true" => is_all = true,
                "all" => return Err(ApiError::bad_request("all must be true, or left out")),
                "type" | "client_id" | "tag" | "alive" => filters += 1,
                other => {
                    let words = format!(
                        "there is no filter {other:?}: use tag, client_id, type and alive, or \
                         client_hash, or all=true"
                    );
                    return Err(ApiError::bad_request(words));
                }
            }
        }
        match (one, is_all, filters) {
            (Some(client), false, 0) => Ok(Self::One(client)),
            (None, false, 1..) | (None, true, 0) => Ok(Self::Matching(list_query(query)?)),
            (None, false, 0) => Err(ApiError::bad_request(
                "say for which clients: give tag, client_id, type or alive as for GET /v1/clients, \
                 or client_hash, or all=true",
            )),
            _ => Err(ApiError::bad_request(
                "give filters, or client_hash, or all=true: not several of these",
            )),
        }
    }

    fn clients(self, directory: &Directory) -> Result<Vec<String>, ServiceError> {
        match self {
            Self::One(client) => directory.client(&client).map(|_| vec![client]),
            Self::Matching(query) => directory.matching(&query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_base64_is_told_from_other_text() {
        for text in ["e30=", "eyJhIjoxfQ==", "e30g", "ImE/Yj5jIg=="] {
            assert!(is_json_in_base64(text), "{text}");
        }
        assert_eq!(decode("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
        for text in [
            "", "=", "====", "{}", "e30", "e3=0", "e===", "e30=\n", "ä30=", "+/+/", "e2E9",
            "e30=e30=",
        ] {
            assert!(!is_json_in_base64(text), "{text}");
        }
    }
}
