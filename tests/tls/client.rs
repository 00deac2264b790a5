//! A client under TLS that is not ours but for the bytes it sends, and the server it talks to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::pki::{Authority, Pair, Usage};
use crate::support::resp::{encode, frame, show};
use crate::support::{PATIENCE, Plan, Server, free_ports};

/// Files for a server, and how it is started with them.
pub(crate) struct World {
    directory: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) pair: Pair,
    pub(crate) resp_tls: u16,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::new("test authority");
        let pair = authority.issue(directory.path(), "server", Usage::Server);
        authority.write(directory.path(), "ca");
        Self { directory, authority, pair, resp_tls: free_ports(0) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// HTTPS on the HTTP port, RESP under TLS beside plain RESP.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new()
            .env("SYNAP_SERVER__TLS__ENABLED", "true")
            .env("SYNAP_SERVER__TLS__CERT_PATH", self.pair.certificate.display())
            .env("SYNAP_SERVER__TLS__KEY_PATH", self.pair.key.display())
            .env("SYNAP_RESP3__TLS_PORT", self.resp_tls)
    }

    /// A client that believes the authority.
    pub(crate) fn config(&self) -> ClientConfig {
        self.config_of(&[&TLS13, &TLS12], None)
    }

    pub(crate) fn config_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        identity: Option<&Pair>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.ca()).expect("a certificate");
        roots.add(ca).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::from_pem_file(&pair.certificate).expect("a file");
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a file");
                builder.with_client_auth_cert(vec![chain], key).expect("they belong together")
            }
        }
    }

    pub(crate) fn resp(&self) -> Client {
        Client::connect(self.resp_tls, Arc::new(self.config()))
    }

    pub(crate) fn http(&self, server: &Server) -> Client {
        Client::connect(server.plan.http, Arc::new(self.config()))
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

pub(crate) fn socket(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    stream.set_nodelay(true).expect("a socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

impl Client {
    pub(crate) fn connect(port: u16, config: Arc<ClientConfig>) -> Self {
        Self::try_connect(port, config).expect("the handshake succeeds")
    }

    pub(crate) fn try_connect(port: u16, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(config, name).expect("a configuration");
        let mut stream = StreamOwned::new(connection, socket(port));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub(crate) fn was_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().expect("servers show one")[0].to_vec()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
        self.stream.flush().expect("the server reads");
    }

    /// More bytes; false at the end of the connection, however it ends.
    fn read_more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer: {error}"),
            Err(_) => false,
        }
    }

    /// The next whole reply; nothing when the connection ends first.
    pub(crate) fn reply(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = frame(&self.buffer) {
                return Some(self.buffer.drain(..length).collect());
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    pub(crate) fn call(&mut self, words: &[&str]) -> String {
        self.send(&encode(words));
        show(&self.reply().expect("a reply"))
    }

    /// As [`Client::call`]; nothing when the server does not want this client.
    pub(crate) fn try_call(&mut self, words: &[&str]) -> Option<String> {
        self.stream.write_all(&encode(words)).ok()?;
        self.stream.flush().ok()?;
        self.reply().map(|reply| show(&reply))
    }

    /// Bytes up to and with these.
    pub(crate) fn until(&mut self, end: &[u8]) -> String {
        loop {
            let found = self.buffer.windows(end.len()).position(|bytes| bytes == end);
            if let Some(at) = found {
                let bytes = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8(bytes).expect("text");
            }
            assert!(self.read_more(), "the connection ended: {:?}", self.buffer);
        }
    }

    /// Everything until the server ends; whether it said goodbye.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut all = std::mem::take(&mut self.buffer);
        let ended = self.stream.read_to_end(&mut all);
        (all, ended.is_ok())
    }

    /// Status and body of a request.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(crate::support::http::request(method, path, body).as_bytes());
        let head = self.until(b"\r\n\r\n");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        while self.buffer.len() < length {
            assert!(self.read_more(), "the connection ended within a body");
        }
        let body = self.buffer.drain(..length).collect();
        (status, String::from_utf8(body).expect("text"))
    }
}

/// The value of a metric, over all cores; `sample` is its name and labels, or the start of them.
pub(crate) fn metric(client: &mut Client, sample: &str) -> f64 {
    let (status, page) = client.request("GET", "/metrics", "");
    assert_eq!(status, 200);
    let lines = page.lines().filter(|line| line.starts_with(sample));
    lines.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("one")).sum()
}
