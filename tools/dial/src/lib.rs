//! TLS for the tools: the flags, whom to believe, and one stream for plain and sealed connections.
//!
//! Guarantees: a server is believed only with a certificate for the host it was reached by; a file
//! that cannot be used is named with what was expected of it. Nothing here goes on in the clear
//! after a handshake that failed.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Where distributions keep the authorities that the machine believes.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Variable that names another.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";

/// The flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct TlsFlags {
    /// Authorities the server's certificate must come from, PEM [default: those of the machine]
    #[arg(long, value_name = "FILE", global = true)]
    pub cacert: Option<PathBuf>,
    /// Certificate to show to the server, PEM
    #[arg(long, value_name = "FILE", requires = "key", global = true)]
    pub cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", global = true)]
    pub key: Option<PathBuf>,
}

/// Why a connection under TLS cannot be made.
#[derive(Debug)]
pub enum DialError {
    /// A file cannot be used.
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
    /// The machine has no bundle of authorities.
    NoAuthorities,
    /// A host that no certificate can be for.
    Host(String),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, expected, found } => {
                write!(f, "{}: expected {expected}, found {found}", path.display())
            }
            Self::NoAuthorities => write!(
                f,
                "no authorities on this machine ({BUNDLE_VARIABLE} or {}); name them with --cacert",
                BUNDLES[0]
            ),
            Self::Host(host) => write!(f, "no certificate can be for the host {host:?}"),
        }
    }
}

impl std::error::Error for DialError {}

/// Whom to believe and what to show, read from files.
#[derive(Clone, Debug)]
pub struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads what the flags name.
    ///
    /// # Errors
    /// A file cannot be used, or there is none.
    pub fn load(flags: &TlsFlags) -> Result<Self, DialError> {
        let (path, is_named) = match &flags.cacert {
            Some(path) => (path.clone(), true),
            None => (bundle().ok_or(DialError::NoAuthorities)?, false),
        };
        let authorities = certificates(&path, "authorities in PEM")?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
        // The machine's bundle may hold old ones of odd forms; what the user names must be right.
        if added == 0 || (is_named && added < authorities.len()) {
            let found = format!("{added} of {} that can be used", authorities.len());
            return Err(DialError::File { path, expected: "authorities in PEM", found });
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(roots);
        let config = match (&flags.cert, &flags.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(cert, "a certificate in PEM")?;
                let wrong = |error: &dyn fmt::Display| DialError::File {
                    path: key.clone(),
                    expected: "the private key of the certificate, in PEM",
                    found: error.to_string(),
                };
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(&error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&error))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { authorities, config: Arc::new(config) })
    }

    /// The authorities that are believed, in DER.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.authorities.iter().map(AsRef::as_ref)
    }

    /// Shakes hands over a connection to this host, which may be an address with brackets.
    ///
    /// # Errors
    /// What the socket says; a certificate that is not believed is [`io::ErrorKind::InvalidData`].
    pub fn wrap(&self, stream: TcpStream, host: &str) -> io::Result<Stream> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| io::Error::other(DialError::Host(host.to_owned())))?;
        let connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The cryptography that is used.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn bundle() -> Option<PathBuf> {
    let named = std::env::var_os(BUNDLE_VARIABLE).filter(|path| !path.is_empty());
    let known = || BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    named.map(PathBuf::from).or_else(known)
}

fn certificates(
    path: &Path,
    expected: &'static str,
) -> Result<Vec<CertificateDer<'static>>, DialError> {
    let wrong = |found| DialError::File { path: path.to_owned(), expected, found };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match chain {
        Ok(chain) if chain.is_empty() => Err(wrong("none".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// A connection, plain or under TLS.
#[derive(Debug)]
pub enum Stream {
    /// Plain.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    /// Under TLS bytes may wait for [`Write::flush`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use std::net::TcpListener;

    struct Files(tempfile::TempDir);

    impl Files {
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn pair() -> CertifiedKey<rcgen::KeyPair> {
        generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
    }

    /// Accepts one connection, and answers what it is told.
    fn server(pair: &CertifiedKey<rcgen::KeyPair>) -> u16 {
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut bytes = [0; 4];
            // A client that does not believe us says nothing.
            if stream.read_exact(&mut bytes).is_ok() {
                stream.write_all(&bytes).unwrap();
            }
        });
        port
    }

    #[test]
    fn only_servers_of_the_right_name_and_authority_are_believed() {
        let files = Files(tempfile::tempdir().unwrap());
        let (ours, other) = (pair(), pair());
        let flags = TlsFlags { cacert: Some(files.write("ca", &ours.cert.pem())), ..default() };
        let tls = Tls::load(&flags).unwrap();
        assert_eq!(tls.authorities().count(), 1);
        let dial = |port: u16, host: &str| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            tls.wrap(stream, host)
        };
        for host in ["localhost", "127.0.0.1"] {
            let mut stream = dial(server(&ours), host).unwrap();
            stream.write_all(b"ping").unwrap();
            stream.flush().unwrap();
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"ping");
        }
        assert!(dial(server(&ours), "elsewhere").is_err());
        assert!(dial(server(&other), "localhost").is_err());
        assert!(dial(server(&ours), "no host").is_err());
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let files = Files(tempfile::tempdir().unwrap());
        let (ours, other) = (pair(), pair());
        let (ca, empty) = (files.write("ca", &ours.cert.pem()), files.write("empty", ""));
        let key = files.write("key", &other.signing_key.serialize_pem());
        let message = |flags: TlsFlags| Tls::load(&flags).unwrap_err().to_string();
        let found = message(TlsFlags { cacert: Some(empty.clone()), ..default() });
        assert!(found.ends_with("empty: expected authorities in PEM, found none"), "{found}");
        let missing = message(TlsFlags { cacert: Some("none".into()), ..default() });
        assert!(missing.starts_with("none: expected authorities in PEM"), "{missing}");
        let with = |key: &PathBuf| TlsFlags {
            cacert: Some(ca.clone()),
            cert: Some(ca.clone()),
            key: Some(key.clone()),
        };
        for key in [&key, &empty] {
            assert!(message(with(key)).contains("expected the private key of the certificate"));
        }
    }

    fn default() -> TlsFlags {
        TlsFlags::default()
    }
}
