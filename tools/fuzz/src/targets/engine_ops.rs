//! Commands, one a line, on the engines of two cores: every one is answered once, nothing panics,
//! and the logs say what the shards hold.

use std::collections::VecDeque;

use synap_shards::command::args::{Args, Words, integer};
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::Run;
use synap_shards::command::table::{self, CommandId};
use synap_shards::engine::event::{
    Acknowledge, EngineSettings, Event, MemorySettings, Outbound, Reads,
};
use synap_shards::engine::{Engine, Lane};
use synap_shards::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use synap_shards::key::ShardMap;
use synap_shards::recovery::{Recovery, Wanted};
use synap_shards::shard::Shard;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::shard::plan::Now;
use synap_shards::types::Thresholds;

use super::{Target, args_parse};

pub(crate) const TARGET: Target = Target {
    name: "engine_ops",
    seeds: args_parse::seeds,
    dictionary: args_parse::DICTIONARY,
    run,
};

const CORES: usize = 2;
/// Commands with numbers above this are left out: offsets rightly make values that long.
const NUMBER_MAX: i64 = 100_000;

#[derive(Default)]
struct Answers(usize);

impl Outbound for Answers {
    fn reply(&mut self, _: ConnId, _: Ticket, _: Reply<'_>) {
        self.0 += 1;
    }

    fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        unreachable!("commands of the outside are not sent")
    }

    fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
        unreachable!("commands of the outside are not sent")
    }

    fn hear(&mut self, _: &[&[u8]]) {}
}

fn shards() -> Vec<Box<Shard>> {
    ShardId::all().map(|id| Box::new(Shard::new(id, 1, AccessMode::Recency))).collect()
}

struct Machine {
    engines: Vec<Engine>,
    logs: Vec<Vec<u8>>,
    answers: Answers,
    now: Now,
}

fn run(input: &[u8]) {
    let map = ShardMap::new(CORES);
    let memory = MemorySettings {
        limit_keys: 0,
        limit_bytes: 0,
        policy: EvictionPolicy::NoEviction,
        sample_size: 5,
        mode: AccessMode::Recency,
        notices: 0,
        thresholds: Thresholds::default(),
    };
    let settings = EngineSettings { epoch: Epoch(1), acknowledge: Acknowledge::OnAppend, memory };
    let mut machine = Machine {
        engines: Vec::new(),
        logs: vec![Vec::new(); CORES],
        answers: Answers::default(),
        now: Now { unix_ms: 1_800_000_000_000, monotonic_ns: 0 },
    };
    let mut all = VecDeque::from(shards());
    for core in (0..CORES).map(CoreId::new) {
        let own = all.drain(..map.owned_by(core).count()).collect();
        machine.engines.push(Engine::new(core, map.clone(), own, settings, 1));
    }
    let mut asked = 0;
    for line in input.split(|byte| *byte == b'\n') {
        asked += usize::from(machine.ask(line, asked));
        assert_eq!(machine.answers.0, asked, "each request is answered once");
    }
    machine.check();
}

impl Machine {
    /// Runs a line if it is a command for the shards, to its end; whether it was one.
    fn ask(&mut self, line: &[u8], number: usize) -> bool {
        let words: Words<'_> = line.split(|byte| *byte == b' ').collect();
        let Ok(command) = table::lookup(&words) else { return false };
        let Ok(names) = names::qualify(command.spec(), &words) else { return false };
        let over = names.as_ref().map(|names| names.over(&words));
        let words = over.as_deref().unwrap_or(&words);
        let Ok(args) = Args::parse(command.spec(), words) else { return false };
        let for_shards = matches!(command.spec().run, Run::Read(_) | Run::Write(_));
        let huge = |word: &&[u8]| {
            let digits = word.strip_prefix(b"#").unwrap_or(word);
            integer(digits).is_ok_and(|number| number > NUMBER_MAX)
        };
        if !for_shards || words.iter().any(huge) {
            return false;
        }
        self.now.unix_ms += 1;
        let (conn, ticket) = (ConnId(0), Ticket(number as u64));
        let ahead = words.get(1).copied().filter(|_| number.is_multiple_of(2));
        let [place, ..] = self.engines[number % CORES].prefetch(std::iter::once(ahead));
        let event = Event::Request {
            conn,
            ticket,
            caller: 0,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place,
        };
        let core = number % CORES;
        self.engines[core].step(self.now, event, &mut self.answers);
        self.engines[core].step(self.now, Event::Tick, &mut self.answers);
        while self.turn() {}
        true
    }

    /// Lets logs and parcels flow; whether there were any parcels.
    fn turn(&mut self) -> bool {
        let mut any = false;
        for from in 0..CORES {
            let mut run = Vec::new();
            self.engines[from].end_turn(self.now, &mut self.answers);
            self.engines[from].take_log(&mut run);
            self.logs[from].extend(run);
            let to = 1 - from;
            for lane in [Lane::Completions, Lane::Requests] {
                if let Some(parcel) = self.engines[from].take_parcel(CoreId::new(to), lane) {
                    any = true;
                    let event = Event::Parcel { from: CoreId::new(from), parcel };
                    self.engines[to].step(self.now, event, &mut self.answers);
                }
            }
        }
        any
    }

    fn check(self) {
        let mut recovery = Recovery::new(shards(), Vec::new(), CORES);
        for (core, log) in self.logs.iter().enumerate() {
            recovery.feed(core, log);
            recovery.end(core);
        }
        assert_eq!(recovery.advance(), Ok(Wanted::Nothing));
        let (replayed, cut) = recovery.finish();
        assert_eq!(cut.batches, 0, "a whole log is not cut");
        assert!(self.engines.iter().all(Engine::is_idle), "nothing waits");
        let live = self.engines.into_iter().flat_map(Engine::into_shards);
        for (live, replayed) in live.zip(replayed) {
            assert_eq!(live.id(), replayed.id());
            assert_eq!(live.seq(), replayed.seq());
            assert_eq!(live.key_count(), replayed.key_count());
            let mut position = Some(0);
            while let Some(at) = position {
                position = live.walk(at, |entry| {
                    let other = replayed.get(entry.key()).expect("the key was replayed");
                    assert_eq!(entry.image(), other.image());
                    assert_eq!(entry.deadline_ms(), other.deadline_ms());
                });
            }
        }
    }
}
