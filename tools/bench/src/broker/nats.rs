//! As much of NATS and JetStream as publishing with acknowledgements and pulling takes.
//!
//! Source: the NATS client protocol and the JetStream wire API (`$JS.API`).

use std::io;
use std::net::SocketAddr;

use serde_json::json;

use super::wire::{Wire, unexpected};
use super::{Consumer, Producer};

const INBOX: &str = "_INBOX.bench";
const DURABLE: &str = "workers";
/// Messages that may be unacknowledged over all consumers.
const ACK_PENDING_MAX: u32 = 65_536;

struct Message {
    reply: String,
    body: Vec<u8>,
    /// Has headers: says that there is nothing, not a message.
    is_status: bool,
}

struct Session {
    wire: Wire,
    inbox: String,
}

impl Session {
    fn open(at: SocketAddr) -> io::Result<Self> {
        let mut wire = Wire::connect(at)?;
        let greeting = wire.need_line()?;
        if !greeting.starts_with("INFO ") {
            return Err(unexpected("INFO", greeting));
        }
        let local = format!("{at}-{:p}", &raw const wire).replace(['.', ':'], "_");
        let inbox = format!("{INBOX}.{local}.{}", wire_number());
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true}}\r\nSUB {inbox} 1\r\n"
        );
        wire.output.extend_from_slice(hello.as_bytes());
        Ok(Self { wire, inbox })
    }

    fn publish(&mut self, subject: &str, reply: &str, body: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", body.len());
        self.wire.output.extend_from_slice(head.as_bytes());
        self.wire.output.extend_from_slice(body);
        self.wire.output.extend_from_slice(b"\r\n");
    }

    /// Waits for a message; nothing when none came for a while.
    fn next(&mut self, wait: bool) -> io::Result<Option<Message>> {
        loop {
            let Some(line) = self.wire.line() else {
                if !wait || !self.wire.fill()? {
                    return Ok(None);
                }
                continue;
            };
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.as_slice() {
                ["PING"] => self.wire.output.extend_from_slice(b"PONG\r\n"),
                ["PONG" | "INFO", ..] => {}
                ["MSG" | "HMSG", rest @ ..] => return self.message(&line, rest).map(Some),
                _ => return Err(unexpected("a message", line)),
            }
        }
    }

    fn message(&mut self, line: &str, words: &[&str]) -> io::Result<Message> {
        let is_status = line.starts_with('H');
        let sizes = 1 + usize::from(is_status);
        let bytes = words.last().and_then(|size| size.parse::<usize>().ok());
        let bytes = bytes.ok_or_else(|| unexpected("a size", line))?;
        let reply = if words.len() == 3 + sizes { words[2] } else { "" }.to_owned();
        self.wire.need(bytes + 2)?;
        let body = self.wire.buffered()[..bytes].to_vec();
        self.wire.take(bytes + 2);
        Ok(Message { reply, body, is_status })
    }

    /// One call of the JetStream API.
    fn call(&mut self, subject: &str, body: &serde_json::Value, may_fail: bool) -> io::Result<()> {
        let inbox = self.inbox.clone();
        self.publish(subject, &inbox, body.to_string().as_bytes());
        let answer = loop {
            if let Some(message) = self.next(true)? {
                break message.body;
            }
        };
        let answer: serde_json::Value =
            serde_json::from_slice(&answer).map_err(io::Error::other)?;
        match answer.get("error") {
            Some(error) if !may_fail => Err(unexpected("success", error)),
            _ => Ok(()),
        }
    }
}

/// Makes inboxes of one process differ.
fn wire_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Deletes the stream if it is there and creates it and its consumer.
pub(super) fn prepare(at: SocketAddr, queue: &str) -> io::Result<()> {
    let mut session = Session::open(at)?;
    session.call(&format!("$JS.API.STREAM.DELETE.{queue}"), &json!({}), true)?;
    let stream = json!({
        "name": queue, "subjects": [queue], "storage": "file", "retention": "workqueue",
        "num_replicas": 1, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
    });
    session.call(&format!("$JS.API.STREAM.CREATE.{queue}"), &stream, false)?;
    let consumer = json!({
        "stream_name": queue,
        "config": {
            "durable_name": DURABLE, "ack_policy": "explicit", "deliver_policy": "all",
            "max_ack_pending": ACK_PENDING_MAX,
        },
    });
    session.call(&format!("$JS.API.CONSUMER.DURABLE.CREATE.{queue}.{DURABLE}"), &consumer, false)
}

pub(super) struct Publisher {
    session: Session,
    queue: String,
}

impl Publisher {
    pub(super) fn connect(at: SocketAddr, queue: &str) -> io::Result<Self> {
        Ok(Self { session: Session::open(at)?, queue: queue.to_owned() })
    }
}

impl Producer for Publisher {
    fn publish(&mut self, body: &[u8]) -> io::Result<()> {
        let inbox = self.session.inbox.clone();
        self.session.publish(&self.queue, &inbox, body);
        Ok(())
    }

    fn confirmed(&mut self) -> io::Result<usize> {
        let mut confirmed = 0;
        while let Some(message) = self.session.next(confirmed == 0)? {
            if !message.body.starts_with(b"{\"stream\"") {
                let text = String::from_utf8_lossy(&message.body).into_owned();
                return Err(unexpected("an acknowledgement", text));
            }
            confirmed += 1;
        }
        Ok(confirmed)
    }
}

pub(super) struct Receiver {
    session: Session,
    pull: String,
    prefetch: usize,
    /// Messages asked for that have not come.
    asked: usize,
}

impl Receiver {
    pub(super) fn connect(at: SocketAddr, queue: &str, prefetch: usize) -> io::Result<Self> {
        let pull = format!("$JS.API.CONSUMER.MSG.NEXT.{queue}.{DURABLE}");
        Ok(Self { session: Session::open(at)?, pull, prefetch, asked: 0 })
    }
}

impl Consumer for Receiver {
    fn take(&mut self) -> io::Result<usize> {
        if self.asked == 0 {
            let inbox = self.session.inbox.clone();
            let ask = json!({ "batch": self.prefetch }).to_string();
            self.session.publish(&self.pull, &inbox, ask.as_bytes());
            self.asked = self.prefetch;
        }
        let mut taken = 0;
        while self.asked > 0 {
            let Some(message) = self.session.next(taken == 0)? else { break };
            if message.is_status {
                self.asked = 0;
                break;
            }
            let ack = format!("PUB {} 4\r\n+ACK\r\n", message.reply);
            self.session.wire.output.extend_from_slice(ack.as_bytes());
            self.asked -= 1;
            taken += 1;
        }
        self.session.wire.flush()?;
        Ok(taken)
    }
}
