//! The service: how it is reached, and what is said to it.
//!
//! [`session`] is what clients speak to. Its thread finds its work in `work`: the messages of `queue`,
//! which `thread` sends, and the reports of `members`, which `round` sends; `line` knows when the
//! service may be tried. A [`Transport`] turns the messages of `superstream-protocol` into bytes and
//! back; it is used by one thread alone.

mod http;
mod late;
mod line;
mod members;
mod queue;
mod round;
#[cfg(test)]
mod scripted;
pub mod session;
mod state;
mod thread;
mod troubles;
mod work;

use std::fmt;
use std::time::Duration;

use superstream_protocol::{
    ClientConfigUpdate, ClientError, RegisterClient, Registered, Reports, ReportsTaken,
};

use crate::debug;
use crate::settings::{Endpoint, Settings};

/// One way to the service.
pub trait Transport: Send {
    /// Registers a client and brings its advice. Gives up after `limit`.
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registered, Failure>;
    /// Tells what a client runs with.
    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<(), Failure>;
    /// Tells what clients have done.
    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure>;
    /// Tells what went wrong in a client.
    fn error(&mut self, message: &ClientError) -> Result<(), Failure>;
    /// Tells that a client is gone.
    fn goodbye(&mut self, client_hash: &str) -> Result<(), Failure>;
}

/// Why a message did not get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service cannot be reached: worth another try, as long as it takes.
    Unavailable(String),
    /// The service answers, but not to the purpose: worth some more tries.
    Failed(String),
    /// The service refuses this very message: another try would not help.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) => write!(formatter, "the service is unavailable: {reason}"),
            Self::Failed(reason) => write!(formatter, "the service fails: {reason}"),
            Self::Refused(reason) => write!(formatter, "the service refuses: {reason}"),
        }
    }
}

/// Makes the transport for an endpoint, on the thread that will use it. Connects to nothing yet.
pub fn transport(settings: &Settings) -> Box<dyn Transport> {
    let token = settings.token.read().unwrap_or_else(|complaint| {
        debug!("{complaint}");
        None
    });
    match &settings.endpoint {
        Endpoint::Http(url) => Box::new(http::Http::new(url, token, settings.response_timeout)),
    }
}
