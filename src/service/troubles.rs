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
    /// Clients whose last figures may be lost.
    lost: u64,
    /// The last outage, in words.
    pub(super) last: Option<String>,
}

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
        let Some(mut outage) = self.present.take() else {
            return;
        };
        outage.lasted = outage.began.elapsed();
        self.last = Some(outage.to_string());
        if let Some(earlier) = &self.over {
            outage.lasted += earlier.lasted;
            outage.tries = outage.tries.saturating_add(earlier.tries);
        }
        self.over = Some(outage);
    }

    /// The last figures of so many clients were given up.
    pub(super) fn lost(&mut self, clients: u64) {
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
        let told = "the service was not reached for 0 s, in 2 tries: no answer";
        assert_eq!(troubles.take_news(None), [told]);
        assert!(troubles.take_news(None).is_empty());
        assert_eq!(troubles.last.as_deref(), Some(told));
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
