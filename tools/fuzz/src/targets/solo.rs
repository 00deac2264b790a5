//! One engine with every shard and nobody else: what targets ask commands of.

use std::sync::Arc;

use synap::scripts::Scripts;
use synap_shards::command::args::Args;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::Engine;
use synap_shards::engine::event::{
    Acknowledge, EngineSettings, Event, MemorySettings, Outbound, Reads,
};
use synap_shards::engine::script::{ScriptInputs, ScriptSettings};
use synap_shards::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use synap_shards::key::ShardMap;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::shard::plan::Now;
use synap_shards::types::{Defaults, Thresholds, queue};

/// Thresholds that a handful of elements pass.
pub(super) const SMALL: Thresholds = Thresholds {
    hash_max_listpack_entries: 3,
    hash_max_listpack_value: 16,
    list_max_listpack_size: 3,
    set_max_intset_entries: 3,
    set_max_listpack_entries: 4,
    set_max_listpack_value: 16,
    zset_max_listpack_entries: 3,
    zset_max_listpack_value: 16,
    stream_node_max_bytes: 256,
    stream_node_max_entries: 3,
    hll_sparse_max_bytes: 64,
    queue: queue::Settings::DEFAULT,
    queue_auto_create: true,
    defaults: Defaults::DEFAULT,
    partition_hot_kb: 0,
    read_elements_max: 40,
};

#[derive(Default)]
struct Answer(Option<Reply<'static>>);

impl Outbound for Answer {
    fn reply(&mut self, _: ConnId, _: Ticket, reply: Reply<'_>) {
        self.0 = Some(reply.into_owned());
    }

    fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        unreachable!("commands of the outside are not sent")
    }

    fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
        unreachable!("commands of the outside are not sent")
    }

    fn hear(&mut self, _: &[&[u8]]) {}
}

/// The engine, and how many requests it had.
pub(super) struct Solo {
    engine: Engine,
    requests: u64,
}

impl Solo {
    pub(super) fn new(thresholds: &Thresholds) -> Self {
        let memory = MemorySettings {
            limit_keys: 0,
            limit_bytes: 0,
            policy: EvictionPolicy::NoEviction,
            sample_size: 5,
            mode: AccessMode::Recency,
            notices: 0,
            thresholds: *thresholds,
        };
        let acknowledge = Acknowledge::OnAppend;
        let settings = EngineSettings { epoch: Epoch(1), acknowledge, memory };
        let shards =
            ShardId::all().map(|id| Box::new(Shard::new(id, 1, AccessMode::Recency))).collect();
        let mut engine = Engine::new(CoreId::new(0), ShardMap::new(1), shards, settings, 1);
        let (registry, gauge) = (Arc::new(Scripts::default()), Arc::default());
        let inputs = ScriptInputs { registry, gauge, clock: || 0 };
        engine.enable_scripts(inputs, ScriptSettings::default());
        Self { engine, requests: 0 }
    }

    /// Carries out a command of the shards.
    pub(super) fn run(&mut self, words: &[&[u8]]) -> Reply<'static> {
        self.requests += 1;
        let command = table::lookup(words).expect("targets name commands");
        let names = match names::qualify(command.spec(), words) {
            Ok(names) => names,
            Err(error) => return Reply::Error(error),
        };
        let over = names.as_ref().map(|names| names.over(words));
        let words = over.as_deref().unwrap_or(words);
        let args = match Args::parse(command.spec(), words) {
            Ok(args) => args,
            Err(error) => return Reply::Error(error),
        };
        let now = Now { unix_ms: 1_800_000_000_000 + self.requests, monotonic_ns: 0 };
        let event = Event::Request {
            conn: ConnId(0),
            ticket: Ticket(self.requests),
            caller: 0,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place: None,
        };
        let mut answer = Answer::default();
        self.engine.step(now, event, &mut answer);
        self.engine.take_log(&mut Vec::new());
        answer.0.expect("everything is at hand, so it is answered at once")
    }

    /// The same from a line; there are blanks between its words.
    pub(super) fn ask(&mut self, line: &str) -> Reply<'static> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words)
    }

    /// Bytes that all shards have taken.
    pub(super) fn held_bytes(&self) -> usize {
        self.engine.shards().map(Shard::held_bytes).sum()
    }

    /// The shards as they are.
    pub(super) fn into_shards(self) -> Vec<Box<Shard>> {
        self.engine.into_shards()
    }
}

/// Keys of every type, small and large, and one with fields that expire.
pub(super) fn of_every_type(thresholds: &Thresholds) -> Solo {
    let mut solo = Solo::new(thresholds);
    let lines = [
        "SET string 12345",
        "RPUSH list a 12 -70000 longer-than-the-others-are a",
        "SADD ints 1 2 -3 70000 5000000000",
        "SADD set a b c 12 longer-than-the-others-are",
        "ZADD zset 1 a 2.5 b -inf c 1e300 longer-than-the-others-are",
        "GEOADD geo 13.36 38.11 a 15.08 37.5 b",
        "HSET hash f v g 12 h longer-than-the-others-are i 9",
        "HSET fields f v g w h x",
        "HPEXPIREAT fields 1900000000000 FIELDS 2 f g",
        "XADD stream 1-1 f v g w",
        "XADD stream 2-1 f x g y",
        "XADD stream 9-9 other 1",
        "XADD stream 10-0 other 2",
        "XDEL stream 2-1",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP group bob STREAMS stream >",
        "PFADD hll a b c d e f g",
        "PFADD dense a b c",
        "PFDEBUG TODENSE dense",
    ];
    for line in lines {
        let reply = solo.ask(line);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    }
    solo
}

/// The keys of [`of_every_type`].
pub(super) const KEYS: [&str; 11] =
    ["string", "list", "ints", "set", "zset", "geo", "hash", "fields", "stream", "hll", "dense"];
