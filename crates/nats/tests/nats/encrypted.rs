//! TLS: who is trusted, and under which name.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use superstream_nats::{Address, Connection, Error, Options};

use crate::common::{NatsServer, connect, open, options, soon, trust};

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, roots }
    }

    /// A server with a certificate for a name, and more configuration.
    pub fn server(&self, name: &str, config: &str) -> NatsServer {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        NatsServer::with_files(
            &format!(
                "tls {{ cert_file: \"certificate.pem\", key_file: \"key.pem\", timeout: 60 }}\n\
                 authorization {{ user: u, password: hunter2, timeout: 60 }}\n{config}"
            ),
            &[
                ("certificate.pem", &certificate.pem()),
                ("key.pem", &key.serialize_pem()),
            ],
        )
    }

    /// Trusts it, and asks for a server by a name.
    pub fn options(&self, scheme: &str, host: &str, server: &NatsServer) -> Options {
        let mut options = options(&format!("{scheme}{host}:{}", server.port()));
        options.tls = trust(self.roots.clone());
        options.user = Some("u".to_owned());
        options.password = Some("hunter2".to_owned());
        options
    }
}

fn is_encrypted(server: &NatsServer) -> bool {
    server.connections()[0]["tls_version"].is_string()
}

fn refused(options: &Options) -> String {
    match Connection::open(options, &[], soon()).map(drop) {
        Err(Error::Tls(reason)) => reason,
        other => panic!("not for TLS: {other:?}"),
    }
}

#[test]
fn a_trusted_server_is_spoken_to_in_secret() {
    let authority = Authority::new();
    let server = authority.server("localhost", "");
    // Whether the address asks for it or the server's INFO does.
    for scheme in ["tls://", "nats://", ""] {
        let mut connection = open(&authority.options(scheme, "localhost", &server)).unwrap();
        assert!(is_encrypted(&server), "{scheme}");
        let subscription = connection.subscribe("a", None, soon()).unwrap();
        let payload: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        connection.publish("a", None, &payload, soon()).unwrap();
        let message = connection.next_of(subscription, soon()).unwrap().unwrap();
        assert!(message.payload == payload);
        drop(connection);
        superstream_nats_server::wait_until("the end", || server.connections().is_empty());
    }
}

#[test]
fn an_address_by_number_needs_it_in_the_certificate() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", "");
    open(&authority.options("tls://", "127.0.0.1", &server)).unwrap();
    let server = authority.server("localhost", "");
    let reason = refused(&authority.options("tls://", "127.0.0.1", &server));
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn one_that_is_not_trusted_is_not_spoken_to() {
    let authority = Authority::new();
    let server = authority.server("localhost", "");
    let reason = refused(&Authority::new().options("nats://", "localhost", &server));
    assert!(reason.contains("certificate"), "{reason}");
    let server = authority.server("elsewhere", "");
    let reason = refused(&authority.options("tls://", "localhost", &server));
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn where_both_are_offered_the_address_decides() {
    let authority = Authority::new();
    let server = authority.server("localhost", "allow_non_tls: true");
    for (scheme, encrypted) in [("tls://", true), ("nats://", false)] {
        let _connection = open(&authority.options(scheme, "localhost", &server)).unwrap();
        assert_eq!(is_encrypted(&server), encrypted, "{scheme}");
        drop(_connection);
        superstream_nats_server::wait_until("the end", || server.connections().is_empty());
    }
}

#[test]
fn a_server_that_offers_none_is_refused() {
    let server = NatsServer::start();
    connect(&server);
    let options = options(&format!("tls://127.0.0.1:{}", server.port()));
    let reason = refused(&options);
    assert!(reason.contains("offers none"), "{reason}");
}

#[test]
fn a_learnt_server_must_show_the_name_that_the_user_knows() {
    let authority = Authority::new();
    let (good, bad) = (
        authority.server("localhost", ""),
        authority.server("elsewhere", ""),
    );
    let mut gone = NatsServer::start();
    gone.kill();
    let options = authority.options("tls://", "localhost", &gone);
    // Learnt in clear, as an address is that was learnt before.
    let at = |server: &NatsServer| Address::parse(&format!("127.0.0.1:{}", server.port())).unwrap();
    let connection = Connection::open(&options, &[at(&good)], soon()).unwrap();
    assert!(is_encrypted(&good));
    drop(connection);
    let error = Connection::open(&options, &[at(&bad)], soon()).map(drop);
    assert!(matches!(error, Err(Error::Tls(_))), "{error:?}");
}
