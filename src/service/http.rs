//! The service over HTTP: the REST API of `docs/openapi.yaml`.
//!
//! Nothing that comes back is trusted: answers are bounded before they are parsed, redirects
//! are not followed, certificates are checked against the system's trust store, and the token
//! goes to the configured address alone, through no proxy.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use superstream_protocol::{ClientConfigUpdate, ClientError, Problem, RegisterClient, Registered};
use ureq::http::{Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use super::{Failure, Transport};
use crate::settings::Token;

/// An advice is a few hundred bytes. It is kept as long as its client.
const MAX_ANSWER_BYTES: u64 = 32 * 1024;
/// What a message that nobody waits for may take.
const QUIET_LIMIT: Duration = Duration::from_secs(10);
/// The reason in an error answer goes into the log and the status: a sentence is enough.
const MAX_REASON_CHARS: usize = 300;

/// The service at one address.
pub struct Http {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Http {
    /// `base` is the service's address, without a trailing slash.
    pub fn new(base: &str, token: Option<Token>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!(
                "superstream-librdkafka/",
                env!("CARGO_PKG_VERSION")
            ))
            .max_idle_connections(1)
            .build();
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), OnThisThread),
            base: base.to_owned(),
            authorization: token.map(|token| format!("Bearer {}", token.reveal())),
        }
    }

    fn send<M: Serialize>(
        &self,
        method: &str,
        path: &str,
        message: Option<&M>,
        limit: Duration,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = match message {
            Some(message) => {
                let body = serde_json::to_vec(message)
                    .map_err(|error| Failure::Refused(error.to_string()))?;
                let request = request
                    .header("Content-Type", "application/json")
                    .body(body)
                    .map_err(|error| Failure::Refused(error.to_string()))?;
                self.agent.run(self.within(request, limit))
            }
            None => {
                let request = request
                    .body(())
                    .map_err(|error| Failure::Refused(error.to_string()))?;
                self.agent.run(self.within(request, limit))
            }
        };
        answer.map_err(unavailable)
    }

    fn within<B: ureq::AsSendBody>(&self, request: Request<B>, limit: Duration) -> Request<B> {
        self.agent
            .configure_request(request)
            .timeout_global(Some(limit))
            .build()
    }

    /// Sends a message that is answered with nothing of interest.
    fn tell<M: Serialize>(&self, method: &str, path: &str, message: &M) -> Result<(), Failure> {
        let answer = self.send(method, path, Some(message), QUIET_LIMIT)?;
        check(answer).map(drop)
    }
}

impl Transport for Http {
    fn register(
        &mut self,
        message: &RegisterClient,
        limit: Duration,
    ) -> Result<Registered, Failure> {
        let answer = self.send("POST", "/v1/clients", Some(message), limit)?;
        let registered: Registered = parse(check(answer)?)?;
        if !is_token(&registered.client_hash) {
            return Err(Failure::Unavailable(
                "its answer has no usable client_hash".to_owned(),
            ));
        }
        Ok(registered)
    }

    fn configure(&mut self, message: &ClientConfigUpdate) -> Result<(), Failure> {
        let path = format!("/v1/clients/{}/config", message.client_hash);
        self.tell("PUT", &path, message)
    }

    fn error(&mut self, message: &ClientError) -> Result<(), Failure> {
        let path = format!("/v1/clients/{}/errors", message.client_hash);
        self.tell("POST", &path, message)
    }

    fn goodbye(&mut self, client_hash: &str) -> Result<(), Failure> {
        let path = format!("/v1/clients/{client_hash}");
        let answer = self.send::<()>("DELETE", &path, None, QUIET_LIMIT)?;
        check(answer).map(drop)
    }
}

/// The hash becomes part of a path, and on other transports of a subject: nothing in it may
/// have a meaning there.
fn is_token(hash: &str) -> bool {
    (1..=128).contains(&hash.len())
        && hash
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Sorts answers by their status. A redirect is a failure: it would take the token elsewhere.
fn check(answer: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if status.is_redirection() {
        return Err(Failure::Unavailable(format!(
            "it answers {status}; redirects are not followed"
        )));
    }
    let told = match parse::<Problem>(answer) {
        Ok(problem) => problem.error.chars().take(MAX_REASON_CHARS).collect(),
        Err(_) => String::new(),
    };
    let reason = format!("{status} {told}").trim_end().to_owned();
    // Too many requests and a request that took too long are the service's state, not ours.
    if status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429) {
        return Err(Failure::Refused(reason));
    }
    Err(Failure::Unavailable(reason))
}

/// serde_json stops at a depth of 128.
fn parse<M: DeserializeOwned>(answer: Response<Body>) -> Result<M, Failure> {
    let body = answer
        .into_body()
        .into_with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_vec()
        .map_err(unavailable)?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Unavailable(format!("its answer is not understood: {error}")))
}

fn unavailable(error: ureq::Error) -> Failure {
    Failure::Unavailable(error.to_string())
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
