//! What a round of reports has to say: who is asked, and what each has measured.

use std::sync::Arc;
use std::time::Instant;

use superstream_protocol::measured::{Measured, TopicFigures};
use superstream_protocol::{ClientReport, TopicsPartitions};

use super::{Life, Member, Members, with_chance};
use crate::report::record::Client;

/// A report to be sent.
pub struct Draft {
    /// Of whom.
    pub client: Arc<Client>,
    /// What it says, but for the client's name at the service.
    pub report: ClientReport,
    /// The service could not take the last one: another report is not to suffer for this one.
    pub is_suspect: bool,
    /// Nobody knows whether an earlier one came.
    pub was_open: bool,
}

/// Somebody who may have something to report.
pub struct Candidate {
    /// Who.
    pub client: Arc<Client>,
    /// Whatever there is to say.
    is_due: bool,
    is_closed: bool,
    /// Nothing more is counted.
    settled: bool,
    /// The progress and the number of topics that the service knows of.
    told: (u64, usize),
}

impl Members {
    /// Who may have something to report now. What each has measured is looked at without a lock that
    /// a creator may wait for.
    pub fn candidates(&mut self) -> Vec<Candidate> {
        let now = Instant::now();
        let all = self.all_at.is_some_and(|at| at <= now);
        if all {
            self.all_at = Some(now + with_chance(self.interval));
        }
        self.some_at = self.some_at.filter(|at| *at > now);
        for member in &mut self.members {
            member.is_due |= all && member.life == Life::Open;
        }
        let awake = self.members.iter().filter(|member| !member.rests(now));
        awake.map(Member::candidate).collect()
    }

    /// The report of a candidate on what it has `measured`, where it is a member still.
    pub fn draft(&mut self, candidate: &Candidate, measured: Measured) -> Option<Draft> {
        let member = self.of(&candidate.client)?;
        member.sequence += 1;
        Some(Draft {
            client: Arc::clone(&member.client),
            is_suspect: member.is_suspect,
            was_open: member.is_open,
            report: ClientReport {
                connection_id: candidate.client.connection_id(),
                producer_topics_partitions: partitions(&measured, |topic| {
                    &topic.produced_partitions
                }),
                consumer_group_topics_partitions: partitions(&measured, |topic| {
                    &topic.consumed_partitions
                }),
                sequence: member.sequence,
                measured: Some(measured),
                last: candidate.settled,
                ..ClientReport::default()
            },
        })
    }
}

impl Member {
    fn candidate(&self) -> Candidate {
        let told = self.told.as_ref();
        Candidate {
            client: Arc::clone(&self.client),
            is_due: self.is_due,
            is_closed: self.life != Life::Open,
            settled: self.life == Life::Settled,
            told: told.map_or((0, 0), |told| (told.progress(), told.topics.len())),
        }
    }
}

impl Candidate {
    /// What it has measured, where there is a reason to report it: it is everybody's turn, there are
    /// topics that were not told yet, or the client is closed and was not told whole.
    pub fn news(&self) -> Option<Measured> {
        let (progress, topics) = self.told;
        let measured = self.client.measured()?;
        let is_new = match self.is_closed {
            true => measured.progress() != progress,
            false => measured.topics.len() > topics || progress == 0,
        };
        (self.is_due || is_new && is_worth_telling(&measured)).then_some(measured)
    }
}

/// A client that did nothing but connect has nothing to tell before everybody does.
pub(super) fn is_worth_telling(measured: &Measured) -> bool {
    !measured.topics.is_empty()
        || !measured.other_topics.is_empty()
        || !measured.transport_errors.is_empty()
}

fn partitions(measured: &Measured, used: impl Fn(&TopicFigures) -> &Vec<i32>) -> TopicsPartitions {
    let topics = measured.topics.iter();
    topics
        .map(|(name, figures)| (name.clone(), used(figures).clone()))
        .filter(|(_, partitions)| !partitions.is_empty())
        .collect()
}
