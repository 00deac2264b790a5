//! Publish and subscribe: one publisher, many subscribers, deliveries per second of server CPU.
//!
//! Guarantees: every delivery that is counted was read from its socket whole; what did not come
//! within the drain time is reported as missing. The publisher is closed: it sends the next message
//! when one it sent was answered. One thread does both sides, so a subscriber is never behind by
//! more than what its socket holds.

mod subscriber;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::load::pin_thread;
use crate::procfs;
use subscriber::Subscriber;

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// How long deliveries may come in after the last message was answered.
const DRAIN: Duration = Duration::from_secs(10);
/// The channel and topic.
const CHANNEL: &str = "bench";

/// How subscribers listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// `SUBSCRIBE` over RESP2.
    Resp,
    /// `GET /pubsub/ws`.
    Websocket,
    /// `GET /pubsub/sse`.
    Sse,
}

/// Arguments of `fanout`.
#[derive(Args)]
pub(crate) struct FanoutArgs {
    /// How subscribers listen; the publisher always speaks RESP.
    #[arg(long, value_enum, default_value = "resp")]
    kind: Kind,
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// RESP port.
    #[arg(short, long, default_value_t = 6379)]
    port: u16,
    /// HTTP port.
    #[arg(long, default_value_t = 15500)]
    http_port: u16,
    /// Subscribers.
    #[arg(long, default_value_t = 10)]
    subscribers: usize,
    /// Messages; 0 only connects, to see what idle subscribers hold.
    #[arg(short = 'n', long, default_value_t = 100_000)]
    messages: u64,
    /// Messages under way unanswered.
    #[arg(long, default_value_t = 16)]
    in_flight: u64,
    /// Bytes of a message.
    #[arg(short = 's', long, default_value_t = 100)]
    size: usize,
    /// Processor to pin the client to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Process of the server, whose CPU and memory are read.
    #[arg(long)]
    server_pid: Option<u32>,
}

/// Runs it and prints what came out; whether every delivery came.
pub(crate) fn run(args: &FanoutArgs) -> io::Result<bool> {
    if let Some(cpu) = args.cpu {
        pin_thread(&[cpu]).map_err(|error| io::Error::other(error.to_string()))?;
    }
    let rss_before = args.server_pid.map(procfs::rss_bytes).transpose()?;
    let port = if args.kind == Kind::Resp { args.port } else { args.http_port };
    let at = SocketAddr::new(args.host, port);
    let subscribers: Vec<Subscriber> = (0..args.subscribers)
        .map(|_| Subscriber::connect(args.kind, at, CHANNEL, args.size))
        .collect::<io::Result<_>>()?;
    if let (Some(pid), Some(before)) = (args.server_pid, rss_before) {
        let more = procfs::rss_bytes(pid)?.saturating_sub(before);
        let each = more as f64 / args.subscribers.max(1) as f64;
        println!("server RSS: {:.1} MiB more, {each:.0} bytes each", more as f64 / 1_048_576.0);
    }
    if args.messages == 0 {
        return Ok(true);
    }
    let publisher = TcpStream::connect(SocketAddr::new(args.host, args.port))?;
    publisher.set_nodelay(true)?;
    let cpu = args.server_pid.map(procfs::cpu_time).transpose()?;
    let mut fan = Fan::new(publisher, subscribers, args)?;
    let began = Instant::now();
    let last = fan.run()?;
    let elapsed = (last - began).as_secs_f64();
    let wanted = args.messages * args.subscribers as u64;
    let rate = fan.delivered as f64 / elapsed;
    println!("{} of {wanted} deliveries, {rate:.0} per second", fan.delivered);
    if let (Some(pid), Some(before)) = (args.server_pid, cpu) {
        let spent = procfs::cpu_time(pid)?.since(before).total().as_secs_f64();
        println!("server CPU: {:.0} deliveries per second of it", fan.delivered as f64 / spent);
    }
    Ok(fan.delivered == wanted)
}

/// The publisher, the subscribers and what has come.
struct Fan<'a> {
    poll: std::os::fd::OwnedFd,
    publisher: TcpStream,
    subscribers: Vec<Subscriber>,
    args: &'a FanoutArgs,
    request: Vec<u8>,
    sent: u64,
    answered: u64,
    delivered: u64,
    buffer: Vec<u8>,
}

impl<'a> Fan<'a> {
    fn new(
        publisher: TcpStream,
        subscribers: Vec<Subscriber>,
        args: &'a FanoutArgs,
    ) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, subscriber) in subscribers.iter().enumerate() {
            subscriber.stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&poll, &subscriber.stream, data, epoll::EventFlags::IN)?;
        }
        publisher.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(u64::MAX);
        epoll::add(&poll, &publisher, data, epoll::EventFlags::IN)?;
        let (channel, size) = (CHANNEL, args.size);
        let mut request =
            format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${size}\r\n", channel.len())
                .into_bytes();
        request.resize(request.len() + size, b'x');
        request.extend_from_slice(b"\r\n");
        let buffer = Vec::with_capacity(READ_BYTES);
        let (sent, answered, delivered) = (0, 0, 0);
        Ok(Self { poll, publisher, subscribers, args, request, sent, answered, delivered, buffer })
    }

    /// When the last delivery came.
    fn run(&mut self) -> io::Result<Instant> {
        let wanted = self.args.messages * self.args.subscribers as u64;
        let mut events = Vec::with_capacity(256);
        let mut last = Instant::now();
        while self.delivered < wanted {
            self.publish()?;
            events.clear();
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            epoll::wait(&self.poll, spare_capacity(&mut events), Some(&second))?;
            let before = self.delivered;
            for event in &events {
                self.receive(event.data.u64())?;
            }
            if self.delivered > before {
                last = Instant::now();
            } else if last.elapsed() > DRAIN {
                break;
            }
        }
        Ok(last)
    }

    fn publish(&mut self) -> io::Result<()> {
        let free = self.args.in_flight - (self.sent - self.answered);
        let more = free.min(self.args.messages - self.sent);
        for _ in 0..more {
            write_whole(&mut self.publisher, &self.request)?;
        }
        self.sent += more;
        Ok(())
    }

    fn receive(&mut self, who: u64) -> io::Result<()> {
        self.buffer.clear();
        let mut read = Vec::new();
        std::mem::swap(&mut read, &mut self.buffer);
        read.resize(READ_BYTES, 0);
        let subscriber = usize::try_from(who).ok().and_then(|at| self.subscribers.get_mut(at));
        let stream = match &subscriber {
            Some(subscriber) => &subscriber.stream,
            None => &self.publisher,
        };
        let bytes = match (&*stream).read(&mut read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        match subscriber {
            Some(subscriber) => self.delivered += subscriber.count(&read[..bytes]),
            None => self.answered += memchr::memchr_iter(b'\n', &read[..bytes]).count() as u64,
        }
        self.buffer = read;
        Ok(())
    }
}

/// Writes all of it, also when the socket has no room for a moment.
fn write_whole(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
