//! A connection as the server sees it ([`client`]), and the commands that concern connections and
//! the server rather than data.
//!
//! The pump builds a context and calls: [`run`] for [`Run::Session`] commands on the core of the
//! connection, [`run_on_core`] for [`Run::EveryCore`] commands once on every core. Both are
//! synchronous, reach no socket and no shard, and change nothing but what the context lends them;
//! what the pump has to do afterwards stands in [`Outcome::then`] and [`CoreContext::effects`].
//!
//! [`Run::Session`]: synap_shards::command::spec::Run::Session
//! [`Run::EveryCore`]: synap_shards::command::spec::Run::EveryCore

pub(crate) mod acl;
pub mod authorize;
pub mod client;
mod clients;
mod cluster;
pub(crate) mod config;
mod connection;
mod docs;
pub mod finish;
mod info;
pub mod last_values;
mod memory;
pub mod pubsub;
pub mod rates;
mod script;
pub(crate) mod server;
mod snapshot;
mod thresholds;
pub mod topics;
pub mod tracking;
pub mod transaction;
pub mod visible;
mod watch;

use std::sync::LazyLock;

use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table::{self, CommandId};
use synap_shards::id::CoreId;
use synap_shards::shard::plan::Now;

use crate::auth::Change;
use crate::latency::LatencyLog;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slowlog::SlowLog;
use crate::snapshot::Wanted;
use client::{Client, ReplyMode};
use pubsub::Pubsub;

pub use connection::{Credentials, credentials};

/// The version of Redis whose commands and replies this server keeps to.
pub const REDIS_VERSION: &str = "7.4.0";
/// The version of this server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a session command may look at and change.
#[derive(Debug)]
pub struct SessionContext<'a> {
    /// The connection that sent the command.
    pub client: &'a mut Client,
    /// Facts of the process, and everyone's counters.
    pub shared: &'a Shared,
    /// The settings of this core.
    pub settings: &'a Settings,
    /// The time of this turn.
    pub now: Now,
    /// The core that serves the connection.
    pub core: CoreId,
    /// Who listens to what, and messages on their way.
    pub pubsub: &'a mut Pubsub,
    /// What happens next; a command may change it.
    pub then: Then,
    /// What is to be changed of access control then.
    pub change: Option<Box<Change>>,
}

/// What happens after a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Then {
    /// The next request.
    #[default]
    Continue,
    /// The connection is closed once its replies are written.
    Close,
    /// The process is shut down in order.
    Shutdown,
    /// The reply comes when every core knows what the client wants to be told of.
    Track,
    /// The reply comes when every core knows that the client does not want to be told any more.
    Untrack,
    /// The reply comes when the change is made.
    Change,
    /// The reply comes when there are messages for a subscriber, or the time is over.
    Poll,
    /// The reply comes when a snapshot is there; what the command replied meanwhile is nothing.
    Snapshot(Wanted),
}

/// The answer to a session command.
#[derive(Debug)]
pub struct Outcome {
    /// The reply; nothing when the client switched replies off.
    pub reply: Option<Reply<'static>>,
    /// What happens next.
    pub then: Then,
}

/// The connections of one core.
pub trait Clients {
    /// Shows every connection, in any order.
    fn each(&self, visit: &mut dyn FnMut(&Client));
    /// Closes the connection of this number, at once or, when it is the caller's own, after its
    /// replies are written.
    fn kill(&mut self, id: u64);
}

/// What a command that concerns every core may look at and change on one.
pub struct CoreContext<'a> {
    /// The connections of this core.
    pub clients: &'a mut dyn Clients,
    /// The settings of this core.
    pub settings: &'a mut Settings,
    /// Facts of the process, and everyone's counters.
    pub shared: &'a Shared,
    /// The slow log of this core.
    pub slowlog: &'a mut SlowLog,
    /// The latency monitor of this core.
    pub latency: &'a mut LatencyLog,
    /// Who listens to what.
    pub pubsub: &'a mut Pubsub,
    /// The time of this turn.
    pub now: Now,
    /// This core.
    pub core: CoreId,
    /// Number of the client that sent the command, on whichever core it is.
    pub caller: u64,
    /// What the pump has to do afterwards; empty at first.
    pub effects: Effects,
}

/// What a command did to a core that others have to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// Settings changed: the engine is told its new memory settings.
    pub settings_changed: bool,
    /// Statistics were set back: the engine's are too.
    pub stats_reset: bool,
}

type Handler = fn(&mut SessionContext<'_>, &Args<'_>) -> Result<Reply<'static>, CommandError>;
type CoreHandler = fn(&mut CoreContext<'_>, &Args<'_>) -> Result<Reply<'static>, CommandError>;

/// Commands by the id of their declaration.
const HANDLERS: &[&[(&str, Handler)]] = &[
    acl::HANDLERS,
    connection::HANDLERS,
    clients::HANDLERS,
    cluster::HANDLERS,
    config::HANDLERS,
    docs::HANDLERS,
    info::HANDLERS,
    memory::HANDLERS,
    pubsub::HANDLERS,
    script::HANDLERS,
    server::HANDLERS,
    snapshot::HANDLERS,
    topics::HANDLERS,
    tracking::HANDLERS,
    watch::HANDLERS,
];
const CORE_HANDLERS: &[&[(&str, CoreHandler)]] = &[
    clients::CORE_HANDLERS,
    config::CORE_HANDLERS,
    pubsub::CORE_HANDLERS,
    topics::CORE_HANDLERS,
    watch::CORE_HANDLERS,
];

static BY_COMMAND: LazyLock<Vec<Option<Handler>>> = LazyLock::new(|| by_command(HANDLERS));
static CORE_BY_COMMAND: LazyLock<Vec<Option<CoreHandler>>> =
    LazyLock::new(|| by_command(CORE_HANDLERS));

fn by_command<H: Copy>(handlers: &[&[(&str, H)]]) -> Vec<Option<H>> {
    let find = |id| handlers.iter().copied().flatten().find(|(name, _)| *name == id);
    table::commands().map(|spec| find(spec.id).map(|(_, handler)| *handler)).collect()
}

/// Carries out a session command. [`Client::begin`] was called for it.
pub fn run(cx: &mut SessionContext<'_>, command: CommandId, args: &Args<'_>) -> Outcome {
    let handler = BY_COMMAND[command.index()].expect("every session command has a handler");
    let reply = handler(cx, args).unwrap_or_else(Reply::Error);
    let silent = cx.client.reply_mode == ReplyMode::Off || cx.client.skipping;
    Outcome { reply: (!silent).then_some(reply), then: cx.then }
}

/// Carries out, on one core, a command that concerns every core. The engine folds the replies;
/// see [`finish`] for those that need one more step.
pub fn run_on_core(
    cx: &mut CoreContext<'_>,
    command: CommandId,
    args: &Args<'_>,
) -> Reply<'static> {
    let handler = CORE_BY_COMMAND[command.index()].expect("every such command has a handler");
    handler(cx, args).unwrap_or_else(Reply::Error)
}

#[cfg(test)]
mod testing;
