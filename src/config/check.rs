//! Rules that span keys, and what this build cannot do.

use super::error::{ConfigError, Origin, Warning, WarningKind};
use super::key::State;
use super::read::Reader;
use super::settings::{Names, Settings};
use super::value::Value;
use super::{Config, Resp3, access};
use crate::session::pubsub::parse_notices;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// A key that asks for something this build does not have; the server must not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Dotted path.
    pub key: &'static str,
    /// Where it was set.
    pub origin: Origin,
    /// What would be wrong if the server started all the same.
    pub why: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, why } = self;
        write!(f, "`{key}` ({origin}) asks for something this build does not have: {why}")
    }
}

impl Config {
    /// Keys the server must not start with. Loading and checking such a file is fine.
    #[must_use]
    pub fn unsupported(&self) -> Vec<Unsupported> {
        let names = Names::new();
        let asks = |value: &Value| match value {
            Value::Bool(on) => *on,
            Value::Int(count) => *count > 0,
            Value::Text(role) => role == "replica",
            Value::List(_) | Value::Map(_) => true,
        };
        let refused = self.settings.iter().filter_map(|(index, entry)| {
            let key = names.keys[index];
            match key.state {
                State::Refused { why } if asks(&entry.value) => {
                    Some(Unsupported { key: key.path, origin: entry.origin.clone(), why })
                }
                State::Refused { .. } | State::Live | State::Dormant | State::NoEffect(_) => None,
            }
        });
        refused.collect()
    }

    /// Keys that were set, are valid, and change nothing because their subsystem is not in this
    /// build; worth one line at start.
    #[must_use]
    pub fn dormant(&self) -> Vec<&'static str> {
        let names = Names::new();
        let set = self.settings.iter().map(|(index, _)| names.keys[index]);
        set.filter(|key| key.state == State::Dormant).map(|key| key.path).collect()
    }

    /// Some listener is reachable from other machines.
    #[must_use]
    pub fn is_public(&self) -> bool {
        let Resp3 { enabled, host, .. } = &self.resp3;
        let has_dss = self.dss.queue_port.is_some() && !is_loopback(&self.dss.host);
        !is_loopback(&self.server.host) || (*enabled && !is_loopback(host)) || has_dss
    }

    /// The address of the HTTP listener. May ask the name service, so call it before the cores
    /// run.
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn http_addr(&self) -> std::io::Result<SocketAddr> {
        resolve(&self.server.host, self.server.port)
    }

    /// The address of the HTTPS listener where that is not the HTTP listener itself; as
    /// [`Self::http_addr`].
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn https_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        let port = self.server.tls.port.filter(|_| self.server.tls.enabled);
        port.map(|port| resolve(&self.server.host, port)).transpose()
    }

    /// The address of the listener for RESP under TLS; as [`Self::http_addr`].
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn resp_tls_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        let port = self.resp3.tls_port.filter(|_| self.resp3.enabled);
        port.map(|port| resolve(&self.resp3.host, port)).transpose()
    }

    /// The address of the listener for the queue service of distributed-sync-system; as
    /// [`Self::http_addr`].
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn dss_queue_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        self.dss.queue_port.map(|port| resolve(&self.dss.host, port)).transpose()
    }

    /// Whether the HTTP port itself is HTTPS.
    #[must_use]
    pub fn http_is_tls(&self) -> bool {
        self.server.tls.enabled && self.server.tls.port.is_none()
    }

    /// Whether any port is served under TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        let dss = self.dss.queue_port.is_some() && self.dss.tls_enabled;
        let resp = self.resp3.tls_port.is_some() || self.server.shard_ports.tls.is_some();
        self.server.tls.enabled || (self.resp3.enabled && resp) || dss
    }

    /// The address of the RESP listener; as [`Self::http_addr`].
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn resp_addr(&self) -> std::io::Result<SocketAddr> {
        resolve(&self.resp3.host, self.resp3.port)
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

pub(super) fn is_loopback(host: &str) -> bool {
    match bare(host).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let mut found = (bare(host), port).to_socket_addrs()?;
    found.next().ok_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())
}

/// Contradictions between keys, each valid on its own.
pub(super) fn contradictions(names: &Names, settings: &Settings) -> Vec<ConfigError> {
    let reader = Reader::new(names, settings);
    let mut found = Vec::new();
    let mut refuse = |key: &'static str, with: String| {
        let origin = names.find(key).and_then(|(index, _)| settings.get(index));
        let origin = origin.map_or(Origin::Default, |entry| entry.origin.clone());
        found.push(ConfigError::Conflict { origin, key: key.to_owned(), with });
    };
    let role = reader.text("replication.role");
    let has_master =
        reader.is_set("replication.master_address") || reader.is_set("replication.master_host");
    if role == "replica" && !has_master {
        refuse("replication.role", "is `replica`, but no master_address is set".to_owned());
    }
    if reader.is_set("replication.master_address") && reader.is_set("replication.master_host") {
        let (host, port) = (
            reader.text("replication.master_host"),
            reader
                .value("replication.master_port")
                .map_or_else(|| "15501".to_owned(), |v| v.to_string()),
        );
        if reader.text("replication.master_address") != format!("{host}:{port}") {
            refuse("replication.master_host", "contradicts `replication.master_address`".into());
        }
    }
    let filter = reader.text("logging.level");
    if let Err(error) = crate::logging::check_filter(&filter) {
        refuse("logging.level", format!("is not a level or filter: {error}"));
    }
    let letters = reader.text("server.notify_keyspace_events");
    if parse_notices(letters.as_bytes()).is_none() {
        let with = format!("is made of the letters A g $ l s h z x e t n K E, not `{letters}`");
        refuse("server.notify_keyspace_events", with);
    }
    if reader.output_limits().is_none() {
        let with = format!("is not {}", crate::limits::output::EXPECTED);
        refuse("network.client_output_buffer_limit", with);
    }
    for (key, with) in tls(&reader) {
        refuse(key, with);
    }
    for key in SHARD_PORTS {
        if let Err(with) = ports(&reader, key) {
            refuse(key, with);
        }
    }
    found.extend(access::plan(&reader).1);
    found
}

/// TLS needs its files, and ports of its own.
fn tls(reader: &Reader<'_>) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let asks = [
        ("server.tls.enabled", reader.flag("server.tls.enabled")),
        ("resp3.tls_port", reader.is_set("resp3.tls_port") && reader.flag("resp3.enabled")),
        (SHARD_PORTS[1], reader.is_set(SHARD_PORTS[1]) && reader.flag("resp3.enabled")),
        ("dss.tls_enabled", reader.flag("dss.tls_enabled")),
    ];
    for (key, _) in asks.into_iter().filter(|(_, on)| *on) {
        for path in ["server.tls.cert_path", "server.tls.key_path"] {
            if !reader.is_set(path) {
                found.push((key, format!("needs `{path}`")));
            }
        }
    }
    if reader.is_set("server.tls.port") && !reader.flag("server.tls.enabled") {
        found.push(("server.tls.port", "needs `server.tls.enabled`".to_owned()));
    }
    for (key, other) in [("server.tls.port", "server.port"), ("resp3.tls_port", "resp3.port")] {
        if reader.is_set(key) && reader.value(key) == reader.value(other) {
            found.push((key, format!("is `{other}`; one port is plain or TLS")));
        }
    }
    if reader.flag("dss.tls_enabled") && !reader.is_set("dss.queue_port") {
        found.push(("dss.tls_enabled", "needs `dss.queue_port`".to_owned()));
    }
    let no_plain = reader.value("resp3.port") == Some(Value::Int(0));
    if no_plain && reader.flag("resp3.enabled") {
        if !reader.is_set("resp3.tls_port") {
            let with = "is 0, which needs `resp3.tls_port`; `resp3.enabled: false` is no RESP";
            found.push(("resp3.port", with.to_owned()));
        }
        if reader.is_set("server.shard_port_base") {
            let with = "is plain RESP, which `resp3.port: 0` rules out";
            found.push(("server.shard_port_base", with.to_owned()));
        }
    }
    found
}

/// Where the ports that each core has for itself begin, in the clear and under TLS.
const SHARD_PORTS: [&str; 2] = ["server.shard_port_base", "server.shard_tls_port_base"];

/// Shard-aware ports must fit below 65 536, and miss the ordinary listeners and each other.
fn ports(reader: &Reader<'_>, key: &'static str) -> Result<(), String> {
    let number = |path| match reader.value(path) {
        Some(Value::Int(number)) => Some(number),
        Some(Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_)) | None => None,
    };
    let Some(base) = number(key) else { return Ok(()) };
    let cores = match number("server.workers") {
        Some(0) | None => 1,
        Some(cores) => cores,
    };
    let last = base + cores - 1;
    if last > u64::from(u16::MAX) {
        return Err(format!("needs ports {base} to {last}, which do not exist"));
    }
    let others =
        ["server.port", "server.tls.port", "resp3.port", "resp3.tls_port", "dss.queue_port"];
    for path in others {
        if number(path).is_some_and(|port| (base..=last).contains(&port)) {
            return Err(format!("needs ports {base} to {last}, among them `{path}`"));
        }
    }
    let [plain, tls] = SHARD_PORTS;
    if key == tls && number(plain).is_some_and(|port| port.abs_diff(base) < cores) {
        return Err(format!("needs ports {base} to {last}, some of them of `{plain}`"));
    }
    Ok(())
}

/// Valid, but not a good idea.
pub(super) fn unwise(names: &Names, settings: &Settings) -> Vec<Warning> {
    let reader = Reader::new(names, settings);
    let (kind, clear) = (WarningKind::ClearPassword, access::clear_passwords(&reader));
    clear.into_iter().map(|(origin, key)| Warning { origin, key, kind: kind.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_public() {
        for host in ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.1", "example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
