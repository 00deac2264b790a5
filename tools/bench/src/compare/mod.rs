//! The `compare` subcommand: the same loads against a local Redis and Synap in turn.
//!
//! Guarantees: one server runs at a time, pinned to its CPUs, the client to its own; rounds
//! alternate which server goes first; medians over the rounds are reported. Builds nothing.

mod results;
mod scenario;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io, thread};

use clap::Args;

use crate::load::{
    self, Distribution, KeyShape, KeySpace, Limit, LoadError, LoadSpec, Mix, Op, Pace, Protocol,
    RequestSpec, SlotRanges,
};
use crate::procfs;
use results::{Results, Sample};
use scenario::{Kind, Scenario, Setup};
use server::{Launch, Server, Who};

/// Length of the keys in bytes.
const KEY_SIZE: usize = 20;
/// Pipeline of the runs that compare a local with a remote core.
const ONE_CORE_PIPELINE: usize = 16;
/// Slots of a two-core server: core 0 owns the lower half.
const CORE_SLOTS: [(u16, u16); 2] = [(0, 8_191), (8_192, 16_383)];
/// How long a background sync may be behind before the kill of the restart scenario.
const SYNC_PAUSE: Duration = Duration::from_secs(3);

/// Options of `synap-bench compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The server binary; the file `synap-server` beside this program unless given.
    #[arg(long)]
    synap_bin: Option<PathBuf>,
    /// The Redis binary.
    #[arg(long, default_value = "redis-server")]
    redis_bin: PathBuf,
    /// Servers to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["redis", "synap"])]
    servers: Vec<Who>,
    /// Scenarios to run, all unless given; see --list.
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// Print the names of the scenarios and stop.
    #[arg(long)]
    list: bool,
    /// One short round with a tenth of the keys: shows that everything runs, measures little.
    #[arg(long)]
    quick: bool,
    /// Rounds; the report shows medians over them.
    #[arg(long, default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each load.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Keys loaded before the runs.
    #[arg(long, default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Length of each value in bytes.
    #[arg(long, default_value_t = 100)]
    value_size: usize,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Requests per second of the paced scenario.
    #[arg(long, default_value_t = 30_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// CPU of the server; the two-core scenarios add the client's.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the client.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Where data directories are made: a real disk, or the durable scenarios mean nothing.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Further environment of Synap, KEY=VALUE, repeatable.
    #[arg(long = "synap-env")]
    #[arg(value_parser = key_value)]
    synap_env: Vec<(String, String)>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("expected KEY=VALUE, found {text:?}"))
}

/// Why a comparison could not be made.
#[derive(Debug)]
pub(crate) enum CompareError {
    /// No scenario has this name.
    UnknownScenario(String),
    /// The program could not be started.
    Spawn { who: Who, binary: PathBuf, source: io::Error },
    /// The server ended or stayed silent; carries the end of its output.
    NoStart { who: Who, output: String },
    /// The server did not end after SIGTERM.
    NoStop { who: Who, waited: Duration },
    /// A key that was written and synced is gone after the restart.
    KeyLost { who: Who, key: String },
    /// Loading the keys failed; carries the failures by kind.
    Preload { who: Who, failures: String },
    /// Something on the client's side failed.
    Client { what: &'static str, source: io::Error },
    /// A load could not be run.
    Load(LoadError),
}

impl fmt::Display for CompareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScenario(name) => write!(f, "no scenario {name:?}; see --list"),
            Self::Spawn { who, binary, source } => {
                write!(f, "cannot start {} ({}): {source}", who.name(), binary.display())?;
                match who {
                    Who::Redis => f.write_str("; install redis-server or give --redis-bin"),
                    Who::Synap => f.write_str("; `cargo build --release` or give --synap-bin"),
                }
            }
            Self::NoStart { who, output } => {
                write!(f, "{} did not answer; the end of its output:\n{output}", who.name())
            }
            Self::NoStop { who, waited } => {
                write!(f, "{} still runs {waited:?} after SIGTERM", who.name())
            }
            Self::KeyLost { who, key } => write!(f, "{} lost key {key}", who.name()),
            Self::Preload { who, failures } => {
                write!(f, "loading keys into {} failed: {failures}", who.name())
            }
            Self::Client { what, source } => write!(f, "{what}: {source}"),
            Self::Load(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for CompareError {}

impl From<LoadError> for CompareError {
    fn from(e: LoadError) -> Self {
        Self::Load(e)
    }
}

/// Runs the comparison and prints it; false when requests failed.
///
/// # Errors
/// When a server cannot be started or a load cannot be run.
pub(crate) fn compare(args: &CompareArgs) -> Result<bool, CompareError> {
    if args.list {
        scenario::ALL.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(true);
    }
    let plan = Plan::new(args)?;
    eprintln!(
        "{} keys of {KEY_SIZE} bytes, values of {} bytes, {} connections, {} round(s) of {:?}; \
         data on {} ({})",
        plan.keys.len(),
        args.value_size,
        args.connections,
        plan.rounds,
        plan.time,
        plan.root.display(),
        filesystem(&plan.root)
    );
    let mut results = Results::default();
    for round in 0..plan.rounds {
        for setup in Setup::ALL {
            let mut order = args.servers.clone();
            if round % 2 == 1 {
                order.reverse();
            }
            for who in order {
                plan.one_server(who, setup, round, &mut results)?;
            }
        }
    }
    if args.json {
        println!("{}", results.json());
    } else {
        println!("{}", results.text());
    }
    Ok(results.clean())
}

/// What is run, with every default filled in.
struct Plan<'a> {
    args: &'a CompareArgs,
    scenarios: Vec<Scenario>,
    keys: KeySpace,
    rounds: u32,
    time: Duration,
    warmup: Duration,
    root: PathBuf,
}

impl<'a> Plan<'a> {
    fn new(args: &'a CompareArgs) -> Result<Self, CompareError> {
        let known = |name: &str| scenario::ALL.iter().any(|scenario| scenario.name == name);
        if let Some(name) = args.scenario.iter().find(|name| !known(name)) {
            return Err(CompareError::UnknownScenario(name.clone()));
        }
        let wanted = |scenario: &Scenario| {
            args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name)
        };
        let count = if args.quick { (args.keys / 10).max(1) } else { args.keys };
        let (rounds, millis) =
            if args.quick { (1, 1_000) } else { (args.rounds, args.seconds * 1_000) };
        Ok(Self {
            args,
            scenarios: scenario::ALL.into_iter().filter(wanted).collect(),
            keys: key_space(count, None)?,
            rounds,
            time: Duration::from_millis(millis.max(100)),
            warmup: Duration::from_millis(millis / 4),
            root: args.dir.clone().unwrap_or_else(env::temp_dir),
        })
    }

    /// Starts one server in one set-up and runs its scenarios.
    fn one_server(
        &self,
        who: Who,
        setup: Setup,
        round: u32,
        results: &mut Results,
    ) -> Result<(), CompareError> {
        let concerns = |scenario: &&Scenario| {
            let synap_only = matches!(scenario.kind, Kind::OneCore { .. });
            scenario.setup == setup && (who == Who::Synap || !synap_only)
        };
        let scenarios: Vec<_> = self.scenarios.iter().filter(concerns).collect();
        if scenarios.is_empty() {
            return Ok(());
        }
        let mut server = Server::start(self.launch(who, setup)?)?;
        let idle = self.rss(&server)?;
        let loaded = load::preload(&self.spec(&server, Protocol::Resp, Mix::only(Op::Set)))?;
        if loaded.tally.failed() > 0 {
            let failures = format!("{:?}", loaded.tally.errors);
            return Err(CompareError::Preload { who, failures });
        }
        let full = self.rss(&server)?;
        for scenario in scenarios {
            eprintln!("round {} {:<6} {}", round + 1, who.name(), scenario.name);
            let per_key = |bytes: u64| Sample::of_value(bytes as f64 / self.keys.len() as f64);
            let sample = match scenario.kind {
                Kind::MemoryAdded => per_key(full.saturating_sub(idle)),
                Kind::MemoryTotal => per_key(full),
                Kind::Restart => self.restart(&mut server)?,
                Kind::Load { .. } | Kind::OneCore { .. } => {
                    match load::run(&self.load_spec(who, &server, scenario.kind)?) {
                        Ok(outcome) => Sample::of_load(&outcome),
                        Err(e @ LoadError::Core { .. }) => {
                            results.note(format!("{} was not measured: {e}", scenario.name));
                            continue;
                        }
                        Err(e) => return Err(e.into()),
                    }
                }
            };
            results.add(scenario.name, who, sample);
        }
        server.stop()
    }

    fn restart(&self, server: &mut Server) -> Result<Sample, CompareError> {
        thread::sleep(SYNC_PAUSE);
        let key = KeyShape { len: KEY_SIZE }.key(self.keys.at(self.keys.len() - 1));
        Ok(Sample::of_value(server.kill_and_restart(&key)?.as_secs_f64()))
    }

    fn launch(&self, who: Who, setup: Setup) -> Result<Launch, CompareError> {
        let binary = match who {
            Who::Redis => self.args.redis_bin.clone(),
            Who::Synap => match &self.args.synap_bin {
                Some(path) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
                None => beside_us("synap-server")?,
            },
        };
        let mut cpus = vec![self.args.server_cpu];
        if setup == Setup::TwoCores {
            cpus.push(self.args.client_cpu);
        }
        let (root, env) = (self.root.clone(), self.args.synap_env.clone());
        Ok(Launch { who, binary, setup, cpus, root, env })
    }

    /// The load of a scenario. Redis has no HTTP: it answers the same operation over RESP.
    fn load_spec(&self, who: Who, server: &Server, kind: Kind) -> Result<LoadSpec, CompareError> {
        let (pipeline, protocol, paced) = match kind {
            Kind::Load { pipeline, protocol, paced, .. } => (pipeline, protocol, paced),
            _ => (ONE_CORE_PIPELINE, Protocol::Resp, false),
        };
        let protocol = if who == Who::Redis { Protocol::Resp } else { protocol };
        let mut spec = self.spec(server, protocol, kind.mix());
        spec.pipeline = pipeline;
        if paced {
            spec.pace = Pace::Open(f64::from(self.args.rate));
        }
        if let Kind::OneCore { remote } = kind {
            spec.only_core = Some(0);
            let slots = SlotRanges::from_bounds(vec![CORE_SLOTS[usize::from(remote)]]);
            spec.keys = key_space(self.keys.len() as u32, Some(&slots))?;
        }
        Ok(spec)
    }

    fn spec(&self, server: &Server, protocol: Protocol, mix: Mix) -> LoadSpec {
        let keys = KeyShape { len: KEY_SIZE };
        let value_size = self.args.value_size;
        LoadSpec {
            addr: if protocol == Protocol::Http { server.http() } else { server.resp() },
            request: RequestSpec { protocol, keys, value_size, mix },
            keys: self.keys.clone(),
            connections: self.args.connections as usize,
            pipeline: 1,
            threads: 1,
            pace: Pace::Closed,
            limit: Limit::Time(self.time),
            warmup: self.warmup,
            cpus: vec![self.args.client_cpu],
            server_pid: Some(server.pid()),
            only_core: None,
            seed: 1,
        }
    }

    fn rss(&self, server: &Server) -> Result<u64, CompareError> {
        let pid = server.pid();
        procfs::rss_bytes(pid).map_err(|source| LoadError::Server { pid, source }.into())
    }
}

/// The keys `0..count` in `slots`. Empty only for tiny counts, reported as a client error.
fn key_space(count: u32, slots: Option<&SlotRanges>) -> Result<KeySpace, CompareError> {
    let render = |id| KeyShape { len: KEY_SIZE }.key(id);
    KeySpace::new(count, Distribution::Uniform, 0.99, slots, render).ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "no key in these slots");
        CompareError::Client { what: "key space", source }
    })
}

fn beside_us(name: &str) -> Result<PathBuf, CompareError> {
    let own = env::current_exe();
    own.map(|own| own.with_file_name(name))
        .map_err(|source| CompareError::Client { what: "own path", source })
}

/// The type of the filesystem that holds `path`, from the mount table.
fn filesystem(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::to_owned);
        let (point, kind) = (fields.next()?, fields.next()?);
        path.starts_with(&point).then_some((point.len(), kind))
    };
    let best = mounts.lines().filter_map(entry).max_by_key(|(length, _)| *length);
    best.map_or_else(|| "unknown filesystem".to_owned(), |(_, kind)| kind)
}
