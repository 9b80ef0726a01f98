//! `veltix://host:port` and `veltixs://host:port`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::error::Error;

/// Where none is said: the one that the Python library listens on.
pub const DEFAULT_PORT: u16 = 8080;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// [`DEFAULT_PORT`] where none is said.
    pub port: u16,
    /// `veltixs://`: everything goes through TLS.
    pub tls: bool,
}

impl Address {
    /// Without TLS.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: false,
        }
    }

    /// Understands `veltix://host[:port]`, `veltixs://host[:port]` and a bare `host[:port]`.
    /// Credentials, paths and queries are refused; the error repeats nothing of them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |what: &str| Error::BadAddress(what.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("veltix", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "veltix" => false,
            "veltixs" => true,
            _ => return Err(bad("is no veltix:// or veltixs:// URL")),
        };
        if rest.contains('@') {
            return Err(bad("has credentials in it"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(bad("has more than a host and a port"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(bad("has no end of `[`"))?;
                let port = match after.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if after.is_empty() => None,
                    None => return Err(bad("has something between host and port")),
                };
                (host, port)
            }
            None => match rest.rsplit_once(':') {
                // Several colons and no brackets: an IPv6 address without a port.
                Some((host, _)) if host.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(bad("has no host"));
        }
        if host.contains(':') && host.parse::<IpAddr>().is_err() {
            return Err(bad("has an IPv6 address that is none"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or(bad("has a port that is none"))?,
            Some(_) => return Err(bad("has a port that is none")),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// What needs no name service.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }

    /// All addresses of the host. Asks the system, which takes as long as it takes.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, Error> {
        if let Some(address) = self.literal() {
            return Ok(vec![address]);
        }
        let found: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| Error::BadAddress(format!("has a host that is not found: {error}")))?
            .collect();
        if found.is_empty() {
            return Err(Error::BadAddress("has a host without addresses".to_owned()));
        }
        Ok(found)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "veltixs" } else { "veltix" };
        if self.host.contains(':') {
            write!(formatter, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        for (text, shown) in [
            ("veltix://example.com:9000", "veltix://example.com:9000"),
            ("VELTIXS://example.com/", "veltixs://example.com:8080"),
            ("example.com", "veltix://example.com:8080"),
            ("127.0.0.1:1", "veltix://127.0.0.1:1"),
            ("veltix://[::1]:9000", "veltix://[::1]:9000"),
            ("veltix://[::1]", "veltix://[::1]:8080"),
            ("::1", "veltix://[::1]:8080"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "http://example.com",
            "veltix://user:secret@example.com",
            "veltix://",
            "veltix://:8080",
            "veltix://a b",
            "veltix://example.com:0",
            "veltix://example.com:65536",
            "veltix://example.com:+1",
            "veltix://example.com:secret",
            "veltix://example.com/secret",
            "veltix://[::1",
            "veltix://[::1]x",
            "veltix://[secret:]:1",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
