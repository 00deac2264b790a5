//! Sends commands in pipelines and watches every reply.
//!
//! Guarantees: what [`Loader::drain`] returned for was answered without an error. The first error
//! ends the load; nothing is sent after it.

use crate::entry::Entry;
use crate::error::AdminError;
use crate::resp::{Connection, Reply, push_command};

/// Commands sent before their replies are read.
const COMMANDS_MAX: usize = 2048;
/// Bytes sent before replies are read; a single command may exceed it.
const BYTES_MAX: usize = 1024 * 1024;

/// A pipeline of writes.
pub(crate) struct Loader {
    connection: Connection,
    bytes: Vec<u8>,
    waiting: usize,
}

impl Loader {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, bytes: Vec::new(), waiting: 0 }
    }

    /// Sets a key.
    pub(crate) fn set(&mut self, entry: &Entry) -> Result<(), AdminError> {
        match entry.deadline_ms {
            None => self.push(&[b"SET", &entry.key, &entry.value]),
            Some(deadline) => {
                let deadline = deadline.to_string();
                self.push(&[b"SET", &entry.key, &entry.value, b"PXAT", deadline.as_bytes()])
            }
        }
    }

    /// Sets a key to what a payload of `DUMP` holds.
    pub(crate) fn restore(
        &mut self,
        key: &[u8],
        payload: &[u8],
        deadline_ms: Option<u64>,
    ) -> Result<(), AdminError> {
        let deadline = deadline_ms.unwrap_or(0).to_string();
        self.push(&[b"RESTORE", key, deadline.as_bytes(), payload, b"REPLACE", b"ABSTTL"])
    }

    /// Runs a command.
    pub(crate) fn push(&mut self, words: &[&[u8]]) -> Result<(), AdminError> {
        push_command(&mut self.bytes, words);
        self.waiting += 1;
        if self.waiting >= COMMANDS_MAX || self.bytes.len() >= BYTES_MAX {
            self.drain()?;
        }
        Ok(())
    }

    /// Waits until everything is answered.
    pub(crate) fn drain(&mut self) -> Result<(), AdminError> {
        self.connection.send(&self.bytes)?;
        self.bytes.clear();
        let mut refused = None;
        for _ in 0..std::mem::take(&mut self.waiting) {
            let reply = self.connection.receive()?;
            if refused.is_none() {
                refused = reply.error().map(str::to_owned);
            }
        }
        match refused {
            None => Ok(()),
            Some(answer) => Err(AdminError::Refused { request: "a write".to_owned(), answer }),
        }
    }

    /// Runs a command behind everything sent before; an error reply is an error.
    pub(crate) fn demand(&mut self, words: &[&[u8]]) -> Result<Reply, AdminError> {
        self.drain()?;
        self.connection.demand(words)
    }
}
