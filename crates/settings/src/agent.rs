//! How the service is asked over HTTP, by whoever asks it.

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use crate::tls::provider;

/// An agent that trusts nobody with the token but the configured address: redirects are not
/// followed, certificates are checked against the system's trust store, and it goes through no
/// proxy. An answer is an answer, whatever its status.
pub fn agent(user_agent: &str) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(user_agent)
}
