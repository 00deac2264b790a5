//! The files of `server.tls`: certificates and keys in PEM (RFC 7468), checked before anything is
//! served from them.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::TlsError;
use crate::config::Tls as Keys;

/// Bytes of one file: bundles of authorities have a few hundred KiB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bits of a file's mode with which people other than its owner and group may read it.
const WORLD_READABLE: u32 = 0o004;

const CERTIFICATE: &str = "certificates in PEM, the server's own first";
const AUTHORITIES: &str = "certificates of authorities in PEM";
const PRIVATE_KEY: &str = "one private key in PEM (PKCS#8, PKCS#1 or SEC1), not encrypted";

type Section = (SectionKind, Vec<u8>);

/// The server's certificates and the key that belongs to the first of them.
pub(super) fn server_key(keys: &Keys) -> Result<CertifiedKey, TlsError> {
    let (cert_path, key_path) = (keys.cert_path.as_deref(), keys.key_path.as_deref());
    let cert_path = cert_path.expect("the configuration was checked");
    let key_path = key_path.expect("the configuration was checked");
    let chain = certificates("server.tls.cert_path", cert_path, CERTIFICATE)?;
    let key = private_key("server.tls.key_path", key_path)?;
    if std::fs::metadata(key_path).is_ok_and(|file| file.permissions().mode() & WORLD_READABLE != 0)
    {
        tracing::warn!(file = %key_path.display(), "everybody may read the private key");
    }
    let wrong = |key, path: &Path, expected, why: &Error| TlsError::Content {
        key,
        path: path.to_owned(),
        expected,
        found: format!("one that cannot be used: {why}"),
    };
    let provider = ring::default_provider();
    let key = match provider.key_provider.load_private_key(key) {
        Ok(key) => CertifiedKey::new(chain, key),
        Err(why) => return Err(wrong("server.tls.key_path", key_path, PRIVATE_KEY, &why)),
    };
    match key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(key),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { certificate: cert_path.to_owned(), key: key_path.to_owned() })
        }
        Err(why) => Err(wrong("server.tls.cert_path", cert_path, CERTIFICATE, &why)),
    }
}

/// The authorities that `server.tls.client_ca_path` names.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates("server.tls.client_ca_path", path, AUTHORITIES)
}

/// Certificates as authorities that others are checked against.
pub(super) fn roots(
    key: &'static str,
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|why| TlsError::Content {
            key,
            path: path.to_owned(),
            expected: AUTHORITIES,
            found: format!("certificate {} cannot be used: {why}", at + 1),
        })?;
    }
    Ok(roots)
}

fn certificates(
    key: &'static str,
    path: &Path,
    expected: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let sections = sections(key, path, expected)?;
    let found = describe(&sections);
    let chain: Vec<_> = sections
        .into_iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, bytes)| CertificateDer::from(bytes))
        .collect();
    if chain.is_empty() {
        return Err(TlsError::Content { key, path: path.to_owned(), expected, found });
    }
    Ok(chain)
}

fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let sections = sections(key, path, PRIVATE_KEY)?;
    let found = describe(&sections);
    let mut keys = sections.into_iter().filter_map(|(kind, bytes)| match kind {
        SectionKind::RsaPrivateKey => Some(PrivateKeyDer::Pkcs1(bytes.into())),
        SectionKind::PrivateKey => Some(PrivateKeyDer::Pkcs8(bytes.into())),
        SectionKind::EcPrivateKey => Some(PrivateKeyDer::Sec1(bytes.into())),
        _ => None,
    });
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(TlsError::Content { key, path: path.to_owned(), expected: PRIVATE_KEY, found }),
    }
}

/// The sections of a PEM file.
fn sections(
    key: &'static str,
    path: &Path,
    expected: &'static str,
) -> Result<Vec<Section>, TlsError> {
    let bytes = read(key, path)?;
    let wrong = |found| TlsError::Content { key, path: path.to_owned(), expected, found };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8_lossy(&bytes);
    let encrypted = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| text.contains(mark)) {
        return Err(wrong("a private key that is encrypted".to_owned()));
    }
    Section::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("damaged PEM: {error}")))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        // A device or a pipe must not hold the start up.
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| TlsError::Unreadable { key, path: path.to_owned(), source })?;
    Ok(bytes)
}

/// What a file holds, in words.
fn describe(sections: &[Section]) -> String {
    let count =
        |wanted: &[SectionKind]| sections.iter().filter(|(kind, _)| wanted.contains(kind)).count();
    let keys = [SectionKind::PrivateKey, SectionKind::RsaPrivateKey, SectionKind::EcPrivateKey];
    let counts = [
        ("certificates", count(&[SectionKind::Certificate])),
        ("private keys", count(&keys)),
        ("public keys", count(&[SectionKind::PublicKey])),
        ("certificate requests", count(&[SectionKind::Csr])),
        ("revocation lists", count(&[SectionKind::Crl])),
    ];
    let found: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if found.is_empty() { "nothing in PEM".to_owned() } else { found.join(" and ") }
}
