//! As much of AMQP 0-9-1 as publishing with confirms and consuming with acknowledgements takes.
//!
//! Source: the AMQP 0-9-1 specification and RabbitMQ's extension for publisher confirms.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use super::wire::{Wire, unexpected};
use super::{Consumer, Producer};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// Type, channel, size in front; the end octet behind.
const FRAME_BYTES: usize = 8;

/// Class and method of what is used.
type Method = (u16, u16);
const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CHANNEL_OPEN: Method = (20, 10);
const CHANNEL_OPEN_OK: Method = (20, 11);
const QUEUE_DECLARE: Method = (50, 10);
const QUEUE_DECLARE_OK: Method = (50, 11);
const QUEUE_DELETE: Method = (50, 40);
const QUEUE_DELETE_OK: Method = (50, 41);
const QOS: Method = (60, 10);
const QOS_OK: Method = (60, 11);
const CONSUME: Method = (60, 20);
const CONSUME_OK: Method = (60, 21);
const PUBLISH: Method = (60, 40);
const DELIVER: Method = (60, 60);
const ACK: Method = (60, 80);
const CONFIRM_SELECT: Method = (85, 10);
const CONFIRM_SELECT_OK: Method = (85, 11);

/// Content of class basic with the one property delivery-mode, which is 2: persistent.
const PERSISTENT: [u8; 3] = [0x10, 0x00, 2];

struct Channel {
    wire: Wire,
    frame_bytes_max: usize,
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

impl Channel {
    fn open(at: SocketAddr) -> io::Result<Self> {
        let mut channel = Self { wire: Wire::connect(at)?, frame_bytes_max: 0 };
        channel.wire.output.extend_from_slice(b"AMQP\x00\x00\x09\x01");
        channel.expect(START)?;
        channel.method(0, START_OK, |out| {
            long(out, &[]);
            short(out, "PLAIN");
            long(out, b"\0guest\0guest");
            short(out, "en_US");
        });
        let tune = channel.expect(TUNE)?;
        let tune: [u8; 8] = tune.try_into().map_err(|found| unexpected("eight bytes", found))?;
        channel.frame_bytes_max = u32::from_be_bytes([tune[2], tune[3], tune[4], tune[5]]) as usize;
        channel.method(0, TUNE_OK, |out| {
            out.extend_from_slice(&tune[..6]);
            out.extend_from_slice(&[0, 0]);
        });
        channel.method(0, OPEN, |out| {
            short(out, "/");
            out.extend_from_slice(&[0, 0]);
        });
        channel.expect(OPEN_OK)?;
        channel.method(1, CHANNEL_OPEN, |out| out.push(0));
        channel.expect(CHANNEL_OPEN_OK)?;
        Ok(channel)
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let out = &mut self.wire.output;
        out.push(kind);
        out.extend_from_slice(&channel.to_be_bytes());
        long(out, payload);
        out.push(FRAME_END);
    }

    fn method(&mut self, channel: u16, method: Method, arguments: impl Fn(&mut Vec<u8>)) {
        let mut payload = Vec::with_capacity(64);
        payload.extend_from_slice(&method.0.to_be_bytes());
        payload.extend_from_slice(&method.1.to_be_bytes());
        arguments(&mut payload);
        self.frame(METHOD, channel, &payload);
    }

    /// The next frame, if it has come whole: its kind and payload.
    fn next(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let input = self.wire.buffered();
        let Some(head) = input.first_chunk::<7>() else { return Ok(None) };
        let bytes = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        if input.len() < FRAME_BYTES + bytes {
            return Ok(None);
        }
        if input[7 + bytes] != FRAME_END {
            return Err(unexpected("the end of a frame", input[7 + bytes]));
        }
        let frame = (head[0], input[7..7 + bytes].to_vec());
        self.wire.take(FRAME_BYTES + bytes);
        Ok(Some(frame))
    }

    /// Waits for a method; its arguments.
    fn expect(&mut self, wanted: Method) -> io::Result<Vec<u8>> {
        loop {
            match self.next()? {
                Some((METHOD, payload)) if method_of(&payload) == Some(wanted) => {
                    return Ok(payload[4..].to_vec());
                }
                Some((METHOD, payload)) => {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    return Err(unexpected("another method", (method_of(&payload), text)));
                }
                Some(_) => {}
                None => {
                    self.wire.fill()?;
                }
            }
        }
    }
}

fn method_of(payload: &[u8]) -> Option<Method> {
    let [a, b, c, d] = *payload.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn tag_at(payload: &[u8], at: usize) -> io::Result<u64> {
    let tag = payload.get(at..).and_then(|rest| rest.first_chunk::<8>());
    tag.map(|tag| u64::from_be_bytes(*tag)).ok_or_else(|| unexpected("a delivery tag", payload))
}

/// Deletes the queue if it is there and declares it durable.
pub(super) fn prepare(at: SocketAddr, queue: &str) -> io::Result<()> {
    let mut channel = Channel::open(at)?;
    channel.method(1, QUEUE_DELETE, |out| {
        out.extend_from_slice(&[0, 0]);
        short(out, queue);
        out.push(0);
    });
    channel.expect(QUEUE_DELETE_OK)?;
    channel.method(1, QUEUE_DECLARE, |out| {
        out.extend_from_slice(&[0, 0]);
        short(out, queue);
        out.push(2);
        long(out, &[]);
    });
    channel.expect(QUEUE_DECLARE_OK)?;
    Ok(())
}

pub(super) struct Publisher {
    channel: Channel,
    queue: String,
    next: u64,
    /// Tags that are not confirmed.
    open: BTreeSet<u64>,
}

impl Publisher {
    pub(super) fn connect(at: SocketAddr, queue: &str) -> io::Result<Self> {
        let mut channel = Channel::open(at)?;
        channel.method(1, CONFIRM_SELECT, |out| out.push(0));
        channel.expect(CONFIRM_SELECT_OK)?;
        Ok(Self { channel, queue: queue.to_owned(), next: 1, open: BTreeSet::new() })
    }
}

impl Producer for Publisher {
    fn publish(&mut self, body: &[u8]) -> io::Result<()> {
        let queue = self.queue.as_str();
        self.channel.method(1, PUBLISH, |out| {
            out.extend_from_slice(&[0, 0]);
            short(out, "");
            short(out, queue);
            out.push(0);
        });
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&(body.len() as u64).to_be_bytes());
        header.extend_from_slice(&PERSISTENT);
        self.channel.frame(HEADER, 1, &header);
        for piece in body.chunks(self.channel.frame_bytes_max - FRAME_BYTES) {
            self.channel.frame(BODY, 1, piece);
        }
        self.open.insert(self.next);
        self.next += 1;
        Ok(())
    }

    fn confirmed(&mut self) -> io::Result<usize> {
        let before = self.open.len();
        while self.open.len() == before {
            let Some((kind, payload)) = self.channel.next()? else {
                self.channel.wire.fill()?;
                continue;
            };
            if kind != METHOD || method_of(&payload) != Some(ACK) {
                return Err(unexpected("a confirmation", payload));
            }
            let tag = tag_at(&payload, 4)?;
            if payload.get(12).is_some_and(|bits| bits & 1 == 1) {
                self.open = self.open.split_off(&(tag + 1));
            } else {
                self.open.remove(&tag);
            }
        }
        Ok(before - self.open.len())
    }
}

pub(super) struct Receiver {
    channel: Channel,
}

impl Receiver {
    pub(super) fn connect(at: SocketAddr, queue: &str, prefetch: usize) -> io::Result<Self> {
        let mut channel = Channel::open(at)?;
        let prefetch = u16::try_from(prefetch).map_err(io::Error::other)?;
        channel.method(1, QOS, |out| {
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&prefetch.to_be_bytes());
            out.push(0);
        });
        channel.expect(QOS_OK)?;
        channel.method(1, CONSUME, |out| {
            out.extend_from_slice(&[0, 0]);
            short(out, queue);
            short(out, "");
            out.push(0);
            long(out, &[]);
        });
        channel.expect(CONSUME_OK)?;
        Ok(Self { channel })
    }
}

impl Consumer for Receiver {
    fn take(&mut self) -> io::Result<usize> {
        let mut taken = 0;
        let (mut tag, mut missing) = (0, None);
        loop {
            let Some((kind, payload)) = self.channel.next()? else {
                if taken > 0 && missing.is_none() {
                    self.channel.wire.flush()?;
                    return Ok(taken);
                }
                if !self.channel.wire.fill()? && missing.is_none() {
                    return Ok(0);
                }
                continue;
            };
            match (kind, missing) {
                (METHOD, None) if method_of(&payload) == Some(DELIVER) => {
                    let consumer = usize::from(payload[4]);
                    tag = tag_at(&payload, 5 + consumer)?;
                    missing = Some(usize::MAX);
                }
                (HEADER, Some(_)) => missing = Some(tag_at(&payload, 4)? as usize),
                (BODY, Some(bytes)) => missing = Some(bytes - payload.len()),
                (_, _) => return Err(unexpected("a delivery", payload)),
            }
            if missing == Some(0) {
                missing = None;
                self.channel.method(1, ACK, |out| {
                    out.extend_from_slice(&tag.to_be_bytes());
                    out.push(0);
                });
                taken += 1;
            }
        }
    }
}
