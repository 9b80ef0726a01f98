//! How the endpoint's thread ends a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reactor::{Closing, Party, Reactor};
use super::traffic::{ON_ITS_WAY, answer};
use crate::error::{CloseReason, Error};
use crate::stream::Stop;

/// How long a peer may take to end its side, once we have ended ours.
const LINGER: Duration = Duration::from_secs(1);

impl Closing {
    /// Whether a peer that was told the end says more than it can have begun before.
    pub(super) fn has_heard_enough(&mut self, length: usize) -> bool {
        if self.told_end {
            self.heard += length;
        }
        self.heard > ON_ITS_WAY
    }
}

impl Reactor {
    /// Nothing can be written any more. What the peer said before it went is still there to be read,
    /// in turns: it is answered, which would lead here again.
    pub(super) fn broken(&mut self, token: usize, reason: CloseReason) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        if entry.closing.is_some() {
            return self.cut(token);
        }
        if entry.broken.is_none() {
            entry.broken = Some(reason);
            self.read_again(token);
        }
    }

    /// Ends what cannot be written to, once nothing more is read from it.
    pub(super) fn give_up(&mut self, token: usize) {
        let broken = self
            .entries
            .get(&token)
            .and_then(|entry| entry.broken.clone());
        if let Some(reason) = broken {
            self.close(token, reason);
        }
    }

    pub(super) fn close_gently(&mut self, token: usize) {
        self.close(token, CloseReason::Manual);
    }

    /// Ends the conversation at once; what waits is still written, for a while.
    pub(super) fn close(&mut self, token: usize, reason: CloseReason) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        if entry.closing.is_some() {
            return;
        }
        let (reason, waiters) = entry.link.close(reason);
        log::debug!("connection {token} ends: {reason}");
        let lost = entry.broken.is_some()
            || matches!(
                reason,
                CloseReason::Network(_) | CloseReason::Silent | CloseReason::Stalled
            );
        let greeted = entry.party.leaves(token);
        // Before the greeting nothing was accepted that could be lost.
        let time = if greeted {
            entry.party.close_timeout()
        } else {
            LINGER
        };
        entry.closing = Some(Closing {
            until: Instant::now().checked_add(time),
            greeted,
            reason: reason.clone(),
            told_end: false,
            heard: 0,
            peer_ended: false,
        });
        let party = entry.party.clone();
        for waiter in waiters {
            answer(waiter, Err(Error::Closed(reason.clone())), &mut self.jobs);
        }
        self.hand_over(&party);
        if lost {
            return self.cut(token);
        }
        self.flush(token);
        self.set_clock(token);
        // The peer may have ended its side already, and will not be told of again.
        self.read(token, true);
    }

    /// Once all is written the peer is told so, and has a while to end its own side.
    pub(super) fn tell_end(&mut self, token: usize) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        let Some(closing) = &mut entry.closing else {
            return;
        };
        if closing.told_end || entry.link.unsent() > 0 {
            return;
        }
        // The end that TLS has for itself: without it the peer cannot tell ours from a cut.
        entry.stream.announce_end();
        match entry.stream.flush() {
            Ok(()) => {}
            Err(Stop::Failed(_)) => return self.cut(token),
            Err(_) => return,
        }
        closing.told_end = true;
        closing.until = Instant::now().checked_add(LINGER);
        let peer_ended = closing.peer_ended;
        entry.stream.end();
        self.tell(token);
        if peer_ended {
            return self.cut(token);
        }
        self.set_clock(token);
    }

    /// The peer says nothing more, but may still hear.
    pub(super) fn peer_ended(&mut self, token: usize) {
        let Some(closing) = self
            .entries
            .get_mut(&token)
            .and_then(|entry| entry.closing.as_mut())
        else {
            return;
        };
        closing.peer_ended = true;
        if closing.told_end {
            self.cut(token);
        }
    }

    /// Gives the socket back to the system.
    pub(super) fn cut(&mut self, token: usize) {
        let told = self
            .entries
            .get(&token)
            .and_then(|entry| entry.closing.as_ref())
            .is_none_or(|closing| closing.told_end);
        if !told {
            self.tell(token);
        }
        let Some(entry) = self.entries.remove(&token) else {
            return;
        };
        entry.stream.cut();
        entry.link.end(true);
        if let Party::Server(peer) = &entry.party {
            let listener = peer.gone();
            drop(entry);
            self.accept_again(listener);
        }
    }

    /// Tells the application, which can know now how much was written; or tries where else the server
    /// may be.
    fn tell(&mut self, token: usize) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        let Some(closing) = &entry.closing else {
            return;
        };
        let reason = closing.reason.clone();
        let mut elsewhere = None;
        match (&entry.party, entry.others.take()) {
            (Party::Server(peer), _) if closing.greeted => {
                peer.left(&self.shared, reason, entry.link.unsent() > 0);
            }
            (Party::Server(_), _) => {}
            (Party::Client(core, epoch), Some(mut others)) => {
                others.failed(reason);
                elsewhere = Some((Arc::clone(core), *epoch, others));
            }
            (Party::Client(core, epoch), None) => {
                core.lost(*epoch, token, reason, entry.link.unsent());
            }
        }
        // After it, so that who waited for the end finds all of it done.
        entry.link.end(false);
        if let Some((core, epoch, others)) = elsewhere {
            self.dial_next(core, epoch, others);
        }
    }
}
