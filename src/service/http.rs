//! The service over HTTP: the REST API of `docs/openapi.yaml`.
//!
//! Nothing that comes back is trusted: answers are bounded before they are parsed, redirects
//! are not followed, certificates are checked against the system's trust store, and the token
//! goes to the configured address alone, through no proxy.

use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use superstream_protocol::{
    ClientConfigUpdate, ClientError, Problem, RegisterClient, Registered, Reports, ReportsTaken,
};
use ureq::http::{Request, Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use super::answer::{self, never_sent, short};
use super::{Failure, Registration, Said, Transport};
use crate::settings::Token;

/// The service at one address.
pub struct Http {
    agent: Agent,
    base: String,
    token: Option<Token>,
    quiet_limit: Duration,
}

impl Http {
    /// `base` is the service's address, without a trailing slash. `patience` is what a creator
    /// waits: a message that nobody waits for must not hold up one for much longer.
    pub fn new(base: &str, token: Option<Token>, patience: Duration) -> Self {
        let name = concat!("superstream-librdkafka/", env!("CARGO_PKG_VERSION"));
        let config = superstream_settings::agent(name)
            .max_idle_connections(1)
            .build();
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), OnThisThread),
            base: base.to_owned(),
            token,
            quiet_limit: answer::quiet_limit(patience),
        }
    }

    /// Sends a message. A kept connection that the service has just closed is no failure: the
    /// message goes out once more, on a new one. Every message of the API may be repeated.
    fn send<M: Serialize>(
        &self,
        method: &str,
        path: &str,
        message: Option<&M>,
        limit: Duration,
    ) -> Result<Response<Body>, Failure> {
        let body = match message {
            Some(message) => serde_json::to_vec(message).map_err(never_sent)?,
            None => Vec::new(),
        };
        let begin = Instant::now();
        match self.send_once(method, path, &body, limit) {
            Err(SendError::Broken(_)) if begin.elapsed() < limit => self
                .send_once(method, path, &body, limit.saturating_sub(begin.elapsed()))
                .map_err(SendError::into_failure),
            other => other.map_err(SendError::into_failure),
        }
    }

    fn send_once(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        limit: Duration,
    ) -> Result<Response<Body>, SendError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {}", token.reveal()));
        }
        let answer = if body.is_empty() {
            let request = request.body(()).map_err(SendError::Never)?;
            self.agent.run(self.within(request, limit))
        } else {
            let request = request
                .header("Content-Type", "application/json")
                .body(body)
                .map_err(SendError::Never)?;
            self.agent.run(self.within(request, limit))
        };
        answer.map_err(|error| match error {
            ureq::Error::Io(error) if error.kind() != ErrorKind::ConnectionRefused => {
                SendError::Broken(error)
            }
            error => SendError::Other(error),
        })
    }

    fn within<B: ureq::AsSendBody>(&self, request: Request<B>, limit: Duration) -> Request<B> {
        self.agent
            .configure_request(request)
            .timeout_global(Some(limit))
            .build()
    }

    /// Sends a message that is answered with nothing of interest.
    fn tell<M: Serialize>(&self, method: &str, path: &str, message: &M) -> Result<Said, Failure> {
        let answer = self.send(method, path, Some(message), self.quiet_limit)?;
        self.check(answer).map(|_| Said::Yes)
    }

    /// Sorts answers by their status. A redirect is a failure: it would take the token elsewhere.
    fn check(&self, answer: Response<Body>) -> Result<Response<Body>, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            return Err(Failure::Failed(format!(
                "it answers {status}; redirects are not followed"
            )));
        }
        let told = match self.parse::<Problem>(answer) {
            Ok(problem) => short(&problem.error),
            Err(_) => String::new(),
        };
        let reason = format!("{status} {told}").trim_end().to_owned();
        Err(answer::refusal(status.as_u16(), reason))
    }

    fn parse<M: DeserializeOwned>(&self, answer: Response<Body>) -> Result<M, Failure> {
        self.parse_within(answer::longest(0), answer)
    }

    fn parse_within<M: DeserializeOwned>(
        &self,
        limit: usize,
        answer: Response<Body>,
    ) -> Result<M, Failure> {
        let body = answer
            .into_body()
            .into_with_config()
            .limit(limit as u64)
            .read_to_vec()
            .map_err(|error| Failure::Failed(short(&error)))?;
        answer::message(answer::document(&body, self.token.as_ref())?)
    }
}

/// Why a request got no answer.
enum SendError {
    /// It cannot be made at all.
    Never(ureq::http::Error),
    /// The connection broke.
    Broken(std::io::Error),
    Other(ureq::Error),
}

impl SendError {
    fn into_failure(self) -> Failure {
        match self {
            Self::Never(error) => never_sent(error),
            Self::Broken(error) => Failure::Unavailable(short(&error)),
            Self::Other(error) => Failure::Unavailable(short(&error)),
        }
    }
}

impl Transport for Http {
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registration, Failure> {
        let answer = self.send("POST", "/v1/clients", Some(message), limit)?;
        let registered: Registered = self.parse(self.check(answer)?)?;
        if !message.dry_run {
            answer::usable_hash(&registered.client_hash)?;
        }
        Ok(Registration::Answered(registered))
    }

    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<Said, Failure> {
        let path = format!("/v1/clients/{}/config", message.client_hash);
        self.tell("PUT", &path, message)
    }

    fn report(&mut self, reports: &Reports) -> Result<ReportsTaken, Failure> {
        let answer = self.send("POST", "/v1/reports", Some(reports), self.quiet_limit)?;
        let longest = answer::longest(reports.reports.len());
        self.parse_within(longest, self.check(answer)?)
    }

    fn error(&mut self, message: &ClientError) -> Result<Said, Failure> {
        let path = format!("/v1/clients/{}/errors", message.client_hash);
        self.tell("POST", &path, message)
    }

    fn goodbye(&mut self, client_hash: &str, _: &str) -> Result<Said, Failure> {
        let path = format!("/v1/clients/{client_hash}");
        let answer = self.send::<()>("DELETE", &path, None, self.quiet_limit)?;
        self.check(answer).map(|_| Said::Yes)
    }
}

/// Resolves names on the calling thread. ureq's own resolver starts a thread for each look-up;
/// here the application's deadline is kept by the waiting caller, whatever a look-up takes.
#[derive(Debug)]
struct OnThisThread;

impl Resolver for OnThisThread {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::HostNotFound);
        };
        let address =
            DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let mut resolved = self.empty();
        for found in address.to_socket_addrs()?.take(16) {
            resolved.push(found);
        }
        if resolved.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(resolved)
    }
}
