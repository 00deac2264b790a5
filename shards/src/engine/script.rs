//! Scripts over shards: which shards a script gets, and what its commands do.
//!
//! Everything a script does is one batch of its effects; nobody sees a part of it. It runs over the
//! shards of the keys it declares, once it has shown that it keeps to them: a script that is new
//! here gets every shard, [`PROVING_RUNS`] times. One that reaches outside after all is stopped,
//! what it wrote is taken back before anybody could see it, and it runs again with every shard, now
//! and for ever. So that taking back is cheap, a script that runs over few shards is stopped
//! before it changes a large value, and goes on in the same way.
//!
//! An error in a script keeps what it wrote before, as in Redis. The interpreter is made when the
//! first script comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::Function;

use super::event::{Flow, Outbound, Reads};
use super::open::Open;
use super::parcel::OwnedWords;
use super::route::Request;
use super::task::{Fate, Ran, Task, Work};
use super::tx::{shards_of_command, shards_of_keys};
use super::{Engine, ReplyTo};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Access, CommandSpec, Flags, Run, ScriptVerb};
use crate::command::table;
use crate::id::ConnId;
use crate::key::shard_of;
use crate::script::gauge::Gauge;
use crate::script::link::Stop;
use crate::script::registry::{Origin, Registry};
use crate::script::sha1::{self, HexDigest};
use crate::script::shebang::{self, ScriptFlags};
use crate::script::vm::{Host, Inputs, Limits, Vm};
use crate::shard::plan::Now;
use crate::shard::undo::Before;

/// Runs with every shard after which a script that kept to its keys gets no others any more.
const PROVING_RUNS: u8 = 16;
/// Compiled scripts that one core keeps.
const COMPILED_MAX: usize = 1000;
/// Bytes of a value that a script which runs over few shards may change.
const UNDO_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of all of them together; each key counts for some more.
const UNDO_BYTES_MAX: usize = 1024 * 1024;
const UNDO_KEY_BYTES: usize = 512;
/// Longest time that one call may ask for, in milliseconds.
const TIME_LIMIT_MS_MAX: i64 = 60_000;

const NO_SCRIPT: CommandError =
    CommandError::Coded { code: "NOSCRIPT", message: "No matching script. Please use EVAL." };
const UNKNOWN: CommandError = CommandError::Invalid("Unknown Redis command called from script");
const WRONG_ARITY: CommandError =
    CommandError::Invalid("Wrong number of args calling Redis command from script");
const NOT_ALLOWED: CommandError =
    CommandError::Invalid("This Redis command is not allowed from script");
const READ_ONLY: CommandError =
    CommandError::Invalid("Write commands are not allowed from read-only scripts.");
const SHORT_OF_MEMORY: CommandError = CommandError::Coded {
    code: "OOM",
    message: "allow-oom flag is not set on the script, can not run it when used memory > \
              'maxmemory'",
};
const SWITCHED_OFF: CommandError = CommandError::Invalid("this server runs no scripts");

/// What the engine is given to run scripts.
#[derive(Clone, Debug)]
pub struct ScriptInputs {
    /// The scripts of the process.
    pub registry: Arc<dyn Registry>,
    /// Where other cores see and end this core's script.
    pub gauge: Arc<Gauge>,
    /// Nanoseconds since some start; bounds the time of a script.
    pub clock: fn() -> u64,
}

/// What bounds scripts; can change while the server runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptSettings {
    /// Milliseconds after which a script is stopped.
    pub time_limit_ms: u64,
    /// Bytes that the interpreter may take for one run.
    pub memory_limit_bytes: usize,
    /// Whether scripts may empty the data set.
    pub allow_flush: bool,
}

impl Default for ScriptSettings {
    fn default() -> Self {
        Self { time_limit_ms: 5000, memory_limit_bytes: 64 * 1024 * 1024, allow_flush: true }
    }
}

/// A script as this core knows it.
#[derive(Debug)]
struct Known {
    function: Function,
    flags: ScriptFlags,
    /// Runs with every shard in which it kept to its keys.
    runs: u8,
    /// It needs every shard.
    is_wide: bool,
}

/// The scripts of one core.
#[derive(Debug)]
pub(super) struct Scripts {
    inputs: ScriptInputs,
    settings: ScriptSettings,
    vm: Option<Vm>,
    known: BTreeMap<HexDigest, Known>,
    /// Of the registry, when `known` was filled.
    generation: u64,
    seed: i32,
}

/// A script that is to run.
#[derive(Debug)]
pub(super) struct Invocation {
    verb: ScriptVerb,
    words: OwnedWords,
    digest: HexDigest,
    /// It gets every shard.
    is_wide: bool,
}

impl Invocation {
    /// The same with every shard.
    pub(super) fn widened(self) -> Self {
        Self { is_wide: true, ..self }
    }
}

/// What a command says about the script it runs.
struct Call<'a> {
    verb: ScriptVerb,
    /// The script, or its digest.
    script: &'a [u8],
    time_limit_ms: Option<u64>,
    keys: &'a [&'a [u8]],
    arguments: &'a [&'a [u8]],
}

impl<'a> Call<'a> {
    fn parse(verb: ScriptVerb, args: &Args<'a>) -> Result<Self, CommandError> {
        let is_timed = matches!(verb, ScriptVerb::Timed | ScriptVerb::TimedSha);
        let shift = usize::from(is_timed);
        let time_limit_ms = match is_timed.then(|| args.integer(Arg(1))) {
            None | Some(0) => None,
            Some(ms @ 1..=TIME_LIMIT_MS_MAX) => Some(ms as u64),
            Some(_) => {
                return Err(CommandError::Invalid("timeout_ms must be between 0 and 60000"));
            }
        };
        let count = args.integer(Arg(1 + shift));
        let keys = args.rest(Arg(2 + shift));
        if count < 0 {
            return Err(CommandError::Invalid("Number of keys can't be negative"));
        }
        if count as u64 != keys.len() as u64 {
            let message = "Number of keys can't be greater than number of args";
            return Err(CommandError::Invalid(message));
        }
        let (script, arguments) = (args.bytes(Arg(0)), args.rest(Arg(3 + shift)));
        Ok(Self { verb, script, time_limit_ms, keys, arguments })
    }

    fn by_digest(&self) -> bool {
        use ScriptVerb::{EvalSha, EvalShaReadOnly, TimedSha};
        matches!(self.verb, EvalSha | EvalShaReadOnly | TimedSha)
    }

    fn is_read_only(&self) -> bool {
        matches!(self.verb, ScriptVerb::EvalReadOnly | ScriptVerb::EvalShaReadOnly)
    }

    fn is_for_json(&self) -> bool {
        matches!(self.verb, ScriptVerb::Timed | ScriptVerb::TimedSha)
    }

    fn digest(&self) -> Result<HexDigest, CommandError> {
        if self.by_digest() {
            sha1::parse(self.script).ok_or(NO_SCRIPT)
        } else {
            Ok(sha1::hex_digest(self.script))
        }
    }
}

impl Scripts {
    fn vm(&mut self) -> &Vm {
        let (inputs, seed) = (&self.inputs, self.seed);
        self.vm.get_or_insert_with(|| Vm::new(seed, Arc::clone(&inputs.gauge), inputs.clock))
    }

    fn compile(&mut self, text: &[u8]) -> Result<(Function, ScriptFlags), CommandError> {
        let shebang = shebang::read(text)?;
        Ok((self.vm().compile(shebang.code)?, shebang.flags))
    }

    /// Takes a script in, or finds it; `text` where the client gave it.
    fn know(
        &mut self,
        digest: HexDigest,
        text: Option<&[u8]>,
        origin: Origin,
    ) -> Result<(), CommandError> {
        let generation = self.inputs.registry.generation();
        if generation != self.generation {
            self.known.clear();
            self.generation = generation;
        }
        if self.known.contains_key(&digest) {
            if text.is_some() && origin == Origin::Loaded {
                self.register(digest, text.unwrap_or_default(), origin)?;
            }
            return Ok(());
        }
        let found = match text {
            Some(_) => None,
            None => Some(self.inputs.registry.find(&digest).ok_or(NO_SCRIPT)?),
        };
        let source = text.or(found.as_deref()).unwrap_or_default();
        let (function, flags) = self.compile(source)?;
        if let Some(text) = text {
            self.register(digest, text, origin)?;
        }
        if self.known.len() >= COMPILED_MAX {
            self.known.pop_first();
        }
        self.known.insert(digest, Known { function, flags, runs: 0, is_wide: false });
        Ok(())
    }

    fn register(&self, digest: HexDigest, text: &[u8], origin: Origin) -> Result<(), CommandError> {
        if self.inputs.registry.add(digest, text, origin) || origin == Origin::Evaluated {
            return Ok(());
        }
        Err(CommandError::Invalid("there are too many scripts, SCRIPT FLUSH first"))
    }

    /// Gives memory back; an interpreter that has grown too much goes with all it compiled.
    fn tidy(&mut self) {
        if self.vm.as_ref().is_some_and(Vm::tidy) {
            self.known.clear();
            self.vm = None;
        }
    }

    fn limits(&self, call: &Call<'_>) -> Limits {
        Limits {
            time_ms: call.time_limit_ms.unwrap_or(self.settings.time_limit_ms),
            memory_bytes: self.settings.memory_limit_bytes,
        }
    }
}

impl Engine {
    /// Lets scripts run. Without this, commands that concern scripts are refused.
    pub fn enable_scripts(&mut self, inputs: ScriptInputs, settings: ScriptSettings) {
        let (generation, seed) = (inputs.registry.generation(), self.rng.draw() as i32);
        let known = BTreeMap::new();
        let scripts = Scripts { inputs, settings, vm: None, known, generation, seed };
        self.scripts = Some(Box::new(scripts));
    }

    /// Changes what bounds scripts.
    pub fn set_scripts(&mut self, settings: ScriptSettings) {
        if let Some(scripts) = self.scripts.as_deref_mut() {
            scripts.settings = settings;
        }
    }

    /// A command about scripts.
    pub(super) fn script(
        &mut self,
        now: Now,
        request: Request<'_>,
        verb: ScriptVerb,
        out: &mut dyn Outbound,
    ) -> Flow {
        let Request { reply_to, reads, args, .. } = request;
        match self.prepare(verb, args) {
            Err(reply) => {
                self.answer(reply_to, reply, out);
                Flow::Continue
            }
            Ok((digest, wanted)) => {
                let (words, is_wide) = (OwnedWords::new(args.words()), wanted == u64::MAX);
                let invocation = Invocation { verb, words, digest, is_wide };
                let task = Task { reply_to, reads, work: Work::Script(invocation) };
                self.start_task(now, task, wanted, out)
            }
        }
    }

    /// What a script that is to run is called, and the shards it gets; or the answer, where
    /// nothing has to run.
    fn prepare(
        &mut self,
        verb: ScriptVerb,
        args: &Args<'_>,
    ) -> Result<(HexDigest, u64), Reply<'static>> {
        use ScriptVerb::{Eval, EvalReadOnly, EvalSha, EvalShaReadOnly, Timed, TimedSha};
        let one_core = self.map.cores() == 1;
        let scripts = self.scripts.as_deref_mut().ok_or(Reply::Error(SWITCHED_OFF))?;
        if !matches!(verb, Eval | EvalReadOnly | EvalSha | EvalShaReadOnly | Timed | TimedSha) {
            return Err(about_scripts(scripts, verb, args).unwrap_or_else(Reply::Error));
        }
        let call = Call::parse(verb, args).map_err(Reply::Error)?;
        let digest = call.digest().map_err(Reply::Error)?;
        let text = (!call.by_digest()).then_some(call.script);
        scripts.know(digest, text, Origin::Evaluated).map_err(Reply::Error)?;
        let known = &scripts.known[&digest];
        if one_core || known.is_wide || known.runs < PROVING_RUNS {
            return Ok((digest, u64::MAX));
        }
        Ok((digest, shards_of_keys(call.keys.iter().copied())))
    }

    /// Runs a script over the shards in the table.
    pub(super) fn run_script(
        &mut self,
        now: Now,
        invocation: &Invocation,
        (reply_to, reads): (ReplyTo, Reads),
        has_room: bool,
        out: &mut dyn Outbound,
    ) -> Ran {
        let words = invocation.words.get();
        let mut open = Open::default();
        let (allowed, told) = (invocation.allowed(&words), self.told.len());
        let mut undo = (!invocation.is_wide).then(Undo::default);
        let outcome = {
            let frame =
                Frame { now, reply_to, reads, has_room, allowed, open: &mut open, undo: &mut undo };
            self.run_in(frame, invocation.verb, &words, invocation.digest, out)
        };
        match outcome {
            Ok(reply) => {
                let (touched, unstable) = self.close(now, open);
                Ran { reply, touched, unstable, fate: Fate::Answers }
            }
            Err(Again) => {
                self.take_back(&undo.unwrap_or_default());
                self.told.truncate(told);
                self.stats.scripts_rerun += 1;
                Ran { reply: Reply::Nil, touched: 0, unstable: 0, fate: Fate::Again }
            }
        }
    }

    /// A command about scripts as part of a transaction, which holds the shards it may need.
    pub(super) fn script_inside(
        &mut self,
        now: Now,
        open: &mut Open,
        request: Request<'_>,
        out: &mut dyn Outbound,
    ) -> Reply<'static> {
        let Run::Script(verb) = request.command.spec().run else {
            unreachable!("{} runs no script", request.command.spec().resp)
        };
        let digest = match self.prepare(verb, request.args) {
            Err(reply) => return reply,
            Ok((digest, _)) => digest,
        };
        let Request { reply_to, reads, args, .. } = request;
        let frame = Frame {
            now,
            reply_to,
            reads,
            has_room: true,
            allowed: u64::MAX,
            open,
            undo: &mut None,
        };
        let outcome = self.run_in(frame, verb, args.words(), digest, out);
        outcome.unwrap_or_else(|Again| unreachable!("it has every shard"))
    }

    fn run_in(
        &mut self,
        frame: Frame<'_>,
        verb: ScriptVerb,
        words: &[&[u8]],
        digest: HexDigest,
        out: &mut dyn Outbound,
    ) -> Result<Reply<'static>, Again> {
        // Nothing in a script runs a script, so nobody misses it meanwhile.
        let Some(mut scripts) = self.scripts.take() else {
            return Ok(Reply::Error(SWITCHED_OFF));
        };
        let outcome = self.run_known(&mut scripts, frame, (verb, words, digest), out);
        scripts.tidy();
        self.scripts = Some(scripts);
        outcome.unwrap_or_else(|error| Ok(Reply::Error(error)))
    }

    /// The inner result is what came of the run, the outer one whether there was one.
    fn run_known(
        &mut self,
        scripts: &mut Scripts,
        frame: Frame<'_>,
        (verb, words, digest): (ScriptVerb, &[&[u8]], HexDigest),
        out: &mut dyn Outbound,
    ) -> Result<Result<Reply<'static>, Again>, CommandError> {
        let spec = table::lookup(words)?.spec();
        let args = Args::parse(spec, words)?;
        let call = Call::parse(verb, &args)?;
        // It may have been flushed since it was looked up.
        let text = (!call.by_digest()).then_some(call.script);
        scripts.know(digest, text, Origin::Evaluated)?;
        let known = &scripts.known[&digest];
        let (function, flags) = (known.function.clone(), known.flags);
        let may_write = !flags.has(ScriptFlags::NO_WRITES) && !call.is_read_only();
        let claims_room = !flags.has(ScriptFlags::UNSAID) && !flags.has(ScriptFlags::ALLOW_OOM);
        if !frame.has_room && claims_room && may_write {
            return Err(SHORT_OF_MEMORY);
        }
        frame.open.ignores_oom = flags.has(ScriptFlags::ALLOW_OOM);
        let name = std::str::from_utf8(&digest).expect("hexadecimal digits are text");
        let inputs = Inputs {
            name,
            keys: call.keys,
            arguments: call.arguments,
            booleans: call.is_for_json(),
            limits: scripts.limits(&call),
        };
        let declared = shards_of_keys(call.keys.iter().copied());
        let has_all = frame.allowed == u64::MAX;
        let gauge = Arc::clone(&scripts.inputs.gauge);
        let allow_flush = scripts.settings.allow_flush;
        scripts.vm();
        let vm = scripts.vm.as_ref().expect("it was made just now");
        self.stats.scripts_run += 1;
        gauge.begin();
        let mut runner =
            Runner { engine: self, frame, out, gauge: &gauge, may_write, allow_flush, used: 0 };
        let outcome = vm.run(&function, &inputs, &mut runner);
        let used = runner.used;
        gauge.end();
        let known = scripts.known.get_mut(&digest).expect("it ran just now");
        match &outcome {
            Err(_) => known.is_wide = true,
            Ok(_) if used & !declared != 0 => known.is_wide = true,
            Ok(_) if has_all => known.runs = known.runs.saturating_add(1),
            Ok(_) => {}
        }
        let reply = match outcome {
            Err(_) => return Ok(Err(Again)),
            Ok(Reply::Error(error)) => Reply::Error(error),
            Ok(reply) if call.is_for_json() => Reply::Map(vec![
                (Reply::string("result"), reply),
                (Reply::string("sha1"), Reply::string(name)),
            ]),
            Ok(reply) => reply,
        };
        Ok(Ok(reply))
    }

    /// Makes the keys what they were before a script.
    fn take_back(&mut self, undo: &Undo) {
        for before in undo.kept.iter().rev() {
            let id = shard_of(before.key());
            let shard = self.shards[id.index()].as_deref_mut();
            let shard = shard.expect("a script writes to shards that are here");
            self.used_bytes -= shard.live_bytes();
            shard.put_back(before);
            self.used_bytes += shard.live_bytes();
        }
    }
}

impl Invocation {
    /// The shards that it may use, a bit each.
    fn allowed(&self, words: &[&[u8]]) -> u64 {
        if self.is_wide {
            return u64::MAX;
        }
        let spec = table::lookup(words).expect("it was looked up before").spec();
        shards_of_keys(spec.key_positions(words).into_iter().map(|at| words[at]))
    }
}

/// Commands about scripts that run none.
fn about_scripts(
    scripts: &mut Scripts,
    verb: ScriptVerb,
    args: &Args<'_>,
) -> Result<Reply<'static>, CommandError> {
    let registry = Arc::clone(&scripts.inputs.registry);
    let is_known =
        |word: &&[u8]| sha1::parse(word).is_some_and(|name| registry.find(&name).is_some());
    match verb {
        ScriptVerb::Load => {
            let text = args.bytes(Arg(0));
            let digest = sha1::hex_digest(text);
            scripts.know(digest, Some(text), Origin::Loaded)?;
            Ok(Reply::owned(digest.to_vec()))
        }
        ScriptVerb::Exists => {
            let flags = args.rest(Arg(0)).iter().map(|word| i64::from(is_known(word)));
            Ok(Reply::Array(flags.map(Reply::Integer).collect()))
        }
        ScriptVerb::ExistsFlags => {
            let flags = args.rest(Arg(0)).iter().map(is_known);
            Ok(Reply::Array(flags.map(Reply::Boolean).collect()))
        }
        ScriptVerb::Flush => {
            registry.flush();
            Ok(Reply::Ok)
        }
        ScriptVerb::FlushCount => Ok(Reply::count(registry.flush())),
        _ => unreachable!("scripts are run elsewhere"),
    }
}

/// The script has to run again, with every shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Again;

/// What keys were before a script changed them.
#[derive(Debug, Default)]
struct Undo {
    kept: Vec<Before>,
    bytes: usize,
}

/// What a run of a script works in.
struct Frame<'a> {
    now: Now,
    reply_to: ReplyTo,
    reads: Reads,
    has_room: bool,
    /// Shards it may use.
    allowed: u64,
    open: &'a mut Open,
    /// Nothing for a script that has every shard and need not be taken back.
    undo: &'a mut Option<Undo>,
}

/// Carries out what a script asks for.
struct Runner<'a> {
    engine: &'a mut Engine,
    frame: Frame<'a>,
    out: &'a mut dyn Outbound,
    gauge: &'a Gauge,
    may_write: bool,
    allow_flush: bool,
    /// Shards that it used.
    used: u64,
}

impl Host for Runner<'_> {
    fn command(&mut self, words: &[&[u8]]) -> Result<Reply<'static>, Stop> {
        self.checked(words).unwrap_or_else(|error| Ok(Reply::Error(error)))
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.out.script_log(level, text);
    }
}

impl Runner<'_> {
    fn checked(&mut self, words: &[&[u8]]) -> Result<Result<Reply<'static>, Stop>, CommandError> {
        let command = table::lookup(words).map_err(|_| UNKNOWN)?;
        let spec = command.spec();
        let args = Args::parse(spec, words).map_err(|error| match error {
            CommandError::WrongArity { .. } => WRONG_ARITY,
            other => other,
        })?;
        let has_no_place =
            matches!(spec.run, Run::EveryCore(_) | Run::Transaction | Run::Script(_));
        if spec.flags.has(Flags::NO_SCRIPT) || has_no_place {
            return Err(NOT_ALLOWED);
        }
        if spec.flags.has(Flags::FLUSH) && !self.allow_flush {
            return Err(CommandError::Disabled { key: "kv_store.allow_flush_commands" });
        }
        if let Run::Session = spec.run {
            let ReplyTo::Client { conn, .. } = self.frame.reply_to else {
                return Err(NOT_ALLOWED);
            };
            return Ok(Ok(self.session(conn, command, &args)));
        }
        let shards = shards_of_command(spec, words, u64::MAX);
        if shards & !self.frame.allowed != 0 {
            return Ok(Err(Stop::Again));
        }
        self.used |= shards;
        if writes(spec) {
            if !self.may_write {
                return Err(READ_ONLY);
            }
            if !self.keep(spec, words) {
                return Ok(Err(Stop::Again));
            }
            if !self.gauge.writes() {
                return Ok(Err(Stop::Killed));
            }
        }
        let Frame { now, reply_to, reads, .. } = self.frame;
        let args = &args;
        let request = Request { reply_to, caller: 0, reads, command, args, target: None };
        Ok(Ok(self.engine.run_inside(now, self.frame.open, request)))
    }

    fn session(
        &mut self,
        conn: ConnId,
        command: table::CommandId,
        args: &Args<'_>,
    ) -> Reply<'static> {
        self.out.run_session(conn, command, args)
    }

    /// Takes down what the keys of a command are now, so that it can be taken back; false when
    /// that would be too much.
    fn keep(&mut self, spec: &CommandSpec, words: &[&[u8]]) -> bool {
        let Some(undo) = self.frame.undo else { return true };
        for at in spec.key_positions(words) {
            let key = words[at];
            if undo.kept.iter().any(|before| before.key() == key) {
                continue;
            }
            let shard = self.engine.shards[shard_of(key).index()].as_deref();
            let shard = shard.expect("a script uses shards that are here");
            let Some(before) = shard.keep(key, UNDO_VALUE_BYTES_MAX) else { return false };
            undo.bytes += before.held_bytes() + UNDO_KEY_BYTES;
            if undo.bytes > UNDO_BYTES_MAX {
                return false;
            }
            undo.kept.push(before);
        }
        true
    }
}

fn writes(spec: &CommandSpec) -> bool {
    spec.access == Access::Write || matches!(spec.run, Run::Write(_) | Run::Block(_))
}

#[cfg(test)]
mod tests;
