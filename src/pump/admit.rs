//! Whether a client may make its next request: limits are asked before anything is done for it, but
//! for finding out who it is where that takes no time.

use synap_shards::command::error::CommandError;
use synap_shards::id::ConnId;

use super::gate::Asked;
use super::login::who_of;
use super::serve::Host;
use crate::audit::{self, Event, Kind};
use crate::limits::Payer;
use crate::limits::bucket::Empty;
use crate::protocol::http::decode::HttpRequest;
use crate::protocol::http::route::{self, Routed};

impl Host<'_> {
    /// A token for one command of a connection.
    #[cold]
    pub(super) fn admit(&mut self, id: ConnId) -> Result<(), CommandError> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let (buckets, now_ns) = (&self.outlet.shared.buckets, self.outlet.now.monotonic_ns);
        let payer = connection.paying.unwrap_or(connection.client.payer);
        self.outlet.leases.take(buckets, &payer, now_ns).map_err(|empty| {
            self.note_limited(id);
            CommandError::RateLimited { wait_ms: empty.wait_ms() }
        })
    }

    /// Finds out who sent a request and whether it may make another, and what the request is.
    pub(super) fn receive(&mut self, id: ConnId, request: &mut HttpRequest<'_>) -> (Routed, Asked) {
        self.note_origin(id, request);
        let asked = self.identify(id, request);
        if self.outlet.leases.is_on()
            && !route::is_exempt(request.path)
            && let Err(empty) = self.pay(id, request, &asked)
        {
            let limited = route::limited(request, &self.outlet.shared.http, empty);
            return (limited, Asked::GoesOn);
        }
        let asked = match asked {
            Asked::Unsure(question) => self.verify(id, *question),
            other => other,
        };
        (self.route(request), asked)
    }

    /// A token for an HTTP request, and how its client stands. Who has shown who it is pays for
    /// itself; everybody else, also who is still to be looked into, for its address.
    fn pay(
        &mut self,
        id: ConnId,
        request: &mut HttpRequest<'_>,
        asked: &Asked,
    ) -> Result<(), Empty> {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return Ok(()) };
        let payer = match asked {
            Asked::GoesOn => connection.client.payer,
            _ => Payer::of(connection.client.from),
        };
        // What the request has to pay for later, its envelopes, is its client's too.
        connection.paying = Some(payer);
        let (buckets, now_ns) = (&self.outlet.shared.buckets, self.outlet.now.monotonic_ns);
        let taken = self.outlet.leases.take(buckets, &payer, now_ns);
        request.standing = self.outlet.leases.standing(buckets, &payer, now_ns);
        if taken.is_err() {
            self.note_limited(id);
        }
        taken
    }

    /// Notes a security event of a connection.
    #[cold]
    pub(super) fn note_event(&mut self, id: ConnId, kind: Kind, detail: &'static str) {
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        let client = &connection.client;
        audit::record(Event::new(kind, who_of(client), Some(client.from), detail));
    }

    fn note_limited(&mut self, id: ConnId) {
        self.outlet.shared.metrics[self.outlet.core.index()].rate_limited.add(1);
        self.note_event(id, Kind::RateLimited, "rate_limit");
    }
}
