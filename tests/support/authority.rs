//! Certificates for services that encrypt.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fault_service::Bytes;
use crate::{scratch, unique};

/// An authority, and the file that makes it part of the system's trust store.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let file = unique(scratch(), "authority.pem");
        fs::write(&file, certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    pub fn environment(&self) -> (&'static str, &str) {
        ("SSL_CERT_FILE", self.file.to_str().unwrap())
    }

    /// What a server needs that shows a certificate of this authority.
    pub fn server(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name, change);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }

    /// The same as files: the certificate and its key.
    pub fn files(&self, name: &str) -> [PathBuf; 2] {
        let (certificate, key) = self.sign(name, |_| ());
        [
            ("certificate.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ]
        .map(|(name, text)| {
            let file = unique(scratch(), name);
            fs::write(&file, text).unwrap();
            file
        })
    }

    fn sign(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// Encrypts a service's connections.
pub fn encrypt(
    config: Arc<ServerConfig>,
) -> impl Fn(TcpStream) -> Option<Box<dyn Bytes>> + Send + Sync + 'static {
    move |stream: TcpStream| -> Option<Box<dyn Bytes>> {
        let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)))
    }
}
