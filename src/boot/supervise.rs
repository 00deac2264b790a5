//! The main thread while the cores work: signals, reload, watchdog, the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use synap_io::clock;
use synap_io::signal::Signal;

use super::cores::Running;
use crate::audit::{self, Kind, Who};
use crate::config::{Config, Loaded, Sources};
use crate::fatal::Fatal;
use crate::logging::Logs;
use crate::notify::{Notifier, State};
use crate::pump::Message;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tls::Tls;

/// How often the turn counters of the cores are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A core that has taken no turn for this long is stuck: turns last milliseconds, and an idle core
/// takes one every 100 ms.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What the main thread is told.
#[derive(Debug)]
pub(super) enum Event {
    /// The process got a signal.
    Signal(Signal),
    /// A client asked the server to stop.
    StopAsked,
    /// A core has ended, well or not.
    CoreEnded(Result<(), Fatal>),
}

/// Watches over the cores until all have ended.
pub(super) fn run(
    running: Running,
    events: Receiver<Event>,
    shared: &Arc<Shared>,
    notifier: &Notifier,
    (mut loaded, sources, logs, mut tls): (Loaded, Sources, Logs, Option<Arc<Tls>>),
) -> Result<(), Fatal> {
    let protocol = if shared.http_is_tls { "HTTPS" } else { "HTTP" };
    let status = format!("serving {protocol} on {}", shared.http_address);
    notifier.tell(State::Ready { status: &status });
    let mut watch = Watch::new(shared);
    let mut next_alive = Instant::now();
    let mut ended = 0;
    loop {
        match events.recv_timeout(wait_of(notifier)) {
            Ok(Event::Signal(Signal::Hangup)) => {
                reload(&mut loaded, &sources, &logs, (&running, shared), notifier);
                if let Some(tls) = &mut tls {
                    reload_tls(tls, &loaded.config, &running);
                }
                notifier.tell(State::Ready { status: &status });
            }
            Ok(Event::Signal(Signal::Terminate | Signal::Interrupt)) => {
                audit::record(audit::Event::new(Kind::ShutDown, Who::Operator, None, "signal"));
                if shared.stopping.swap(true, Ordering::SeqCst) {
                    tracing::warn!("told to stop again: ending once the log is on disk");
                    shared.hurry.store(true, Ordering::SeqCst);
                }
                stop(&running, shared, notifier);
            }
            Ok(Event::StopAsked) => {
                shared.stopping.store(true, Ordering::SeqCst);
                stop(&running, shared, notifier);
            }
            // A core that failed takes the process with it: its shards are gone, and its peers
            // may be waiting for it for ever.
            Ok(Event::CoreEnded(result)) => {
                result?;
                ended += 1;
                if ended == shared.metrics.len() {
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(Event::Signal(Signal::User1)) => match &shared.snapshots {
                Some(snapshots) if snapshots.ask_in_background() => {}
                Some(_) => tracing::info!("told to take a snapshot: one is under way already"),
                None => tracing::warn!("told to take a snapshot, but none are taken here"),
            },
            Err(RecvTimeoutError::Timeout) => {}
        }
        watch.look(shared)?;
        shared.authority.tick(clock::unix_ms());
        if let Some(interval) = notifier.watchdog_interval()
            && Instant::now() >= next_alive
        {
            next_alive = Instant::now() + interval;
            notifier.tell(State::Alive);
        }
    }
    for result in running.cores.join() {
        result.map_err(|panic| Fatal::Core { core: 0, what: panic.to_string() })?;
    }
    if let Err(error) = shared.authority.close(clock::unix_ms()) {
        tracing::warn!(%error, "uses of users and API keys were not written down");
    }
    audit::settle();
    tracing::info!("stopped cleanly");
    Ok(())
}

fn wait_of(notifier: &Notifier) -> Duration {
    notifier.watchdog_interval().map_or(LOOK_INTERVAL, |interval| interval.min(LOOK_INTERVAL))
}

fn stop(running: &Running, shared: &Shared, notifier: &Notifier) {
    tracing::info!("stopping: answering what has come, then closing the log");
    notifier.tell(State::Stopping);
    if let Some(snapshots) = &shared.snapshots {
        snapshots.stop();
    }
    for (inbox, bell) in &running.inboxes {
        // A core that has ended already needs no message.
        let _ended = inbox.send(Message::Stop);
        bell.ring();
    }
}

fn reload(
    loaded: &mut Loaded,
    sources: &Sources,
    logs: &Logs,
    (running, shared): (&Running, &Shared),
    notifier: &Notifier,
) {
    notifier.tell(State::Reloading { monotonic_usec: clock::monotonic_ns() / 1000 });
    let new = match Config::load(sources) {
        Ok(new) => new,
        Err(errors) => {
            tracing::error!("configuration not reloaded, the old one stays in effect: {errors}");
            return;
        }
    };
    let plan = loaded.config.reload_diff(&new.config);
    if !plan.refused.is_empty() {
        tracing::error!(keys = ?plan.refused, "configuration not reloaded: these keys are refused");
        return;
    }
    let next = loaded.config.reloaded(&new.config);
    if let Err(error) = shared.authority.reload(next.access.clone(), clock::unix_ms()) {
        let why = Fatal::access(new.file, error).what();
        tracing::error!("configuration not reloaded, the old one stays in effect: {why}");
        return;
    }
    for change in &plan.apply {
        tracing::info!(key = %change.key, from = %change.from, to = %change.to, "reloaded");
        audit::record(audit::Event::new(Kind::ConfigChanged, Who::Operator, None, change.key));
    }
    for key in &plan.restart_needed {
        tracing::warn!(%key, "changed, but needs a restart to take effect");
    }
    loaded.config = next;
    if let Err(error) = logs.set_filter(&loaded.config.logging.level) {
        tracing::error!("log filter not changed: {error}");
    }
    if let Err(error) = logs.reopen() {
        tracing::error!("log file not reopened: {error}");
    }
    let settings = Settings::from_config(&loaded.config);
    for (inbox, bell) in &running.inboxes {
        // A core that has ended already needs no settings.
        let _ended = inbox.send(Message::Settings(Box::new(settings.clone())));
        bell.ring();
    }
}

/// Reads the certificates again, also when the configuration could not be: the one in effect names
/// them too. Whoever is connected keeps what the connection began with.
fn reload_tls(tls: &mut Arc<Tls>, config: &Config, running: &Running) {
    match tls.reload(&config.server.tls) {
        Ok(new) => {
            new.announce(clock::unix_ms() / 1000);
            *tls = Arc::new(new);
        }
        Err(error) => {
            tracing::error!("certificates not reloaded, the old ones stay in effect: {error}");
            return;
        }
    }
    for (inbox, bell) in &running.inboxes {
        // A core that has ended already needs no certificates.
        let _ended = inbox.send(Message::Tls(Arc::clone(tls)));
        bell.ring();
    }
}

/// Notices cores that take no turns.
struct Watch {
    seen: Vec<(u64, Instant)>,
}

impl Watch {
    fn new(shared: &Shared) -> Self {
        Self { seen: vec![(0, Instant::now()); shared.metrics.len()] }
    }

    fn look(&mut self, shared: &Shared) -> Result<(), Fatal> {
        for (core, metrics) in shared.metrics.iter().enumerate() {
            let turns = metrics.turns.get();
            let (before, since) = &mut self.seen[core];
            if turns != *before {
                (*before, *since) = (turns, Instant::now());
            } else if since.elapsed() > STUCK_AFTER && !shared.stopping.load(Ordering::SeqCst) {
                let what = format!("took no turn for {} s", since.elapsed().as_secs());
                return Err(Fatal::Core { core, what });
            }
        }
        Ok(())
    }
}
