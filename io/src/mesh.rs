//! Messages between cores: one single-producer single-consumer ring per ordered pair of cores and
//! lane, no locks, no shared memory beyond the rings.
//!
//! Guarantees: messages of one pair and lane arrive in order, none is lost or duplicated; what was
//! sent before [`Endpoint::flush`] wakes its receiver. A full ring refuses and gives the message
//! back; room is not announced, so a sender that was refused keeps its turns short (or relies on
//! the receiver's own messages to wake it).

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use synap_shards::id::CoreId;

use crate::doorbell::Doorbell;

/// Requests and their completions travel apart, so that a flood of requests never blocks the
/// answers that would drain it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Work for another core.
    Requests,
    /// Answers to it.
    Completions,
}

const LANES: usize = 2;

struct Peer<T> {
    outgoing: [Producer<T>; LANES],
    incoming: [Consumer<T>; LANES],
    doorbell: Option<Doorbell>,
    unflushed: bool,
}

/// One core's end of the mesh.
pub struct Endpoint<T> {
    core: CoreId,
    /// By core index; nothing at our own.
    peers: Vec<Option<Peer<T>>>,
}

impl<T> std::fmt::Debug for Endpoint<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("core", &self.core).finish_non_exhaustive()
    }
}

/// Endpoints of a full mesh of `cores`, in core order; each ring holds `capacity` messages.
pub fn mesh<T: Send>(cores: usize, capacity: usize) -> Vec<Endpoint<T>> {
    assert!(cores > 0 && capacity > 0, "a mesh of {cores} cores with rings of {capacity}");
    let mut producers: Vec<Vec<_>> = Vec::with_capacity(cores);
    let mut consumers: Vec<Vec<_>> = (0..cores).map(|_| Vec::with_capacity(cores)).collect();
    for from in 0..cores {
        let mut row = Vec::with_capacity(cores);
        for (to, incoming) in consumers.iter_mut().enumerate() {
            // Our own column stays empty: a core does not send to itself.
            let slots = if from == to { 0 } else { capacity };
            let ends = [RingBuffer::new(slots), RingBuffer::new(slots)];
            let [(out_requests, in_requests), (out_completions, in_completions)] = ends;
            row.push([out_requests, out_completions]);
            incoming.push([in_requests, in_completions]);
        }
        producers.push(row);
    }
    let pairs = producers.into_iter().zip(consumers).enumerate();
    pairs.map(|(core, (outgoing, incoming))| endpoint(core, outgoing, incoming)).collect()
}

fn endpoint<T>(
    core: usize,
    outgoing: Vec<[Producer<T>; LANES]>,
    incoming: Vec<[Consumer<T>; LANES]>,
) -> Endpoint<T> {
    let ends = outgoing.into_iter().zip(incoming).enumerate();
    let peers = ends
        .map(|(peer, (outgoing, incoming))| {
            (peer != core).then_some(Peer { outgoing, incoming, doorbell: None, unflushed: false })
        })
        .collect();
    Endpoint { core: CoreId::new(core), peers }
}

impl<T: Send> Endpoint<T> {
    /// The core this end belongs to.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// Cores of the mesh.
    pub fn cores(&self) -> usize {
        self.peers.len()
    }

    /// Tells the endpoint how to wake the others: one doorbell per core, in core order, our own
    /// included (and not used). Needed before the first [`Endpoint::flush`].
    pub fn connect(&mut self, doorbells: Vec<Doorbell>) {
        assert_eq!(doorbells.len(), self.peers.len(), "one doorbell per core");
        for (peer, doorbell) in self.peers.iter_mut().zip(doorbells) {
            if let Some(peer) = peer {
                peer.doorbell = Some(doorbell);
            }
        }
    }

    /// Puts a message on the way to another core; it is certain to be noticed after
    /// [`Endpoint::flush`].
    ///
    /// # Errors
    /// Gives the message back when the ring is full.
    pub fn try_send(&mut self, to: CoreId, lane: Lane, message: T) -> Result<(), T> {
        let peer = self.peer(to);
        match peer.outgoing[lane as usize].push(message) {
            Ok(()) => {
                peer.unflushed = true;
                Ok(())
            }
            Err(PushError::Full(message)) => Err(message),
        }
    }

    /// Messages that can be sent to `to` on `lane` before it is full.
    pub fn room(&mut self, to: CoreId, lane: Lane) -> usize {
        self.peer(to).outgoing[lane as usize].slots()
    }

    /// The next message from a core, oldest first.
    pub fn receive(&mut self, from: CoreId, lane: Lane) -> Option<T> {
        self.peer(from).incoming[lane as usize].pop().ok()
    }

    /// Whether any message waits to be received.
    pub fn has_incoming(&self) -> bool {
        self.peers.iter().flatten().flat_map(|peer| &peer.incoming).any(|ring| !ring.is_empty())
    }

    /// Rings every core sent to since the last flush. Costs a system call only for those asleep.
    pub fn flush(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            if std::mem::take(&mut peer.unflushed) {
                peer.doorbell.as_ref().expect("connect comes before flush").ring();
            }
        }
    }

    fn peer(&mut self, core: CoreId) -> &mut Peer<T> {
        self.peers[core.index()].as_mut().expect("a core does not send to itself")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_and_pairs_are_apart_and_in_order() {
        let mut ends = mesh::<u32>(3, 2);
        let (a, b, c) = (CoreId::new(0), CoreId::new(1), CoreId::new(2));
        assert_eq!(ends[0].try_send(b, Lane::Requests, 1), Ok(()));
        assert_eq!(ends[0].try_send(b, Lane::Requests, 2), Ok(()));
        assert_eq!(ends[0].try_send(b, Lane::Requests, 3), Err(3));
        assert_eq!(ends[0].room(b, Lane::Requests), 0);
        assert_eq!(ends[0].try_send(b, Lane::Completions, 4), Ok(()));
        assert_eq!(ends[2].try_send(b, Lane::Requests, 5), Ok(()));
        assert!(ends[1].has_incoming() && !ends[0].has_incoming());
        assert_eq!(ends[1].receive(a, Lane::Requests), Some(1));
        assert_eq!(ends[1].receive(a, Lane::Completions), Some(4));
        assert_eq!(ends[1].receive(c, Lane::Requests), Some(5));
        assert_eq!(ends[1].receive(a, Lane::Requests), Some(2));
        assert_eq!(ends[1].receive(a, Lane::Requests), None);
        assert!(!ends[1].has_incoming());
    }
}
