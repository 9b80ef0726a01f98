//! The clients of this process that the service knows by a name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use serde::Serialize;
use superstream_nats::Subscription;
use superstream_protocol::{ClientKind, ClientReport, RegisterClient, TopicsPartitions};

/// Clients that are kept in mind. Beyond, those go that nothing was said of for longest: their end may
/// never have been told.
const MAX_NAMES: usize = 4096;
/// What an error text says of its client may take so much for tags.
const MAX_TAGS_CHARS: usize = 1024;
/// The deployed service takes a client for gone whose topics it has not heard of for long. Whole rounds
/// come every 10 minutes, or a minute earlier or later.
const TOPICS_EVERY: Duration = Duration::from_secs(500);

/// A subscription, and its connection.
pub(super) type Listening = (u64, Subscription);

/// All of them.
#[derive(Default)]
pub(super) struct Known {
    names: BTreeMap<String, Named>,
    /// How often something was said of any of them.
    turns: u64,
}

/// What is known of a name. The deployed service may give one to two clients of a connection.
pub(super) struct Named {
    /// The service is our own: it answers what the deployed one is only told.
    pub(super) is_ours: bool,
    /// The registrations that it was given for.
    clients: Vec<String>,
    kind: Option<ClientKind>,
    /// The service knows its kind.
    pub(super) kind_is_told: bool,
    /// What an error text begins with.
    origin: String,
    /// The connection that the service knows the client by.
    pub(super) on: u64,
    /// The subscription to updates.
    pub(super) updates: Option<Listening>,
    topics: Topics,
    topics_told: Option<Instant>,
    /// When something was said of it last.
    turn: u64,
}

/// `internal.clientTypeUpdate`.
#[derive(Serialize)]
struct Kind<'a> {
    client_hash: &'a str,
    #[serde(rename = "type")]
    kind: ClientKind,
}

/// `internal_tasks.clientsUpdate.config`: what was used since the client's creation.
#[derive(Clone, Default, PartialEq, Serialize)]
struct Topics {
    connection_id: i64,
    producer_topics_partitions: TopicsPartitions,
    consumer_group_topics_partitions: TopicsPartitions,
}

impl Known {
    /// The service has registered a client over a connection. The names that nobody goes by any more,
    /// and their subscriptions.
    pub(super) fn registered(
        &mut self,
        client_hash: &str,
        message: &RegisterClient,
        is_ours: bool,
        on: u64,
    ) -> Vec<(String, Option<Listening>)> {
        let id = message.registration_id.clone().unwrap_or_default();
        // It goes by its new name from now on.
        let mut left = Vec::new();
        self.names.retain(|name, named| {
            named.clients.retain(|client| *client != id);
            let stays = name == client_hash || !named.clients.is_empty();
            if !stays {
                left.push((name.clone(), named.updates));
            }
            stays
        });
        if self.names.len() >= MAX_NAMES {
            left.extend(self.forget_quietest());
        }
        self.turns += 1;
        let fresh = Named {
            is_ours,
            clients: Vec::new(),
            kind: message.kind,
            kind_is_told: false,
            origin: origin(client_hash, message),
            on,
            updates: None,
            topics: Topics {
                connection_id: message.connection_id,
                ..Topics::default()
            },
            topics_told: None,
            turn: self.turns,
        };
        let named = self.names.entry(client_hash.to_owned()).or_insert(fresh);
        named.turn = self.turns;
        named.clients.push(id);
        named.is_ours = is_ours;
        named.kind = message.kind;
        named.kind_is_told = false;
        named.on = on;
        left
    }

    pub(super) fn get(&mut self, client_hash: &str) -> Option<&mut Named> {
        let named = self.names.get_mut(client_hash)?;
        self.turns += 1;
        named.turn = self.turns;
        Some(named)
    }

    pub(super) fn has(&self, client_hash: &str) -> bool {
        self.names.contains_key(client_hash)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A client is gone; what is known of it, where it was the last one of its name.
    pub(super) fn gone(&mut self, client_hash: &str, registration_id: &str) -> Option<Named> {
        let named = self.names.get_mut(client_hash)?;
        named.clients.retain(|client| client != registration_id);
        match named.clients.is_empty() {
            true => self.names.remove(client_hash),
            false => None,
        }
    }

    pub(super) fn forget(&mut self, client_hash: &str) -> Option<Named> {
        self.names.remove(client_hash)
    }

    /// One that the service knows by another connection than this: the next one after a name, so that
    /// one that the service fails at holds up no other.
    pub(super) fn moved(&self, on: u64, after: &str) -> Option<String> {
        let beyond = (Bound::Excluded(after), Bound::Unbounded);
        let beyond = self.names.range::<str, _>(beyond);
        let mut all = beyond.chain(self.names.iter());
        let (name, _) = all.find(|(_, named)| named.on != on)?;
        Some(name.clone())
    }

    /// One whose updates are not listened to on this connection.
    pub(super) fn deaf(&self, on: u64) -> Option<String> {
        let is_deaf = |named: &Named| {
            let updates = named.updates;
            updates.is_none_or(|(connection, _)| connection != on)
        };
        let mut all = self.names.iter();
        let (name, _) = all.find(|(_, named)| is_deaf(named))?;
        Some(name.clone())
    }

    fn forget_quietest(&mut self) -> Option<(String, Option<Listening>)> {
        let (name, _) = self.names.iter().min_by_key(|(_, named)| named.turn)?;
        let name = name.clone();
        let named = self.names.remove(&name)?;
        Some((name, named.updates))
    }
}

impl Named {
    /// What its kind is told by, where it is not told yet.
    pub(super) fn kind(&self, client_hash: &str) -> Option<Vec<u8>> {
        let kind = self.kind.filter(|_| !self.kind_is_told)?;
        serde_json::to_vec(&Kind { client_hash, kind }).ok()
    }

    /// The text of an error.
    pub(super) fn error(&self, words: &str, longest: usize) -> String {
        let mut text = format!("{}{words}", self.origin);
        while text.len() > longest {
            text.pop();
        }
        text
    }

    /// Adds the topics of a report; what they are told by, where there is something new in them or it
    /// is time. Partitions are never taken away.
    pub(super) fn topics(&mut self, report: Option<&ClientReport>) -> Option<Vec<u8>> {
        let before = self.topics_told.map(|_| self.topics.clone());
        if let Some(report) = report {
            // It may have been read since the registration.
            if report.connection_id != 0 {
                self.topics.connection_id = report.connection_id;
            }
            let topics = &mut self.topics;
            add(
                &mut topics.producer_topics_partitions,
                &report.producer_topics_partitions,
            );
            add(
                &mut topics.consumer_group_topics_partitions,
                &report.consumer_group_topics_partitions,
            );
        }
        let is_time = self
            .topics_told
            .is_none_or(|at| report.is_some() && at.elapsed() >= TOPICS_EVERY);
        if !is_time && before.as_ref() == Some(&self.topics) {
            return None;
        }
        serde_json::to_vec(&self.topics).ok()
    }

    /// The service has the topics.
    pub(super) fn topics_are_told(&mut self) {
        self.topics_told = Some(Instant::now());
    }

    /// The service may not have them.
    pub(super) fn topics_are_not_told(&mut self) {
        self.topics_told = None;
    }
}

fn add(all: &mut TopicsPartitions, more: &TopicsPartitions) {
    for (topic, partitions) in more {
        let own = all.entry(topic.clone()).or_default();
        for partition in partitions {
            if !own.contains(partition) {
                own.push(*partition);
            }
        }
    }
}

/// What the deployed clients begin an error text with.
fn origin(client_hash: &str, message: &RegisterClient) -> String {
    let tags: String = message.tags.chars().take(MAX_TAGS_CHARS).collect();
    format!(
        "[clientHash: {client_hash}] [sdk: {}][version: {}][tags: {tags}] ",
        message.language, message.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> RegisterClient {
        RegisterClient {
            registration_id: Some(id.to_owned()),
            kind: Some(ClientKind::Producer),
            language: "python".to_owned(),
            version: "0.1.0".to_owned(),
            tags: r#"{"env":"dev"}"#.to_owned(),
            connection_id: 3,
            ..RegisterClient::default()
        }
    }

    fn report(partitions: &[i32]) -> ClientReport {
        ClientReport {
            producer_topics_partitions: [("orders".to_owned(), partitions.to_vec())].into(),
            ..ClientReport::default()
        }
    }

    fn text(payload: Option<Vec<u8>>) -> Option<String> {
        payload.map(|payload| String::from_utf8(payload).unwrap())
    }

    #[test]
    fn a_name_is_known_until_the_last_client_of_it_is_gone() {
        let mut known = Known::default();
        known.registered("h", &message("a"), false, 1);
        known.registered("h", &message("b"), false, 1);
        assert!(known.gone("h", "a").is_none());
        assert!(known.has("h"));
        // The other one registers again.
        known.registered("h", &message("b"), false, 1);
        assert!(known.gone("h", "b").is_some());
        assert!(known.is_empty());
        assert!(known.gone("h", "b").is_none());
    }

    #[test]
    fn a_client_that_registers_again_goes_by_its_new_name_alone() {
        let mut known = Known::default();
        known.registered("h", &message("a"), true, 1);
        known.registered("h", &message("a"), true, 2);
        assert!(known.moved(2, "").is_none());
        known.registered("i", &message("a"), true, 2);
        assert!(!known.has("h"));
        assert!(known.gone("i", "a").is_some());
    }

    /// One that the service does not answer for stands in no other's way.
    #[test]
    fn names_take_turns_in_moving() {
        let mut known = Known::default();
        for name in ["h", "i", "j"] {
            known.registered(name, &message(name), true, 1);
        }
        let mut turns: Vec<String> = Vec::new();
        for _ in 0..4 {
            let last = turns.last().cloned().unwrap_or_default();
            turns.extend(known.moved(2, &last));
        }
        assert_eq!(turns, ["h", "i", "j", "h"]);
        known.get("i").unwrap().on = 2;
        assert_eq!(known.moved(2, "h").as_deref(), Some("j"));
        assert_eq!(known.moved(1, "j").as_deref(), Some("i"));
    }

    #[test]
    fn names_are_bounded() {
        let mut known = Known::default();
        for number in 0..=MAX_NAMES {
            let id = number.to_string();
            known.registered(&format!("h{number}"), &message(&id), true, 1);
            // The first one lives, and reports.
            assert!(known.get("h0").is_some());
        }
        assert_eq!(known.names.len(), MAX_NAMES);
        assert!(!known.has("h1") && known.has("h2"));
    }

    #[test]
    fn topics_are_told_when_there_are_more_of_them() {
        let mut known = Known::default();
        known.registered("h", &message("a"), false, 1);
        let named = known.get("h").unwrap();
        let nothing = r#"{"connection_id":3,"producer_topics_partitions":{},"consumer_group_topics_partitions":{}}"#;
        assert_eq!(text(named.topics(None)).as_deref(), Some(nothing));
        named.topics_are_told();
        assert_eq!(named.topics(None), None);
        let told = text(named.topics(Some(&report(&[1])))).unwrap();
        assert!(told.contains(r#"{"orders":[1]}"#), "{told}");
        named.topics_are_told();
        assert_eq!(named.topics(Some(&report(&[1]))), None);
        let told = text(named.topics(Some(&report(&[0])))).unwrap();
        assert!(told.contains(r#"{"orders":[1,0]}"#), "{told}");
        // It may not have got through.
        named.topics_are_not_told();
        assert!(named.topics(Some(&report(&[0]))).is_some());
        named.topics_are_told();
        let of_another = ClientReport {
            connection_id: 4,
            ..report(&[0])
        };
        let told = text(named.topics(Some(&of_another))).unwrap();
        assert!(told.contains(r#""connection_id":4"#), "{told}");
    }

    #[test]
    fn an_error_text_says_whose_it_is_and_is_bounded() {
        let mut known = Known::default();
        known.registered("9f2c1e7a", &message("a"), false, 1);
        let named = known.get("9f2c1e7a").unwrap();
        assert_eq!(
            named.error("an error", 4096),
            r#"[clientHash: 9f2c1e7a] [sdk: python][version: 0.1.0][tags: {"env":"dev"}] an error"#
        );
        assert!(named.error(&"ü".repeat(4096), 4096).len() <= 4096);
        let kind = r#"{"client_hash":"9f2c1e7a","type":"producer"}"#;
        assert_eq!(text(named.kind("9f2c1e7a")).as_deref(), Some(kind));
        named.kind_is_told = true;
        assert_eq!(named.kind("9f2c1e7a"), None);
    }
}
