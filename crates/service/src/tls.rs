//! TLS from a certificate and a key in PEM files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why TLS cannot be served.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    Pem(PathBuf, pem::Error),
    /// Certificate and key cannot be used, or not together.
    Refused(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Refused(error) => write!(f, "certificate and key cannot be used: {error}"),
        }
    }
}

/// What meets clients that speak HTTPS.
pub fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let mut config = config(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What meets clients that speak TLS.
pub fn config(certificates: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect);
    let chain = chain.map_err(|error| TlsError::Pem(certificates.into(), error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::Pem(key.into(), e))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Refused)
}
