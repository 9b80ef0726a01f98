//! One message: what is asked of the directory, and the answer.

use std::sync::Arc;

use async_nats::Message;
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use superstream_protocol::{
    ClientConfigUpdate, ClientError, ClientReport, RegisterClient, Reports, StartClient,
};

use super::Post;
use super::subject::{NOBODY, Subject};
use super::words::{self, Reconnection, TypeUpdate};
use crate::ask::ask;
use crate::body::{self, MAX_BODY, MAX_REPORTS_BODY};
use crate::directory::{Directory, ServiceError};
use crate::problem::ApiError;
use crate::tally::Outcome;

/// Where the service listens itself: an answer there would be a question.
const OWN: [&str; 2] = ["internal.", "internal_tasks."];

/// A message that was taken.
struct Done {
    answer: Vec<u8>,
    then: Then,
}

/// What is to be done once the answer is out.
enum Then {
    Nothing,
    Start(String, StartClient),
    Update(String),
}

impl Done {
    fn with(answer: Vec<u8>) -> Self {
        Self {
            answer,
            then: Then::Nothing,
        }
    }

    fn empty() -> Self {
        Self::with(b"{}".to_vec())
    }

    fn json(answer: &impl Serialize) -> Result<Self, ApiError> {
        match serde_json::to_vec(answer) {
            Ok(answer) => Ok(Self::with(answer)),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

impl Post {
    /// Does what a message asks for, and answers it where it wants an answer.
    pub async fn work_on(self: &Arc<Self>, message: Message) {
        let subject = Subject::of(&message.subject);
        self.tally.nats_message(subject.number());
        let done = self.answer(subject, &message).await;
        let (answer, status, then) = match done {
            Ok(done) => (done.answer, StatusCode::OK.as_u16(), done.then),
            Err(error) => (error.to_json(), error.status(), Then::Nothing),
        };
        self.tally.nats_outcome(Outcome::of(status));
        if let Some(reply) = message.reply
            && !OWN.iter().any(|own| reply.starts_with(own))
        {
            self.tally.answer(status);
            if let Err(error) = self.line.say(reply.to_string(), answer).await {
                log::warn!("a question could not be answered: {error}");
            }
        }
        match then {
            Then::Nothing => {}
            Then::Start(client, answer) => self.start(client, answer),
            Then::Update(client) => self.clone().update_again(client).await,
        }
    }

    async fn answer(&self, subject: Subject<'_>, message: &Message) -> Result<Done, ApiError> {
        match subject {
            Subject::Register => self.register(message).await,
            Subject::Config => {
                let update: ClientConfigUpdate = read(message, MAX_BODY)?;
                let client = named(&update.client_hash)?;
                self.ask(client, |d, client| d.configure(client, update))
                    .await
            }
            Subject::Type => {
                let update: TypeUpdate = read(message, MAX_BODY)?;
                let client = named(&update.client_hash)?;
                let name = client.clone();
                let told = self.heard(client, true, move |d, client| {
                    d.set_kind(client, update.kind)
                });
                // It listens to updates from now on.
                let then = match told.await? {
                    true => Then::Update(name),
                    false => Then::Nothing,
                };
                Ok(Done::empty().then(then))
            }
            Subject::Errors => {
                let text = String::from_utf8_lossy(body::bounded(&message.payload, MAX_BODY)?);
                let (client, error) =
                    words::error_report(&text).ok_or(ServiceError::UnknownClient)?;
                let client = named(client)?;
                let error = ClientError {
                    client_hash: String::new(),
                    error: error.to_owned(),
                };
                // One that has not started can fail too.
                let told = self.heard(client, false, |d, client| d.error(client, error));
                told.await?;
                Ok(Done::empty())
            }
            Subject::Topics(client) => {
                let report: ClientReport = read(message, MAX_REPORTS_BODY)?;
                // An SDK says that it has none after each reconnection, even while it awaits its start.
                let runs = !report.producer_topics_partitions.is_empty()
                    || !report.consumer_group_topics_partitions.is_empty();
                let told = self.heard(named(client)?, runs, |d, client| d.report(client, report));
                told.await?;
                Ok(Done::empty())
            }
            // Schemas are not learnt: payloads are never rewritten. What counts what that would save
            // is empty in every release.
            Subject::Counters(client) | Subject::Sample(client) | Subject::MakeSchema(client) => {
                self.heard(named(client)?, false, |_, _| Ok(())).await?;
                Ok(Done::empty())
            }
            Subject::GetSchema(client) => {
                if let Ok(client) = named(client) {
                    // The answer is the same for those that nobody knows.
                    let _ = self.heard(client, false, |_, _| Ok(())).await;
                }
                let answer = b"{\"error\":\"schema not found\"}".to_vec();
                Ok(Done::with(answer))
            }
            Subject::Reports => {
                let reports: Reports = read(message, MAX_REPORTS_BODY)?;
                let taken = ask(self.directory.clone(), move |d| d.reports(reports)).await?;
                Done::json(&taken)
            }
            Subject::Goodbye(client) => {
                let client = named(client)?;
                ask(self.directory.clone(), move |d| d.goodbye(&client)).await?;
                Ok(Done::empty())
            }
            Subject::Reconnection => self.reconnect(message).await,
            Subject::Other => Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "there is nothing at this subject",
            )),
        }
    }

    async fn register(&self, message: &Message) -> Result<Done, ApiError> {
        let registration: RegisterClient = read(message, MAX_BODY)?;
        if message.reply.is_none() {
            // It could not be told its name.
            let words = "a registration needs a reply subject: send it as a request";
            return Err(ApiError::bad_request(words));
        }
        let learning_factor =
            words::learning_factor(&message.payload, registration.learning_factor);
        // Who registers with an id is told everything at once.
        if registration.registration_id.is_some() || registration.dry_run {
            let answer = ask(self.directory.clone(), |d| d.register(registration)).await?;
            return Done::json(&answer.registered);
        }
        let answer = ask(self.directory.clone(), |d| d.register_quiet(registration)).await?;
        let registered = answer.registered;
        let told = words::registered(&registered, learning_factor);
        let then = Then::Start(registered.client_hash, registered.start);
        Ok(Done::with(told).then(then))
    }

    /// A deployed SDK waits for an answer, and goes on with any. One of ours wants to know whether it
    /// has to register again.
    async fn reconnect(&self, message: &Message) -> Result<Done, ApiError> {
        let Ok(told) = read::<Reconnection>(message, MAX_BODY) else {
            return Ok(Done::empty());
        };
        let client = told.client_hash.clone();
        let connection = told.new_nats_connection_id;
        // Who still waits for its start does so over the new connection.
        let known = self.heard(told.client_hash, false, move |d, client| {
            d.reconnect(client, &connection)
        });
        match known.await {
            Ok(()) => Ok(Done::empty().then(Then::Update(client))),
            Err(error) if is_ours(&client) => Err(error),
            Err(_) => Ok(Done::empty()),
        }
    }

    /// Does something for a client, which has said something. `runs` is for what each says when it
    /// begins to run: anything else may be of before it registered once more.
    async fn heard<T: Send + 'static>(
        &self,
        client: String,
        runs: bool,
        work: impl FnOnce(&Directory, &str) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ApiError> {
        ask(self.directory.clone(), move |directory| {
            directory.hear(&client, runs)?;
            work(directory, &client)
        })
        .await
    }

    /// The same for one that runs, where there is nothing to tell.
    async fn ask(
        &self,
        client: String,
        work: impl FnOnce(&Directory, &str) -> Result<(), ServiceError> + Send + 'static,
    ) -> Result<Done, ApiError> {
        self.heard(client, true, work).await?;
        Ok(Done::empty())
    }
}

fn read<T: DeserializeOwned>(message: &Message, most: usize) -> Result<T, ApiError> {
    body::parse_bounded(&message.payload, most)
}

/// The client that a message names, if any.
fn named(client: &str) -> Result<String, ServiceError> {
    match client {
        "" | NOBODY => Err(ServiceError::UnknownClient),
        client => Ok(client.to_owned()),
    }
}

/// Whether a name is one that a service such as this gives.
fn is_ours(client: &str) -> bool {
    client.len() == 32 && client.bytes().all(|b| b.is_ascii_hexdigit())
}
