//! `https://`: only a certificate that the system's trust store vouches for, for this name and
//! this day, opens the door. Everything else is a service that is down.

use std::fs;

use rcgen::{CertificateParams, date_time_ymd};
use serde_json::{Value, json};
use superstream_tests::authority::Authority;
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::{FaultService, advise};
use superstream_tests::{Library, scratch, unique};

/// A service whose certificate an authority has signed.
fn serve(
    authority: &Authority,
    name: &str,
    change: impl Fn(&mut CertificateParams),
) -> FaultService {
    FaultService::start_within(authority.encrypt(name, change), |request, stream| {
        advise(request, stream, &json!({"linger.ms": 50}))
    })
}

/// The status of a client of this service, and its linger.
#[track_caller]
fn client_of(service: &FaultService, host: &str, environment: &[(&str, &str)]) -> (Value, String) {
    let host = format!("https://{host}:{}", service.port);
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
fn not_trusted(service: &FaultService, host: &str, environment: &[(&str, &str)]) {
    let (status, linger) = client_of(service, host, environment);
    assert_eq!(linger, "5");
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("certificate"), "{note}");
    assert_eq!(service.received(), "", "something was sent");
}

#[test]
fn a_good_certificate() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let service = serve(&authority, name, |_| ());
        let (status, linger) = client_of(&service, name, &[authority.environment()]);
        assert_eq!(linger, "50", "{status:#}");
        assert!(service.received().contains("Bearer the-token"));
    }
}

#[test]
fn an_expired_certificate() {
    let authority = Authority::new();
    let service = serve(&authority, "localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    not_trusted(&service, "localhost", &[authority.environment()]);
}

#[test]
fn a_certificate_of_tomorrow() {
    let authority = Authority::new();
    let service = serve(&authority, "localhost", |params| {
        params.not_before = date_time_ymd(2500, 1, 1);
        params.not_after = date_time_ymd(2600, 1, 1);
    });
    not_trusted(&service, "localhost", &[authority.environment()]);
}

#[test]
fn an_authority_that_nobody_knows() {
    let service = serve(&Authority::new(), "localhost", |_| ());
    not_trusted(&service, "localhost", &[]);
    not_trusted(&service, "localhost", &[Authority::new().environment()]);
}

#[test]
fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let service = serve(&authority, "superstream.example", |_| ());
    not_trusted(&service, "localhost", &[authority.environment()]);
    not_trusted(&service, "127.0.0.1", &[authority.environment()]);
}

#[test]
fn a_trust_store_without_anything_in_it() {
    let authority = Authority::new();
    let service = serve(&authority, "localhost", |_| ());
    let empty = unique(scratch(), "empty.pem");
    fs::write(&empty, "").unwrap();
    for file in [empty.to_str().unwrap(), "/no/such/file", "/dev/null"] {
        let (status, linger) = client_of(&service, "localhost", &[("SSL_CERT_FILE", file)]);
        assert_eq!(linger, "5");
        assert_eq!(status["service"]["state"], "down", "{status:#}");
        assert_eq!(service.received(), "", "something was sent");
    }
}

#[test]
fn a_service_that_does_not_encrypt() {
    let service = FaultService::advising(json!({"linger.ms": 50}));
    let (status, linger) = client_of(&service, "127.0.0.1", &[]);
    assert_eq!(linger, "5");
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    assert!(!service.received().contains("the-token"));
}
