//! The addresses of a server, each in its turn.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::error::{CloseReason, Error};

/// What can be said of an attempt that came to nothing.
pub(crate) trait Failure {
    /// The more the likelier it is that somebody could do something about it.
    fn weight(&self) -> u8;
}

impl Failure for CloseReason {
    fn weight(&self) -> u8 {
        match self {
            Self::Network(io::ErrorKind::TimedOut) => 1,
            Self::Network(_) => 0,
            _ => 2,
        }
    }
}

impl Failure for Error {
    fn weight(&self) -> u8 {
        match self {
            Self::Io(_) => 0,
            Self::TimedOut => 1,
            Self::Closed(reason) => reason.weight(),
            _ => 2,
        }
    }
}

/// Those that are still to be tried. One that fails or hangs, wherever it does, leaves the others their
/// parts of the time.
pub(crate) struct Candidates<F> {
    /// The next one last.
    rest: Vec<SocketAddr>,
    deadline: Instant,
    failure: Option<F>,
}

impl<F: Failure> Candidates<F> {
    pub(crate) fn new(mut addresses: Vec<SocketAddr>, deadline: Instant) -> Self {
        addresses.reverse();
        Self {
            rest: addresses,
            deadline,
            failure: None,
        }
    }

    /// The next one, and until when it may take.
    pub(crate) fn next(&mut self) -> Option<(SocketAddr, Instant)> {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        let share = left / u32::try_from(self.rest.len()).unwrap_or(u32::MAX).max(1);
        Some((self.rest.pop()?, now + share))
    }

    pub(crate) fn is_last(&self) -> bool {
        self.rest.is_empty()
    }

    /// Another one has failed. Of several failures the most telling is kept, and of such the first.
    pub(crate) fn failed(&mut self, failure: F) {
        if self.failure.as_ref().map(F::weight) < Some(failure.weight()) {
            self.failure = Some(failure);
        }
    }

    /// Why all have.
    pub(crate) fn failure(self) -> Option<F> {
        self.failure
    }
}
