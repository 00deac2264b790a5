//! Start-up and shutdown, as named steps: check the machine, lock the data directory, recover,
//! raise the epoch, bind, start the cores, and only then say "ready". Listeners open last, so no
//! client sees a half-recovered server; until then the HTTP port answers 503.

mod cores;
pub mod recover;
mod settings;
mod starting;
mod supervise;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;

use synap_io::cpus::{Allowed, Placement};
use synap_io::executor::CorePlan;
use synap_io::lock::DirLock;
use synap_io::signal::Blocked;
use synap_io::{clock, probe};
use synap_shards::id::CoreId;
use synap_shards::key::ShardMap;
use synap_shards::shard::evict::AccessMode;

use crate::auth::store::Store;
use crate::auth::{Authority, FirstPassword};
use crate::cold::{self, Cold};
use crate::config::{Config, FsyncMode, Loaded, SlowConsumer, Sources};
use crate::doctor;
use crate::fatal::Fatal;
use crate::logging::Logs;
use crate::metrics::CoreMetrics;
use crate::notify::Notifier;
use crate::protocol::http::dss::{DssOptions, Surface};
use crate::protocol::http::route::HttpOptions;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::snapshot::coordinator::{Coordinator, Options};
use crate::snapshot::{Input, Snapshots};
use crate::tls::Tls;
use crate::transactions::HttpTransactions;
use cores::Seeds;
use recover::{Progress, Recovered};
use starting::{Door, Starting};

/// Serves until told to stop.
///
/// # Errors
/// Whatever keeps the server from starting, or from going on.
pub fn run(blocked: Blocked, sources: Sources) -> Result<(), Fatal> {
    let loaded = Config::load(&sources).map_err(Fatal::Config)?;
    let logs = Logs::install(&loaded.config.logging).map_err(Fatal::Logging)?;
    announce(&loaded);
    let config = &loaded.config;
    let unsupported = config.unsupported();
    if !unsupported.is_empty() {
        return Err(Fatal::Unsupported(unsupported));
    }
    let notifier = Notifier::from_env().map_err(start("open the service manager's socket"))?;
    let (control, events) = mpsc::channel();
    let signals = control.clone();
    blocked
        .listen(move |signal| {
            // When nobody listens any more, the process is ending already.
            let _ended = signals.send(supervise::Event::Signal(signal));
        })
        .map_err(start("start the signal thread"))?;
    prepare_machine(config)?;
    let tls = load_tls(config)?;
    let lock = lock_data(&config.data_dir)?;
    let authority = access(&loaded)?;
    let placement = place(config)?;
    let settings = Settings::from_config(config);
    let recovered = recover(config, settings.access_mode(), tls.as_deref(), &notifier)?;
    let listeners = cores::bind(config, placement.cpus.len())?;
    let (answers, inbox) = mpsc::channel();
    let options = Options::from_config(config, recovered.history.epoch);
    let asks = options.is_some().then(|| answers.clone());
    let (cold, cold_inboxes) = Cold::new(&config.topics.base_dir);
    let cold = config.persistence.enabled.then_some(cold);
    let parts = (asks, cold, authority);
    let shared = Arc::new(facts(&loaded, &listeners, placement.cpus.len(), parts));
    let plans = plans(&placement);
    let seeds = Seeds {
        config,
        shared: &shared,
        settings: &settings,
        recovered,
        listeners,
        tls: tls.clone(),
    };
    let running = cores::start(&plans, seeds, &control)?;
    if shared.cold.is_some() {
        cold::start(&shared, cold_inboxes, &running.inboxes)
            .map_err(start("start the threads that write and read events"))?;
    }
    let coordinator = options.map(|options| {
        let cores = running.inboxes.clone();
        Coordinator::new(options, Arc::clone(&shared), cores, (answers, inbox)).start()
    });
    let coordinator =
        coordinator.transpose().map_err(start("start the thread that takes snapshots"))?;
    let scheme = if shared.http_is_tls { "https" } else { "http" };
    tracing::info!(
        http = %format_args!("{scheme}://{}", shared.http_address),
        https = shared.https_address.map(tracing::field::display),
        resp = shared.resp_address.map(tracing::field::display),
        resp_tls = shared.resp_tls_address.map(tracing::field::display),
        dss_queue = shared.dss_queue_address.map(tracing::field::display),
        cores = plans.len(),
        data = %shared.data_directory.display(),
        "synap {} is ready",
        env!("CARGO_PKG_VERSION"),
    );
    let result = supervise::run(running, events, &shared, &notifier, (loaded, sources, logs, tls));
    if result.is_ok()
        && let Some(coordinator) = coordinator
    {
        // It was told to stop with the cores; what it left unfinished is gone when it ends.
        coordinator.join().expect("the thread handles every error");
    }
    drop(lock);
    result
}

fn announce(loaded: &Loaded) {
    #[cfg(feature = "fault-injection")]
    tracing::warn!(
        plan = synap_io::fault::PLAN_VARIABLE,
        "built with fault injection: for tests only, this server loses data when told to"
    );
    match &loaded.file {
        Some(file) => tracing::info!(file = %file.display(), "configuration read"),
        None => tracing::info!("no configuration file, built-in defaults are in effect"),
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for key in loaded.config.dormant() {
        tracing::warn!(key, "this key has no effect in this version");
    }
}

fn start(what: &'static str) -> impl FnOnce(std::io::Error) -> Fatal {
    move |source| Fatal::Start { what, source }
}

fn prepare_machine(config: &Config) -> Result<(), Fatal> {
    let limit = probe::raise_nofile().map_err(start("raise the limit of open files"))?;
    tracing::debug!(?limit, "open files");
    for check in doctor::startup(config).map_err(Fatal::Environment)? {
        if check.status == doctor::Status::Warn {
            tracing::warn!("{}", doctor::explain(&check));
        }
    }
    Ok(())
}

fn load_tls(config: &Config) -> Result<Option<Arc<Tls>>, Fatal> {
    if !config.uses_tls() {
        return Ok(None);
    }
    let tls = Tls::load(&config.server.tls).map_err(Fatal::Tls)?;
    tls.announce(clock::unix_ms() / 1000);
    Ok(Some(Arc::new(tls)))
}

/// Of a mode: others than owner and group may write.
const OTHERS_MAY_WRITE: u32 = 0o002;

fn lock_data(directory: &Path) -> Result<DirLock, Fatal> {
    std::fs::create_dir_all(directory).map_err(start("create the data directory"))?;
    let metadata = std::fs::metadata(directory).map_err(start("look at the data directory"))?;
    if metadata.permissions().mode() & OTHERS_MAY_WRITE != 0 {
        // Not refused: volumes of orchestrators are made like that, each in a container of its own.
        tracing::warn!(
            directory = %directory.display(),
            "everybody on this machine may write to the data directory, and so change the data and \
             who may log in; unless it is a container's own: chmod o-w"
        );
    }
    Ok(DirLock::acquire(directory)?)
}

/// Access control, and what is to be told of it at a start.
fn access(loaded: &Loaded) -> Result<Arc<Authority>, Fatal> {
    let config = &loaded.config;
    let store = Store::of(&config.data_dir);
    let opened = Authority::open(config.access.clone(), store, clock::unix_ms());
    let (authority, first) = opened.map_err(|error| Fatal::access(loaded.file.clone(), error))?;
    if let Some(FirstPassword { user, password, path }) = first {
        let password = String::from_utf8_lossy(password.expose());
        // The log is kept and read by others; this is told to who started the server.
        eprintln!("synap-server: first start: made user `{user}` with password {password}");
        if let Some(path) = path {
            eprintln!("synap-server: it is also in {}, until it is changed", path.display());
        }
    }
    if config.is_public() && !authority.current().1.is_enabled() {
        tracing::warn!(
            "anyone who reaches this server may do everything: a listener is reachable from other \
             machines, and `authentication.enabled` is false"
        );
    }
    Ok(authority)
}

fn place(config: &Config) -> Result<Placement, Fatal> {
    let allowed = Allowed::detect().map_err(start("find out which CPUs are allowed"))?;
    let placement = allowed
        .place(config.server.workers, config.server.cpu_list.as_deref())
        .map_err(Fatal::Placement)?;
    for note in &placement.notes {
        tracing::warn!("{note}");
    }
    Ok(placement)
}

/// Cores that share a CPU are left to the kernel: pinned together, one would wait for the other's
/// time slice to end.
fn plans(placement: &Placement) -> Vec<CorePlan> {
    let shares = |cpu: usize| placement.cpus.iter().filter(|other| **other == cpu).count() > 1;
    let plan = |(core, cpu): (usize, &usize)| CorePlan {
        core: CoreId::new(core),
        cpu: (!shares(*cpu)).then_some(*cpu),
    };
    placement.cpus.iter().enumerate().map(plan).collect()
}

/// Recovers, and answers on the HTTP port meanwhile.
fn recover(
    config: &Config,
    mode: AccessMode,
    tls: Option<&Tls>,
    notifier: &Notifier,
) -> Result<Recovered, Fatal> {
    let progress = Arc::new(Progress::new());
    let _starting = Starting::answer(&doors(config, tls)?, Arc::clone(&progress))?;
    if !config.persistence.enabled {
        return Ok(Recovered::nothing(mode));
    }
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = recover::Options::from_config(config, mode, cpus);
    recover::run(&options, &progress, Some(notifier))
}

/// The HTTP ports, to be answered on while starting.
fn doors(config: &Config, tls: Option<&Tls>) -> Result<Vec<Door>, Fatal> {
    let sealed = || tls.map(|tls| Arc::clone(&tls.http));
    let unresolved = || start("resolve server.host");
    let address = config.http_addr().map_err(unresolved())?;
    let tls = if config.http_is_tls() { sealed() } else { None };
    let mut doors = vec![Door { key: "server.port", address, tls, surface: Surface::Synap }];
    if let Some(address) = config.https_addr().map_err(unresolved())? {
        let surface = Surface::Synap;
        doors.push(Door { key: "server.tls.port", address, tls: sealed(), surface });
    }
    if let Some(address) = config.dss_queue_addr().map_err(start("resolve dss.host"))? {
        let tls = if config.dss.tls_enabled { sealed() } else { None };
        let surface = Surface::DssQueue;
        doors.push(Door { key: "dss.queue_port", address, tls, surface });
    }
    Ok(doors)
}

fn facts(
    loaded: &Loaded,
    listeners: &cores::Bound,
    cores: usize,
    (asks, cold, authority): (Option<mpsc::Sender<Input>>, Option<Cold>, Arc<Authority>),
) -> Shared {
    let config = &loaded.config;
    let file = loaded.file.as_ref().map(|file| {
        let absolute = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        absolute.display().to_string()
    });
    let random: String = (0..3).map(|_| format!("{:016x}", clock::entropy())).collect();
    let started_unix_ms = clock::unix_ms();
    Shared {
        started_unix_ms,
        run_id: random[..40].to_owned(),
        config_file: file.unwrap_or_default(),
        data_directory: config.data_dir.clone(),
        http_address: listeners.http_address,
        resp_address: listeners.resp_address,
        http_is_tls: config.http_is_tls(),
        https_address: listeners.https_address,
        resp_tls_address: listeners.resp_tls_address,
        dss_queue_address: listeners.dss_queue_address,
        shard_ports: config.server.shard_ports,
        shard_map: ShardMap::new(cores),
        persistence: config.persistence.enabled,
        fsync_mode: match config.persistence.wal.fsync_mode {
            FsyncMode::Always => "always",
            FsyncMode::Periodic => "periodic",
            FsyncMode::Never => "never",
        },
        http: http_options(config, authority.current().1.is_enabled()),
        stopping: AtomicBool::new(false),
        hurry: AtomicBool::new(false),
        drained: AtomicUsize::new(0),
        logs_full: AtomicUsize::new(0),
        snapshots: asks.map(|asks| Snapshots::new(asks, started_unix_ms)),
        cold,
        authority,
        buckets: crate::limits::Buckets::default(),
        addresses: crate::limits::Addresses::default(),
        alive: crate::alive::Alive::new(cores),
        transactions: HttpTransactions::default(),
        mailboxes: crate::mailboxes::Mailboxes::default(),
        acl_log_hidden: std::sync::atomic::AtomicU64::new(0),
        captures: crate::captures::Captures::new(cores),
        scripts: Arc::default(),
        topics: Arc::default(),
        script_gauges: (0..cores).map(|_| Arc::default()).collect(),
        metrics: (0..cores).map(|_| CoreMetrics::default()).collect(),
    }
}

fn http_options(config: &Config, asks_who: bool) -> HttpOptions {
    HttpOptions {
        echo_prefix: config.server.echo_prefix.clone(),
        without_websocket: !config.server.websocket_enabled,
        websocket_echo_path: config.server.websocket_echo_path.clone(),
        websocket_ping_secs: config.server.websocket_ping_secs,
        websocket_pong_timeout_secs: config.server.websocket_pong_timeout_secs,
        without_pubsub: !config.pubsub.enabled,
        slow_messages_max: config.pubsub.channel_capacity,
        keeps_last_values: config.pubsub.keep_last_value,
        slow_disconnects: config.pubsub.slow_consumer == SlowConsumer::Disconnect,
        command_path: {
            let envelopes = &config.protocols.streamable_http;
            envelopes.enabled.then(|| envelopes.path.clone())
        },
        cors_origins: config.server.cors.allowed_origins.clone(),
        without_rest: !config.protocols.rest.enabled,
        without_metrics: !config.monitoring.enabled,
        dss: DssOptions {
            node_id: config.dss.node_id.clone(),
            origins: config.dss.allowed_origins.clone(),
            asks_who,
        },
    }
}
