//! The `run` subcommand: options of one load run against a server that is already up.
//!
//! Guarantees: contradictory options are refused before a connection is made. Must not start or
//! stop servers.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;

use crate::load::{
    self, Distribution, KeyShape, KeySpace, Limit, LoadError, LoadSpec, Mix, Pace, Protocol,
    RequestSpec, SlotRanges,
};
use crate::report;

/// Most keys in a key space: key numbers are kept as 32 bits where they are listed.
const MAX_KEYS: u64 = u32::MAX as u64;

/// Options of `synap-bench run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// What to speak.
    #[arg(long, value_enum, default_value_t = Protocol::Resp)]
    protocol: Protocol,
    /// Host name or address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port; 6379 for resp and 15500 for http unless given.
    #[arg(short, long)]
    port: Option<u16>,
    /// Operations and weights, from get, set, incr, mset10, ping: `get` or `get=90,set=10`.
    #[arg(short, long, default_value = "get")]
    mix: Mix,
    /// Connections over all threads.
    #[arg(short, long, default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Requests in flight per connection.
    #[arg(short = 'P', long, default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// Client threads, each with its own event loop.
    #[arg(short, long, default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Requests per second over all threads (open loop); without it the loop is closed.
    #[arg(short, long)]
    rate: Option<f64>,
    /// Seconds to measure.
    #[arg(short, long, default_value_t = 10.0, conflicts_with = "requests")]
    duration: f64,
    /// Requests to measure, instead of a duration.
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Seconds of load before the measurement.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Number of keys.
    #[arg(short, long, default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_KEYS))]
    keys: u64,
    /// Length of each key in bytes.
    #[arg(long, default_value_t = 20)]
    key_size: usize,
    /// Length of each value in bytes.
    #[arg(short = 's', long, default_value_t = 100)]
    value_size: usize,
    /// How keys are drawn.
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    distribution: Distribution,
    /// Skew of the zipf distribution, above 0 and below 1.
    #[arg(long, default_value_t = 0.99)]
    zipf_theta: f64,
    /// Use only keys whose hash slot is in these ranges: `0-127,256-383`.
    #[arg(long)]
    keys_slots: Option<SlotRanges>,
    /// Use only connections that this core of the server accepted (field core= of CLIENT INFO).
    #[arg(long)]
    only_core: Option<usize>,
    /// Write every key once before the measurement.
    #[arg(long)]
    preload: bool,
    /// CPUs to pin client threads to, in turn: `1` or `2,3`.
    #[arg(long, value_delimiter = ',')]
    cpu: Vec<usize>,
    /// Process whose CPU time and memory are read from /proc.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Seed of the key sequence.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why a run was refused or failed.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The host name has no address.
    NoAddress(String),
    /// The key is too short for its prefix and digits, or too long.
    KeySize { expected: std::ops::RangeInclusive<usize>, found: usize },
    /// A number of seconds, requests per second or skew that makes no sense.
    OutOfRange { option: &'static str, found: f64 },
    /// `--only-core` needs CLIENT INFO, which HTTP does not have.
    CoreNeedsResp,
    /// No key is left in the slot ranges.
    NoKeys,
    /// The run itself.
    Load(LoadError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(host) => write!(f, "no address found for {host:?}"),
            Self::KeySize { expected, found } => {
                let (low, high) = (expected.start(), expected.end());
                write!(f, "--key-size: expected {low} to {high}, found {found}")
            }
            Self::OutOfRange { option, found } => write!(f, "{option}: {found} is out of range"),
            Self::CoreNeedsResp => f.write_str("--only-core works with --protocol resp only"),
            Self::NoKeys => f.write_str("no key of the key space is in these slots"),
            Self::Load(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

impl From<LoadError> for RunError {
    fn from(e: LoadError) -> Self {
        Self::Load(e)
    }
}

/// Runs the load and prints the result; false when requests failed.
///
/// # Errors
/// When options contradict each other or the server cannot be reached.
pub(crate) fn run(args: &RunArgs) -> Result<bool, RunError> {
    let spec = spec_of(args)?;
    if args.preload {
        let loaded = load::preload(&spec)?;
        if !args.json {
            println!("{}", report::text("preload", &loaded));
        }
        if loaded.tally.failed() > 0 {
            eprintln!("preload failed: {:?}", loaded.tally.errors);
            return Ok(false);
        }
    }
    let outcome = load::run(&spec)?;
    if args.json {
        println!("{}", report::json(&spec, &outcome));
    } else {
        println!("{}", report::text(&spec.request.mix.to_string(), &outcome));
    }
    Ok(outcome.tally.failed() == 0 && outcome.tally.unsent == 0)
}

fn spec_of(args: &RunArgs) -> Result<LoadSpec, RunError> {
    let key_sizes = KeyShape::MIN..=512;
    if !key_sizes.contains(&args.key_size) {
        return Err(RunError::KeySize { expected: key_sizes, found: args.key_size });
    }
    if args.only_core.is_some() && args.protocol == Protocol::Http {
        return Err(RunError::CoreNeedsResp);
    }
    let in_range = |option, value: f64, low: f64, high: f64| {
        let fits = value >= low && value <= high;
        if fits { Ok(value) } else { Err(RunError::OutOfRange { option, found: value }) }
    };
    let theta = in_range("--zipf-theta", args.zipf_theta, 0.01, 0.9999)?;
    let measured = Duration::from_secs_f64(in_range("--duration", args.duration, 0.01, 1e6)?);
    let warmup = in_range("--warmup", args.warmup, 0.0, 1e6)?;
    let rate = args.rate.map(|rate| in_range("--rate", rate, 0.01, 1e9)).transpose()?;
    let shape = KeyShape { len: args.key_size };
    let (count, slots) = (args.keys as u32, args.keys_slots.as_ref());
    let keys = KeySpace::new(count, args.distribution, theta, slots, |id| shape.key(id));
    Ok(LoadSpec {
        addr: address(&args.host, args.port, args.protocol)?,
        request: RequestSpec {
            protocol: args.protocol,
            keys: shape,
            value_size: args.value_size,
            mix: args.mix.clone(),
        },
        keys: keys.ok_or(RunError::NoKeys)?,
        connections: args.connections as usize,
        pipeline: args.pipeline as usize,
        threads: args.threads as usize,
        pace: rate.map_or(Pace::Closed, Pace::Open),
        limit: args.requests.map_or(Limit::Time(measured), Limit::Count),
        warmup: Duration::from_secs_f64(warmup),
        cpus: args.cpu.clone(),
        server_pid: args.server_pid,
        only_core: args.only_core,
        seed: args.seed,
    })
}

fn address(host: &str, port: Option<u16>, protocol: Protocol) -> Result<SocketAddr, RunError> {
    let default = if protocol == Protocol::Resp { 6_379 } else { 15_500 };
    let found = (host, port.unwrap_or(default)).to_socket_addrs().ok();
    found.and_then(|mut found| found.next()).ok_or_else(|| RunError::NoAddress(host.to_owned()))
}
