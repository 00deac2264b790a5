//! Transactions over several engines: parcels and syncs in random order, no clock, no threads.

use std::collections::{BTreeMap, VecDeque};

use super::super::event::{
    Acknowledge, EngineSettings, Event, Flow, MemorySettings, Outbound, Reads,
};
use super::super::parcel::Parcel;
use super::super::{Engine, Lane};
use super::{Queued, Transaction, shards_of_keys};
use crate::batch::Batch;
#[cfg(feature = "lua")]
use crate::batch::Record;
use crate::command::args::{Args, Words};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::table::{self, CommandId};
use crate::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use crate::key::ShardMap;
use crate::rng::Rng;
use crate::shard::evict::{AccessMode, EvictionPolicy};
use crate::shard::plan::Now;
use crate::shard::{Shard, ShardTable};
use crate::types::Thresholds;

const START_MS: u64 = 1_800_000_000_000;
/// Containers leave their packed form early.
const SMALL: Thresholds = Thresholds {
    read_elements_max: usize::MAX,
    hash_max_listpack_entries: 3,
    hash_max_listpack_value: 16,
    list_max_listpack_size: 4,
    set_max_intset_entries: 3,
    set_max_listpack_entries: 4,
    set_max_listpack_value: 16,
    zset_max_listpack_entries: 4,
    zset_max_listpack_value: 16,
    stream_node_max_bytes: 256,
    stream_node_max_entries: 4,
    hll_sparse_max_bytes: 64,
    queue: crate::types::queue::Settings::DEFAULT,
    queue_auto_create: true,
    defaults: crate::types::Defaults::DEFAULT,
    partition_hot_kb: 0,
};

#[derive(Default)]
struct Replies(BTreeMap<u64, Reply<'static>>);

impl Outbound for Replies {
    fn reply(&mut self, _: ConnId, ticket: Ticket, reply: Reply<'_>) {
        assert!(self.0.insert(ticket.0, reply.into_owned()).is_none(), "one reply each");
    }

    fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        Reply::Ok
    }

    fn run_session(&mut self, _: ConnId, command: CommandId, _: &Args<'_>) -> Reply<'static> {
        Reply::Status(command.spec().resp)
    }

    fn hear(&mut self, words: &[&[u8]]) {
        unreachable!("nobody tells this core anything: {words:?}")
    }
}

/// Cores, what is under way between them, and their logs.
pub(in crate::engine) struct Cores {
    pub(in crate::engine) engines: Vec<Engine>,
    /// By sender, receiver and lane.
    under_way: Vec<VecDeque<Parcel>>,
    logs: Vec<Vec<u8>>,
    replies: Replies,
    next_ticket: u64,
    now_ms: u64,
    rng: Rng,
}

fn words(line: &str) -> Words<'_> {
    line.split(' ').map(str::as_bytes).collect()
}

fn queued(line: &str) -> Queued {
    let words = words(line);
    let command = table::lookup(&words).expect("the test names commands");
    Args::parse(command.spec(), &words).expect("the test writes good commands");
    Queued::new(command, &words)
}

fn mask(keys: &[&str]) -> u64 {
    shards_of_keys(keys.iter().map(|key| key.as_bytes()))
}

impl Cores {
    pub(in crate::engine) fn new(cores: usize, acknowledge: Acknowledge, seed: u64) -> Self {
        let shard = |at| Some(Box::new(Shard::new(ShardId::new(at), 1, AccessMode::Recency)));
        Self::over(std::array::from_fn(shard), cores, acknowledge, seed)
    }

    fn over(mut shards: ShardTable, cores: usize, acknowledge: Acknowledge, seed: u64) -> Self {
        let map = ShardMap::new(cores);
        let memory = MemorySettings {
            limit_keys: 0,
            limit_bytes: 0,
            policy: EvictionPolicy::NoEviction,
            sample_size: 5,
            mode: AccessMode::Recency,
            notices: 0,
            thresholds: SMALL,
        };
        let settings = EngineSettings { epoch: Epoch(1), acknowledge, memory };
        let mut engine = |core: usize| {
            let core = CoreId::new(core);
            let owned = map.owned_by(core);
            let shards = owned.map(|id| shards[id.index()].take().expect("it is one core's"));
            Engine::new(core, map.clone(), shards.collect(), settings, seed)
        };
        Self {
            engines: (0..cores).map(&mut engine).collect(),
            under_way: (0..cores * cores * 2).map(|_| VecDeque::new()).collect(),
            logs: vec![Vec::new(); cores],
            replies: Replies::default(),
            next_ticket: 0,
            now_ms: START_MS,
            rng: Rng::new(seed),
        }
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.now_ms, monotonic_ns: 0 }
    }

    fn step(&mut self, core: usize, event: Event<'_>) -> Flow {
        let now = self.now();
        let flow = self.engines[core].step(now, event, &mut self.replies);
        self.end_turn(core);
        flow
    }

    fn end_turn(&mut self, core: usize) {
        let now = self.now();
        self.engines[core].end_turn(now, &mut self.replies);
        let mut log = Vec::new();
        self.engines[core].take_log(&mut log);
        self.logs[core].extend_from_slice(&log);
        for to in (0..self.engines.len()).filter(|to| *to != core) {
            for lane in [Lane::Requests, Lane::Completions] {
                if let Some(parcel) = self.engines[core].take_parcel(CoreId::new(to), lane) {
                    let at = self.ring(core, to, lane);
                    self.under_way[at].push_back(parcel);
                }
            }
        }
    }

    fn ring(&self, from: usize, to: usize, lane: Lane) -> usize {
        (from * self.engines.len() + to) * 2 + usize::from(lane == Lane::Completions)
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub(in crate::engine) fn ask(&mut self, core: usize, line: &str) -> u64 {
        self.ask_words(core, &words(line))
    }

    pub(in crate::engine) fn ask_words(&mut self, core: usize, words: &[&[u8]]) -> u64 {
        let command = table::lookup(words).expect("the test names commands");
        let args = Args::parse(command.spec(), words).expect("the test writes good commands");
        let (conn, ticket) = (ConnId(0), self.ticket());
        let (caller, reads, here, place, args) = (0, Reads::default(), false, None, &args);
        let event = Event::Request { conn, ticket, caller, reads, here, command, args, place };
        self.step(core, event);
        ticket.0
    }

    pub(in crate::engine) fn exec(
        &mut self,
        core: usize,
        watcher: u64,
        watched: u64,
        lines: &[String],
    ) -> u64 {
        let commands = lines.iter().map(|line| queued(line)).collect();
        let transaction = Transaction { commands, watcher, watched };
        let (conn, ticket, reads, here) = (ConnId(0), self.ticket(), Reads::default(), false);
        self.step(core, Event::Exec { conn, ticket, reads, here, transaction });
        ticket.0
    }

    fn watch(&mut self, core: usize, watcher: u64, keys: &[&str]) -> u64 {
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let (conn, ticket) = (ConnId(0), self.ticket());
        self.step(core, Event::Watch { conn, ticket, watcher, keys: &keys });
        ticket.0
    }

    fn unwatch(&mut self, core: usize, watcher: u64, shards: u64) {
        self.step(core, Event::Unwatch { watcher, shards });
    }

    fn sync(&mut self, core: usize) {
        let end = self.engines[core].log_end();
        self.step(core, Event::Durable(end));
    }

    /// Lets one thing happen, at random; false when there is nothing left.
    pub(in crate::engine) fn go_on(&mut self) -> bool {
        let rings: Vec<usize> =
            (0..self.under_way.len()).filter(|ring| !self.under_way[*ring].is_empty()).collect();
        if rings.is_empty() || self.rng.below(8) == 0 {
            let core = self.rng.below(self.engines.len());
            self.sync(core);
            return !rings.is_empty();
        }
        let ring = rings[self.rng.below(rings.len())];
        let parcel = self.under_way[ring].pop_front().expect("it is not empty");
        let (from, to) = (ring / 2 / self.engines.len(), ring / 2 % self.engines.len());
        self.step(to, Event::Parcel { from: CoreId::new(from), parcel });
        true
    }

    /// Until nothing is left to happen.
    pub(in crate::engine) fn settle(&mut self) {
        for _ in 0..4 {
            while self.go_on() {}
            (0..self.engines.len()).for_each(|core| self.sync(core));
        }
        assert!(self.engines.iter().all(Engine::is_idle), "nothing waits for ever");
    }

    /// Whether a reply to this ticket has come.
    #[cfg(feature = "lua")]
    pub(in crate::engine) fn has_reply(&self, ticket: u64) -> bool {
        self.replies.0.contains_key(&ticket)
    }

    /// The reply to this ticket as text, if it has come; it stays.
    #[cfg(feature = "lua")]
    pub(in crate::engine) fn peek(&self, ticket: u64) -> Option<String> {
        self.replies.0.get(&ticket).map(crate::one_table::show)
    }

    /// Names of the libraries that the logs hold as far as they are on disk.
    #[cfg(feature = "lua")]
    pub(in crate::engine) fn durable_libraries(&self) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        for (log, engine) in self.logs.iter().zip(&self.engines) {
            let mut rest = &log[..engine.durable as usize];
            while let Ok((batch, after)) = Batch::decode(rest) {
                for (_, record) in batch.records() {
                    if let Record::Library { name, code: Some(_) } = record {
                        names.push(name.to_vec());
                    }
                }
                rest = after;
            }
        }
        names
    }

    /// The reply to this ticket, which has come.
    pub(in crate::engine) fn reply(&mut self, ticket: u64) -> Reply<'static> {
        self.replies.0.remove(&ticket).expect("it is answered")
    }

    /// Runs a command to its end.
    pub(in crate::engine) fn run(&mut self, core: usize, line: &str) -> Reply<'static> {
        let ticket = self.ask(core, line);
        self.settle();
        self.reply(ticket)
    }

    pub(in crate::engine) fn run_exec(
        &mut self,
        core: usize,
        watched: &[&str],
        lines: &[&str],
    ) -> Reply<'static> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let ticket = self.exec(core, 7, mask(watched), &lines);
        self.settle();
        self.reply(ticket)
    }

    /// Watches on all cores.
    fn watch_count(&self) -> usize {
        self.engines.iter().flat_map(Engine::shards).filter(|shard| shard.is_watched()).count()
    }

    /// Shards made of the logs.
    fn replayed(&self) -> ShardTable {
        let shard = |at| Some(Box::new(Shard::new(ShardId::new(at), 9, AccessMode::Recency)));
        let mut shards: ShardTable = std::array::from_fn(shard);
        for shard in shards.iter_mut().flatten() {
            shard.set_thresholds(SMALL);
        }
        let mut rests: Vec<&[u8]> = self.logs.iter().map(Vec::as_slice).collect();
        let mut any = true;
        while std::mem::take(&mut any) {
            for rest in &mut rests {
                while !rest.is_empty() {
                    let (batch, after) = Batch::decode(rest).expect("the log is whole");
                    let at = |shard: ShardId| shards[shard.index()].as_ref().expect("all are here");
                    if !batch.parts().all(|part| at(part.shard).seq().next() == part.seq) {
                        break;
                    }
                    for part in batch.parts() {
                        shards[part.shard.index()].as_mut().expect("all are here").replay(&batch);
                    }
                    (*rest, any) = (after, true);
                }
            }
        }
        assert!(rests.iter().all(|rest| rest.is_empty()), "every batch continues some shards");
        shards
    }

    /// Asserts that the logs make the same shards again.
    pub(in crate::engine) fn assert_replay(&self) {
        let shards = self.replayed();
        for live in self.engines.iter().flat_map(Engine::shards) {
            let again = shards[live.id().index()].as_deref().expect("all are here");
            assert_eq!((live.seq(), content(live)), (again.seq(), content(again)));
            assert_eq!(live.libraries().set(), again.libraries().set());
        }
    }

    /// What clients can see of the keys, of whatever type.
    fn picture(&mut self) -> Vec<String> {
        let views = ["GET", "LRANGE # 0 -1", "SMEMBERS", "HGETALL", "ZRANGE # 0 -1 WITHSCORES"];
        let views = views.into_iter().chain(["XRANGE # - +", "PTTL", "TYPE"]);
        let mut all = Vec::new();
        for view in views {
            for key in KEYS {
                let line = match view.contains('#') {
                    true => view.replace('#', key),
                    false => format!("{view} {key}"),
                };
                let reply = self.run(0, &line);
                all.push(format!("{line}: {}", ordered(view, &reply)));
            }
        }
        all
    }
}

/// A reply as text; that of a type without order in the order of its text.
fn ordered(view: &str, reply: &Reply<'_>) -> String {
    let mut items: Vec<String> = match reply {
        Reply::Array(items) | Reply::Set(items) => {
            items.iter().map(|item| format!("{item:?}")).collect()
        }
        Reply::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    if view == "SMEMBERS" || view == "HGETALL" {
        items.sort_unstable();
    }
    items.join(" ")
}

fn content(shard: &Shard) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> {
    let mut all = BTreeMap::new();
    let mut at = Some(0);
    while let Some(position) = at {
        at = shard.walk(position, |entry| {
            let deadline_ms = entry.deadline_ms();
            all.insert(entry.key().to_vec(), (entry.value().to_vec(), deadline_ms));
        });
    }
    all
}

fn numbers(reply: &Reply<'_>) -> Vec<i64> {
    let Reply::Array(items) = reply else { panic!("an array, not {reply:?}") };
    let number = |item: &Reply<'_>| match item {
        Reply::Integer(number) => *number,
        Reply::Bytes(bytes) => std::str::from_utf8(bytes).expect("text").parse().expect("a number"),
        other => panic!("a number, not {other:?}"),
    };
    items.iter().map(number).collect()
}

const ACCOUNTS: usize = 12;
const BALANCE: i64 = 100;

fn account(at: usize) -> String {
    format!("account:{at}")
}

fn every_account() -> String {
    (0..ACCOUNTS).map(account).collect::<Vec<_>>().join(" ")
}

/// Moves money, reads everything, and does what locks the same shards in other ways.
fn random_traffic(cores: &mut Cores, rng: &mut Rng, steps: usize) -> Vec<u64> {
    let mut reads = Vec::new();
    for _ in 0..steps {
        let core = rng.below(cores.engines.len());
        let (from, to) = (account(rng.below(ACCOUNTS)), account(rng.below(ACCOUNTS)));
        let amount = rng.below(10);
        match rng.below(8) {
            0..4 => {
                let lines = [format!("DECRBY {from} {amount}"), format!("INCRBY {to} {amount}")];
                cores.exec(core, 0, 0, &lines);
            }
            4 => {
                // The names change places; what is between them is seen by nobody else.
                let lines = [
                    format!("RENAME {from} aside"),
                    format!("SET {from} 0"),
                    format!("RENAME aside {from}"),
                    "DEL aside".to_owned(),
                ];
                cores.exec(core, 0, 0, &lines);
            }
            5 => {
                cores.ask(core, &format!("MSET other:{amount} 1 {from}:x 2 {to}:x 3"));
            }
            _ => reads.push(cores.exec(core, 0, 0, &[format!("MGET {}", every_account())])),
        }
        for _ in 0..rng.below(4) {
            cores.go_on();
        }
    }
    reads
}

#[test]
fn nobody_sees_a_transaction_half_done() {
    for seed in 0..60 {
        let acknowledge = if seed % 2 == 0 { Acknowledge::OnDisk } else { Acknowledge::OnAppend };
        let mut cores = Cores::new(1 + seed as usize % 4, acknowledge, seed);
        let set = (0..ACCOUNTS).map(|at| format!(" {} {BALANCE}", account(at)));
        cores.run(0, &format!("MSET{}", set.collect::<String>()));
        let mut rng = Rng::new(seed);
        let reads = random_traffic(&mut cores, &mut rng, 120);
        cores.settle();
        for ticket in reads {
            let Reply::Array(items) = cores.reply(ticket) else { panic!("it ran") };
            assert_eq!(items.len(), 1);
            let sum: i64 = numbers(&items[0]).iter().sum();
            assert_eq!(sum, ACCOUNTS as i64 * BALANCE, "seed {seed}");
        }
        cores.assert_replay();
    }
}

/// A client that adds one to a counter with `WATCH`, again and again.
enum Adder {
    Idle,
    Watching(u64),
    Reading(u64),
    Executing(u64),
}

#[test]
fn increments_under_watch_are_never_lost() {
    const CLIENTS: usize = 6;
    for seed in 0..40 {
        let mut cores = Cores::new(1 + seed as usize % 3, Acknowledge::OnDisk, seed);
        let mut rng = Rng::new(seed);
        let mut clients: Vec<Adder> = (0..CLIENTS).map(|_| Adder::Idle).collect();
        let (mut done, mut aborted) = (0, 0);
        for _ in 0..600 {
            let at = rng.below(CLIENTS);
            let (core, watcher) = (at % cores.engines.len(), at as u64 + 1);
            let waits_for = match clients[at] {
                Adder::Idle => None,
                Adder::Watching(t) | Adder::Reading(t) | Adder::Executing(t) => Some(t),
            };
            if waits_for.is_some_and(|ticket| !cores.replies.0.contains_key(&ticket)) {
                cores.go_on();
                continue;
            }
            let reply = waits_for.map(|ticket| cores.reply(ticket));
            clients[at] = match clients[at] {
                Adder::Idle => Adder::Watching(cores.watch(core, watcher, &["n", "m"])),
                Adder::Watching(_) => Adder::Reading(cores.ask(core, "GET n")),
                Adder::Reading(_) => {
                    let next = match reply {
                        Some(Reply::Bytes(bytes)) => {
                            1 + String::from_utf8_lossy(&bytes).parse::<u64>().expect("a number")
                        }
                        _ => 1,
                    };
                    let lines = [format!("SET n {next}"), format!("SET m {next}")];
                    Adder::Executing(cores.exec(core, watcher, mask(&["n", "m"]), &lines))
                }
                Adder::Executing(_) => {
                    match reply {
                        Some(Reply::NilArray) => aborted += 1,
                        Some(Reply::Array(_)) => done += 1,
                        other => panic!("it ran or not, not {other:?}"),
                    }
                    Adder::Idle
                }
            };
        }
        cores.settle();
        for (at, client) in clients.iter().enumerate() {
            match client {
                Adder::Executing(ticket) => {
                    done += usize::from(matches!(cores.reply(*ticket), Reply::Array(_)));
                }
                Adder::Watching(_) | Adder::Reading(_) => {
                    let core = at % cores.engines.len();
                    cores.unwatch(core, at as u64 + 1, mask(&["n", "m"]));
                }
                Adder::Idle => {}
            }
        }
        cores.settle();
        assert!(done > 5 && aborted > 0, "seed {seed}: {done} done, {aborted} aborted");
        for key in ["n", "m"] {
            let number = done.to_string();
            assert_eq!(cores.run(0, &format!("GET {key}")), Reply::borrowed(number.as_bytes()));
        }
        assert_eq!(cores.watch_count(), 0, "no watch is left behind");
        cores.assert_replay();
    }
}

/// Whether `EXEC` runs after a watch of `k` and `other`, with `between` in between.
fn survives(before: &[&str], between: &[&str], pass_ms: u64) -> bool {
    let outcomes: Vec<bool> = (0..2)
        .map(|core| {
            let mut cores = Cores::new(2, Acknowledge::OnAppend, 1);
            for line in before {
                cores.run(1, line);
            }
            if pass_ms > 0 && before.iter().any(|line| line.contains("already")) {
                cores.now_ms += 1000;
            }
            let watch = cores.watch(core, 7, &["k", "other"]);
            cores.settle();
            assert_eq!(cores.reply(watch), Reply::Ok);
            for line in between {
                cores.run(1 - core, line);
            }
            cores.now_ms += pass_ms;
            let reply = cores.run_exec(core, &["k", "other"], &["INCR ran"]);
            assert_eq!(cores.watch_count(), 0, "the watch has ended");
            reply != Reply::NilArray
        })
        .collect();
    assert_eq!(outcomes[0], outcomes[1], "wherever it is asked for");
    outcomes[0]
}

#[test]
fn any_change_of_a_watched_key_aborts() {
    assert!(survives(&["SET k 1"], &["GET k", "SET unrelated 1", "DEL absent"], 0));
    assert!(!survives(&["SET k 1"], &["SET k 1"], 0), "the same value is a change");
    assert!(!survives(&["SET k 1"], &["APPEND k x"], 0));
    assert!(!survives(&["SET k 1"], &["EXPIRE k 100"], 0));
    assert!(!survives(&[], &["SET other 1"], 0));
    assert!(!survives(&[], &["SET k 1", "DEL k"], 0), "created and gone is a change");
    assert!(!survives(&["SET x 1"], &["RENAME x k"], 0));
    assert!(!survives(&["SET k 1"], &["RENAME k x"], 0));
    assert!(!survives(&["SET k 1"], &["FLUSHALL"], 0));
    assert!(survives(&["SET x 1"], &["FLUSHALL"], 0), "the watched keys were not there");
}

#[test]
fn expiry_aborts_as_in_redis() {
    assert!(!survives(&["SET k 1 PX 50"], &[], 100), "it expired after WATCH");
    assert!(survives(&["SET k 1 PX 500"], &[], 100), "it did not");
    // A key that had expired already is no key; its removal is no change.
    assert!(survives(&["SET k 1 PX 50", "SET already 1"], &[], 1));
    assert!(survives(&["SET k 1 PX 50", "SET already 1"], &["DEL k"], 1));
    assert!(!survives(&["SET k 1 PX 50", "SET already 1"], &["SET k 2"], 1));
    assert!(!survives(&["SET k 1 PX 50", "SET already 1"], &["DEL k", "SET k 2", "DEL k"], 1));
}

#[test]
fn a_command_that_fails_does_not_stop_the_others() {
    for cores in 1..4 {
        let mut cores = Cores::new(cores, Acknowledge::OnDisk, 3);
        let lines = ["SET a x", "INCR a", "SET b 2", "GET a", "PING", "INCRBY b 3", "UNWATCH"];
        let expected = vec![
            Reply::Ok,
            Reply::Error(CommandError::NotInteger),
            Reply::Ok,
            Reply::borrowed(b"x"),
            Reply::Status("PING"),
            Reply::Integer(5),
            Reply::Ok,
        ];
        assert_eq!(cores.run_exec(0, &[], &lines), Reply::Array(expected));
        assert_eq!(cores.run_exec(0, &[], &[]), Reply::Array(Vec::new()));
        cores.assert_replay();
    }
}

#[test]
fn commands_about_every_shard_see_and_change_all_of_them() {
    for cores in 1..4 {
        let mut cores = Cores::new(cores, Acknowledge::OnDisk, 4);
        let keys: String = (0..50).map(|at| format!(" k{at} 1")).collect();
        cores.run(0, &format!("MSET{keys}"));
        let lines =
            ["DEL k1 k2 k2", "DBSIZE", "SET x 1", "FLUSHALL", "DBSIZE", "SET y 2", "KEYS *"];
        let expected = vec![
            Reply::Integer(2),
            Reply::Integer(48),
            Reply::Ok,
            Reply::Ok,
            Reply::Integer(0),
            Reply::Ok,
            Reply::Array(vec![Reply::borrowed(b"y")]),
        ];
        assert_eq!(cores.run_exec(0, &[], &lines), Reply::Array(expected));
        cores.assert_replay();
    }
}

#[test]
fn what_a_client_watched_is_forgotten_when_it_goes() {
    for seed in 0..30 {
        let mut cores = Cores::new(3, Acknowledge::OnDisk, seed);
        let keys: Vec<String> = (0..40).map(|at| format!("k{at}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        // The client goes while its watch is under way, and while shards are lent out.
        let names: String = keys.iter().map(|key| format!(" {key} 1")).collect();
        cores.ask(1, &format!("MSET{names}"));
        cores.watch(0, 7, &keys);
        cores.ask(2, &format!("MSET{names}"));
        cores.unwatch(0, 7, mask(&keys));
        cores.settle();
        assert_eq!(cores.watch_count(), 0, "seed {seed}");
    }
}

#[test]
fn a_watch_that_nobody_knows_of_counts_as_changed() {
    let mut cores = Cores::new(2, Acknowledge::OnAppend, 5);
    assert_eq!(cores.run_exec(0, &["k"], &["INCR n"]), Reply::NilArray);
    assert_eq!(cores.engines[0].stats().transactions_aborted, 1);
}

#[test]
fn a_transaction_without_room_is_refused_as_a_whole() {
    let mut cores = Cores::new(2, Acknowledge::OnAppend, 6);
    cores.run(0, "SET a 1");
    for engine in &mut cores.engines {
        engine.set_memory(MemorySettings { limit_bytes: 1, ..engine.settings.memory });
    }
    let reply = cores.run_exec(0, &[], &["DEL a", "SET b 1"]);
    assert_eq!(reply, Reply::Error(super::ABORTED_OOM));
    assert_eq!(cores.run(0, "GET a"), Reply::borrowed(b"1"));
    let reply = cores.run_exec(0, &[], &["DEL a", "GET b"]);
    assert_eq!(reply, Reply::Array(vec![Reply::Integer(1), Reply::Nil]));
}

const KEYS: [&str; 5] = ["k0", "k1", "k2", "k3", "k4"];

/// A command of some family that changes one of few keys, or two; many find the wrong type.
fn any_write(rng: &mut Rng) -> String {
    const COMMANDS: &[&str] = &[
        "SET # @",
        "APPEND # @",
        "INCRBY # 3",
        "SETRANGE # 2 @",
        "GETDEL #",
        "SET # @ PX 50000",
        "LPUSH # @ @ @",
        "RPUSH # @ @",
        "LPOP # 2",
        "RPOP #",
        "LSET # 0 @",
        "LTRIM # 1 -2",
        "LREM # 0 @",
        "LINSERT # BEFORE @ @",
        "LMOVE # % LEFT RIGHT",
        "SADD # @ @ @",
        "SREM # @ @",
        "SMOVE # % @",
        "SUNIONSTORE # # %",
        "SINTERSTORE # # %",
        "HSET # @ @ @ @",
        "HDEL # @ @",
        "HINCRBY # @ 2",
        "HSETNX # @ @",
        "ZADD # 1 @ 2 @ 3 @",
        "ZREM # @",
        "ZINCRBY # 2 @",
        "ZPOPMIN #",
        "ZUNIONSTORE # 2 # %",
        "XADD # 1-* f @",
        "XADD # * f @",
        "XTRIM # MAXLEN 2",
        "XDEL # 1-0",
        "DEL # %",
        "RENAME # %",
        "COPY # % REPLACE",
        "EXPIRE # 100",
        "PERSIST #",
        "DEL #",
        "UNLINK #",
        "PFADD # @ @",
        "SETBIT # 7 1",
        "MSET # @ % @",
        "FLUSHALL",
    ];
    let command = COMMANDS[rng.below(COMMANDS.len())];
    // A flush in every other line would leave nothing to look at.
    let command = if command == "FLUSHALL" && rng.below(4) > 0 { "RPUSH # @" } else { command };
    let (key, other) = (KEYS[rng.below(KEYS.len())], KEYS[rng.below(KEYS.len())]);
    let mut line = command.replace('#', key).replace('%', other);
    while line.contains('@') {
        let value = ["1", "2", "3", "x", "y", "a-value-of-some-length"][rng.below(6)];
        line = line.replacen('@', value, 1);
    }
    line
}

#[test]
fn commands_of_one_batch_do_what_they_do_alone_and_replay_to_the_same() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut together = Cores::new(1 + seed as usize % 3, Acknowledge::OnDisk, seed);
        let mut alone = Cores::new(1, Acknowledge::OnAppend, seed);
        for _ in 0..60 {
            let lines: Vec<String> = (0..1 + rng.below(12)).map(|_| any_write(&mut rng)).collect();
            let core = rng.below(together.engines.len());
            let ticket = together.exec(core, 0, 0, &lines);
            together.settle();
            let Reply::Array(replies) = together.reply(ticket) else { panic!("it ran") };
            for (line, reply) in lines.iter().zip(replies) {
                assert_eq!(reply, alone.run(0, line), "seed {seed}: {line}");
            }
        }
        let picture = together.picture();
        assert_eq!(picture, alone.picture(), "seed {seed}");
        let mut again = Cores::over(together.replayed(), 1, Acknowledge::OnAppend, seed);
        assert_eq!(picture, again.picture(), "seed {seed}: made of the log");
    }
}
