//! The service: how it is reached, and what is said to it.
//!
//! [`session`] is what clients speak to. Its thread finds its work in `work`: the messages of `queue`,
//! which `thread` sends, and the reports of `members`, which `round` sends; `line` knows when the
//! service may be tried. A [`Transport`] turns the messages of `superstream-protocol` into bytes and
//! back; it is used by one thread alone, which looks at it now and then for what is said unasked
//! (`heard`): the word to start of a client in `starting`, and updates.

mod answer;
mod bell;
mod heard;
mod http;
mod late;
mod line;
mod members;
mod nats;
mod queue;
mod reopening;
mod round;
#[cfg(test)]
mod scripted;
pub mod session;
mod starting;
mod state;
mod thread;
mod troubles;
mod updates;
mod veltix;
mod work;

use std::fmt;
use std::time::{Duration, Instant};

use superstream_protocol::{
    ClientConfigUpdate, ClientError, RegisterClient, Registered, Reports, ReportsTaken, StartClient,
};

pub use self::bell::Watch;
use crate::debug;
use crate::settings::{Endpoint, Settings};

/// One way to the service.
pub trait Transport: Send {
    /// Registers a client and brings its advice, or its name alone. Gives up after `limit`.
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registration, Failure>;
    /// Tells what a client runs with.
    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<Said, Failure>;
    /// Tells what clients have done.
    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure>;
    /// Tells what went wrong in a client.
    fn error(&mut self, message: &ClientError) -> Result<Said, Failure>;
    /// Tells that a client is gone: two may go by one name, and have registered by another each.
    fn goodbye(&mut self, client_hash: &str, registration_id: &str) -> Result<Said, Failure>;
    /// A client is gone, and nobody says so any more.
    fn forget(&mut self, client_hash: &str) {
        let _ = client_hash;
    }
    /// When to look for what the service says unasked; `None` where it can say nothing.
    fn look_at(&self) -> Option<Instant> {
        None
    }
    /// What shows at once that there is something to look for; `None` where nothing does now.
    fn watch(&self) -> Option<Watch<'_>> {
        None
    }
    /// What the service has said unasked. A creator may wait meanwhile, so it takes a moment at most,
    /// however much there is.
    fn look(&mut self) -> Result<Vec<Heard>, Failure> {
        Ok(Vec::new())
    }
}

/// What became of a message that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The service has it.
    Yes,
    /// There was nothing to say, and the service was not reached.
    Nothing,
}

/// What registering brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Registration {
    /// The whole answer.
    Answered(Registered),
    /// The client's name. Its word to start comes unasked ([`Heard::Start`]), or never.
    Named(Registered),
}

/// What the service says unasked, of the clients that it knows by a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Whether they may start, and how.
    Start {
        /// Their name.
        client_hash: String,
        /// As it would stand in the answer to a registration.
        start: StartClient,
    },
    /// They are to compress with another codec.
    Codec {
        /// Their name.
        client_hash: String,
        /// One that librdkafka knows.
        codec: &'static str,
    },
    /// They are not known any more, and are to register again.
    Unknown {
        /// Their name.
        client_hash: String,
    },
    /// These clients are to report at once, or all of them.
    ReportNow {
        /// Their names.
        client_hashes: Option<Vec<String>>,
    },
    /// What was said is not understood: the service is to know.
    Nonsense {
        /// Their name.
        client_hash: String,
        /// In words.
        error: String,
    },
    /// The service was reached again.
    Reached,
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
        Endpoint::Nats(address) => {
            Box::new(nats::Nats::new(address, token, settings.response_timeout))
        }
        Endpoint::Veltix(address) => Box::new(veltix::Veltix::new(
            address,
            token,
            settings.response_timeout,
        )),
    }
}
