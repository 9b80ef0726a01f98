//! `veltixs://`.

use std::sync::Arc;
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use superstream_veltix::{
    Address, Client, ClientConfig, CloseReason, Connection, ConnectionOptions, Error, Request,
    Server, ServerConfig,
};

use crate::support::*;

/// A server's configuration, and that of a client who trusts it.
fn certificates() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn secure_server(tls: &Arc<rustls::ServerConfig>) -> Server {
    let config = ServerConfig::new("127.0.0.1", 0).with_tls(Arc::clone(tls));
    let server = Server::on(&endpoint(), config);
    server.route(CHAT, |client, response| {
        let reply = Request::reply_to(&response, CHAT, response.content.clone());
        client.send_within(&reply, LONG).unwrap();
    });
    server.start().unwrap();
    server
}

#[test]
fn everything_goes_through_tls_large_frames_too() {
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let url = format!("veltixs://127.0.0.1:{}", port(&server));
    let config = ClientConfig::from_url(&url).unwrap().with_tls(client_tls);
    let client = Client::on(&endpoint(), config);
    client.connect().unwrap();
    for size in [0, 1, 70_000, 10 * 1024 * 1024 - 22] {
        let request = Request::new(CHAT, vec![3; size]);
        let reply = client.send_and_wait(&request, LONG).unwrap();
        assert_eq!(reply.content, request.content, "{size}");
    }
    client.ping_server(LONG).unwrap();
    until("it is known", || server.clients().len() == 1);
    server.clients()[0].ping(LONG).unwrap();
    assert!(client.disconnect());
    until("it is gone", || server.clients().is_empty());
}

#[test]
fn the_connection_without_a_thread_does_too() {
    let (server_tls, client_tls) = certificates();
    let server = secure_server(&server_tls);
    let url = format!("veltixs://127.0.0.1:{}", port(&server));
    let address = Address::parse(&url).unwrap();
    let options = ConnectionOptions::default().with_tls(client_tls);
    let mut connection = Connection::open(&address, &options, Instant::now() + LONG).unwrap();
    let request = Request::new(CHAT, vec![3; 1_000_000]);
    let reply = connection.send_and_wait(&request, Instant::now() + LONG);
    assert_eq!(reply.unwrap().content, request.content);
}

#[test]
fn whom_nobody_trusts_is_not_spoken_to() {
    let (server_tls, _) = certificates();
    let (_, stranger) = certificates();
    let server = secure_server(&server_tls);
    let config = ClientConfig::new("127.0.0.1", port(&server)).with_tls(stranger);
    let client = Client::on(&endpoint(), config);
    let Err(Error::Closed(CloseReason::Tls(_))) = client.connect() else {
        panic!("connected");
    };
    assert!(server.clients().is_empty());
}

#[test]
fn who_asks_for_tls_never_goes_without() {
    let plain = echo_server();
    let url = format!("veltixs://127.0.0.1:{}", port(&plain));
    let client = Client::on(&endpoint(), ClientConfig::from_url(&url).unwrap());
    assert!(matches!(
        client.connect(),
        Err(Error::Closed(CloseReason::Tls(_)))
    ));
    let address = Address::parse(&url).unwrap();
    let opened = Connection::open(
        &address,
        &ConnectionOptions::default(),
        Instant::now() + LONG,
    );
    assert!(matches!(opened, Err(Error::Tls(_))));

    // A client without it, at a server with it: refused, and the server goes on.
    let (server_tls, _) = certificates();
    let server = secure_server(&server_tls);
    let client = client_with(port(&server), |config| short(&mut config.session));
    assert!(client.connect().is_err());
}
