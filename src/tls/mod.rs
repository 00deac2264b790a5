//! TLS 1.2 and 1.3: what the server shows of itself, whom it believes, and the state of one
//! connection. rustls does the protocol, ring the cryptography; what is ours is where the bytes go.
//!
//! Guarantees: files that cannot serve are refused with key, path, what was expected and what was
//! found; tickets given on one core resume on every other, also after the files were read again.
//! Nothing here knows a socket or a clock of its own.

pub mod client;
pub mod files;
pub mod name;
pub mod session;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::config::{ClientAuth, Tls as Keys};
use name::Facts;

/// The only application protocol on the HTTP port (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";
/// Tickets that a client gets with a full handshake of TLS 1.3 and with each resumption: whoever
/// opens connections one after the other needs no more, and each costs.
const TICKETS: usize = 1;
/// Days before the end of the certificate from which on a start or a reload warns of it.
const EXPIRY_WARNING_DAYS: u64 = 14;
const DAY_SECS: u64 = 86_400;

/// Why the files of `server.tls` cannot serve.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    Content {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The private key belongs to another certificate.
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// The machine gives no random bytes.
    NoEntropy,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { key, path, source } => {
                write!(f, "cannot read {} (`{key}`): {source}", path.display())
            }
            Self::Content { key, path, expected, found } => {
                write!(f, "{} (`{key}`): expected {expected}, found {found}", path.display())
            }
            Self::Mismatch { certificate, key } => write!(
                f,
                "{} (`server.tls.key_path`): expected the private key of the first certificate in \
                 {}, found the key of another",
                key.display(),
                certificate.display()
            ),
            Self::NoEntropy => f.write_str("the machine gives no random bytes for ticket keys"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Content { .. } | Self::Mismatch { .. } | Self::NoEntropy => None,
        }
    }
}

/// What every core needs to accept connections under TLS; shared by all of them.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For connections of HTTP.
    pub http: Arc<ServerConfig>,
    /// For connections of RESP.
    pub resp: Arc<ServerConfig>,
    /// Whom client certificates are believed from, as read: tickets live as long as it stays so.
    clients: Clients,
    tickets: Arc<dyn ProducesTickets>,
    /// What the server's own certificate says.
    certificate: Facts,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Clients {
    authorities: Option<Vec<CertificateDer<'static>>>,
    auth: ClientAuth,
}

impl Tls {
    /// Reads the files that the keys name.
    ///
    /// # Errors
    /// [`TlsError`] for the first file that cannot serve.
    pub fn load(keys: &Keys) -> Result<Self, TlsError> {
        let tickets = ring::Ticketer::new().map_err(|_| TlsError::NoEntropy)?;
        Self::build(keys, tickets)
    }

    /// Reads them again. Tickets given so far go on to be good, unless they could carry a client
    /// in that would not be let in today.
    ///
    /// # Errors
    /// As [`Tls::load`]; this one stays as it is.
    pub fn reload(&self, keys: &Keys) -> Result<Self, TlsError> {
        let same = Self::build(keys, Arc::clone(&self.tickets))?;
        if same.clients == self.clients { Ok(same) } else { Self::load(keys) }
    }

    fn build(keys: &Keys, tickets: Arc<dyn ProducesTickets>) -> Result<Self, TlsError> {
        let key = files::server_key(keys)?;
        let authorities = match &keys.client_ca_path {
            Some(path) => Some(files::authorities(path)?),
            None => None,
        };
        let clients = Clients { authorities, auth: keys.client_auth };
        let verifier = match (&clients.authorities, &keys.client_ca_path) {
            (Some(certificates), Some(path)) => {
                let roots = files::roots("server.tls.client_ca_path", path, certificates)?;
                let builder = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::new(ring::default_provider()),
                );
                let builder = match keys.client_auth {
                    ClientAuth::Required => builder,
                    ClientAuth::Optional => builder.allow_unauthenticated(),
                };
                builder.build().expect("there are roots and no revocation lists")
            }
            _ => WebPkiClientVerifier::no_client_auth(),
        };
        let certificate = key.cert.first().and_then(|first| Facts::of(first)).unwrap_or_default();
        let key = Arc::new(key);
        let config =
            |protocols: &[&[u8]]| Arc::new(server_config(&verifier, &key, &tickets, protocols));
        Ok(Self { http: config(&[HTTP_1_1]), resp: config(&[]), clients, tickets, certificate })
    }

    /// Says in the log what is served, and what is about to go wrong with it.
    pub fn announce(&self, now_unix_secs: u64) {
        let Facts { name, not_before, not_after } = &self.certificate;
        let days = not_after.saturating_sub(now_unix_secs) / DAY_SECS;
        let name = name.as_deref().unwrap_or("without a name");
        if now_unix_secs < *not_before {
            tracing::warn!(name, "the certificate of server.tls is not valid yet");
        } else if now_unix_secs > *not_after {
            tracing::warn!(name, "the certificate of server.tls has expired: clients will refuse");
        } else if days < EXPIRY_WARNING_DAYS {
            tracing::warn!(name, days, "the certificate of server.tls expires soon");
        } else {
            tracing::info!(name, days, "certificate of server.tls read; days until it expires");
        }
    }
}

fn server_config(
    verifier: &Arc<dyn ClientCertVerifier>,
    key: &Arc<CertifiedKey>,
    tickets: &Arc<dyn ProducesTickets>,
    protocols: &[&[u8]],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_client_cert_verifier(Arc::clone(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Arc::clone(tickets);
    config.send_tls13_tickets = TICKETS;
    // Tickets carry everything; a table would be one lock for all cores.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}
