//! What the drop-in finds of the system by itself, as a distribution's build does: the CA store,
//! for brokers and for token endpoints, and the files of Kerberos.
//!
//! The client runs in a system of its own (`support/system.rs`), so that a test can say what is
//! in `/etc`. Each thing that must be found has its counterpart: without it the client fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "support/kdc.rs"]
mod kdc;
#[path = "support/scene.rs"]
mod scene;
mod support;
#[path = "support/system.rs"]
mod system;

use kdc::Kdc;
use scene::{API_VERSIONS, Authority, Event, SASL_AUTHENTICATE, Scene, client, start};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{Library, built, run, tool};
use system::{System, available, of_debian};

/// How OpenSSL says that it does not know who signed.
const UNTRUSTED: &str = "certificate verify failed";

/// Puts the certificate into an `etc` as some distribution does.
type Layout = fn(etc: &Path, certificate: &Path);

fn put(certificate: &Path, file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::copy(certificate, file).unwrap();
}

/// Debian, SUSE: a folder with hashed names. No bundle here, to see that it is not needed.
fn hashed(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/certs/test.pem"));
    run(tool("openssl").arg("rehash").arg(etc.join("ssl/certs")));
}

/// Debian's bundle, as in an image that has nothing else.
fn bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/certs/ca-certificates.crt"));
}

fn red_hat(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("pki/tls/certs/ca-bundle.crt"));
    fs::remove_dir(etc.join("ssl/certs")).unwrap();
    symlink("../pki/tls/certs", etc.join("ssl/certs")).unwrap();
}

fn red_hat_extracted(etc: &Path, certificate: &Path) {
    put(
        certificate,
        &etc.join("pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    );
}

fn suse_bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/ca-bundle.pem"));
}

fn openssl_bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/cert.pem"));
}

fn nothing(_: &Path, _: &Path) {}

#[derive(Debug, PartialEq)]
enum Outcome {
    Trusted,
    Refused,
}

/// The broker gets its first request only after the client has verified its certificate.
fn connect(
    library: Option<Library>,
    layout: Layout,
    by_name: Option<&str>,
    known: &Authority,
    server: &Authority,
) -> Outcome {
    let system = System::new();
    layout(&system.etc(), &known.certificate());
    let mut scene = Scene::new();
    let brokers = scene.broker(Some(server.server()), "");
    let mut command = system.command(&[], &client(), library);
    if let Some(variable) = by_name {
        put(&known.certificate(), &system.tmp().join("trusted.pem"));
        command.env(variable, "/tmp/trusted.pem");
    }
    let properties = [
        ("bootstrap.servers", &*brokers),
        ("broker.address.family", "v4"),
        ("security.protocol", "ssl"),
    ];
    scene.start(&mut command, &properties);
    let outcome = scene.wait_for("handshake", |event| {
        if event.body(API_VERSIONS).is_some() {
            return Some(Outcome::Trusted);
        }
        event
            .says(&["error: _SSL", UNTRUSTED])
            .then_some(Outcome::Refused)
    });
    scene.end();
    check_library(&scene, library);
    outcome
}

/// The machine's own library must not have been tested in place of ours, nor ours in its place.
#[track_caller]
fn check_library(scene: &Scene, library: Option<Library>) {
    let place = if library.is_some() {
        "library: /tmp/run/"
    } else {
        "-linux-gnu/"
    };
    let found = scene
        .seen
        .iter()
        .any(|event| event.says(&["library: ", place]));
    assert!(found, "another library was loaded:\n{}", scene.story());
}

/// Trusts what is in the store, and nothing else.
#[track_caller]
fn trusts_by(library: Option<Library>, layout: Layout, by_name: Option<&str>) {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    assert_eq!(
        connect(library, layout, by_name, &ours, &ours),
        Outcome::Trusted
    );
    assert_eq!(
        connect(library, layout, by_name, &other, &ours),
        Outcome::Refused
    );
}

#[test]
fn a_broker_is_verified_against_each_layout_of_the_ca_store() {
    if !available() {
        return;
    }
    let layouts = [
        hashed,
        bundle,
        red_hat,
        red_hat_extracted,
        suse_bundle,
        openssl_bundle,
    ];
    for layout in layouts {
        trusts_by(Some(Library::DropIn), layout, None);
    }
}

#[test]
fn a_broker_is_verified_against_the_store_that_the_environment_names() {
    if available() {
        trusts_by(Some(Library::DropIn), nothing, Some("SSL_CERT_FILE"));
    }
}

#[test]
fn no_broker_is_trusted_without_a_ca_store() {
    if available() {
        let ours = Authority::new("Ours");
        let outcome = connect(Some(Library::DropIn), nothing, None, &ours, &ours);
        assert_eq!(outcome, Outcome::Refused);
    }
}

#[test]
fn the_distributions_build_does_the_same() {
    if available() && of_debian("librdkafka1", "librdkafka.so.1").is_some() {
        trusts_by(None, hashed, None);
        trusts_by(None, nothing, Some("SSL_CERT_FILE"));
    }
}

/// Not signed: `{"alg":"none"}`, `{"sub":"tester","iat":1700000000,"exp":4102444800}`.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.\
                     eyJzdWIiOiJ0ZXN0ZXIiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0.c2ln";

/// A client of a token endpoint whose certificate `known` has signed, if anybody.
fn log_in(
    library: Option<Library>,
    layout: Layout,
    known: &Authority,
    server: &Authority,
) -> Outcome {
    let system = System::new();
    layout(&system.etc(), &known.certificate());
    let mut scene = Scene::new();
    let endpoint = scene.token_endpoint(server.server(), TOKEN);
    let properties = [
        ("bootstrap.servers", &*scene.broker(None, "OAUTHBEARER")),
        ("broker.address.family", "v4"),
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", "tester"),
        ("sasl.oauthbearer.client.secret", "secret"),
        ("sasl.oauthbearer.token.endpoint.url", &*endpoint),
    ];
    start(&mut scene, &system, library, &properties);
    let request = scene.wait_for("answer about the token", |event| match event {
        Event::TokenAsked(request) => Some(Some(request.clone())),
        // curl has several words for it, and only it speaks here before any request.
        _ => event
            .says(&["error: _AUTHENTICATION", "Failed to acquire"])
            .then_some(None),
    });
    let outcome = if let Some(request) = request {
        check_token_request(&request);
        let token = scene.wait_for("token at the broker", |event| event.body(SASL_AUTHENTICATE));
        let token = String::from_utf8_lossy(&token);
        assert!(token.contains(&format!("auth=Bearer {TOKEN}")), "{token}");
        Outcome::Trusted
    } else {
        assert!(
            scene.story().contains("certificate"),
            "another reason:\n{}",
            scene.story()
        );
        Outcome::Refused
    };
    scene.end();
    check_library(&scene, library);
    outcome
}

fn check_token_request(request: &str) {
    // The base64 of `tester:secret`.
    for part in [
        "POST /token ",
        "Authorization: Basic dGVzdGVyOnNlY3JldA==",
        "client_credentials",
    ] {
        assert!(request.contains(part), "no {part} in:\n{request}");
    }
}

#[track_caller]
fn logs_in_by(library: Option<Library>, layout: Layout) {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    assert_eq!(log_in(library, layout, &ours, &ours), Outcome::Trusted);
    assert_eq!(log_in(library, layout, &other, &ours), Outcome::Refused);
}

#[test]
fn a_token_endpoint_is_verified_against_the_ca_store() {
    if available() {
        for layout in [hashed, bundle, red_hat] {
            logs_in_by(Some(Library::DropIn), layout);
        }
    }
}

#[test]
fn the_distributions_build_verifies_a_token_endpoint_in_the_same_way() {
    if available() && of_debian("librdkafka1", "librdkafka.so.1").is_some() {
        for layout in [hashed, bundle] {
            logs_in_by(None, layout);
        }
    }
}

/// Nobody listens at this port, and only root could.
const DEAD: u16 = 1;

fn kinit(keytab: &str) -> String {
    format!("kinit -k -t {keytab} {}", kdc::CLIENT)
}

/// A system whose `/etc/krb5.conf` has this text.
fn kerberos(configuration: &str) -> System {
    let system = System::new();
    fs::write(system.etc().join("krb5.conf"), configuration).unwrap();
    system
}

/// What came of it: the first token that the broker received, or the reason why none came.
fn authenticate(
    system: &System,
    library: Option<Library>,
    tracer: &[&str],
    kinit: &str,
) -> Result<Vec<u8>, String> {
    let mut scene = Scene::new();
    let properties = [
        ("bootstrap.servers", &*scene.broker(None, "GSSAPI")),
        ("broker.address.family", "v4"),
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "GSSAPI"),
        ("sasl.kerberos.service.name", "kafka"),
        ("sasl.kerberos.principal", kdc::CLIENT),
        ("sasl.kerberos.kinit.cmd", kinit),
    ];
    scene.start(&mut system.command(tracer, &client(), library), &properties);
    let outcome = scene.wait_for("token or refusal", |event| match event {
        Event::Said(line) if event.says(&["error: _AUTHENTICATION"]) => Some(Err(line.clone())),
        _ => event.body(SASL_AUTHENTICATE).map(Ok),
    });
    scene.end();
    check_library(&scene, library);
    outcome
}

/// The beginning of a request to a Kerberos service (RFC 4121, section 4.1): the tag, the
/// length, the mechanism 1.2.840.113554.1.2.2, and the kind of token. The ticket in it names the
/// service.
#[track_caller]
fn check_ticket(body: &[u8]) {
    let token = &body[4..];
    assert_eq!(token[0], 0x60, "{token:02x?}");
    let rest = &token[if token[1] < 0x80 {
        2
    } else {
        2 + usize::from(token[1] & 0x7f)
    }..];
    let mechanism = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02,
    ];
    assert_eq!(
        (&rest[..11], &rest[11..13]),
        (&mechanism[..], &[1, 0][..]),
        "{token:02x?}"
    );
    for name in [kdc::REALM, "kafka", "localhost"] {
        assert!(
            rest.windows(name.len()).any(|part| part == name.as_bytes()),
            "no {name}"
        );
    }
}

#[test]
fn kerberos_finds_the_systems_configuration_and_cache() {
    if !available() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    put(&kdc.keytab(), &system.tmp().join("keytab"));
    let token = authenticate(&system, Some(Library::DropIn), &[], &kinit("/tmp/keytab"));
    check_ticket(&token.unwrap());
    assert!(
        system.tmp().join("krb5cc_0").exists(),
        "the default cache was not used"
    );
    assert!(
        kdc.log().contains("for kafka/localhost@TEST.LOCAL"),
        "{}",
        kdc.log()
    );
}

#[test]
fn the_distributions_build_finds_the_same() {
    if !available() || of_debian("libsasl2-modules-gssapi-mit", "sasl2/libgssapiv2.so").is_none() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    put(&kdc.keytab(), &system.tmp().join("keytab"));
    check_ticket(&authenticate(&system, None, &[], &kinit("/tmp/keytab")).unwrap());
}

#[test]
fn kerberos_finds_the_systems_default_keytab() {
    if !available() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    put(&kdc.keytab(), &system.etc().join("krb5.keytab"));
    let kinit = format!("kinit -k {}", kdc::CLIENT);
    check_ticket(&authenticate(&system, Some(Library::DropIn), &[], &kinit).unwrap());
}

#[test]
fn without_a_living_kdc_there_is_no_ticket() {
    if !available() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc::configuration(DEAD));
    put(&kdc.keytab(), &system.tmp().join("keytab"));
    let refusal = authenticate(&system, Some(Library::DropIn), &[], &kinit("/tmp/keytab"));
    assert!(
        refusal
            .unwrap_err()
            .contains("No Kerberos credentials available")
    );
}

/// `kinit` reads a good configuration and the library the system's: it is the library itself
/// that reads `/etc/krb5.conf`.
#[test]
fn the_library_itself_reads_the_systems_configuration() {
    if !available() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc::configuration(DEAD));
    put(&kdc.keytab(), &system.tmp().join("keytab"));
    fs::write(system.tmp().join("good.conf"), kdc.configuration()).unwrap();
    let kinit = format!("KRB5_CONFIG=/tmp/good.conf {}", kinit("/tmp/keytab"));
    let refusal = authenticate(&system, Some(Library::DropIn), &[], &kinit).unwrap_err();
    assert!(
        refusal.contains("Cannot contact any KDC for realm"),
        "{refusal}"
    );
}

/// Debian's build takes a ticket by itself from `/etc/krb5/user/UID/client.keytab`.
fn uses_the_default_client_keytab(library: Option<Library>) {
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    put(
        &kdc.keytab(),
        &system.etc().join("krb5/user/0/client.keytab"),
    );
    check_ticket(&authenticate(&system, library, &[], "true").unwrap());
}

#[test]
fn kerberos_finds_the_systems_default_client_keytab() {
    if available() {
        uses_the_default_client_keytab(Some(Library::DropIn));
    }
}

#[test]
fn the_distributions_build_finds_the_default_client_keytab() {
    if available() && of_debian("libsasl2-modules-gssapi-mit", "sasl2/libgssapiv2.so").is_some() {
        uses_the_default_client_keytab(None);
    }
}

/// Every path that the client and its children name to the kernel. The client's own folder is
/// not where it was built: whatever lies there was written into the library by its build.
#[test]
fn no_file_is_looked_for_where_the_library_was_built() {
    if !available() {
        return;
    }
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    put(&kdc.keytab(), &system.tmp().join("keytab"));
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=%file",
        "-o",
        "/tmp/trace",
    ];
    let token = authenticate(
        &system,
        Some(Library::DropIn),
        &strace,
        &kinit("/tmp/keytab"),
    );
    check_ticket(&token.unwrap());
    let trace = fs::read_to_string(system.tmp().join("trace")).unwrap();
    let paths: BTreeSet<_> = trace
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(
        paths.contains("/etc/krb5.conf"),
        "the trace lacks what it must have: {paths:?}"
    );
    let target = built();
    let build = target.ancestors().nth(1).unwrap();
    let strays: Vec<_> = paths
        .iter()
        .filter(|path| Path::new(path).starts_with(build))
        .collect();
    assert!(strays.is_empty(), "{strays:#?}");
}
