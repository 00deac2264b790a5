//! Queues of Synap over RESP.

use std::io;
use std::net::SocketAddr;

use super::wire::{Wire, unexpected};
use super::{Consumer, Producer};

/// Milliseconds a consumer waits for a message before it looks again.
const WAIT_MS: &str = "400";

/// A reply as far as the phases look into it.
#[derive(Debug)]
enum Reply {
    Text(String),
    Nil,
    Array(Vec<Self>),
}

pub(super) struct Client {
    wire: Wire,
    queue: String,
    name: String,
    prefetch: usize,
}

impl Client {
    pub(super) fn connect(at: SocketAddr, queue: &str, prefetch: usize) -> io::Result<Self> {
        let wire = Wire::connect(at)?;
        let name = format!("bench-{:p}", &raw const wire);
        Ok(Self { wire, queue: queue.to_owned(), name, prefetch })
    }

    fn send(&mut self, words: &[&[u8]]) {
        let out = &mut self.wire.output;
        out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let line = self.wire.need_line()?;
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" | ":" => Ok(Reply::Text(rest.to_owned())),
            "$" if rest == "-1" => Ok(Reply::Nil),
            "*" if rest == "-1" => Ok(Reply::Nil),
            "$" => {
                let bytes: usize = rest.parse().map_err(io::Error::other)?;
                self.wire.need(bytes + 2)?;
                let text = String::from_utf8_lossy(&self.wire.buffered()[..bytes]).into_owned();
                self.wire.take(bytes + 2);
                Ok(Reply::Text(text))
            }
            "*" => {
                let count: usize = rest.parse().map_err(io::Error::other)?;
                (0..count).map(|_| self.reply()).collect::<io::Result<_>>().map(Reply::Array)
            }
            _ => Err(unexpected("a reply", line)),
        }
    }
}

/// Deletes the queue if it is there and creates it.
pub(super) fn prepare(at: SocketAddr, queue: &str) -> io::Result<()> {
    let mut client = Client::connect(at, queue, 1)?;
    client.send(&[b"QDELETE", queue.as_bytes()]);
    client.reply()?;
    client.send(&[b"QCREATE", queue.as_bytes(), b"MAXDEPTH", b"100000000"]);
    client.reply()?;
    Ok(())
}

impl Producer for Client {
    fn publish(&mut self, body: &[u8]) -> io::Result<()> {
        let queue = self.queue.clone();
        self.send(&[b"QPUBLISH", queue.as_bytes(), body]);
        Ok(())
    }

    fn confirmed(&mut self) -> io::Result<usize> {
        let mut confirmed = 0;
        while confirmed == 0 || self.wire.has_line() {
            match self.reply()? {
                Reply::Text(_) => confirmed += 1,
                other => return Err(unexpected("the id of a message", other)),
            }
        }
        Ok(confirmed)
    }
}

impl Consumer for Client {
    fn take(&mut self) -> io::Result<usize> {
        let (queue, name) = (self.queue.clone(), self.name.clone());
        let count = self.prefetch.to_string();
        let ask: [&[u8]; 8] = [
            b"QCONSUME",
            queue.as_bytes(),
            b"CONSUMER",
            name.as_bytes(),
            b"COUNT",
            count.as_bytes(),
            b"WAIT",
            WAIT_MS.as_bytes(),
        ];
        self.send(&ask);
        let Reply::Array(messages) = self.reply()? else { return Ok(0) };
        let mut ids = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                // Names and values by turns, the id first.
                Reply::Array(fields) => match fields.into_iter().nth(1) {
                    Some(Reply::Text(id)) => ids.push(id),
                    other => return Err(unexpected("an id", other)),
                },
                other => return Err(unexpected("a message", other)),
            }
        }
        let taken = ids.len();
        if taken > 0 {
            let mut words: Vec<&[u8]> = vec![b"QACK", queue.as_bytes()];
            words.extend(ids.iter().map(String::as_bytes));
            self.send(&words);
            self.reply()?;
        }
        Ok(taken)
    }
}
