//! Whether a client may make its next request: limits are asked before anything is done for it.

use std::net::IpAddr;

use synap_shards::command::error::CommandError;
use synap_shards::id::ConnId;

use super::serve::Host;
use crate::audit::{self, Event, Kind, Who};
use crate::limits::ClientKey;
use crate::limits::client::client_address;
use crate::protocol::http::decode::HttpRequest;
use crate::protocol::http::route::{self, Routed};

impl Host<'_> {
    /// A token for one command of a connection.
    #[cold]
    pub(super) fn admit(&mut self, id: ConnId) -> Result<(), CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let (buckets, now_ns) = (&self.outlet.shared.buckets, self.outlet.now.monotonic_ns);
        let key = connection.paying.unwrap_or(connection.client.counted_as);
        let taken = self.outlet.leases.take(buckets, &key, now_ns);
        let address = address_of(&key, connection.client.peer.ip());
        taken.map_err(|empty| {
            self.note_limited(address);
            CommandError::RateLimited { wait_ms: empty.wait_ms() }
        })
    }

    /// A token for an HTTP request, and how its client stands; the answer if it has none.
    pub(super) fn admit_request(
        &mut self,
        id: ConnId,
        request: &mut HttpRequest<'_>,
    ) -> Option<Routed> {
        if !self.outlet.leases.is_on() || route::is_exempt(request.path) {
            return None;
        }
        let connection = self.outlet.connections.get_mut(id)?;
        let mut key = connection.client.counted_as;
        if let ClientKey::Address(_) = key {
            let (peer, trusted) = (connection.client.peer.ip(), &self.outlet.settings);
            let forwarded = request.header("x-forwarded-for");
            let real = request.header("x-real-ip");
            key = ClientKey::of(client_address(peer, &trusted.trusted_proxies, forwarded, real));
        }
        let address = address_of(&key, connection.client.peer.ip());
        // What the request has to pay for later, its envelopes, is its client's too.
        connection.paying = Some(key);
        let (buckets, now_ns) = (&self.outlet.shared.buckets, self.outlet.now.monotonic_ns);
        let taken = self.outlet.leases.take(buckets, &key, now_ns);
        request.standing = self.outlet.leases.standing(buckets, &key, now_ns);
        let empty = taken.err()?;
        self.note_limited(address);
        Some(route::limited(request, &self.outlet.shared.http, empty))
    }

    /// Notes a security event of a connection.
    #[cold]
    pub(super) fn note_event(&mut self, id: ConnId, kind: Kind, detail: &'static str) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let address = Some(connection.client.peer.ip());
        audit::record(Event::new(kind, Who::Anonymous, address, detail));
    }

    fn note_limited(&self, address: IpAddr) {
        self.outlet.shared.metrics[self.outlet.core.index()].rate_limited.add(1);
        let event = Event::new(Kind::RateLimited, Who::Anonymous, Some(address), "rate_limit");
        audit::record(event);
    }
}

/// Where a client is that is counted so.
fn address_of(key: &ClientKey, peer: IpAddr) -> IpAddr {
    match key {
        ClientKey::Address(address) => *address,
        ClientKey::Principal(_) => peer,
    }
}
