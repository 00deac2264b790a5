//! The connections of one core: slots with generations, so that an id is never reused and a late
//! completion can never reach a stranger.

use std::net::{SocketAddr, TcpStream};

use synap_shards::id::ConnId;

/// Bits of a [`ConnId`] that name the slot; the generation lies above them.
pub(crate) const SLOT_BITS: u32 = 24;
/// Connections one core can name.
pub(crate) const CONNECTIONS_MAX: usize = 1 << SLOT_BITS;

/// The multishot receive of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Receive {
    Idle,
    Armed,
    /// A cancel is on its way; the receive is over when it says so itself.
    Cancelling,
    /// The kernel found no buffer; listed to be armed again once there is one.
    Starved,
}

/// A send handed to the kernel.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) buffer: Vec<u8>,
    pub(crate) sent: usize,
    /// Handed over so that only failure is reported: silence after the enter means success.
    pub(crate) silent: bool,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) receive: Receive,
    pub(crate) sending: Option<Sending>,
    /// Requests whose last completion is still to come.
    pub(crate) in_flight: u32,
    pub(crate) want_read: bool,
    /// The peer will send no more, or an error ended the connection.
    pub(crate) read_ended: bool,
    pub(crate) failed: bool,
    pub(crate) closing: bool,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            receive: Receive::Idle,
            sending: None,
            in_flight: 0,
            want_read: true,
            read_ended: false,
            failed: false,
            closing: false,
        }
    }

    /// Whether a receive should be running.
    pub(crate) fn may_receive(&self) -> bool {
        self.want_read && !self.read_ended && !self.failed && !self.closing
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    conn: Option<Conn>,
}

/// All connections of a core.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    connections_max: usize,
}

impl Slots {
    pub(crate) fn new(connections_max: usize) -> Self {
        assert!(connections_max <= CONNECTIONS_MAX, "{connections_max} > {CONNECTIONS_MAX}");
        Self { slots: Vec::new(), free: Vec::new(), connections_max }
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.connections_max
    }

    pub(crate) fn insert(&mut self, conn: Conn) -> ConnId {
        assert!(!self.is_full(), "the caller refuses connections beyond the maximum");
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        assert!(slot.conn.is_none(), "a free slot is empty");
        slot.conn = Some(conn);
        ConnId(u64::from(slot.generation) << SLOT_BITS | u64::from(index))
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        let (index, generation) = split(id);
        let slot = self.slots.get(index)?;
        if slot.generation == generation { slot.conn.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let (index, generation) = split(id);
        let slot = self.slots.get_mut(index)?;
        if slot.generation == generation { slot.conn.as_mut() } else { None }
    }

    /// Frees the slot; closes the socket. A slot that has used up its generations is not reused.
    pub(crate) fn remove(&mut self, id: ConnId) {
        let (index, generation) = split(id);
        let slot = &mut self.slots[index];
        assert_eq!(slot.generation, generation, "only a live connection is removed");
        let conn = slot.conn.take().expect("a live slot holds a connection");
        assert_eq!(conn.in_flight, 0, "the kernel still works on the connection");
        if let Some(next) = generation.checked_add(1) {
            slot.generation = next;
            self.free.push(index as u32);
        }
    }

    /// Ids of every live connection.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnId> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.conn.is_some())
            .map(|(index, slot)| ConnId(u64::from(slot.generation) << SLOT_BITS | index as u64))
    }
}

pub(super) fn slot_of(id: ConnId) -> usize {
    split(id).0
}

fn split(id: ConnId) -> (usize, u32) {
    let index = id.0 & (CONNECTIONS_MAX as u64 - 1);
    (index as usize, (id.0 >> SLOT_BITS) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn conn() -> Conn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        Conn::new(TcpStream::connect(address).expect("connect"), address)
    }

    #[test]
    fn a_slot_is_reused_under_a_new_id() {
        let mut slots = Slots::new(1);
        let first = slots.insert(conn());
        assert!(slots.is_full());
        slots.remove(first);
        let second = slots.insert(conn());
        assert_ne!(first, second);
        assert!(slots.get(first).is_none() && slots.get(second).is_some());
        assert_eq!(slots.ids().collect::<Vec<_>>(), [second]);
    }
}
