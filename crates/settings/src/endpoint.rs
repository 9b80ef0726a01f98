//! `SUPERSTREAM_HOST`: where the service is and how it is spoken to.

use std::fmt;

use http::Uri;

/// An address of the service. It holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://` or `https://`, without a trailing slash.
    Http(String),
}

impl Endpoint {
    /// Understands the value of `SUPERSTREAM_HOST`. The error completes the sentence
    /// "SUPERSTREAM_HOST …" and repeats nothing that could be a password.
    pub fn parse(host: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(
                "has no scheme, which means NATS; this version speaks http:// and https://"
                    .to_owned(),
            );
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {}
            "nats" | "tls" | "veltix" | "veltixs" => {
                return Err(format!(
                    "asks for {scheme}://; this version speaks http:// and https://"
                ));
            }
            _ => return Err("is no http:// or https:// URL".to_owned()),
        }
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
        }
    }
}
