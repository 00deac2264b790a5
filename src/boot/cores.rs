//! Binding the listeners and starting the cores, each with its shards, its log and its end of the
//! mesh.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use synap_io::clock;
use synap_io::doorbell::Doorbell;
use synap_io::executor::{self, CorePlan, Cores};
use synap_io::mesh::{Endpoint, mesh};
use synap_io::net::listener::{self, Sharing, bind_group};
use synap_io::reactor::{CONNECTIONS_MAX, Reactor, ReactorOptions};
use synap_io::wal::{LogStart, WalOptions, Writer};
use synap_shards::engine::Engine;
use synap_shards::engine::event::{Acknowledge, EngineSettings, MemorySettings};
use synap_shards::engine::parcel::Parcel;
use synap_shards::engine::script::{ScriptInputs, ScriptSettings};
use synap_shards::engine::topics::{Directory, topics_in};
use synap_shards::id::CoreId;
use synap_shards::key::Namespace;
use synap_shards::shard::Shard;
use synap_shards::shard::libraries::Libraries;
use synap_shards::types::queue::dss_numbers;

use super::recover::Recovered;
use super::{start as start_error, supervise};
use crate::config::{Config, FsyncMode};
use crate::fatal::Fatal;
use crate::pump::{Core, Listeners, Message, Parts};
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tls::Tls;

/// Messages that a ring between two cores holds: one per turn and lane, so few are ever needed.
const MESH_CAPACITY: usize = 1024;

/// Open listeners, one set per core.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) http_address: SocketAddr,
    pub(super) resp_address: Option<SocketAddr>,
    pub(super) https_address: Option<SocketAddr>,
    pub(super) resp_tls_address: Option<SocketAddr>,
    pub(super) dss_queue_address: Option<SocketAddr>,
    sets: Vec<Listeners>,
}

/// Opens every port.
pub(super) fn bind(config: &Config, cores: usize) -> Result<Bound, Fatal> {
    let address = config.http_addr().map_err(start_error("resolve server.host"))?;
    let failed = |key, addr| move |source| Fatal::Bind { key, addr, source };
    let http = bind_group(address, cores).map_err(failed("server.port", address))?;
    let http_address =
        http[0].local_addr().map_err(start_error("read the address of the HTTP port"))?;
    let mut sets: Vec<Listeners> = (0..cores).map(|_| Listeners::default()).collect();
    for (set, listener) in sets.iter_mut().zip(http) {
        let place = if config.http_is_tls() { &mut set.https } else { &mut set.http };
        *place = Some(listener);
    }
    let resp_address = bind_resp(config, &mut sets)?;
    let address = config.https_addr().map_err(start_error("resolve server.host"))?;
    let https_address = bind_own("server.tls.port", address, &mut sets, |set| &mut set.https)?;
    let address = config.resp_tls_addr().map_err(start_error("resolve resp3.host"))?;
    let resp_tls_address = bind_own("resp3.tls_port", address, &mut sets, |set| &mut set.resp_tls)?;
    let address = config.dss_queue_addr().map_err(start_error("resolve dss.host"))?;
    let is_tls = config.dss.tls_enabled;
    let dss_queue_address = bind_own("dss.queue_port", address, &mut sets, |set| match is_tls {
        true => &mut set.dss_queue_tls,
        false => &mut set.dss_queue,
    })?;
    if let Some(address) = resp_address {
        let base = config.server.shard_ports.plain;
        bind_shards("server.shard_port_base", base, address, &mut sets, |set| &mut set.shard)?;
    }
    if let Some(address) = resp_address.or(resp_tls_address) {
        let base = config.server.shard_ports.tls;
        let key = "server.shard_tls_port_base";
        bind_shards(key, base, address, &mut sets, |set| &mut set.shard_tls)?;
    }
    Ok(Bound {
        http_address,
        resp_address,
        https_address,
        resp_tls_address,
        dss_queue_address,
        sets,
    })
}

/// Opens a port for each core alone, if there are to be such, beside `address`.
fn bind_shards(
    key: &'static str,
    base: Option<u16>,
    address: SocketAddr,
    sets: &mut [Listeners],
    place: impl Fn(&mut Listeners) -> &mut Option<TcpListener>,
) -> Result<(), Fatal> {
    let Some(base) = base else { return Ok(()) };
    for (core, set) in sets.iter_mut().enumerate() {
        let port = base.saturating_add(u16::try_from(core).unwrap_or(u16::MAX));
        let addr = SocketAddr::new(address.ip(), port);
        let listener = listener::bind(addr, Sharing::Exclusive);
        *place(set) = Some(listener.map_err(|source| Fatal::Bind { key, addr, source })?);
    }
    Ok(())
}

/// Opens a port that need not be there.
fn bind_own(
    key: &'static str,
    address: Option<SocketAddr>,
    sets: &mut [Listeners],
    place: impl Fn(&mut Listeners) -> &mut Option<TcpListener>,
) -> Result<Option<SocketAddr>, Fatal> {
    let Some(addr) = address else { return Ok(None) };
    let group = bind_group(addr, sets.len()).map_err(|source| Fatal::Bind { key, addr, source })?;
    let bound = group[0].local_addr().map_err(start_error("read the address of a port"))?;
    for (set, listener) in sets.iter_mut().zip(group) {
        *place(set) = Some(listener);
    }
    Ok(Some(bound))
}

fn bind_resp(config: &Config, sets: &mut [Listeners]) -> Result<Option<SocketAddr>, Fatal> {
    if !config.resp3.enabled || config.resp3.port == 0 {
        return Ok(None);
    }
    let address = config.resp_addr().map_err(start_error("resolve resp3.host"))?;
    let group = match bind_group(address, sets.len()) {
        Ok(group) => group,
        Err(error)
            if error.kind() == std::io::ErrorKind::AddrInUse && !config.resp3.port_is_explicit =>
        {
            tracing::warn!(
                %address,
                "the RESP port is taken; going on without RESP. Set `resp3.port` to another port, \
                 or `resp3.enabled` to false"
            );
            return Ok(None);
        }
        Err(source) => return Err(Fatal::Bind { key: "resp3.port", addr: address, source }),
    };
    let bound = group[0].local_addr().map_err(start_error("read the address of the RESP port"))?;
    for (set, listener) in sets.iter_mut().zip(group) {
        set.resp = Some(listener);
    }
    Ok(Some(bound))
}

/// What the cores are made of.
pub(super) struct Seeds<'a> {
    pub(super) config: &'a Config,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) settings: &'a Settings,
    pub(super) recovered: Recovered,
    pub(super) listeners: Bound,
    pub(super) tls: Option<Arc<Tls>>,
}

/// Running cores, and how to reach them.
pub(super) struct Running {
    pub(super) cores: Cores<()>,
    pub(super) inboxes: Vec<(Sender<Message>, Doorbell)>,
}

/// One core's share, waiting for its thread.
struct Seed {
    shards: Vec<Box<Shard>>,
    mesh: Endpoint<Parcel>,
    listeners: Listeners,
    wal: Option<(WalOptions, LogStart)>,
    shared: Arc<Shared>,
    settings: Settings,
    tls: Option<Arc<Tls>>,
    engine: EngineSettings,
    inbox: Receiver<Message>,
    mail: Sender<Message>,
    bells: Receiver<Vec<Doorbell>>,
    reactor: ReactorOptions,
}

/// Starts every core. Each makes its reactor and opens its log first; when all have, each learns
/// how to wake the others and begins to serve.
pub(super) fn start(
    plans: &[CorePlan],
    seeds: Seeds<'_>,
    control: &Sender<supervise::Event>,
) -> Result<Running, Fatal> {
    let count = plans.len();
    let (ready, readies) = mpsc::channel();
    let mut inboxes = Vec::with_capacity(count);
    let mut bell_senders = Vec::with_capacity(count);
    let mut slots = Vec::with_capacity(count);
    for seed in sow(seeds, count, &mut inboxes, &mut bell_senders) {
        slots.push(Mutex::new(Some(seed)));
    }
    let slots = Arc::new(slots);
    let control = control.clone();
    let main = move |core: CoreId| {
        let (slots, ready, control) = (Arc::clone(&slots), ready.clone(), control.clone());
        async move {
            let seed = slots[core.index()].lock().expect("nobody panics holding it").take();
            let seed = seed.expect("each core takes its seed once");
            let result = grow(core, seed, &ready, &control).await;
            // When nobody listens any more, the process is ending already.
            let _ended = control.send(supervise::Event::CoreEnded(result));
        }
    };
    let cores = executor::start(plans, main)
        .map_err(|error| Fatal::Core { core: 0, what: error.to_string() })?;
    for warning in cores.warnings() {
        tracing::warn!(
            core = warning.core.index(),
            cpu = warning.cpu,
            reason = %warning.reason,
            "the core could not be pinned and runs wherever the kernel puts it"
        );
    }
    let mut bells: Vec<Option<Doorbell>> = vec![None; count];
    for _ in 0..count {
        let (core, bell): (CoreId, Result<Doorbell, Fatal>) =
            readies.recv().map_err(|_| core_lost())?;
        bells[core.index()] = Some(bell?);
    }
    let bells: Vec<Doorbell> = bells.into_iter().flatten().collect();
    for sender in &bell_senders {
        sender.send(bells.clone()).map_err(|_| core_lost())?;
    }
    Ok(Running { cores, inboxes: inboxes.into_iter().zip(bells).collect() })
}

fn core_lost() -> Fatal {
    Fatal::Core { core: 0, what: "a core ended while it was starting".to_owned() }
}

fn sow(
    seeds: Seeds<'_>,
    count: usize,
    inboxes: &mut Vec<Sender<Message>>,
    bells: &mut Vec<Sender<Vec<Doorbell>>>,
) -> Vec<Seed> {
    let Seeds { config, shared, settings, recovered, listeners, tls } = seeds;
    let Recovered { shards, history, mut starts, .. } = recovered;
    let epoch = history.epoch;
    let mut by_core: Vec<Vec<Box<Shard>>> = (0..count).map(|_| Vec::new()).collect();
    for shard in shards {
        if shard.id() == Libraries::shard() {
            shared.scripts.recovered(shard.libraries().set());
        }
        for (topic, partitions) in topics_in(std::iter::once(&*shard)) {
            shared.topics.change(&topic, Some(partitions));
        }
        for (key, number) in dss_numbers(&shard) {
            shared.topics.change_queue(&key[Namespace::PREFIX_BYTES..], Some(number));
        }
        by_core[shared.shard_map.owner(shard.id()).index()].push(shard);
    }
    let durable_first = config.persistence.wal.fsync_mode == FsyncMode::Always;
    let acknowledge = match (config.persistence.enabled, durable_first) {
        (false, _) => Acknowledge::Unlogged,
        (true, true) => Acknowledge::OnDisk,
        (true, false) => Acknowledge::OnAppend,
    };
    let memory = MemorySettings {
        limit_bytes: 0,
        limit_keys: 0,
        policy: settings.eviction_policy,
        sample_size: settings.eviction_sample_size,
        mode: settings.access_mode(),
        notices: settings.notices,
        thresholds: settings.thresholds,
    };
    // How many there may be is the cores' to say, which know of each other's.
    let reactor = ReactorOptions { connections_max: CONNECTIONS_MAX, ..ReactorOptions::default() };
    let parts = by_core.into_iter().zip(mesh(count, MESH_CAPACITY)).zip(listeners.sets);
    parts
        .enumerate()
        .map(|(core, ((shards, mesh), listeners))| {
            let (inbox_sender, inbox) = mpsc::channel();
            let (bell_sender, bell_receiver) = mpsc::channel();
            inboxes.push(inbox_sender.clone());
            bells.push(bell_sender);
            let wal = config.persistence.enabled.then(|| {
                let core = CoreId::new(core);
                let start = starts.remove(&core).unwrap_or_else(LogStart::fresh);
                (super::recover::wal_options(config, core, epoch), start)
            });
            Seed {
                shards,
                mesh,
                listeners,
                wal,
                shared: Arc::clone(shared),
                settings: settings.clone(),
                tls: tls.clone(),
                engine: EngineSettings { epoch, acknowledge, memory },
                inbox,
                mail: inbox_sender,
                bells: bell_receiver,
                reactor: reactor.clone(),
            }
        })
        .collect()
}

/// The life of one core, on its thread.
async fn grow(
    core: CoreId,
    mut seed: Seed,
    ready: &Sender<(CoreId, Result<Doorbell, Fatal>)>,
    control: &Sender<supervise::Event>,
) -> Result<(), Fatal> {
    let (reactor, wal) = match equip(core, &seed.reactor, seed.wal.take()) {
        Ok(equipped) => equipped,
        Err(error) => {
            // The start waits for this report; without a listener it has failed already.
            let _gone = ready.send((core, Err(error)));
            return Ok(());
        }
    };
    if ready.send((core, Ok(reactor.doorbell()))).is_err() {
        return Ok(());
    }
    let Ok(bells) = seed.bells.recv() else { return Ok(()) };
    let mut mesh = seed.mesh;
    mesh.connect(bells);
    let map = seed.shared.shard_map.clone();
    let mut engine = Engine::new(core, map, seed.shards, seed.engine, clock::entropy());
    let registry: Arc<Scripts> = Arc::clone(&seed.shared.scripts);
    let gauge = Arc::clone(&seed.shared.script_gauges[core.index()]);
    let inputs = ScriptInputs { registry, gauge, clock: clock::monotonic_ns };
    // The core brings the settings before it serves anybody.
    engine.enable_scripts(inputs, ScriptSettings::default());
    engine.share_topics(Arc::clone(&seed.shared.topics) as Arc<dyn Directory>);
    let control = control.clone();
    let parts = Parts {
        reactor,
        mesh,
        engine,
        wal,
        shared: seed.shared,
        settings: seed.settings,
        tls: seed.tls,
        inbox: seed.inbox,
        mail: seed.mail,
        ask_to_stop: Box::new(move || {
            let _ended = control.send(supervise::Event::StopAsked);
        }),
    };
    Core::new(core, parts, seed.listeners).run().await
}

/// What a core needs of the machine: its reactor, and the log open for writing.
fn equip(
    core: CoreId,
    reactor: &ReactorOptions,
    wal: Option<(WalOptions, LogStart)>,
) -> Result<(Reactor, Option<Writer>), Fatal> {
    let reactor = Reactor::new(reactor)
        .map_err(|error| Fatal::Core { core: core.index(), what: error.to_string() })?;
    let wal = match wal {
        Some((options, start)) => Some(Writer::open(options, start, &reactor)?),
        None => None,
    };
    Ok((reactor, wal))
}
