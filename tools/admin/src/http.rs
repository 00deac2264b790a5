//! The HTTP side: small requests with JSON answers, and where the RESP port is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use synap_dial::Tls;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::args::{Credentials, Target};
use crate::error::AdminError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A snapshot of much data is answered when it is written.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3600);

/// The server's HTTP port.
pub(crate) struct Http {
    agent: ureq::Agent,
    base: String,
    authorization: Option<(&'static str, String)>,
}

impl Http {
    /// Nothing is sent before the first request.
    ///
    /// # Errors
    /// A file of TLS cannot be used.
    pub(crate) fn new(target: &Target) -> Result<Self, AdminError> {
        let config = ureq::Agent::config_builder()
            .tls_config(tls_config(target)?)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let authorization = match &target.credentials {
            Credentials::None => None,
            Credentials::Key(key) => Some(("x-api-key", key.clone())),
            Credentials::User(user, password) => {
                let word = STANDARD.encode(format!("{user}:{password}"));
                Some(("authorization", format!("Basic {word}")))
            }
        };
        Ok(Self { agent: config.into(), base: target.url.clone(), authorization })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.base
    }

    /// `GET path`: the status and the body.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, Value), AdminError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some((name, value)) = &self.authorization {
            request = request.header(*name, value);
        }
        self.take(request.call())
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), AdminError> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some((name, value)) = &self.authorization {
            request = request.header(*name, value);
        }
        let request = request.header("content-type", "application/json");
        self.take(request.send(body.to_string()))
    }

    fn take(
        &self,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(u16, Value), AdminError> {
        let broken = |error: ureq::Error| AdminError::Connection {
            address: self.base.clone(),
            what: error.to_string(),
        };
        let mut response = sent.map_err(broken)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(broken)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// As [`Http::get`], where anything but success is an error.
    pub(crate) fn demand(&self, path: &str) -> Result<Value, AdminError> {
        let (status, body) = self.get(path)?;
        accept(path, status, body)
    }
}

fn tls_config(target: &Target) -> Result<TlsConfig, AdminError> {
    let Some(flags) = &target.tls else { return Ok(TlsConfig::default()) };
    // Also the check of the files of the client's own certificate.
    let tls = Tls::load(flags)?;
    let roots: Vec<_> =
        tls.authorities().map(|der| Certificate::from_der(der).to_owned()).collect();
    let identity = match (&flags.cert, &flags.key) {
        (Some(cert), Some(key)) => {
            let read = |path| std::fs::read(path).map_err(AdminError::file("read", path));
            let (cert, key) = (read(cert)?, read(key)?);
            let chain = parse_pem(&cert).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let key = PrivateKey::from_pem(&key)
                .map_err(|error| AdminError::Usage(format!("--key: {error}")))?;
            Some(ClientCert::new_with_certs(&chain.collect::<Vec<_>>(), key))
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(synap_dial::provider())
        .build())
}

/// The body of a success; the message of anything else as an error.
pub(crate) fn accept(request: &str, status: u16, body: Value) -> Result<Value, AdminError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let text = body["error"].as_str().or_else(|| body["message"].as_str()).map(str::to_owned);
    let answer = text.unwrap_or_else(|| body.to_string());
    Err(AdminError::Refused { request: request.to_owned(), answer: format!("{status} {answer}") })
}
