//! Authorities, certificates and keys in files of a directory of their own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate, and its key, as files `name.crt` and `name.key`.
    pub(crate) fn issue(&self, directory: &Path, name: &str, usage: Usage) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(match usage {
            Usage::Server => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            Usage::Client => Vec::new(),
        })
        .expect("names of hosts");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let pair = Pair::at(directory, name);
        fs::write(&pair.certificate, certificate.pem()).expect("written");
        fs::write(&pair.key, key.serialize_pem()).expect("written");
        pair
    }

    /// Its certificate as a file.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(format!("{name}.pem"));
        fs::write(&path, &self.pem).expect("written");
        path
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Server,
    Client,
}

/// Files of a certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    fn at(directory: &Path, name: &str) -> Self {
        let file = |ending| directory.join(format!("{name}.{ending}"));
        Self { certificate: file("crt"), key: file("key") }
    }

    /// Puts these files where others are.
    pub(crate) fn replace(&self, other: &Self) {
        fs::copy(&self.certificate, &other.certificate).expect("copied");
        fs::copy(&self.key, &other.key).expect("copied");
    }
}
