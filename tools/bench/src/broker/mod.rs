//! Acknowledged queues side by side: Synap, RabbitMQ and NATS JetStream, each in its own protocol.
//!
//! Guarantees: a message counts as published when its broker has confirmed it, as consumed when it
//! was received and its acknowledgement was sent; latencies are from sending to confirmation. Works
//! on a running server and creates the queue it uses; must not be pointed at one that is in use.

mod amqp;
mod nats;
mod phase;
mod synap;
mod wire;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::load::pin_thread;
use phase::{Phase, PhaseOutcome};

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// RESP, the queue commands of Synap.
    Synap,
    /// AMQP 0-9-1: durable queue, persistent messages, publisher confirms.
    Rabbitmq,
    /// JetStream: work queue stream on files, explicit acknowledgements, pull consumer.
    Nats,
}

/// Arguments of `broker`.
#[derive(Args)]
pub(crate) struct BrokerArgs {
    /// Which broker.
    #[arg(long, value_enum, default_value = "synap")]
    kind: Kind,
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port; the usual one of the broker without it.
    #[arg(short, long)]
    port: Option<u16>,
    /// Name of the queue.
    #[arg(long, default_value = "bench")]
    queue: String,
    /// Connections that publish, each with a thread.
    #[arg(long, default_value_t = 1)]
    producers: usize,
    /// Messages each producer has under way unconfirmed.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Connections that consume, each with a thread; 0 leaves the messages.
    #[arg(long, default_value_t = 1)]
    consumers: usize,
    /// Messages a consumer may hold unacknowledged.
    #[arg(long, default_value_t = 1)]
    prefetch: usize,
    /// Messages to publish and to consume.
    #[arg(short = 'n', long, default_value_t = 100_000)]
    messages: u64,
    /// Messages to publish before, which are not measured: the depth at which the rest happens.
    #[arg(long, default_value_t = 0)]
    depth: u64,
    /// Bytes of a message.
    #[arg(short = 's', long, default_value_t = 1024)]
    size: usize,
    /// Processor to pin the client to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Process of the server, whose CPU and memory are read.
    #[arg(long)]
    server_pid: Option<u32>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// A connection that publishes.
pub(crate) trait Producer: Send {
    /// Hands a message to the broker; it may stay in a buffer until [`Producer::confirmed`].
    fn publish(&mut self, body: &[u8]) -> io::Result<()>;
    /// Waits for confirmations; how many came.
    fn confirmed(&mut self) -> io::Result<usize>;
}

/// A connection that consumes.
pub(crate) trait Consumer: Send {
    /// Receives some messages, at most those it may hold, and acknowledges them; how many.
    /// Zero when the queue is empty.
    fn take(&mut self) -> io::Result<usize>;
}

impl Kind {
    fn port(self) -> u16 {
        match self {
            Self::Synap => 6379,
            Self::Rabbitmq => 5672,
            Self::Nats => 4222,
        }
    }

    /// Makes the queue anew, empty.
    fn prepare(self, at: SocketAddr, queue: &str) -> io::Result<()> {
        match self {
            Self::Synap => synap::prepare(at, queue),
            Self::Rabbitmq => amqp::prepare(at, queue),
            Self::Nats => nats::prepare(at, queue),
        }
    }

    pub(crate) fn producer(self, at: SocketAddr, queue: &str) -> io::Result<Box<dyn Producer>> {
        Ok(match self {
            Self::Synap => Box::new(synap::Client::connect(at, queue, 1)?),
            Self::Rabbitmq => Box::new(amqp::Publisher::connect(at, queue)?),
            Self::Nats => Box::new(nats::Publisher::connect(at, queue)?),
        })
    }

    pub(crate) fn consumer(
        self,
        at: SocketAddr,
        queue: &str,
        prefetch: usize,
    ) -> io::Result<Box<dyn Consumer>> {
        Ok(match self {
            Self::Synap => Box::new(synap::Client::connect(at, queue, prefetch)?),
            Self::Rabbitmq => Box::new(amqp::Receiver::connect(at, queue, prefetch)?),
            Self::Nats => Box::new(nats::Receiver::connect(at, queue, prefetch)?),
        })
    }
}

/// Runs the phases and prints what came out; whether every message came back.
pub(crate) fn run(args: &BrokerArgs) -> io::Result<bool> {
    if let Some(cpu) = args.cpu {
        pin_thread(&[cpu]).map_err(|error| io::Error::other(error.to_string()))?;
    }
    let port = args.port.unwrap_or_else(|| args.kind.port());
    let at = (args.host.as_str(), port).to_socket_addrs()?.next();
    let at = at.ok_or_else(|| io::Error::other("the host has no address"))?;
    args.kind.prepare(at, &args.queue)?;
    let phase = Phase { kind: args.kind, at, queue: &args.queue, server_pid: args.server_pid };
    if args.depth > 0 {
        phase.publish(4, 64, args.depth, args.size)?;
    }
    let published = phase.publish(args.producers, args.in_flight, args.messages, args.size)?;
    report(args, "publish", &published);
    if args.consumers == 0 {
        return Ok(true);
    }
    let consumed = phase.consume(args.consumers, args.prefetch, args.messages)?;
    report(args, "consume and acknowledge", &consumed);
    Ok(consumed.done == args.messages)
}

fn report(args: &BrokerArgs, what: &str, outcome: &PhaseOutcome) {
    let rate = outcome.done as f64 / outcome.elapsed.as_secs_f64();
    let quantile = |q| outcome.latency.value_at_quantile(q) as f64 / 1e3;
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    let cpu = outcome.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / outcome.done.max(1) as f64);
    if args.json {
        let line = json!({
            "broker": format!("{:?}", args.kind).to_lowercase(), "phase": what, "rate": rate,
            "done": outcome.done, "p50_us": p50, "p99_us": p99, "server_cpu_us": cpu,
            "server_rss_bytes": outcome.rss,
        });
        println!("{line}");
        return;
    }
    let name = format!("{:?}", args.kind).to_lowercase();
    println!("{name}: {what}: {rate:.0} messages/s, p50 {p50:.0} µs, p99 {p99:.0} µs");
    if let Some(cpu) = cpu {
        println!("  server CPU: {cpu:.2} µs per message");
    }
    if let Some(rss) = outcome.rss {
        println!("  server RSS: {:.1} MiB", rss as f64 / 1_048_576.0);
    }
}
