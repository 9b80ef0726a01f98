//! What of an application's configuration the reader of `superstream.metadata` gets, and whether it
//! may get it at all: strings that say where the cluster is and who asks. Nothing of it is told.

use std::fmt;

/// How the cluster is found and spoken to.
const ALWAYS: &[&str] = &[
    "bootstrap.servers",
    "security.protocol",
    "broker.address.family",
    "client.dns.lookup",
    "api.version.request",
    "api.version.fallback.ms",
    "broker.version.fallback",
];

/// Where the connection is encrypted.
const WITH_SSL: &[&str] = &[
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.crl.location",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.providers",
    "enable.ssl.certificate.verification",
    "ssl.endpoint.identification.algorithm",
];

/// Where there is a login. Kerberos logs in with the tickets that the application's client keeps
/// fresh: neither its keytab nor its command is any business of a second client.
const WITH_SASL: &[&str] = &[
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.kerberos.service.name",
];

/// Mechanisms that strings are enough for. The tokens of OAUTHBEARER come by callbacks, which would
/// be called with a handle that the application does not know; the engine's own are served by a poll
/// that an application makes.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"];

/// Where the way to the cluster leads through the application, or into its client: what a fresh
/// client would not find there.
const NEVER_WITH: &[&str] = &[
    "connect_cb",
    "socket_cb",
    "closesocket_cb",
    "resolve_cb",
    "open_cb",
    "test.mock.num.brokers",
];

/// The same, where the connection is encrypted.
const NEVER_WITH_SSL: &[&str] = &[
    "ssl.certificate.verify_cb",
    "ssl_engine_callback_data",
    "ssl.engine.location",
];

/// Longer than any certificate with its chain.
const LONGEST_VALUE: usize = 256 * 1024;

/// Properties for the reader, by librdkafka's names. They hold passwords.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Copied(Vec<(&'static str, String)>);

impl fmt::Debug for Copied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        formatter.debug_list().entries(names).finish()
    }
}

impl Copied {
    /// The properties in the order in which they are to be set.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// What is copied, by the values that a property has in the application's configuration and in a
    /// fresh one of the same engine. The error says what forbids it, and no value.
    pub fn of(
        application: impl Fn(&str) -> Option<String>,
        fresh: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let given = |name: &str| {
            let value = application(name).filter(|value| !value.is_empty())?;
            (fresh(name).as_ref() != Some(&value)).then_some(value)
        };
        let protocol = application("security.protocol").unwrap_or_default();
        let protocol = protocol.to_ascii_lowercase();
        let (has_ssl, has_sasl) = (protocol.ends_with("ssl"), protocol.starts_with("sasl"));

        let forbidden = NEVER_WITH
            .iter()
            .chain(NEVER_WITH_SSL.iter().filter(|_| has_ssl));
        if let Some(name) = forbidden.copied().find(|name| given(name).is_some()) {
            return Err(format!("{name} is set"));
        }
        if given("bootstrap.servers").is_none() {
            return Err("bootstrap.servers is not set".to_owned());
        }
        let mechanism = application("sasl.mechanisms").unwrap_or_default();
        if has_sasl && !MECHANISMS.contains(&mechanism.to_ascii_uppercase().as_str()) {
            return Err("the login needs more than strings".to_owned());
        }
        let names = ALWAYS
            .iter()
            .chain(WITH_SSL.iter().filter(|_| has_ssl))
            .chain(WITH_SASL.iter().filter(|_| has_sasl));
        let mut copied = Vec::new();
        for name in names.copied() {
            let Some(value) = given(name) else { continue };
            // A value that is no text was not read as it is.
            if value.len() > LONGEST_VALUE || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(format!("{name} cannot be copied"));
            }
            copied.push((name, value));
        }
        if has_sasl && mechanism.eq_ignore_ascii_case("GSSAPI") {
            // No command of its own for tickets.
            copied.push(("sasl.kerberos.min.time.before.relogin", "0".to_owned()));
        }
        Ok(Self(copied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: &[(&str, &str)] = &[
        ("bootstrap.servers", ""),
        ("security.protocol", "plaintext"),
        ("sasl.mechanisms", "GSSAPI"),
        ("sasl.kerberos.service.name", "kafka"),
        ("sasl.kerberos.kinit.cmd", "kinit -R"),
        ("socket_cb", "0x7f01"),
        ("open_cb", "0x7f02"),
        ("test.mock.num.brokers", "0"),
        ("client.id", "rdkafka"),
        ("enable.ssl.certificate.verification", "true"),
    ];

    fn value(from: &[(&str, &str)], name: &str) -> Option<String> {
        let found = from.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn copied(application: &[(&str, &str)]) -> Result<Vec<(&'static str, String)>, String> {
        let own = |name: &str| value(application, name).or_else(|| value(FRESH, name));
        Copied::of(own, |name| value(FRESH, name)).map(|copied| copied.0)
    }

    #[track_caller]
    fn assert_copied(application: &[(&str, &str)], expected: &[(&str, &str)]) {
        let copied = copied(application).unwrap();
        let copied: Vec<_> = copied.iter().map(|(name, text)| (*name, &**text)).collect();
        assert_eq!(copied, expected);
    }

    #[test]
    fn only_strings_that_connect_and_log_in_are_copied() {
        assert_copied(
            &[
                ("bootstrap.servers", "one:9092,two:9092"),
                ("client.id", "orders"),
                ("group.id", "shop"),
                ("transactional.id", "t"),
                ("plugin.library.paths", "monitoring"),
                ("statistics.interval.ms", "1000"),
                ("debug", "all"),
                ("log_level", "7"),
                ("error_cb", "0x55aa"),
                ("opaque", "0x55ab"),
                ("broker.address.family", "v4"),
            ],
            &[
                ("bootstrap.servers", "one:9092,two:9092"),
                ("broker.address.family", "v4"),
            ],
        );
    }

    #[test]
    fn logins_and_certificates_are_copied_where_the_protocol_has_them() {
        let all = [
            ("bootstrap.servers", "one:9093"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "hunter2"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.certificate.location", "/own.pem"),
            ("ssl.key.location", "/own.key"),
            ("ssl.key.password", "hunter3"),
            ("enable.ssl.certificate.verification", "false"),
        ];
        let login = &all[1..4];
        let certificates = [all[6], all[7], all[5], all[4], all[8]];
        for (protocol, has_ssl, has_sasl) in [
            ("ssl", true, false),
            ("sasl_plaintext", false, true),
            ("sasl_ssl", true, true),
            ("SASL_SSL", true, true),
        ] {
            let named = [&all[..], &[("security.protocol", protocol)]].concat();
            let mut expected = vec![all[0], ("security.protocol", protocol)];
            expected.extend(certificates.iter().filter(|_| has_ssl));
            expected.extend(login.iter().filter(|_| has_sasl));
            assert_copied(&named, &expected);
        }
        assert_copied(&all, &all[..1]);
    }

    #[test]
    fn kerberos_is_without_a_command() {
        assert_copied(
            &[
                ("bootstrap.servers", "one:9093"),
                ("security.protocol", "sasl_plaintext"),
                ("sasl.kerberos.service.name", "broker"),
                ("sasl.kerberos.kinit.cmd", "kinit -t /keytab"),
                ("sasl.kerberos.keytab", "/keytab"),
            ],
            &[
                ("bootstrap.servers", "one:9093"),
                ("security.protocol", "sasl_plaintext"),
                ("sasl.kerberos.service.name", "broker"),
                ("sasl.kerberos.min.time.before.relogin", "0"),
            ],
        );
    }

    #[test]
    fn nothing_is_copied_where_the_application_itself_is_the_way() {
        let reaches = ("bootstrap.servers", "one:9093");
        let encrypted = ("security.protocol", "ssl");
        let long = "x".repeat(LONGEST_VALUE + 1);
        for (application, reason) in [
            (&[][..], "bootstrap.servers"),
            (&[("test.mock.num.brokers", "3")], "test.mock.num.brokers"),
            (
                &[reaches, ("test.mock.num.brokers", "3")],
                "test.mock.num.brokers",
            ),
            (&[reaches, ("connect_cb", "0x55aa")], "connect_cb"),
            (&[reaches, ("socket_cb", "0x55aa")], "socket_cb"),
            (&[reaches, ("closesocket_cb", "0x55aa")], "closesocket_cb"),
            (&[reaches, ("resolve_cb", "0x55aa")], "resolve_cb"),
            (&[reaches, ("open_cb", "0x55aa")], "open_cb"),
            (
                &[reaches, encrypted, ("ssl.certificate.verify_cb", "0x55aa")],
                "ssl.certificate.verify_cb",
            ),
            (
                &[reaches, encrypted, ("ssl.engine.location", "/engine.so")],
                "ssl.engine.location",
            ),
            (&[reaches, encrypted, ("ssl.key.pem", &long)], "ssl.key.pem"),
            (
                &[
                    reaches,
                    ("security.protocol", "sasl_plaintext"),
                    ("sasl.mechanisms", "PLAIN"),
                    ("sasl.password", "caf\u{fffd}"),
                ],
                "sasl.password",
            ),
            (
                &[
                    reaches,
                    ("security.protocol", "sasl_ssl"),
                    ("sasl.mechanisms", "OAUTHBEARER"),
                    ("sasl.oauthbearer.method", "oidc"),
                ],
                "more than strings",
            ),
            (
                &[
                    reaches,
                    ("security.protocol", "sasl_ssl"),
                    ("sasl.mechanisms", "NOPE"),
                ],
                "more than strings",
            ),
        ] {
            let refused = copied(application).unwrap_err();
            assert!(refused.contains(reason), "{refused} for {application:?}");
        }
    }

    #[test]
    fn what_concerns_other_connections_is_no_obstacle() {
        assert_copied(
            &[
                ("bootstrap.servers", "one:9092"),
                ("sasl.mechanisms", "OAUTHBEARER"),
                ("ssl.certificate.verify_cb", "0x55aa"),
                ("oauthbearer_token_refresh_cb", "0x55aa"),
            ],
            &[("bootstrap.servers", "one:9092")],
        );
    }

    #[test]
    fn no_value_is_ever_written_down() {
        let application = [
            ("bootstrap.servers", "one:9093"),
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", "hunter2"),
        ];
        let own = |name: &str| value(&application, name).or_else(|| value(FRESH, name));
        let copied = Copied::of(own, |name| value(FRESH, name)).unwrap();
        let written = format!("{copied:?}");
        assert!(written.contains("sasl.password"), "{written}");
        assert!(!written.contains("hunter2"), "{written}");
    }
}
