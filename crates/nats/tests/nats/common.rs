//! What the tests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use superstream_nats::{Address, Connection, Error, Options};

pub use superstream_nats_server::{NatsServer, wait_until};

/// A deadline that is never met where all is well.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A deadline for what does not come.
pub fn shortly() -> Instant {
    Instant::now() + Duration::from_millis(200)
}

/// Trusts the authorities that are given.
pub fn trust(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// For the server at an address, without a user, trusting nobody.
pub fn options(address: &str) -> Options {
    Options {
        server: Address::parse(address).unwrap(),
        user: None,
        password: None,
        name: "a test".to_owned(),
        tls: trust(RootCertStore::empty()),
        ping_every: Duration::from_secs(60),
        max_kept_bytes: 1024 * 1024,
    }
}

pub fn options_for(server: &NatsServer) -> Options {
    options(&server.url())
}

pub fn open(options: &Options) -> Result<Connection, Error> {
    Connection::open(options, &[], soon())
}

pub fn connect(server: &NatsServer) -> Connection {
    open(&options_for(server)).unwrap()
}
