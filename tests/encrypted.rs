//! `https://`, `tls://` and `veltixs://`: only a certificate that the system's trust store vouches for, for this name and
//! this day, opens the door. Everything else is a service that is down.

use std::fs;

use rcgen::{CertificateParams, date_time_ymd};
use serde_json::{Value, json};
use superstream_tests::authority::Authority;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, advise};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport, scratch, unique};

over_each_transport!(
    https, nats_tls, veltix_tls:
    a_good_certificate,
    an_expired_certificate,
    a_certificate_of_tomorrow,
    an_authority_that_nobody_knows,
    a_certificate_for_another_name,
    a_trust_store_without_anything_in_it,
    a_service_that_does_not_encrypt,
);

/// A service whose certificate an authority has signed.
fn serve(
    transport: Transport,
    authority: &Authority,
    name: &str,
    change: impl Fn(&mut CertificateParams),
) -> FaultService {
    transport.serve_within(authority.server(name, change), |request, stream| {
        advise(request, stream, &json!({"linger.ms": 50}))
    })
}

/// The status of a client of this service, and its linger.
#[track_caller]
fn client_of(
    transport: Transport,
    service: &FaultService,
    host: &str,
    environment: &[(&str, &str)],
) -> (Value, String) {
    let host = transport.host(&format!("{host}:{}", service.port));
    let mut all = vec![
        ("SUPERSTREAM_HOST", host.as_str()),
        ("SUPERSTREAM_TOKEN", "the-token"),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "20000"),
    ];
    all.extend_from_slice(environment);
    let mut driver = Driver::start(Library::DropIn, &all);
    driver.create("producer");
    let status = driver.status(0);
    let linger = driver.get(0, "linger.ms");
    driver.end_quietly();
    (status, linger)
}

#[track_caller]
fn not_trusted(
    transport: Transport,
    service: &FaultService,
    host: &str,
    environment: &[(&str, &str)],
) {
    let (status, linger) = client_of(transport, service, host, environment);
    assert_eq!(linger, "5");
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("certificate"), "{note}");
    assert_eq!(service.received(), "", "something was sent");
}

fn a_good_certificate(transport: Transport) {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let service = serve(transport, &authority, name, |_| ());
        let (status, linger) = client_of(transport, &service, name, &[authority.environment()]);
        assert_eq!(linger, "50", "{status:#}");
        assert!(service.requests()[0].headers["authorization"] == "Bearer the-token");
    }
}

fn an_expired_certificate(transport: Transport) {
    let authority = Authority::new();
    let service = serve(transport, &authority, "localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    not_trusted(transport, &service, "localhost", &[authority.environment()]);
}

fn a_certificate_of_tomorrow(transport: Transport) {
    let authority = Authority::new();
    let service = serve(transport, &authority, "localhost", |params| {
        params.not_before = date_time_ymd(2500, 1, 1);
        params.not_after = date_time_ymd(2600, 1, 1);
    });
    not_trusted(transport, &service, "localhost", &[authority.environment()]);
}

fn an_authority_that_nobody_knows(transport: Transport) {
    let service = serve(transport, &Authority::new(), "localhost", |_| ());
    not_trusted(transport, &service, "localhost", &[]);
    not_trusted(
        transport,
        &service,
        "localhost",
        &[Authority::new().environment()],
    );
}

fn a_certificate_for_another_name(transport: Transport) {
    let authority = Authority::new();
    let service = serve(transport, &authority, "superstream.example", |_| ());
    not_trusted(transport, &service, "localhost", &[authority.environment()]);
    not_trusted(transport, &service, "127.0.0.1", &[authority.environment()]);
}

fn a_trust_store_without_anything_in_it(transport: Transport) {
    let authority = Authority::new();
    let service = serve(transport, &authority, "localhost", |_| ());
    let empty = unique(scratch(), "empty.pem");
    fs::write(&empty, "").unwrap();
    for file in [empty.to_str().unwrap(), "/no/such/file", "/dev/null"] {
        let (status, linger) =
            client_of(transport, &service, "localhost", &[("SSL_CERT_FILE", file)]);
        assert_eq!(linger, "5");
        assert_eq!(status["service"]["state"], "down", "{status:#}");
        assert_eq!(service.received(), "", "something was sent");
    }
}

fn a_service_that_does_not_encrypt(transport: Transport) {
    let service = transport.plain().advising(json!({"linger.ms": 50}));
    let (status, linger) = client_of(transport, &service, "127.0.0.1", &[]);
    assert_eq!(linger, "5");
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    assert!(!service.received().contains("the-token"));
}
