//! Scripts over shards: which shards a script gets, and what its commands do.
//!
//! Everything a script does is one batch of its effects; nobody sees a part of it. It runs over the
//! shards of the keys it declares, once it has shown that it keeps to them: a script that is new
//! here gets every shard, `PROVING_RUNS` times. One that reaches outside after all is stopped,
//! what it wrote is taken back before anybody could see it, and it runs again with every shard, now
//! and for ever. So that taking back is cheap, a script that runs over few shards is stopped
//! before it changes a large value, and goes on in the same way.
//!
//! An error in a script keeps what it wrote before, as in Redis. The interpreter is made when the
//! first script comes.

mod call;
mod function;
mod library;
mod runner;

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::Function;

use super::event::{Flow, Outbound, Reads};
use super::open::Open;
use super::parcel::OwnedWords;
use super::route::Request;
use super::task::{Fate, Ran, Task, Work};
use super::tx::shards_of_keys;
use super::{Engine, ReplyTo};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{Run, ScriptVerb};
use crate::command::table;
use crate::key::shard_of;
use crate::script::gauge::{Gauge, Kind};
use crate::script::registry::{Origin, Registry};
use crate::script::sha1::{self, HexDigest};
use crate::script::shebang::{self, ScriptFlags};
use crate::script::vm::{Body, Inputs, Limits, Vm};
use crate::shard::libraries::Libraries;
use crate::shard::plan::Now;
use call::Call;
use function::Functions;
use runner::{Again, Frame, Runner, Undo};

/// Runs with every shard after which a script that kept to its keys gets no others any more.
const PROVING_RUNS: u8 = 16;
/// Compiled scripts that one core keeps.
const COMPILED_MAX: usize = 1000;
const NO_SCRIPT: CommandError =
    CommandError::Coded { code: "NOSCRIPT", message: "No matching script. Please use EVAL." };
const MAY_WRITE: CommandError =
    CommandError::Invalid("Can not execute a script with write flag using *_ro command.");
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

/// A script or function as this core knows it.
#[derive(Debug)]
struct Known {
    function: Function,
    flags: ScriptFlags,
    /// Runs with every shard in which it kept to its keys.
    runs: u8,
    /// It needs every shard.
    is_wide: bool,
}

impl Known {
    fn new(function: Function, flags: ScriptFlags) -> Self {
        Self { function, flags, runs: 0, is_wide: false }
    }

    /// Whether it has shown that it keeps to the keys it declares.
    fn is_trusted(&self) -> bool {
        !self.is_wide && self.runs >= PROVING_RUNS
    }

    /// Takes down how a run went that used these shards.
    fn note(&mut self, used: u64, declared: u64, had_all: bool) {
        if used & !declared != 0 {
            self.is_wide = true;
        } else if had_all {
            self.runs = self.runs.saturating_add(1);
        }
    }
}

/// The scripts and functions of one core.
#[derive(Debug)]
pub(super) struct Scripts {
    inputs: ScriptInputs,
    settings: ScriptSettings,
    vm: Option<Vm>,
    known: BTreeMap<HexDigest, Known>,
    /// Of the registry, when `known` was filled.
    generation: u64,
    functions: Functions,
    seed: i32,
}

/// What a command about scripts works on.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Subject {
    /// It runs a script.
    Script(HexDigest),
    /// It runs a function.
    Function(Vec<u8>),
    /// It looks at libraries or changes them, as shard 0 has them.
    Libraries,
}

/// A command about scripts that needs shards.
#[derive(Debug)]
pub(super) struct Invocation {
    verb: ScriptVerb,
    words: OwnedWords,
    subject: Subject,
    /// Shards that it may use, a bit each.
    allowed: u64,
}

impl Invocation {
    /// The same with every shard.
    pub(super) fn widened(self) -> Self {
        Self { allowed: u64::MAX, ..self }
    }

    /// Whether it may be refused when memory is short.
    pub(super) fn denies_oom(&self) -> bool {
        self.subject != Subject::Libraries
            || matches!(self.verb, ScriptVerb::LoadLibrary | ScriptVerb::RestoreLibraries)
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
        self.known.insert(digest, Known::new(function, flags));
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
            self.functions = Functions::default();
            self.vm = None;
        }
    }

    fn limits(&self, time_ms: Option<u64>) -> Limits {
        Limits {
            time_ms: time_ms.unwrap_or(self.settings.time_limit_ms),
            memory_bytes: self.settings.memory_limit_bytes,
        }
    }

    /// What this core knows about what is to run.
    fn known(&mut self, subject: &Subject) -> Option<&mut Known> {
        match subject {
            Subject::Script(digest) => self.known.get_mut(digest),
            Subject::Function(name) => self.functions.known(name),
            Subject::Libraries => None,
        }
    }
}

impl Engine {
    /// Lets scripts run. Without this, commands that concern scripts are refused.
    pub fn enable_scripts(&mut self, inputs: ScriptInputs, settings: ScriptSettings) {
        let (generation, seed) = (inputs.registry.generation(), self.rng.draw() as i32);
        let (known, functions) = (BTreeMap::new(), Functions::default());
        let mut scripts =
            Scripts { inputs, settings, vm: None, known, generation, functions, seed };
        scripts.sync();
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
        match self.prepare(verb, args, out) {
            Err(reply) => {
                self.answer(reply_to, reply, out);
                Flow::Continue
            }
            Ok((subject, allowed)) => {
                let words = OwnedWords::new(args.words());
                let invocation = Invocation { verb, words, subject, allowed };
                let task = Task { reply_to, reads, work: Work::Script(invocation) };
                self.start_task(now, task, allowed, out)
            }
        }
    }

    /// What a command works on, and the shards it gets; or the answer, where it needs none.
    fn prepare(
        &mut self,
        verb: ScriptVerb,
        args: &Args<'_>,
        out: &mut dyn Outbound,
    ) -> Result<(Subject, u64), Reply<'static>> {
        use ScriptVerb::{Exists, ExistsFlags, Flush, FlushCount, FunctionStats, Load};
        let one_core = self.map.cores() == 1;
        let scripts = self.scripts.as_deref_mut().ok_or(Reply::Error(SWITCHED_OFF))?;
        if verb.is_about_libraries() {
            return Ok((Subject::Libraries, Libraries::MASK));
        }
        match verb {
            FunctionStats => return Err(scripts.function_stats(out)),
            Load | Exists | ExistsFlags | Flush | FlushCount => {
                return Err(about_scripts(scripts, verb, args).unwrap_or_else(Reply::Error));
            }
            _ => {}
        }
        let call = Call::parse(verb, args).map_err(Reply::Error)?;
        let subject = call.subject().map_err(Reply::Error)?;
        let mut allowed = shards_of_keys(call.keys.iter().copied());
        match &subject {
            Subject::Script(digest) => {
                scripts.know(*digest, call.text(), Origin::Evaluated).map_err(Reply::Error)?;
            }
            Subject::Function(_) => {
                // What the libraries are is settled where they are kept.
                let is_settled = scripts.sync_aloud(out);
                if scripts.known(&subject).is_none() && is_settled {
                    return Err(Reply::Error(function::NOT_FOUND));
                }
                allowed |= if is_settled { 0 } else { Libraries::MASK };
            }
            Subject::Libraries => unreachable!("a call runs something"),
        }
        let is_trusted = scripts.known(&subject).is_none_or(|known| known.is_trusted());
        Ok((subject, if is_trusted && !one_core { allowed } else { u64::MAX }))
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
        let (allowed, told) = (invocation.allowed, self.told.len());
        let mut undo = (allowed != u64::MAX).then(Undo::default);
        let outcome = {
            let frame =
                Frame { now, reply_to, reads, has_room, allowed, open: &mut open, undo: &mut undo };
            self.run_in(frame, invocation.verb, &words, &invocation.subject, out)
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
        let subject = match self.prepare(verb, request.args, out) {
            Err(reply) => return reply,
            Ok((subject, _)) => subject,
        };
        let Request { reply_to, reads, args, .. } = request;
        let (has_room, allowed, undo) = (true, u64::MAX, &mut None);
        let frame = Frame { now, reply_to, reads, has_room, allowed, open, undo };
        let outcome = self.run_in(frame, verb, args.words(), &subject, out);
        outcome.unwrap_or_else(|Again| unreachable!("it has every shard"))
    }

    fn run_in(
        &mut self,
        frame: Frame<'_>,
        verb: ScriptVerb,
        words: &[&[u8]],
        subject: &Subject,
        out: &mut dyn Outbound,
    ) -> Result<Reply<'static>, Again> {
        // Nothing in a script runs a script, so nobody misses it meanwhile.
        let Some(mut scripts) = self.scripts.take() else {
            return Ok(Reply::Error(SWITCHED_OFF));
        };
        let spec = table::lookup(words).expect("it was looked up before").spec();
        let args = Args::parse(spec, words).expect("the words were decoded before");
        let outcome = if *subject == Subject::Libraries {
            let reply = self.on_libraries(&mut scripts, frame, (verb, &args), out);
            Ok(Ok(reply.unwrap_or_else(Reply::Error)))
        } else {
            let call = Call::parse(verb, &args);
            call.and_then(|call| self.run_call(&mut scripts, frame, (&call, words, subject), out))
        };
        scripts.tidy();
        self.scripts = Some(scripts);
        outcome.unwrap_or_else(|error| Ok(Reply::Error(error)))
    }

    /// The inner result is what came of the run, the outer one whether there was one.
    fn run_call(
        &mut self,
        scripts: &mut Scripts,
        frame: Frame<'_>,
        (call, words, subject): (&Call<'_>, &[&[u8]], &Subject),
        out: &mut dyn Outbound,
    ) -> Result<Result<Reply<'static>, Again>, CommandError> {
        match subject {
            // It may have been flushed since it was looked up.
            Subject::Script(digest) => scripts.know(*digest, call.text(), Origin::Evaluated)?,
            _ => {
                let is_settled = scripts.sync_aloud(out);
                if !self.depends_on_libraries(scripts, frame.open, frame.allowed) && !is_settled {
                    return Ok(Err(Again));
                }
            }
        }
        let known = scripts.known(subject).ok_or(function::NOT_FOUND)?;
        let (function, flags) = (known.function.clone(), known.flags);
        let may_write = may_write(flags, call, frame.has_room)?;
        frame.open.ignores_oom = flags.has(ScriptFlags::ALLOW_OOM);
        let (kind, name) = match subject {
            Subject::Function(name) => (Kind::Function, String::from_utf8_lossy(name)),
            Subject::Script(digest) => (Kind::Script, String::from_utf8_lossy(digest)),
            Subject::Libraries => unreachable!("they do not run"),
        };
        let inputs = Inputs {
            name: &name,
            keys: call.keys,
            arguments: call.arguments,
            booleans: call.is_for_json(),
            limits: scripts.limits(call.time_limit_ms),
        };
        let declared = shards_of_keys(call.keys.iter().copied());
        let has_all = frame.allowed == u64::MAX;
        let gauge = Arc::clone(&scripts.inputs.gauge);
        let allow_flush = scripts.settings.allow_flush;
        self.stats.scripts_run += 1;
        let core = self.core;
        let body = match kind {
            Kind::Script => Body::Script(&function),
            Kind::Function => {
                scripts.began(core, &name, words);
                Body::Function(&function)
            }
        };
        gauge.begin(kind);
        let mut runner =
            Runner { engine: self, frame, out, gauge: &gauge, may_write, allow_flush, used: 0 };
        let outcome = scripts.vm().run(body, &inputs, &mut runner);
        let used = runner.used;
        gauge.end();
        if kind == Kind::Function {
            scripts.inputs.registry.ended(core);
        }
        let known = scripts.known(subject).expect("it ran just now");
        let Ok(reply) = outcome else {
            known.is_wide = true;
            return Ok(Err(Again));
        };
        known.note(used, declared, has_all);
        Ok(Ok(if call.is_for_json() { for_json(reply, &name) } else { reply }))
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

/// Whether what has these flags may write.
fn may_write(flags: ScriptFlags, call: &Call<'_>, has_room: bool) -> Result<bool, CommandError> {
    let may_write = !flags.has(ScriptFlags::NO_WRITES);
    if flags.has(ScriptFlags::UNSAID) {
        return Ok(!call.is_read_only());
    }
    if may_write && call.is_read_only() {
        return Err(MAY_WRITE);
    }
    if may_write && !has_room && !flags.has(ScriptFlags::ALLOW_OOM) {
        return Err(SHORT_OF_MEMORY);
    }
    Ok(may_write)
}

/// A result as HTTP shows it, beside the digest of the script.
fn for_json(reply: Reply<'static>, digest: &str) -> Reply<'static> {
    if let Reply::Error(_) = reply {
        return reply;
    }
    let fields = [(Reply::string("result"), reply), (Reply::string("sha1"), Reply::string(digest))];
    Reply::Map(fields.into())
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

#[cfg(test)]
mod tests;
