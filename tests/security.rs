//! What the drop-in finds of the system by itself, as a distribution's build does: the CA store,
//! for brokers and for token endpoints, and the files of Kerberos.
//!
//! The client runs in a system of its own (`support/system.rs`), so that a test can say what is
//! in `/etc`. Each thing that must be found has its counterpart: without it the client fails.

use std::fs;
use std::path::Path;
use superstream_tests::kdc;
use superstream_tests::kdc::Kdc;
use superstream_tests::scene::{API_VERSIONS, Authority, Event, SASL_AUTHENTICATE, Scene, client};
use superstream_tests::stores::{
    Layout, bundle, bundle_beside_names, hashed, openssl_bundle, put, red_hat, red_hat_extracted,
    suse_bundle,
};
use superstream_tests::system::{System, available, of_debian};
use superstream_tests::{Library, built};

/// How OpenSSL says that it does not know who signed.
const UNTRUSTED: &str = "certificate verify failed";

#[derive(Debug, PartialEq)]
enum Outcome {
    Trusted,
    Refused,
}

/// The broker gets its first request only after the client has verified its certificate.
fn connect(
    system: &System,
    library: Option<Library>,
    server: &Authority,
    variables: &[(&str, &str)],
) -> Outcome {
    let mut scene = Scene::new();
    let brokers = scene.broker(Some(server.server()), "");
    let properties = [
        ("bootstrap.servers", &*brokers),
        ("broker.address.family", "v4"),
        ("security.protocol", "ssl"),
    ];
    let mut command = system.command(&client(), library);
    scene.start(command.envs(variables.iter().copied()), &properties);
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

/// A system that trusts this authority.
fn trusting(layout: Layout, authority: &Authority) -> System {
    let system = System::new();
    layout(&system.etc(), &authority.certificate());
    system
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
fn trusts_by(library: Option<Library>, layout: Layout) {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    for (known, expected) in [(&ours, Outcome::Trusted), (&other, Outcome::Refused)] {
        assert_eq!(
            connect(&trusting(layout, known), library, &ours, &[]),
            expected
        );
    }
}

#[track_caller]
fn trusts_by_environment(library: Option<Library>) {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    for (known, expected) in [(&ours, Outcome::Trusted), (&other, Outcome::Refused)] {
        let system = System::new();
        put(&known.certificate(), &system.tmp().join("trusted.pem"));
        let variables = [("SSL_CERT_FILE", "/tmp/trusted.pem")];
        assert_eq!(connect(&system, library, &ours, &variables), expected);
    }
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
        trusts_by(Some(Library::DropIn), layout);
    }
}

/// As Debian's build does: it reads the bundle always.
#[test]
fn a_bundle_counts_beside_hashed_names() {
    if available() {
        trusts_by(Some(Library::DropIn), bundle_beside_names);
        let ours = Authority::new("Ours");
        let system = trusting(bundle_beside_names, &ours);
        assert_eq!(log_in(&system, &ours), Outcome::Trusted);
    }
}

#[test]
fn a_broker_is_verified_against_the_store_that_the_environment_names() {
    if available() {
        trusts_by_environment(Some(Library::DropIn));
    }
}

#[test]
fn no_broker_is_trusted_without_a_ca_store() {
    if available() {
        let outcome = connect(
            &System::new(),
            Some(Library::DropIn),
            &Authority::new("Ours"),
            &[],
        );
        assert_eq!(outcome, Outcome::Refused);
    }
}

#[test]
fn the_distributions_build_does_the_same() {
    if available() && of_debian("librdkafka1", "librdkafka.so.1").is_some() {
        for layout in [hashed, bundle, bundle_beside_names] {
            trusts_by(None, layout);
        }
        trusts_by_environment(None);
    }
}

/// Not signed: `{"alg":"none"}`, `{"sub":"tester","iat":1700000000,"exp":4102444800}`.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.\
                     eyJzdWIiOiJ0ZXN0ZXIiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0.c2ln";

/// Asks the token endpoint, then the broker.
fn log_in(system: &System, server: &Authority) -> Outcome {
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
    scene.start(
        &mut system.command(&client(), Some(Library::DropIn)),
        &properties,
    );
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
    check_library(&scene, Some(Library::DropIn));
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

#[test]
fn a_token_endpoint_is_verified_against_the_ca_store() {
    if !available() {
        return;
    }
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    for layout in [hashed, bundle, red_hat] {
        assert_eq!(log_in(&trusting(layout, &ours), &ours), Outcome::Trusted);
        assert_eq!(log_in(&trusting(layout, &other), &ours), Outcome::Refused);
    }
}

/// Nobody listens at this port, and only root could.
const DEAD: u16 = 1;

/// A place that is no default of anything.
const KEYTAB: &str = "/tmp/keytab";

/// Where Debian's build looks for the keys of a client that runs as root.
const CLIENT_KEYTAB: &str = "/etc/krb5/user/0/client.keytab";

fn kinit() -> String {
    format!("kinit -k -t {KEYTAB} {}", kdc::CLIENT)
}

/// A system whose `/etc/krb5.conf` has this text.
fn kerberos(configuration: &str) -> System {
    let system = System::new();
    fs::write(system.etc().join("krb5.conf"), configuration).unwrap();
    system
}

/// The first token that the broker received, or the reason why none came.
fn authenticate(system: &System, library: Option<Library>, kinit: &str) -> Result<Vec<u8>, String> {
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
    scene.start(&mut system.command(&client(), library), &properties);
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

/// With the client's keys at `keytab` there is a ticket, without them there is none.
#[track_caller]
fn gets_a_ticket(library: Option<Library>, keytab: &str, kinit: &str) {
    let kdc = Kdc::start();
    let system = kerberos(&kdc.configuration());
    let refusal = authenticate(&system, library, kinit).unwrap_err();
    assert!(refusal.contains(NO_TICKET), "{refusal}");
    put(&kdc.keytab(), &system.inside(keytab));
    check_ticket(&authenticate(&system, library, kinit).unwrap());
    assert!(
        system.inside("/tmp/krb5cc_0").exists(),
        "the default cache was not used"
    );
    assert!(
        kdc.log().contains("for kafka/localhost@TEST.LOCAL"),
        "{}",
        kdc.log()
    );
}

/// How GSSAPI says that neither a cache nor a client keytab gave it anything.
const NO_TICKET: &str = "No Kerberos credentials available";

/// Whether Debian's own build can be compared here, Kerberos included.
fn debian_has_kerberos() -> bool {
    of_debian("librdkafka1", "librdkafka.so.1").is_some()
        && of_debian("libsasl2-modules-gssapi-mit", "sasl2/libgssapiv2.so").is_some()
}

#[test]
fn kerberos_finds_the_systems_configuration_and_cache() {
    if available() {
        gets_a_ticket(Some(Library::DropIn), KEYTAB, &kinit());
    }
}

#[test]
fn the_distributions_build_finds_the_same() {
    if available() && debian_has_kerberos() {
        gets_a_ticket(None, KEYTAB, &kinit());
    }
}

#[test]
fn kinit_finds_the_systems_default_keytab() {
    if available() {
        let kinit = format!("kinit -k {}", kdc::CLIENT);
        gets_a_ticket(Some(Library::DropIn), "/etc/krb5.keytab", &kinit);
    }
}

/// Without any `kinit`: the library takes a ticket by itself.
#[test]
fn kerberos_finds_the_systems_default_client_keytab() {
    if available() {
        gets_a_ticket(Some(Library::DropIn), CLIENT_KEYTAB, "true");
    }
}

#[test]
fn the_distributions_build_finds_the_default_client_keytab() {
    if available() && debian_has_kerberos() {
        gets_a_ticket(None, CLIENT_KEYTAB, "true");
    }
}

#[test]
fn without_a_living_kdc_there_is_no_ticket() {
    if available() {
        let kdc = Kdc::start();
        let system = kerberos(&kdc::configuration(DEAD));
        put(&kdc.keytab(), &system.inside(KEYTAB));
        let refusal = authenticate(&system, Some(Library::DropIn), &kinit()).unwrap_err();
        assert!(refusal.contains(NO_TICKET), "{refusal}");
    }
}

/// `kinit` reads a good configuration and the library the system's: it is the library itself
/// that reads `/etc/krb5.conf`.
#[test]
fn the_library_itself_reads_the_systems_configuration() {
    if available() {
        let kdc = Kdc::start();
        let system = kerberos(&kdc::configuration(DEAD));
        put(&kdc.keytab(), &system.inside(KEYTAB));
        fs::write(system.inside("/tmp/good.conf"), kdc.configuration()).unwrap();
        let kinit = format!("KRB5_CONFIG=/tmp/good.conf {}", kinit());
        let refusal = authenticate(&system, Some(Library::DropIn), &kinit).unwrap_err();
        assert!(
            refusal.contains("Cannot contact any KDC for realm"),
            "{refusal}"
        );
    }
}

/// The client does not run where it was built: a path that lies there was written into the
/// library by its build.
#[track_caller]
fn check_named_paths(system: &System, expected: &str) {
    let paths = system.named_paths();
    assert!(
        paths.contains(Path::new(expected)),
        "the trace is not complete: {paths:#?}"
    );
    let release = built();
    let target = release.parent().unwrap();
    let strays: Vec<_> = paths
        .iter()
        .filter(|path| path.starts_with(target))
        .collect();
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn tls_looks_for_nothing_where_the_library_was_built() {
    if available() {
        let ours = Authority::new("Ours");
        let system = trusting(bundle, &ours).traced();
        let outcome = connect(&system, Some(Library::DropIn), &ours, &[]);
        assert_eq!(outcome, Outcome::Trusted);
        check_named_paths(&system, "/etc/ssl/certs/ca-certificates.crt");
    }
}

#[test]
fn oidc_looks_for_nothing_where_the_library_was_built() {
    if available() {
        let ours = Authority::new("Ours");
        let system = trusting(bundle, &ours).traced();
        assert_eq!(log_in(&system, &ours), Outcome::Trusted);
        check_named_paths(&system, "/etc/ssl/certs/ca-certificates.crt");
    }
}

#[test]
fn kerberos_looks_for_nothing_where_the_library_was_built() {
    if available() {
        let kdc = Kdc::start();
        let system = kerberos(&kdc.configuration()).traced();
        put(&kdc.keytab(), &system.inside(KEYTAB));
        check_ticket(&authenticate(&system, Some(Library::DropIn), &kinit()).unwrap());
        check_named_paths(&system, "/etc/krb5.conf");
    }
}
