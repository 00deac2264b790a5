//! A connection comes, is counted, and is told if there are too many already.

use std::net::SocketAddr;

use synap_io::reactor::ListenerTag;
use synap_shards::id::ConnId;

use super::connection::{Connection, Decoder};
use super::{Core, DSS_QUEUE, DSS_QUEUE_TLS, HTTP, HTTPS, RESP_TLS, SHARD, SHARD_TLS};
use crate::audit::{self, Event, Kind, Who};
use crate::limits::ClientKey;
use crate::protocol::http::decode::HttpDecoder;
use crate::protocol::http::dss::Surface;
use crate::protocol::resp::decode;
use crate::session::client::{Client, Listener, client_id};

/// Why a connection is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TooMany {
    /// Of all clients.
    InAll,
    /// Of its address.
    OfAddress,
}

impl TooMany {
    /// The setting.
    fn limit(self) -> &'static str {
        match self {
            Self::InAll => "server.max_connections",
            Self::OfAddress => "server.max_connections_per_address",
        }
    }

    /// What a client is told that speaks this.
    fn text(self, decoder: &Decoder) -> &'static [u8] {
        let surface = if let Decoder::Http(http) = decoder { Some(http.surface()) } else { None };
        match (self, surface) {
            (Self::InAll, Some(Surface::Synap)) => IN_ALL_HTTP,
            (Self::OfAddress, Some(Surface::Synap)) => OF_ADDRESS_HTTP,
            (Self::InAll, Some(Surface::DssQueue)) => IN_ALL_DSS,
            (Self::OfAddress, Some(Surface::DssQueue)) => OF_ADDRESS_DSS,
            (Self::InAll, None) => b"-ERR max number of clients reached\r\n",
            (Self::OfAddress, None) => b"-ERR max number of clients of this address reached\r\n",
        }
    }
}

/// An answer over HTTP that is known before anything was asked: status, length of the body, body.
macro_rules! refusal {
    ($status:literal, $length:literal, $body:expr) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nContent-Type: application/json\r\nRetry-After: 1\r\nContent-Length: ",
            $length,
            "\r\nConnection: close\r\n\r\n",
            $body
        )
        .as_bytes()
    };
}

const IN_ALL_HTTP: &[u8] =
    refusal!("503 Service Unavailable", 43, r#"{"error":"Too many connections","code":503}"#);
const OF_ADDRESS_HTTP: &[u8] = refusal!(
    "429 Too Many Requests",
    59,
    r#"{"error":"Too many connections of this address","code":429}"#
);
const IN_ALL_DSS: &[u8] = refusal!(
    "503 Service Unavailable",
    97,
    concat!(
        r#"{"error":"Too many connections","status_code":503,"#,
        r#""detail":"Too many connections","details":null}"#
    )
);
const OF_ADDRESS_DSS: &[u8] = refusal!(
    "429 Too Many Requests",
    129,
    concat!(
        r#"{"error":"Too many connections of this address","status_code":429,"#,
        r#""detail":"Too many connections of this address","details":null}"#
    )
);

impl Core {
    pub(super) fn accepted(&mut self, conn: ConnId, listener: ListenerTag) {
        let addresses = (self.reactor.peer(conn), self.reactor.local(conn));
        let (Some(peer), Some(local)) = addresses else { return };
        let (kind, decoder) = match listener {
            HTTP | HTTPS => (Listener::Http, Decoder::Http(HttpDecoder::new())),
            DSS_QUEUE | DSS_QUEUE_TLS => {
                (Listener::Http, Decoder::Http(HttpDecoder::of(Surface::DssQueue)))
            }
            SHARD | SHARD_TLS => (Listener::RespShard, Decoder::Resp(decode::Decoder::default())),
            _ => (Listener::Resp, Decoder::Resp(decode::Decoder::default())),
        };
        let is_tls = matches!(listener, HTTPS | RESP_TLS | DSS_QUEUE_TLS | SHARD_TLS);
        let cores = self.outlet.shared.shard_map.cores();
        self.clients_made += 1;
        let number = client_id(self.clients_made, self.id, cores);
        let (nobody, now_ms) = (self.outlet.desk.directory().anonymous(), self.outlet.now.unix_ms);
        let mut client = Client::new(number, self.id, peer, local, kind, nobody, now_ms);
        client.is_tls = is_tls;
        let mut connection = Connection::new(client, decoder);
        match self.admit_connection(&mut connection) {
            Ok(()) => {
                self.count(&connection);
                if is_tls {
                    connection.tls = self.begin_handshake(peer, kind);
                }
                if is_tls && connection.tls.is_none() {
                    connection.decoder = Decoder::Deaf;
                    connection.close();
                }
            }
            Err(why) => {
                connection.is_refused = true;
                let decoder = std::mem::replace(&mut connection.decoder, Decoder::Deaf);
                // Under TLS nothing can be said before a handshake, which is the dear part.
                if !is_tls {
                    connection.say(why.text(&decoder));
                }
                connection.close();
                self.note_refused(peer, why);
            }
        }
        self.outlet.shared.alive.add(number);
        self.outlet.connections.insert(conn, connection);
        self.outlet.mark_dirty(conn);
    }

    fn note_refused(&mut self, peer: SocketAddr, why: TooMany) {
        self.refused += 1;
        let (who, address) = (Who::Anonymous, Some(peer.ip()));
        audit::record(Event::new(Kind::ConnectionRefused, who, address, why.limit()));
    }

    /// Whether there may be another connection, and another of its address.
    fn admit_connection(&self, connection: &mut Connection) -> Result<(), TooMany> {
        let (shared, settings) = (&self.outlet.shared, &self.outlet.settings);
        // Each core writes its own counts, so two can take the last place at the same moment.
        let counts = shared.metrics.iter();
        let open = counts.map(|core| core.http_connections.get() + core.resp_connections.get());
        if open.sum::<u64>() >= settings.max_connections as u64 {
            return Err(TooMany::InAll);
        }
        let (most, address) = (settings.max_connections_per_address, connection.client.peer.ip());
        let is_proxy = || settings.trusted_proxies.iter().any(|block| block.contains(address));
        if most == 0 || is_proxy() {
            return Ok(());
        }
        let key = ClientKey::of(address);
        if !shared.addresses.enter(key, most) {
            return Err(TooMany::OfAddress);
        }
        connection.counted = Some(key);
        Ok(())
    }

    fn count(&self, connection: &Connection) {
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        metrics.connections_received.add(1);
        match connection.client.listener {
            Listener::Http => metrics.http_connections.add(1),
            Listener::Resp | Listener::RespShard => metrics.resp_connections.add(1),
        }
    }

    /// A connection has ended.
    pub(super) fn uncount(&self, connection: &Connection) {
        if connection.is_refused {
            return;
        }
        self.outlet.shared.addresses.leave_if(connection.counted);
        let metrics = &self.outlet.shared.metrics[self.id.index()];
        let gauge = match connection.client.listener {
            Listener::Http => &metrics.http_connections,
            Listener::Resp | Listener::RespShard => &metrics.resp_connections,
        };
        gauge.set(gauge.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_length_they_say() {
        let surfaces = [Surface::Synap, Surface::DssQueue];
        let both = [TooMany::InAll, TooMany::OfAddress];
        for (why, surface) in both.into_iter().flat_map(|why| surfaces.map(|it| (why, it))) {
            let decoder = Decoder::Http(HttpDecoder::of(surface));
            let text = std::str::from_utf8(why.text(&decoder)).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
            serde_json::from_str::<serde_json::Value>(body).expect("JSON");
        }
    }
}
