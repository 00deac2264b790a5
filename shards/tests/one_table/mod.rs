//! The smallest executor of commands: every shard at hand, one table, no engine. Tests run
//! commands through lookup, arguments, plan, sealed batch and `apply`, as the engine does.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub(crate) mod image;

use synap_shards::batch::{Batch, PartSpec, seal};
use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::names;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{Blocked, CommandSpec, Flags, Run};
use synap_shards::command::table::lookup;
use synap_shards::engine::topics::{spread, topics_in};
use synap_shards::id::{Epoch, ShardId};
use synap_shards::rng::Rng;
use synap_shards::shard::evict::{AccessMode, EvictionPolicy};
use synap_shards::shard::plan::{Now, Plan, Rules, Tally, Told, View};
use synap_shards::shard::{Shard, ShardTable};
use synap_shards::types::Thresholds;
use synap_shards::types::queue::tick;

/// All shards, a clock that stands until it is moved, and the log of what was applied.
pub(crate) struct OneTable {
    pub(crate) shards: ShardTable,
    pub(crate) now_ms: u64,
    pub(crate) log: Vec<u8>,
    pub(crate) policy: EvictionPolicy,
    read_elements_max: usize,
    pub(crate) mode: AccessMode,
    /// Changes that commands told of, in order.
    pub(crate) told: Vec<Told>,
    /// Events that were sent to topics.
    turns: u64,
    rng: Rng,
    tally: Tally,
}

fn empty(mode: AccessMode) -> ShardTable {
    std::array::from_fn(|index| {
        Some(Box::new(Shard::new(ShardId::new(index), index as u64 + 7, mode)))
    })
}

impl OneTable {
    pub(crate) fn new() -> Self {
        Self::with(&Thresholds::default())
    }

    /// A table whose containers change their form at these sizes.
    pub(crate) fn with(thresholds: &Thresholds) -> Self {
        let mut shards = empty(AccessMode::Recency);
        shards.iter_mut().flatten().for_each(|shard| shard.set_thresholds(*thresholds));
        Self {
            shards,
            now_ms: 1_700_000_000_000,
            log: Vec::new(),
            policy: EvictionPolicy::NoEviction,
            read_elements_max: thresholds.read_elements_max,
            mode: AccessMode::Recency,
            told: Vec::new(),
            turns: 0,
            rng: Rng::new(11),
            tally: Tally::default(),
        }
    }

    /// Carries out one command.
    pub(crate) fn run(&mut self, words: &[&[u8]]) -> Reply<'static> {
        self.try_run(words).unwrap_or_else(Reply::Error)
    }

    fn try_run(&mut self, words: &[&[u8]]) -> Result<Reply<'static>, CommandError> {
        let spec = lookup(words)?.spec();
        let names = names::qualify(spec, words)?;
        let over = names.as_ref().map(|names| names.over(words));
        let words = over.as_deref().unwrap_or(words);
        let args = Args::parse(spec, words)?;
        if spec.flags.has(Flags::SPREADS) {
            self.turns += 1;
            let topics = topics_in(self.shards.iter().flatten().map(|shard| &**shard));
            if let Some(key) = spread(spec, &args, &topics, self.turns) {
                let mut words: Vec<&[u8]> = words.to_vec();
                words[1] = &key;
                return self.carry_out(spec, &Args::parse(spec, &words)?);
            }
        }
        self.carry_out(spec, &args)
    }

    fn rules(&self, notices: u16) -> Rules {
        let (policy, mode) = (self.policy, self.mode);
        Rules { policy, mode, notices, read_elements_max: self.read_elements_max }
    }

    fn carry_out(
        &mut self,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> Result<Reply<'static>, CommandError> {
        let now = Now { unix_ms: self.now_ms, monotonic_ns: 0 };
        let rules = self.rules(u16::MAX);
        let draw = self.rng.draw();
        let view = View::over(&self.shards, now, &self.tally, rules, draw);
        let mut records = Vec::new();
        match spec.run {
            Run::Read(run) => Ok(run(&view, args)?.into_owned()),
            Run::Write(_) | Run::Block(_) => {
                let mut plan = Plan::new(view, &mut records);
                let reply = match spec.run {
                    Run::Block(run) => match run(&mut plan, args)? {
                        Blocked::Done(reply) => reply,
                        Blocked::Wait(pause) => pause.nothing,
                    },
                    Run::Write(run) => run(&mut plan, args)?,
                    _ => unreachable!("see above"),
                };
                self.told.extend(plan.take_told());
                let (touched, access) = (plan.touched(), plan.take_access());
                self.apply(&records, touched);
                if let Some(used) = access {
                    self.shard(used.shard).set_access(&used.key, used.access);
                }
                Ok(reply)
            }
            Run::Session | Run::Transaction | Run::Script(_) | Run::EveryCore(_) | Run::Unblock => {
                panic!("{} is not run by a shard", spec.resp)
            }
        }
    }

    /// Carries out what is due by the clock in queues.
    pub(crate) fn tick(&mut self) {
        for id in ShardId::all() {
            let now_ms = self.now_ms;
            while let Some(key) = self.shard(id).due_timer(now_ms).map(<[u8]>::to_vec) {
                let now = Now { unix_ms: self.now_ms, monotonic_ns: 0 };
                let rules = self.rules(0);
                let view = View::over(&self.shards, now, &self.tally, rules, self.rng.draw());
                let mut records = Vec::new();
                let mut plan = Plan::new(view, &mut records);
                tick::due(&mut plan, &key, 1_000);
                let touched = plan.touched();
                self.apply(&records, touched);
                if touched == 0 {
                    self.shard(id).rearm(&key);
                }
            }
        }
    }

    fn shard(&mut self, id: ShardId) -> &mut Shard {
        self.shards[id.index()].as_mut().expect("every shard is here")
    }

    fn apply(&mut self, records: &[u8], touched: u64) {
        assert_eq!(records.is_empty(), touched == 0, "touched says where records are");
        if touched == 0 {
            return;
        }
        let ids = || ShardId::all().filter(|id| touched >> id.index() & 1 == 1);
        let parts: Vec<PartSpec> =
            ids().map(|shard| PartSpec { shard, seq: self.shard(shard).seq().next() }).collect();
        let mut bytes = Vec::new();
        seal(&mut bytes, &parts, records, Epoch(1), self.now_ms);
        let (batch, rest) = Batch::decode(&bytes).expect("it was just sealed");
        assert!(rest.is_empty());
        for part in &parts {
            let shard = self.shard(part.shard);
            shard.apply(&batch);
            shard.set_stable(part.seq);
        }
        self.log.extend_from_slice(&bytes);
    }

    /// Fresh shards, filled from the log.
    pub(crate) fn replayed(&self) -> ShardTable {
        let mut shards = empty(self.mode);
        let mut rest = &self.log[..];
        while !rest.is_empty() {
            let (batch, after) = Batch::decode(rest).expect("the log is whole");
            for part in batch.parts() {
                shards[part.shard.index()].as_mut().expect("all are here").replay(&batch);
            }
            rest = after;
        }
        shards
    }

    /// Carries out the words of `line`, which stand between single blanks; `""` is an empty word.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "\"\"" { "" } else { word }.as_bytes()).collect();
        show(&self.run(&words))
    }

    /// Carries out each line and compares what [`show`] says of the answer.
    pub(crate) fn expect(&mut self, dialogue: &[(&str, &str)]) {
        for (line, answer) in dialogue {
            assert_eq!(self.ask(line), *answer, "{line}");
        }
    }
}

/// A reply in one line: `nil`, `OK`, `3`, `"bytes"`, `[a, b]`, `ERR text`.
pub(crate) fn show(reply: &Reply<'_>) -> String {
    let list = |items: &[Reply<'_>]| {
        let items: Vec<String> = items.iter().map(show).collect();
        format!("[{}]", items.join(", "))
    };
    match reply {
        Reply::Nil | Reply::NilArray => "nil".into(),
        Reply::Ok => "OK".into(),
        Reply::Status(word) => (*word).into(),
        Reply::Integer(number) => number.to_string(),
        Reply::Double(number) => number.to_string(),
        Reply::Decimal(number) => synap_shards::double::places(*number),
        Reply::Boolean(truth) => truth.to_string(),
        Reply::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Text(text) | Reply::Line(text) | Reply::BigNumber(text) => text.clone(),
        Reply::Verbatim { bytes, .. } => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Array(items) | Reply::Set(items) => list(items),
        Reply::Map(pairs) | Reply::Named(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(k, v)| format!("{}: {}", show(k), show(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Reply::Push(items) | Reply::Several(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("push [{}]", items.join(", "))
        }
        Reply::Pairs(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(a, b)| format!("[{}, {}]", show(a), show(b))).collect();
            format!("[{}]", pairs.join(", "))
        }
        Reply::Error(error) => format!("{} {error}", error.code()),
    }
}
