//! Closed clients, until everything was told of them: they settle, say goodbye, and where the service is
//! away for long, few of them are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::ClientKind;
use superstream_protocol::measured::Measured;

use super::drafts::is_worth_telling;
use super::{Life, Member, Members};
use crate::report::record::Client;

/// How often a closed client is looked at until it counts nothing more.
const SETTLING_STEP: Duration = Duration::from_millis(20);
/// And where that takes longer than [`SETTLING`].
const LONG_SETTLING_STEP: Duration = Duration::from_secs(1);
const SETTLING: Duration = Duration::from_secs(2);
/// Closed clients whose figures are kept apart for a service that is away.
pub const MAX_CLOSED: usize = 256;
/// Topics that stay apart in merged figures.
const MAX_MERGED_TOPICS: usize = 256;
/// Closed clients that are kept at all. Merging keeps them far below, but where nobody knows
/// whether their reports came.
pub const MAX_KEPT: usize = 1024;

impl Members {
    /// When closed clients want to be looked after.
    pub fn tidy_at(&self) -> Option<Instant> {
        self.tidy_at
    }

    /// Looks after closed clients, whether the service is there or not: `settle` those that count
    /// nothing more, and keep few of them. Those that are members no more: everything was told of
    /// them, or is now told by another one.
    pub fn tidy(&mut self, settle: impl Fn(&Client) -> bool) -> Vec<Arc<Client>> {
        let now = Instant::now();
        if self.tidy_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut have_settled = false;
        let mut steps = Vec::new();
        for member in &mut self.members {
            let Life::Closing { since } = member.life else {
                continue;
            };
            if settle(&member.client) {
                member.life = Life::Settled;
                have_settled = true;
            } else {
                steps.push(match since.elapsed() < SETTLING {
                    true => SETTLING_STEP,
                    false => LONG_SETTLING_STEP,
                });
            }
        }
        self.tidy_at = steps.into_iter().min().map(|step| now + step);
        if !have_settled {
            return Vec::new();
        }
        self.some_at = Some(self.some_at.map_or(now, |at| at.min(now)));
        let mut gone = self.done();
        gone.extend(self.merge());
        gone.extend(self.give_up());
        gone
    }

    /// The closed clients of which everything was told. They are members no more.
    pub fn done(&mut self) -> Vec<Arc<Client>> {
        let is_done = |member: &mut Member| member.is_settled() && !member.has_news();
        let done = self.members.extract_if(.., is_done);
        let silent = done.filter(|member| !member.said_goodbye);
        silent.map(|member| member.client).collect()
    }

    /// The closed clients of which nothing more is awaited, whether they are settled or not: their
    /// process may end at once.
    pub fn leaving(&mut self) -> Vec<Arc<Client>> {
        let is_leaving = |member: &&mut Member| {
            let may_leave = member.life != Life::Open && !member.said_goodbye;
            may_leave
                && !member.client.look(awaits_something).unwrap_or(false)
                && !member.has_news()
        };
        let leaving = self.members.iter_mut().filter(is_leaving);
        leaving
            .map(|member| {
                member.said_goodbye = true;
                Arc::clone(&member.client)
            })
            .collect()
    }

    /// Beyond [`MAX_KEPT`], the oldest closed clients. What came of their last reports is not known,
    /// so their figures cannot go to another one.
    fn give_up(&mut self) -> Vec<Arc<Client>> {
        let settled = self.members.iter().filter(|member| member.is_settled());
        let settled = settled.count();
        let mut left = settled.saturating_sub(MAX_KEPT);
        let is_beyond = |member: &mut Member| {
            let is_beyond = member.is_settled() && left > 0;
            left -= usize::from(is_beyond);
            is_beyond
        };
        let beyond: Vec<Member> = self.members.extract_if(.., is_beyond).collect();
        self.given_up = self.given_up.saturating_add(beyond.len() as u64);
        beyond.into_iter().map(|member| member.client).collect()
    }

    /// Closed clients whose last figures may be lost, since this was asked last.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// Beyond [`MAX_CLOSED`], adds what was not told of the oldest closed client to the next one of
    /// its kind. Those that went.
    fn merge(&mut self) -> Vec<Arc<Client>> {
        let mut gone = Vec::new();
        loop {
            let members = self.members.iter().enumerate();
            let closed: Vec<(usize, ClientKind)> = members
                .filter(|(_, member)| member.is_settled() && !member.is_open)
                .map(|(place, member)| (place, member.client.kind))
                .collect();
            let is_beyond = closed.len() > MAX_CLOSED;
            let Some((oldest, target)) = first_pair(&closed).filter(|_| is_beyond) else {
                return gone;
            };
            let from = self.members.remove(oldest);
            // The one that went stood before it.
            if let (Some(target), Some(untold)) = (self.members.get(target - 1), from.untold()) {
                target.client.absorb(&untold, MAX_MERGED_TOPICS);
            }
            gone.push(from.client);
        }
    }
}

impl Member {
    fn is_settled(&self) -> bool {
        self.life == Life::Settled
    }

    /// What was measured and not told yet.
    fn untold(&self) -> Option<Measured> {
        let measured = self.client.measured()?;
        Some(match &self.told {
            Some(told) => measured.since(told),
            None => measured,
        })
    }

    /// Whether something was measured that was not told yet, in any topic or of any error.
    fn has_news(&self) -> bool {
        let told = self.told.as_ref().map_or(0, Measured::progress);
        let is_news =
            |measured: &Measured| is_worth_telling(measured) && measured.progress() != told;
        self.client.look(is_news).unwrap_or(false)
    }
}

/// The places of the first client that has a later one of its kind, and of that one.
fn first_pair(closed: &[(usize, ClientKind)]) -> Option<(usize, usize)> {
    closed
        .iter()
        .enumerate()
        .find_map(|(index, (place, kind))| {
            let mut later = closed.get(index + 1..)?.iter();
            let (target, _) = later.find(|(_, other)| other == kind)?;
            Some((*place, *target))
        })
}

/// Whether a closed client may still count: records are on their way to the broker, or may be on
/// their way to the application.
fn awaits_something(measured: &Measured) -> bool {
    let topics = measured.all_topics();
    topics.consumed.records > 0 || topics.unacknowledged().records > 0
}
