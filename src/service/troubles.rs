//! What went wrong on our side and was survived: told to the service once it can be told.

use std::time::{Duration, Instant};

use crate::boundary::Caught;

/// Outages are told together where they come more often than this.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Outages of the service as this process saw them, and errors of our own that were caught.
#[derive(Default)]
pub(super) struct Troubles {
    /// The service is away.
    present: Option<Outage>,
    /// Over, and not told yet.
    over: Option<Outage>,
    told_at: Option<Instant>,
    caught_told: u32,
    /// Clients whose last figures may be lost, and were not told yet.
    lost: u64,
    /// All of them.
    given_up: u64,
    /// The last outage, in words.
    last: Option<String>,
    /// What the service said when it refused reports, or anything else, and has not taken the like
    /// since.
    refused: [Option<String>; 2],
}

/// What the service may take or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matter {
    /// Reports of what clients did.
    Reports,
    /// Registrations, and all that is told of one client.
    Messages,
}

/// What goes or went wrong, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The service is not reached.
    pub outage: Option<String>,
    /// The last time that it was not.
    pub last_outage: Option<String>,
    /// It is reached, and refuses something.
    pub refused: Option<String>,
    /// Clients whose last figures may be lost.
    pub given_up: u64,
}

#[derive(Clone)]
struct Outage {
    began: Instant,
    lasted: Duration,
    tries: u32,
    reason: String,
}

impl Troubles {
    /// The service was not reached.
    pub(super) fn failed(&mut self, reason: &str) {
        let now = Instant::now();
        let outage = self.present.get_or_insert_with(|| Outage {
            began: now,
            lasted: Duration::ZERO,
            tries: 0,
            reason: String::new(),
        });
        outage.tries = outage.tries.saturating_add(1);
        reason.clone_into(&mut outage.reason);
    }

    /// The service was reached.
    pub(super) fn reached(&mut self) {
        let Some(outage) = self.present.take() else {
            return;
        };
        let mut outage = outage.until_now();
        self.last = Some(outage.to_string());
        if let Some(earlier) = &self.over {
            outage.lasted += earlier.lasted;
            outage.tries = outage.tries.saturating_add(earlier.tries);
        }
        self.over = Some(outage);
    }

    /// The service refuses something.
    pub(super) fn refuses(&mut self, matter: Matter, reason: &str) {
        self.refused[matter as usize] = Some(reason.to_owned());
    }

    /// The service takes what it may have refused before.
    pub(super) fn takes(&mut self, matter: Matter) {
        self.refused[matter as usize] = None;
    }

    /// What there is to see.
    pub(super) fn shown(&self) -> Shown {
        let outage = self.present.as_ref().map(Outage::until_now);
        Shown {
            outage: outage.map(|outage| outage.to_string()),
            last_outage: self.last.clone(),
            refused: self.refused.iter().flatten().next().cloned(),
            given_up: self.given_up,
        }
    }

    /// The last figures of so many clients were given up.
    pub(super) fn lost(&mut self, clients: u64) {
        self.given_up = self.given_up.saturating_add(clients);
        self.lost = self.lost.saturating_add(clients);
    }

    /// What there is to tell now, with what was `caught` up to now. It is told once.
    pub(super) fn take_news(&mut self, caught: Option<Caught>) -> Vec<String> {
        let mut all = Vec::new();
        if self.told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY)
            && let Some(outage) = self.over.take()
        {
            self.told_at = Some(Instant::now());
            all.push(outage.to_string());
        }
        if self.lost > 0 {
            let clients = std::mem::take(&mut self.lost);
            all.push(format!(
                "the last figures of {clients} clients were given up: the service never said \
                 whether it had them"
            ));
        }
        if let Some(caught) = caught
            && caught.count != self.caught_told
        {
            self.caught_told = caught.count;
            let (count, last) = (caught.count, caught.last);
            all.push(format!(
                "{count} errors of the library's own were caught, the last one at {last}"
            ));
        }
        all
    }
}

impl Outage {
    fn until_now(&self) -> Self {
        Self {
            lasted: self.began.elapsed(),
            ..self.clone()
        }
    }
}

impl std::fmt::Display for Outage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, tries) = (self.lasted.as_secs(), self.tries);
        let reason = &self.reason;
        write!(
            formatter,
            "the service was not reached for {seconds} s, in {tries} tries: {reason}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_it_is_over() {
        let mut troubles = Troubles::default();
        assert!(troubles.take_news(None).is_empty());
        troubles.failed("connection refused");
        troubles.failed("no answer");
        assert!(troubles.take_news(None).is_empty(), "it may go on");
        troubles.reached();
        let news = troubles.take_news(None);
        let [told] = news.as_slice() else {
            panic!("{news:?}");
        };
        assert!(
            told.starts_with("the service was not reached for ")
                && told.ends_with(" s, in 2 tries: no answer"),
            "{told}"
        );
        assert!(troubles.take_news(None).is_empty());
        assert_eq!(troubles.last.as_ref(), Some(told));
    }

    #[test]
    fn what_was_caught_is_told_when_there_is_more() {
        let mut troubles = Troubles::default();
        let caught = |count| {
            Some(Caught {
                count,
                last: "src/client.rs:1:1".to_owned(),
            })
        };
        assert_eq!(troubles.take_news(caught(1)).len(), 1);
        assert!(troubles.take_news(caught(1)).is_empty());
        let told = troubles.take_news(caught(2)).join("");
        assert!(
            told.starts_with("2 errors") && told.ends_with("src/client.rs:1:1"),
            "{told}"
        );
        troubles.lost(3);
        assert!(troubles.take_news(caught(2)).join("").contains("3 clients"));
    }

    #[test]
    fn outages_that_come_often_are_told_together() {
        let mut troubles = Troubles::default();
        for _ in 0..3 {
            troubles.failed("no answer");
            troubles.reached();
            troubles.take_news(None);
        }
        let waiting = troubles.over.as_ref().map(|outage| outage.tries);
        assert_eq!(waiting, Some(2));
    }
}
