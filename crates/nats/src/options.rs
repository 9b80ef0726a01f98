//! Where a server is, and how a connection to it is made.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_PORT: u16 = 4222;
/// What a name may have in DNS.
const MAX_HOST_BYTES: usize = 253;

/// Where a NATS server is: `nats://host[:port]`, `tls://host[:port]` or a bare `host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// 4222 where none is said.
    pub port: u16,
    /// `tls://`: no word goes out unencrypted but what the server's INFO asks for.
    pub tls: bool,
}

impl Address {
    /// Understands a URL or a bare `host[:port]`. The error completes the sentence "the address …" and
    /// repeats nothing that could be a password. Credentials, paths, queries and fragments are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("nats") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tls") => (true, rest),
            Some(_) => return Err("is no nats:// or tls:// URL".to_owned()),
        };
        if rest.contains('@') {
            return Err(
                "has credentials in it, which other users may see; give the token by itself"
                    .to_owned(),
            );
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("has more in it than a host and a port".to_owned());
        }
        if authority.contains(',') {
            return Err("names several servers; the others of a cluster are learnt".to_owned());
        }
        let (host, port) = split(authority)?;
        Ok(Self {
            host: host.to_owned(),
            port: match port {
                None => DEFAULT_PORT,
                Some(digits) => number(digits).ok_or("has a port that is none")?,
            },
            tls,
        })
    }

    /// The host, where it is an IP address.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// The host, without brackets, and the port's digits.
fn split(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("has a bracket without its other")?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("has no IPv6 address in its brackets".to_owned());
        }
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err("goes on after its bracket".to_owned()),
            Some(port) => Ok((host, Some(port))),
        };
    }
    let (host, port) = match authority.split_once(':') {
        None => (authority, None),
        Some((_, port)) if port.contains(':') => {
            return Err("is an IPv6 address without brackets, or has two ports".to_owned());
        }
        Some((host, port)) => (host, Some(port)),
    };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match host {
        "" => Err("has no host".to_owned()),
        _ if host.len() > MAX_HOST_BYTES => Err("is too long for a host".to_owned()),
        _ if !host.bytes().all(is_good) => {
            Err("has a character in it that no host name has".to_owned())
        }
        _ => Ok((host, port)),
    }
}

/// A port: digits alone, and not 0.
fn number(digits: &str) -> Option<u16> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| all_digits && *port != 0)
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls } = self;
        let scheme = if *tls { "tls" } else { "nats" };
        match host.contains(':') {
            true => write!(formatter, "{scheme}://[{host}]:{port}"),
            false => write!(formatter, "{scheme}://{host}:{port}"),
        }
    }
}

/// How connections are made.
#[derive(Clone)]
pub struct Options {
    /// The server that is named by the user. Others of its cluster are learnt from it.
    pub server: Address,
    /// Sent in CONNECT.
    pub user: Option<String>,
    /// Sent in CONNECT, and in nothing else: neither `Debug` nor an error shows it.
    pub password: Option<String>,
    /// The `name` in CONNECT: what an operator of the server sees.
    pub name: String,
    /// For `tls://`, and where the server's INFO asks for it.
    pub tls: Arc<rustls::ClientConfig>,
    /// A server that says nothing for so long is asked (PING); for twice as long it is gone.
    pub ping_every: Duration,
    /// Messages that arrive while the caller waits for something else are kept, up to so many bytes;
    /// beyond, the oldest are dropped and counted.
    pub max_kept_bytes: usize,
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("server", &self.server)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "[masked]"))
            .field("name", &self.name)
            .field("ping_every", &self.ping_every)
            .field("max_kept_bytes", &self.max_kept_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        for (text, address) in [
            ("h", "nats://h:4222"),
            ("h:1", "nats://h:1"),
            ("nats://h/", "nats://h:4222"),
            ("NATS://a.b-c_d:65535", "nats://a.b-c_d:65535"),
            ("tls://h:4443", "tls://h:4443"),
            ("127.0.0.1", "nats://127.0.0.1:4222"),
            ("[::1]", "nats://[::1]:4222"),
            ("tls://[fe80::1]:7", "tls://[fe80::1]:7"),
        ] {
            assert_eq!(shown(text), address, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "",
            ":4222",
            "nats://",
            "http://h",
            "ws://h",
            "h:",
            "h:0",
            "h:65536",
            "h:+1",
            "h:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[h]",
            "[::1]:",
            "a b",
            "h\r\n",
            "h/x",
            "h?x",
            "h#x",
            "a,b",
            "nats://hunter2@h",
            "nats://u:hunter2@h:1",
            "hunter2@h",
            "hunter2://h",
            "hünter2",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn options_do_not_show_the_password() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let options = Options {
            server: Address::parse("h").unwrap(),
            user: Some("user".to_owned()),
            password: Some("hunter2".to_owned()),
            name: "name".to_owned(),
            tls: Arc::new(tls),
            ping_every: Duration::from_secs(1),
            max_kept_bytes: 1,
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("\"user\""), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn an_address_is_understood_again(text in "(nats://|tls://)?[a-z0-9.:\\[\\]-]{1,12}(:[0-9]{1,5})?") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
