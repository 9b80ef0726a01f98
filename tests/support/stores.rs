//! Where distributions keep the certificates of those whom they trust.

use crate::scene::Authority;
use crate::{run, tool};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Puts the certificate into an `etc` as some distribution does.
pub type Layout = fn(etc: &Path, certificate: &Path);

pub fn put(certificate: &Path, file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::copy(certificate, file).unwrap();
}

/// Debian, SUSE: a folder with hashed names. No bundle here, to see that it is not needed.
pub fn hashed(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/certs/test.pem"));
    run(tool("openssl").arg("rehash").arg(etc.join("ssl/certs")));
}

/// Debian's bundle, as in an image that has nothing else.
pub fn bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/certs/ca-certificates.crt"));
}

/// A bundle that knows more than the folder beside it: a container's volume over Debian's bundle.
pub fn bundle_beside_names(etc: &Path, certificate: &Path) {
    let unrelated = Authority::new("Unrelated");
    hashed(etc, &unrelated.certificate());
    bundle(etc, certificate);
}

pub fn red_hat(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("pki/tls/certs/ca-bundle.crt"));
    fs::remove_dir(etc.join("ssl/certs")).unwrap();
    symlink("../pki/tls/certs", etc.join("ssl/certs")).unwrap();
}

pub fn red_hat_extracted(etc: &Path, certificate: &Path) {
    put(
        certificate,
        &etc.join("pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    );
}

pub fn suse_bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/ca-bundle.pem"));
}

pub fn openssl_bundle(etc: &Path, certificate: &Path) {
    put(certificate, &etc.join("ssl/cert.pem"));
}
