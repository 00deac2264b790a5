//! What one ordinary client notices of its neighbours: it sends at a fixed rate, first alone, then
//! beside clients that take as much as they can.
//!
//! Guarantees: both phases are open loops with the same requests, so a stall shows in each request
//! that it delayed; what the neighbours managed to do is printed, because neighbours that were cut
//! off disturb nobody. Their failures are counted and do not end the run.

mod noise;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::load::{
    self, Distribution, KeyShape, KeySpace, Limit, LoadError, LoadSpec, Mix, Op, Outcome, Pace,
    Protocol, RequestSpec,
};
use noise::Noise;

/// Bytes of a key of the ordinary client.
const KEY_BYTES: usize = 20;
/// Bytes of its values.
const VALUE_BYTES: usize = 100;
/// Its keys.
const KEYS: u32 = 1_000;

/// Options of `synap-bench neighbour`.
#[derive(Args, Debug)]
pub(crate) struct NeighbourArgs {
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// RESP port.
    #[arg(short, long, default_value_t = 6379)]
    port: u16,
    /// Requests per second of the ordinary client.
    #[arg(short, long, default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Seconds of each phase.
    #[arg(short, long, default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Clients that send pipelines without end.
    #[arg(long, default_value_t = 2)]
    flood: usize,
    /// Requests in each of their writes.
    #[arg(long, default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pipeline: u32,
    /// Clients that fetch large values without end.
    #[arg(long, default_value_t = 1)]
    large: usize,
    /// Bytes of those values.
    #[arg(long, default_value_t = 10 << 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=536_870_912))]
    large_size: u32,
    /// Connections that send a command a byte per second.
    #[arg(long, default_value_t = 1_000)]
    slow: usize,
    /// Connections made, used once and closed per second.
    #[arg(long, default_value_t = 1_000)]
    connects: u32,
    /// The ordinary client has a connection to this core.
    #[arg(long)]
    only_core: Option<usize>,
    /// Most milliseconds that its p99.9 may be beside the neighbours; more is a failure.
    #[arg(long)]
    bound_ms: Option<f64>,
}

/// Runs both phases and prints what came out; false when requests failed or the bound is passed.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) fn run(args: &NeighbourArgs) -> Result<bool, LoadError> {
    let addr = SocketAddr::new(args.host, args.port);
    let spec = ordinary(args, addr);
    load::preload(&spec)?;
    let quiet = load::run(&spec)?;
    show("quiet", &quiet);
    let noise = Noise::begin(addr, args)?;
    let disturbed = load::run(&spec)?;
    let managed = noise.end();
    show("disturbed", &disturbed);
    println!("neighbours: {managed}");
    let (before, after) = (quiet.latency_us(0.999), disturbed.latency_us(0.999));
    println!("p99.9: {before:.0} µs quiet, {after:.0} µs disturbed, {:.1} times", after / before);
    let failed = disturbed.tally.failed() + disturbed.tally.unsent;
    let is_within = args.bound_ms.is_none_or(|bound| after <= bound * 1_000.0);
    Ok(failed == 0 && is_within)
}

fn ordinary(args: &NeighbourArgs, addr: SocketAddr) -> LoadSpec {
    let shape = KeyShape { len: KEY_BYTES };
    let keys = KeySpace::new(KEYS, Distribution::Uniform, 0.5, None, |id| shape.key(id));
    LoadSpec {
        addr,
        request: RequestSpec {
            protocol: Protocol::Resp,
            keys: shape,
            value_size: VALUE_BYTES,
            mix: Mix::only(Op::Get),
        },
        keys: keys.expect("without slots every key is there"),
        connections: 1,
        pipeline: 1,
        threads: 1,
        pace: Pace::Open(args.rate.into()),
        limit: Limit::Time(Duration::from_secs(args.duration)),
        warmup: Duration::ZERO,
        cpus: Vec::new(),
        server_pid: None,
        only_core: args.only_core,
        seed: 1,
    }
}

fn show(phase: &str, outcome: &Outcome) {
    println!(
        "{phase}: {} done, latency µs: p50 {:.0} p99 {:.0} p99.9 {:.0} max {:.0}, failed {}, never \
         sent {}",
        outcome.tally.done,
        outcome.latency_us(0.5),
        outcome.latency_us(0.99),
        outcome.latency_us(0.999),
        outcome.tally.latency.max() as f64 / 1e3,
        outcome.tally.failed(),
        outcome.tally.unsent,
    );
}
