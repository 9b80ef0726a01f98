//! What comes unasked: words to start and updates. And what keeps them coming: the connection is made
//! again, the service is told of it, and is listened to again.

use std::time::{Duration, Instant};

use serde::Serialize;
use superstream_nats::Message;

use super::known::Listening;
use super::{Nats, replies};
use crate::debug;
use crate::service::line::Backoff;
use crate::service::starting::MAX_AWAITED;
use crate::service::updates::{self, Update};
use crate::service::{Failure, Heard, answer};

/// How often it is looked for, where nobody waits for it.
const EVERY: Duration = Duration::from_secs(2);
/// How long a look waits for a word to start that a creator waits for.
const WAIT: Duration = Duration::from_millis(10);
/// Messages that a look takes, however many there are.
const MAX_MESSAGES: usize = 64;
/// Words to start that are listened to, however many clients are created at once.
const MOST_AWAITED: usize = 1024;
/// Subscriptions that a look makes.
const MAX_SUBSCRIPTIONS: usize = 16;
/// The service has so long to say that it knows a client by its new connection.
const MOVE_LIMIT: Duration = Duration::from_secs(1);
/// A connection that serves nobody is kept for so long: the next client does not wait for another.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// What is not understood is told this often.
const NONSENSE_EVERY: Duration = Duration::from_secs(60);

const START: &str = "internal.startClient.";
const UPDATES: &str = "internal.updates.";
const MOVED: &str = "internal_tasks.clientReconnectionUpdate";

/// What is listened to beside the names that are known.
#[derive(Default)]
pub(super) struct Unasked {
    awaited: Vec<Awaited>,
    looked_at: Option<Instant>,
    /// The connection serves nobody since then.
    pub(super) idle_since: Option<Instant>,
    /// Of telling the service that a client has moved to another connection.
    moving: Backoff,
    /// The name of the last one that was told of.
    moved: String,
    nonsense_at: Option<Instant>,
}

/// A word to start that has not come yet.
struct Awaited {
    client_hash: String,
    since: Instant,
    /// It is listened to for so long.
    life: Duration,
    subscription: Option<Listening>,
}

/// `internal_tasks.clientReconnectionUpdate`.
#[derive(Serialize)]
struct Moved<'a> {
    new_nats_connection_id: &'a str,
    client_hash: &'a str,
}

impl Nats {
    /// Listens to the word to start of a client that was just registered.
    pub(super) fn await_start(&mut self, client_hash: &str, life: Duration, deadline: Instant) {
        let awaited = &mut self.unasked.awaited;
        // A name may be given twice: what is listened to already goes on.
        let is_its = |one: &mut Awaited| one.client_hash == client_hash;
        let before = awaited.extract_if(.., is_its).next();
        let (life, subscription) = match before {
            Some(one) => (one.life.max(life), one.subscription),
            None => (life, None),
        };
        if awaited.len() >= MAX_AWAITED {
            // Nobody waits for the oldest one any more, unless very many are created at once.
            let is_old = awaited
                .first()
                .is_some_and(|one| one.since.elapsed() >= self.quiet_limit);
            if is_old || awaited.len() >= MOST_AWAITED {
                let subscription = awaited.remove(0).subscription;
                self.unlisten(subscription);
            }
        }
        let awaited = &mut self.unasked.awaited;
        awaited.push(Awaited {
            client_hash: client_hash.to_owned(),
            since: Instant::now(),
            life,
            subscription,
        });
        if let Some(on) = self.link.current() {
            self.listen(on, deadline);
        }
    }

    /// When to look; not at all where nobody is served and nothing is open.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let is_idle = self.known.is_empty() && self.unasked.awaited.is_empty();
        let last = self.unasked.looked_at;
        match self.link.current() {
            None if is_idle => None,
            None => Some(self.link.open_at()),
            Some(_) if is_idle => {
                let since = self.unasked.idle_since;
                Some(since.map_or_else(Instant::now, |since| since + IDLE))
            }
            Some(on) => {
                let now = Instant::now();
                if self.creator_waits() || self.known.deaf(on).is_some() || self.is_deaf(on) {
                    return Some(now);
                }
                let regular = last.map_or(now, |last| last + EVERY);
                let moving = self
                    .known
                    .moved(on, &self.unasked.moved)
                    .map(|_| self.unasked.moving.not_before(now));
                Some(moving.map_or(regular, |at| at.min(regular)))
            }
        }
    }

    /// One look, with a bounded part of what is to be done.
    pub(super) fn look_once(&mut self) -> Result<Vec<Heard>, Failure> {
        let begin = Instant::now();
        self.unasked.looked_at = Some(begin);
        self.unlisten_old();
        if self.known.is_empty() && self.unasked.awaited.is_empty() {
            self.idle(begin);
            return Ok(Vec::new());
        }
        self.unasked.idle_since = None;
        let deadline = begin + self.quiet_limit;
        let on = self.link.open(deadline)?;
        let mut heard = Vec::new();
        self.listen(on, deadline);
        heard.extend(self.take(begin));
        // Where this one broke meanwhile, the next one has its time.
        if self.link.current() == Some(on) {
            heard.extend(self.tell_moved(on));
        }
        Ok(heard)
    }

    fn unlisten_old(&mut self) {
        let is_old = |one: &mut Awaited| one.since.elapsed() >= one.life;
        let old: Vec<Awaited> = self.unasked.awaited.extract_if(.., is_old).collect();
        for one in old {
            self.unlisten(one.subscription);
        }
    }

    /// The process has no client that the service knows.
    fn idle(&mut self, now: Instant) {
        let since = *self.unasked.idle_since.get_or_insert(now);
        if now.duration_since(since) >= IDLE {
            self.link.close();
            self.unasked.idle_since = None;
        }
    }

    /// Whether a creator may wait for a word.
    fn creator_waits(&self) -> bool {
        let awaited = &self.unasked.awaited;
        awaited
            .iter()
            .any(|one| one.since.elapsed() < self.quiet_limit)
    }

    fn is_deaf(&self, on: u64) -> bool {
        self.unasked.awaited.iter().any(|one| !one.listens(on))
    }

    /// Subscribes to what is not listened to on this connection, words to start first.
    fn listen(&mut self, on: u64, deadline: Instant) {
        let mut left = MAX_SUBSCRIPTIONS;
        for one in &mut self.unasked.awaited {
            if left > 0 && !one.listens(on) {
                let subject = format!("{START}{}", one.client_hash);
                let Ok(subscription) = self.link.subscribe(&subject, deadline) else {
                    return;
                };
                one.subscription = Some((on, subscription));
                left -= 1;
            }
        }
        while left > 0
            && let Some(client_hash) = self.known.deaf(on)
        {
            let subject = format!("{UPDATES}{client_hash}");
            let Ok(subscription) = self.link.subscribe(&subject, deadline) else {
                return;
            };
            if let Some(named) = self.known.get(&client_hash) {
                named.updates = Some((on, subscription));
            }
            left -= 1;
        }
        if left < MAX_SUBSCRIPTIONS {
            self.link.confirm(deadline);
        }
    }

    /// The service does not know a client by this name any more.
    pub(super) fn forget(&mut self, client_hash: &str) {
        if let Some(named) = self.known.forget(client_hash) {
            self.left(client_hash, named.updates);
        }
    }

    /// Nobody goes by this name any more: nothing is listened to for it.
    pub(super) fn left(&mut self, client_hash: &str, updates: Option<Listening>) {
        self.unlisten(updates);
        let is_its = |one: &mut Awaited| one.client_hash == client_hash;
        let its: Vec<Awaited> = self.unasked.awaited.extract_if(.., is_its).collect();
        for one in its {
            self.unlisten(one.subscription);
        }
    }

    /// Ends a subscription, if it is one of this connection.
    pub(super) fn unlisten(&mut self, subscription: Option<Listening>) {
        if let Some((on, subscription)) = subscription
            && self.link.current() == Some(on)
        {
            let deadline = Instant::now() + self.quiet_limit;
            self.link.unsubscribe(subscription, deadline);
        }
    }

    /// Takes what has come.
    fn take(&mut self, begin: Instant) -> Vec<Heard> {
        let until = begin + WAIT;
        let mut heard = Vec::new();
        for _ in 0..MAX_MESSAGES {
            let is_awaited = heard.is_empty() && self.creator_waits();
            let deadline = if is_awaited { until } else { begin };
            let Some(message) = self.link.next(deadline) else {
                break;
            };
            heard.extend(self.understand(&message));
            if Instant::now() >= until {
                break;
            }
        }
        heard
    }

    fn understand(&mut self, message: &Message) -> Option<Heard> {
        if let Some(client_hash) = message.subject.strip_prefix(START) {
            return self.start(client_hash, &message.payload);
        }
        let client_hash = message.subject.strip_prefix(UPDATES)?;
        if !self.known.has(client_hash) {
            return None;
        }
        match updates::read(&message.payload, self.token.as_ref()) {
            Ok(Update::Codec(codec)) => Some(Heard::Codec {
                client_hash: client_hash.to_owned(),
                codec,
            }),
            Ok(Update::NotSupported(kind)) => {
                debug!("{kind} is not supported: payloads stay as they are");
                None
            }
            Ok(Update::Nothing) => None,
            Err(error) => self.nonsense(client_hash, error),
        }
    }

    fn start(&mut self, client_hash: &str, payload: &[u8]) -> Option<Heard> {
        let awaited = &mut self.unasked.awaited;
        let place = awaited
            .iter()
            .position(|one| one.client_hash == client_hash)?;
        let Some(start) = replies::start(payload, self.token.as_ref()) else {
            debug!("a word to start is not understood");
            return None;
        };
        if start.start {
            let subscription = awaited.remove(place).subscription;
            self.unlisten(subscription);
        }
        Some(Heard::Start {
            client_hash: client_hash.to_owned(),
            start,
        })
    }

    fn nonsense(&mut self, client_hash: &str, error: String) -> Option<Heard> {
        debug!("{error}");
        let told = &mut self.unasked.nonsense_at;
        if told.is_some_and(|at| at.elapsed() < NONSENSE_EVERY) {
            return None;
        }
        *told = Some(Instant::now());
        Some(Heard::Nonsense {
            client_hash: client_hash.to_owned(),
            error,
        })
    }

    /// Tells the service of one client that it has moved to this connection.
    fn tell_moved(&mut self, on: u64) -> Option<Heard> {
        let client_hash = self.known.moved(on, &self.unasked.moved)?;
        // A service that has failed at one may take its time: a creator's word to start comes first.
        let is_slow = self.unasked.moving.failures() > 0;
        if !self.unasked.moving.is_over(Instant::now()) || (is_slow && self.creator_waits()) {
            return None;
        }
        self.unasked.moved.clone_from(&client_hash);
        let deadline = Instant::now() + MOVE_LIMIT.min(self.quiet_limit);
        let answer = self.link.request(MOVED, deadline, |id| {
            let moved = Moved {
                new_nats_connection_id: id,
                client_hash: &client_hash,
            };
            serde_json::to_vec(&moved).unwrap_or_default()
        });
        let is_ours = self.known.get(&client_hash)?.is_ours;
        let answer = match answer {
            // Whatever the deployed service answers, it has heard it.
            Ok(body) if is_ours => {
                answer::accepted(&body, self.token.as_ref(), answer::longest(0)).map(drop)
            }
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        };
        match answer {
            Err(Failure::Refused(reason)) if is_ours && reason.starts_with("404") => {
                self.forget(&client_hash);
                Some(Heard::Unknown { client_hash })
            }
            Err(failure @ (Failure::Unavailable(_) | Failure::Failed(_))) => {
                let pause = self.unasked.moving.failed();
                debug!("{failure}; the new connection is told in {pause:.1?}");
                None
            }
            Ok(()) | Err(Failure::Refused(_)) => {
                self.unasked.moving = Backoff::default();
                // It may have been another one that the request went over in the end.
                let on = self.link.current().unwrap_or(on);
                self.known.get(&client_hash)?.on = on;
                answer.is_ok().then_some(Heard::Reached)
            }
        }
    }
}

impl Awaited {
    fn listens(&self, on: u64) -> bool {
        self.subscription
            .is_some_and(|(connection, _)| connection == on)
    }
}
