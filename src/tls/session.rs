//! The TLS state of one connection: bytes of the wire in, bytes for the protocol out, and back.
//!
//! Guarantees: bounded both ways (rustls holds at most one record that is incomplete, 64 KiB of a
//! handshake that is, and what [`Session::seal`] has just made; plain bytes to be sealed are the
//! caller's own buffer, handed over and given back). Nothing is sealed before the handshake is
//! over. It never waits.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use rustls::server::ServerConnection;
use rustls::{Error, HandshakeKind, ServerConfig};

use super::name::Facts;

/// Plain bytes that one call of [`Session::seal`] takes, about: 0.1 ms of work, so that a large
/// reply does not hold up the other clients of the core.
const SEAL_BYTES: usize = 64 * 1024;

/// One connection under TLS.
#[derive(Debug)]
pub struct Session {
    connection: ServerConnection,
    /// Plain bytes on their way out, and how many of them are sealed.
    plain: Vec<u8>,
    sealed: usize,
    has_ended: bool,
    has_said_goodbye: bool,
}

impl Session {
    /// A connection whose client is to speak first.
    ///
    /// # Errors
    /// When the configuration cannot serve.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = ServerConnection::new(config)?;
        Ok(Self {
            connection,
            plain: Vec::new(),
            sealed: 0,
            has_ended: false,
            has_said_goodbye: false,
        })
    }

    /// Takes bytes from the wire, all of them, and adds what they say to `plain`. What the peer
    /// must be told for it is then there to be sealed, also after an error.
    ///
    /// # Errors
    /// The peer broke the protocol or does not match us; the connection is to be closed.
    pub fn open(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<(), Error> {
        while !wire.is_empty() && !self.has_ended {
            // It refuses only while its buffers are full, and they are emptied in every round.
            if self.connection.read_tls(&mut wire).is_err() {
                return Err(Error::PeerSentOversizedRecord);
            }
            let state = self.connection.process_new_packets()?;
            self.has_ended = state.peer_has_closed();
            let mut reader = self.connection.reader();
            while let Ok(bytes) = reader.fill_buf() {
                let count = bytes.len();
                if count == 0 {
                    break;
                }
                plain.extend_from_slice(bytes);
                reader.consume(count);
            }
        }
        Ok(())
    }

    /// Whether the handshake is still under way.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has said that it sends no more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the handshake took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What the client's certificate says, if it showed one that was verified.
    pub fn certificate(&self) -> Option<Facts> {
        let certificates = self.connection.peer_certificates()?;
        certificates.first().map(|first| Facts::of(first).unwrap_or_default())
    }

    /// Hands over plain bytes to be sealed; there must be none left of those before.
    pub fn take(&mut self, plain: Vec<u8>) {
        debug_assert!(!self.has_unsealed(), "one buffer after the other");
        self.plain = plain;
        self.sealed = 0;
    }

    /// Whether plain bytes wait to be sealed.
    pub fn has_unsealed(&self) -> bool {
        self.sealed < self.plain.len()
    }

    /// Bytes that wait to be sealed.
    pub fn unsealed(&self) -> usize {
        self.plain.len() - self.sealed
    }

    /// The buffer of plain bytes once all of them are sealed, for reuse.
    pub fn take_spent(&mut self) -> Option<Vec<u8>> {
        if self.has_unsealed() || self.plain.capacity() == 0 {
            return None;
        }
        self.sealed = 0;
        let mut spent = std::mem::take(&mut self.plain);
        spent.clear();
        Some(spent)
    }

    /// Whether there is something for the peer besides plain bytes: of the handshake, an alert.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Adds bytes for the wire to `wire`: what the protocol has to say, then plain bytes, a
    /// portion at a time.
    pub fn seal(&mut self, wire: &mut Vec<u8>) {
        self.pour(wire);
        if self.is_handshaking() {
            return;
        }
        let end = self.plain.len().min(self.sealed + SEAL_BYTES);
        while self.sealed < end {
            // It takes what fits its buffer, which `pour` empties.
            let count = self.connection.writer().write(&self.plain[self.sealed..end]);
            let count = count.expect("sealing into memory does not fail");
            self.sealed += count;
            self.pour(wire);
        }
    }

    fn pour(&mut self, wire: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(wire).expect("a vector takes all that is written to it");
        }
    }

    /// Tells the peer that nothing more comes (`close_notify`); whether that was still to be said.
    pub fn say_goodbye(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.has_said_goodbye, true);
        if first {
            self.connection.send_close_notify();
        }
        first
    }
}
