//! One message: what is asked of the directory, and the answer.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use superstream_protocol::link::{
    CONFIGURE, ERROR, GOODBYE, Goodbye, HELLO, Hello, REGISTER, REPORT, RESUME, Resume, Resumed,
};
use superstream_protocol::{ClientConfigUpdate, ClientError, RegisterClient, Reports};
use superstream_veltix::{ClientInfo, Request, Response};

use super::Post;
use super::links::MAX_CLIENTS;
use crate::auth;
use crate::body::{self, MAX_BODY, MAX_REPORTS_BODY};
use crate::directory::ServiceError;
use crate::problem::ApiError;
use crate::registration::cut_to;
use crate::rules;

/// The tags that are remembered of a connection, at most.
const MAX_TAGS: usize = 100;
/// How much of the name and of the value of each.
const MAX_TAG: usize = 256;
/// How much of the name of a library is logged.
const MAX_SDK: usize = 100;

/// A message that was taken.
struct Done {
    answer: Vec<u8>,
    /// Clients that came onto the link, and are told what waits for them.
    came: Vec<String>,
}

impl Done {
    fn empty() -> Self {
        Self {
            answer: b"{}".to_vec(),
            came: Vec::new(),
        }
    }

    fn json(answer: &impl Serialize) -> Result<Self, ApiError> {
        match serde_json::to_vec(answer) {
            Ok(answer) => Ok(Self {
                answer,
                came: Vec::new(),
            }),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

fn read<T: DeserializeOwned>(message: &Response, most: usize) -> Result<T, ApiError> {
    body::parse_bounded(&message.content, most)
}

/// The tags of a connection, for the log.
pub fn tags_of(peer: &ClientInfo) -> String {
    let tags = peer.tags();
    let shown = tags.names().into_iter().map(|name| {
        let value = tags.get::<String>(&name);
        format!("{name}={}", value.as_deref().map_or("", String::as_str))
    });
    // They are a client's own words, on one line here.
    format!("{:?}", shown.collect::<Vec<_>>().join(" "))
}

impl Post {
    /// Does what a message asks for, and answers it.
    pub fn work_on(&self, peer: &ClientInfo, message: &Response) {
        let done = catch_unwind(AssertUnwindSafe(|| self.answer(peer, message)));
        let done = done.unwrap_or_else(|_| Err(ApiError::internal(&"a handler panicked")));
        let (answer, status, came) = match done {
            Ok(done) => (done.answer, StatusCode::OK.as_u16(), done.came),
            Err(error) => (error.to_json(), error.status(), Vec::new()),
        };
        self.directory.tally().answer(status);
        let reply = Request::reply_to(message, message.message_type, answer);
        if let Err(error) = peer.send(&reply) {
            // One that waits for it must not wait in vain: it comes again on a new link.
            log::debug!(
                "{} could not be answered, and is closed: {error}",
                peer.addr()
            );
            peer.close();
        }
        if !self.links.is_let_in(peer) {
            // After the answer is out. Who may not ask must not have more of what it sends kept.
            peer.close();
        }
        for client in came {
            self.tell_what_waits(&client, 0);
        }
    }

    fn answer(&self, peer: &ClientInfo, message: &Response) -> Result<Done, ApiError> {
        let code = message.message_type.code();
        if code == HELLO {
            return self.greet(peer, read(message, MAX_BODY)?);
        }
        if !self.links.is_let_in(peer) {
            let words = "the first message of a connection must be of type 200, with the token";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, words));
        }
        match code {
            REGISTER => self.register(peer, read(message, MAX_BODY)?),
            CONFIGURE => {
                let update: ClientConfigUpdate = read(message, MAX_BODY)?;
                let client = update.client_hash.clone();
                self.directory.configure(&client, update)?;
                Ok(Done::empty())
            }
            REPORT => self.report(read(message, MAX_REPORTS_BODY)?),
            ERROR => {
                let error: ClientError = read(message, MAX_BODY)?;
                let client = error.client_hash.clone();
                self.directory.error(&client, error)?;
                Ok(Done::empty())
            }
            GOODBYE => {
                let goodbye: Goodbye = read(message, MAX_BODY)?;
                let taken = self.directory.goodbye(&goodbye.client_hash);
                // It may be long forgotten: then it is on no link either.
                if matches!(taken, Ok(()) | Err(ServiceError::UnknownClient)) {
                    self.links.forget(&goodbye.client_hash);
                }
                taken?;
                Ok(Done::empty())
            }
            RESUME => {
                let resume: Resume = read(message, MAX_BODY)?;
                let mut unknown = resume.client_hashes;
                let came = self.put(peer, &unknown)?;
                unknown.retain(|client| !came.contains(client));
                Ok(Done {
                    came: came.into_iter().collect(),
                    ..Done::json(&Resumed { unknown })?
                })
            }
            _ => Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "messages of this type are not known: docs/link.md has those that are",
            )),
        }
    }

    fn greet(&self, peer: &ClientInfo, hello: Hello) -> Result<Done, ApiError> {
        if let Some(token) = &self.token {
            let given = hello.token.unwrap_or_default();
            auth::is_right(given.as_bytes(), token)
                .map_err(|words| ApiError::new(StatusCode::UNAUTHORIZED, words))?;
        }
        self.links.let_in(peer);
        // Before the answer is out: what follows it may be long.
        peer.trust();
        self.count_links();
        let mut sdk = self.directory.masked(&hello.sdk);
        cut_to(&mut sdk, MAX_SDK);
        log::debug!("a link from {}: {sdk:?}", peer.addr());
        Ok(Done::empty())
    }

    fn register(&self, peer: &ClientInfo, registration: RegisterClient) -> Result<Done, ApiError> {
        check_room(self.links.has_room(peer, 1))?;
        let registered = self.directory.register(registration)?.registered;
        let mut done = Done::json(&registered)?;
        if !registered.client_hash.is_empty() {
            let came = self.put(peer, &[registered.client_hash])?;
            done.came.extend(came);
        }
        Ok(done)
    }

    fn report(&self, reports: Reports) -> Result<Done, ApiError> {
        let last = reports.reports.iter().filter(|report| report.last);
        let last: Vec<_> = last.map(|report| report.client_hash.clone()).collect();
        let taken = self.directory.reports(reports)?;
        let unknown = taken.reports.iter().filter(|report| report.unknown);
        // Who is unknown by now registers again, and has another name then.
        let gone = last.iter().chain(unknown.map(|report| &report.client_hash));
        gone.for_each(|client| self.links.forget(client));
        Done::json(&taken)
    }

    /// Puts clients onto a link. Those that are known.
    fn put(&self, peer: &ClientInfo, clients: &[String]) -> Result<HashSet<String>, ApiError> {
        // Each name costs a look, also one that is named twice.
        check_room(clients.len() <= MAX_CLIENTS && self.links.has_room_for(peer, clients))?;
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let tags = self.directory.put_on_link(clients)?;
        let mut came = HashSet::new();
        for (client, tags) in clients.iter().zip(tags) {
            let Some(tags) = tags else {
                continue;
            };
            self.links.put(peer, client);
            came.insert(client.clone());
            remember(peer, tags.as_deref().and_then(rules::tags));
        }
        Ok(came)
    }
}

fn check_room(has_room: bool) -> Result<(), ApiError> {
    match has_room {
        true => Ok(()),
        false => Err(ApiError::unprocessable(format!(
            "a connection has at most {MAX_CLIENTS} clients: open another one"
        ))),
    }
}

/// Makes the tags of a client tags of its connection.
fn remember(peer: &ClientInfo, tags: Option<BTreeMap<String, String>>) {
    let mut room = MAX_TAGS.saturating_sub(peer.tags().names().len());
    for (mut name, mut value) in tags.into_iter().flatten() {
        cut_to(&mut name, MAX_TAG);
        cut_to(&mut value, MAX_TAG);
        if room > 0 && peer.tags().add_value(name, value) {
            room -= 1;
        }
    }
}
