//! `SUPERSTREAM_HOST`: where the service is and how it is spoken to.

use std::fmt;

use http::Uri;
use superstream_nats::Address;

/// What a host may be, for whoever gave another one.
const SPOKEN: &str =
    "this version speaks http://, https://, nats://, tls://, veltix:// and veltixs://";

/// An address of the service. It holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://` or `https://`, without a trailing slash.
    Http(String),
    /// `nats://`, `tls://` or a bare `host[:port]`: a server of NATS that the service listens at.
    Nats(Address),
    /// `veltix://` or `veltixs://`: the service itself.
    Veltix(superstream_veltix::Address),
}

impl Endpoint {
    /// Understands the value of `SUPERSTREAM_HOST`. The error completes the sentence
    /// "SUPERSTREAM_HOST …" and repeats nothing that could be a password.
    pub fn parse(host: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = host.split_once("://") else {
            return Address::parse(host).map(Self::Nats);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Self::http(host, rest),
            "nats" | "tls" => Address::parse(host).map(Self::Nats),
            "veltix" | "veltixs" => Self::veltix(host),
            "ws" | "wss" => Err(format!("asks for {scheme}://; {SPOKEN}")),
            _ => Err(format!("has a scheme that is not known; {SPOKEN}")),
        }
    }

    fn veltix(host: &str) -> Result<Self, String> {
        match superstream_veltix::Address::parse(host) {
            Ok(address) => Ok(Self::Veltix(address)),
            Err(superstream_veltix::Error::BadAddress(error)) => Err(error),
            Err(_) => Err("is no address".to_owned()),
        }
    }

    fn http(host: &str, rest: &str) -> Result<Self, String> {
        if rest.contains('@') {
            return Err(
                "has credentials in it, which other users may see; give the token by itself"
                    .to_owned(),
            );
        }
        if rest.contains('#') {
            return Err("has a fragment (#…); give the service's address alone".to_owned());
        }
        let url = host.trim_end_matches('/');
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("is no URL ({error})"))?;
        let authority = uri.authority().map(|authority| authority.as_str());
        let named = uri.host().is_some_and(|name| !name.is_empty());
        let port_is_good = match authority.and_then(|text| text.rsplit_once(':')) {
            Some((_, port)) if !port.contains(']') => uri.port_u16().is_some(),
            _ => true,
        };
        if !named || !port_is_good {
            return Err("is no URL (host or port is wrong)".to_owned());
        }
        if uri.query().is_some() {
            return Err("has a query; give the service's address alone".to_owned());
        }
        Ok(Self::Http(url.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => formatter.write_str(url),
            Self::Nats(address) => address.fmt(formatter),
            Self::Veltix(address) => address.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(host: &str, port: u16, tls: bool) -> Endpoint {
        Endpoint::Nats(Address {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    fn veltix(host: &str, port: u16, tls: bool) -> Endpoint {
        Endpoint::Veltix(superstream_veltix::Address {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    #[test]
    fn the_scheme_tells_how_the_service_is_spoken_to() {
        for (text, expected) in [
            ("http://h:7777/", Endpoint::Http("http://h:7777".to_owned())),
            ("HTTPS://h", Endpoint::Http("HTTPS://h".to_owned())),
            ("nats://h", nats("h", 4222, false)),
            ("nats://h:4333", nats("h", 4333, false)),
            ("NATS://h:4333/", nats("h", 4333, false)),
            ("tls://h.example.com", nats("h.example.com", 4222, true)),
            ("h", nats("h", 4222, false)),
            ("h.example.com:1", nats("h.example.com", 1, false)),
            ("127.0.0.1:4222", nats("127.0.0.1", 4222, false)),
            ("[::1]:4333", nats("::1", 4333, false)),
            ("nats://[::1]", nats("::1", 4222, false)),
            ("veltix://h", veltix("h", 8080, false)),
            ("VELTIX://h:1/", veltix("h", 1, false)),
            ("veltixs://[::1]:2", veltix("::1", 2, true)),
        ] {
            assert_eq!(Endpoint::parse(text), Ok(expected), "{text}");
        }
    }

    /// What is shown of an address is understood again, as the same one.
    #[test]
    fn an_address_is_shown_as_it_may_be_given() {
        for text in [
            "http://h",
            "nats://h:4222",
            "tls://h:4333",
            "veltix://h",
            "veltixs://[::1]",
            "h",
            "[::1]:1",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }
        assert_eq!(nats("h", 4222, false).to_string(), "nats://h:4222");
        assert_eq!(nats("::1", 1, true).to_string(), "tls://[::1]:1");
    }

    #[test]
    fn what_cannot_be_spoken_is_refused_in_words_without_a_secret() {
        for (text, says) in [
            ("ws://h", "ws://"),
            ("WSS://h", "WSS://"),
            ("veltix://user:very-secret@h", "credentials"),
            ("veltix://", "host"),
            ("veltixs://h:0", "port"),
            ("veltix://h/very-secret", "more than"),
            ("ftp://h", "scheme"),
            ("very-secret://h", "scheme"),
            ("nats://user:very-secret@h", ""),
            ("tls://very-secret@h", ""),
            ("user:very-secret@h", ""),
            ("http://user:very-secret@h", "credentials"),
            ("nats://", ""),
            ("tls://:4222", ""),
            (":4222", ""),
            ("h:99999", ""),
            ("h:", ""),
            ("a b", ""),
            ("h\n", ""),
            (" ", ""),
            ("h/path", ""),
            ("nats://h/path", ""),
            ("nats://h?very-secret", ""),
            ("nats://h#very-secret", ""),
            ("a,b", ""),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(
                !error.is_empty() && !error.contains("very-secret"),
                "{error}"
            );
        }
    }
}
