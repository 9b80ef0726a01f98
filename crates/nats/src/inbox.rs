//! Where answers come: one subscription for all requests of a connection.

use std::io;

use crate::random;

/// `_INBOX.<random>.*`
pub struct Inbox {
    prefix: String,
    /// The number of its subscription.
    pub subscription: u64,
    /// The last request's.
    last: u64,
}

impl Inbox {
    /// One that nobody can guess.
    pub fn new(subscription: u64) -> io::Result<Self> {
        Ok(Self {
            prefix: format!("_INBOX.{}.", random::name()?),
            subscription,
            last: 0,
        })
    }

    /// What is subscribed to.
    pub fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Where the answer to the next request goes.
    pub fn next(&mut self) -> String {
        self.last += 1;
        format!("{}{}", self.prefix, self.last)
    }
}
