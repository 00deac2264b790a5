//! The interpreter of one core: Lua 5.1 with the globals that scripts of Redis find, and nothing
//! that reaches outside.
//!
//! Guarantees: a run ends, by its own, by its limits of time and memory, or because somebody asked;
//! a script leaves nothing behind for the next one but the state of `math.random`; compiled code
//! is taken as text only. It touches no shard: what a script asks for goes through [`Host`].

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::convert::{Form, to_reply};
use super::fail::Raised;
use super::gauge::Gauge;
use super::link::{Failure, Line, Link, Registered, Request, Stop};
use super::{api, bits, json, msgpack, structs};
use crate::command::error::CommandError;
use crate::command::reply::Reply;

/// Instructions between two looks at the clock.
const INSTRUCTIONS_PER_LOOK: u32 = 10_000;
/// Bytes that the interpreter may hold between runs beyond what it held when it was new, compiled
/// scripts included, before it is made anew.
const GROWTH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Garbage that may wait for the collector between runs.
const GARBAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Name of a script in its errors, as Redis has it.
const SCRIPT_NAME: &str = "@user_script";
/// The same for the code of libraries.
const LIBRARY_NAME: &str = "@user_function";

/// What a script asks the engine for.
pub(crate) trait Host {
    /// Runs a command. Nothing when the script has to end; the host says why with
    /// [`Stop`].
    fn command(&mut self, words: &[&[u8]]) -> Result<Reply<'static>, Stop>;
    /// Writes a line into the server's log; levels are 0 (least) to 3.
    fn log(&mut self, level: u8, text: &[u8]);
}

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) time_ms: u64,
    pub(crate) memory_bytes: usize,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'f> {
    /// A script, which finds keys and arguments in `KEYS` and `ARGV`.
    Script(&'f Function),
    /// A function of a library, which is handed them.
    Function(&'f Function),
}

/// What a run works on.
pub(crate) struct Inputs<'a> {
    /// Name in errors: the digest of a script, or the name of a function.
    pub(crate) name: &'a str,
    pub(crate) keys: &'a [&'a [u8]],
    pub(crate) arguments: &'a [&'a [u8]],
    /// True and false stay what they are, for JSON.
    pub(crate) booleans: bool,
    pub(crate) limits: Limits,
}

/// An interpreter.
pub(crate) struct Vm {
    lua: Lua,
    link: Rc<Link>,
    /// What scripts may name.
    pool: Table,
    /// What scripts see: the pool, read-only.
    environment: Table,
    run: Function,
    json: json::Shared,
    clock: fn() -> u64,
    /// Bytes that it held when it was new, or had just loaded libraries.
    base_bytes: Cell<usize>,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").field("bytes", &self.lua.used_memory()).finish_non_exhaustive()
    }
}

impl Vm {
    /// An interpreter. `seed` begins the sequence of `math.random`; `gauge` is where others ask
    /// for a script to end; `clock` counts nanoseconds.
    pub(crate) fn new(seed: i32, gauge: Arc<Gauge>, clock: fn() -> u64) -> Self {
        Self::build(seed, gauge, clock).expect("an interpreter needs nothing but memory")
    }

    fn build(seed: i32, gauge: Arc<Gauge>, clock: fn() -> u64) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(libraries, options)?;
        let (link, json) = (Rc::new(Link::default()), json::Shared::default());
        let pool = lua.create_table()?;
        let math: Table = lua.globals().raw_get("math")?;
        api::add_random(&lua, &math, seed)?;
        pool.raw_set("math", math)?;
        pool.raw_set("os", api::clock_library(&lua, clock)?)?;
        pool.raw_set("redis", api::library(&lua, &link)?)?;
        pool.raw_set("cjson", json::library(&lua, &json)?)?;
        pool.raw_set("cmsgpack", msgpack::library(&lua)?)?;
        pool.raw_set("struct", structs::library(&lua)?)?;
        pool.raw_set("bit", bits::library(&lua)?)?;
        let (fix, report) = (fix(&lua, &link)?, report(&lua, &link)?);
        let (environment, run): (Table, Function) = lua
            .load(include_str!("sandbox.lua"))
            .set_name("=sandbox")
            .set_mode(ChunkMode::Text)
            .call((&pool, fix, report))?;
        watch(&lua, &link, gauge, clock)?;
        lua.gc_collect()?;
        let base_bytes = Cell::new(lua.used_memory());
        Ok(Self { lua, link, pool, environment, run, json, clock, base_bytes })
    }

    /// Compiles a script.
    pub(crate) fn compile(&self, source: &[u8]) -> Result<Function, CommandError> {
        self.compile_as(source, SCRIPT_NAME).map_err(|why| {
            let text = format!("ERR Error compiling script (new function): {why}");
            CommandError::scripted(text.as_bytes())
        })
    }

    fn compile_as(&self, source: &[u8], name: &str) -> Result<Function, String> {
        let chunk = self.lua.load(source).set_name(name).set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.environment.clone());
        chunk.into_function().map_err(|error| match error {
            Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        })
    }

    /// Runs the code of a library, which registers functions.
    pub(crate) fn load(
        &self,
        code: &[u8],
        limits: Limits,
    ) -> Result<Vec<Registered>, CommandError> {
        let refused = |what: &str, why: &[u8]| {
            CommandError::scripted(&[b"ERR Error ", what.as_bytes(), why].concat())
        };
        let function = self
            .compile_as(code, LIBRARY_NAME)
            .map_err(|why| refused("compiling function: ", why.as_bytes()))?;
        self.link.begin((self.clock)().saturating_add(limits.time_ms * 1_000_000));
        self.link.registering.replace(Some(Vec::new()));
        let outcome = self.register(&function, limits);
        let registered = self.link.registering.take().unwrap_or_default();
        // Failing to lift a limit cannot happen: the allocator is the interpreter's own.
        let _limit = self.lua.set_memory_limit(0);
        let place = "registering functions: ";
        match (self.link.stop.get(), outcome) {
            (Some(_), _) => Err(refused(place, b"FUNCTION LOAD timeout")),
            (None, Ok(())) => Ok(registered),
            (None, Err(error)) => Err(refused(place, &self.failure(&error).message)),
        }
    }

    fn register(&self, code: &Function, limits: Limits) -> mlua::Result<()> {
        self.lua.set_memory_limit(self.lua.used_memory() + limits.memory_bytes)?;
        self.pool.raw_set("KEYS", Value::Nil)?;
        self.pool.raw_set("ARGV", Value::Nil)?;
        let (done, value): (bool, Value) = self.run.call(code)?;
        if done { Ok(()) } else { Err(Error::runtime(plain_text(&value))) }
    }

    /// Runs a script or a function. Its reply, or why it was stopped without one by the host.
    pub(crate) fn run(
        &self,
        body: Body<'_>,
        inputs: &Inputs<'_>,
        host: &mut dyn Host,
    ) -> Result<Reply<'static>, Stop> {
        self.json.set(json::Settings::default());
        self.link.begin((self.clock)().saturating_add(inputs.limits.time_ms * 1_000_000));
        let outcome = self.guarded(body, inputs, host);
        self.link.bridge.replace(None);
        // Failing to lift a limit cannot happen: the allocator is the interpreter's own.
        let _limit = self.lua.set_memory_limit(0);
        match (self.link.stop.get(), outcome) {
            (Some(Stop::Again), _) => Err(Stop::Again),
            (Some(stop), _) => Ok(Reply::Error(stopped(stop, inputs))),
            (None, Ok(value)) => {
                let form = Form { resp3: self.link.resp3.get(), booleans: inputs.booleans };
                Ok(to_reply(&value, form))
            }
            (None, Err(error)) => Ok(Reply::Error(self.failed(&error, inputs.name))),
        }
    }

    fn guarded(
        &self,
        body: Body<'_>,
        inputs: &Inputs<'_>,
        host: &mut dyn Host,
    ) -> mlua::Result<Value> {
        let memory = self.lua.used_memory() + inputs.limits.memory_bytes;
        self.lua.set_memory_limit(memory)?;
        let (keys, arguments) = (self.words(inputs.keys)?, self.words(inputs.arguments)?);
        let named = if let Body::Script(_) = body {
            (Value::Table(keys.clone()), Value::Table(arguments.clone()))
        } else {
            (Value::Nil, Value::Nil)
        };
        self.pool.raw_set("KEYS", named.0)?;
        self.pool.raw_set("ARGV", named.1)?;
        let link = &*self.link;
        self.lua.scope(|scope| {
            let bridge = scope.create_function_mut(|_, ()| {
                link.serve(host);
                Ok(())
            })?;
            link.bridge.replace(Some(bridge));
            let (done, value): (bool, Value) = match body {
                Body::Script(script) => self.run.call(script)?,
                Body::Function(function) => self.run.call((function, keys, arguments))?,
            };
            if done { Ok(value) } else { Err(Error::runtime(plain_text(&value))) }
        })
    }

    fn words(&self, words: &[&[u8]]) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(words.len(), 0)?;
        for (index, word) in words.iter().enumerate() {
            table.raw_set(index + 1, self.lua.create_string(word)?)?;
        }
        Ok(table)
    }

    /// The error that a script ended with, in the form of Redis.
    fn failed(&self, error: &Error, name: &str) -> CommandError {
        let failure = self.failure(error);
        let mut text = failure.message;
        if let Some((source, line)) = failure.place {
            text.extend_from_slice(format!(" script: {name}, on {source}:{line}.").as_bytes());
        }
        CommandError::scripted(&text)
    }

    fn failure(&self, error: &Error) -> Failure {
        self.link.failure.take().unwrap_or_else(|| {
            let text = match error {
                Error::RuntimeError(text) | Error::MemoryError(text) => text.clone(),
                other => other.to_string(),
            };
            Failure { message: format!("ERR {text}").into_bytes(), place: None }
        })
    }

    /// What it holds now is what it needs: libraries were loaded.
    pub(crate) fn rebase(&self) {
        // Collecting runs no code of scripts: they cannot make finalisers.
        let _collected = self.lua.gc_collect();
        self.base_bytes.set(self.lua.used_memory());
    }

    /// Gives memory back after a run. Whether the interpreter has grown so much that a new one
    /// should take its place.
    pub(crate) fn tidy(&self) -> bool {
        if self.lua.used_memory() > self.base_bytes.get() + GARBAGE_BYTES_MAX {
            // Collecting runs no code of scripts: they cannot make finalisers.
            let _collected = self.lua.gc_collect();
        }
        self.lua.used_memory() > self.base_bytes.get() + GROWTH_BYTES_MAX
    }
}

impl Link {
    fn begin(&self, deadline_ns: u64) {
        self.stop.set(None);
        self.resp3.set(false);
        self.deadline_ns.set(deadline_ns);
        self.failure.replace(None);
        self.reply.replace(None);
    }

    /// Hands what a script asks for to the engine.
    fn serve(&self, host: &mut dyn Host) {
        match self.request.take() {
            Some(Request::Command) => {
                let words = self.words.borrow();
                let words: crate::command::args::Words<'_> = words.iter().collect();
                match host.command(&words) {
                    Ok(reply) => {
                        self.reply.replace(Some(reply));
                    }
                    Err(stop) => self.stop.set(Some(stop)),
                }
            }
            Some(Request::Log(Line { level, text })) => host.log(level, &text),
            None => {}
        }
    }
}

fn stopped(stop: Stop, inputs: &Inputs<'_>) -> CommandError {
    match stop {
        Stop::TimedOut => CommandError::ScriptTimeout { limit_ms: inputs.limits.time_ms },
        Stop::Killed | Stop::Again => {
            CommandError::Invalid("Error running script: Script killed by user with SCRIPT KILL.")
        }
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string_lossy(),
        other => other.type_name().to_owned(),
    }
}

/// Ends a script that runs too long, or that somebody wants to end.
fn watch(lua: &Lua, link: &Rc<Link>, gauge: Arc<Gauge>, clock: fn() -> u64) -> mlua::Result<()> {
    let link = Rc::clone(link);
    let every = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
    lua.set_global_hook(every, move |_, _| {
        if link.stop.get().is_none() {
            if gauge.is_killed() {
                link.stop.set(Some(Stop::Killed));
            } else if clock() > link.deadline_ns.get() {
                link.stop.set(Some(Stop::TimedOut));
            }
        }
        match link.stop.get() {
            Some(_) => Err(Raised::Stopped.into()),
            None => Ok(VmState::Continue),
        }
    })
}

/// What was raised by a function of ours, if it was.
fn raised(error: &Error) -> Option<Raised> {
    error.chain().find_map(|cause| cause.downcast_ref::<Raised>().cloned())
}

/// The function that turns a caught error into what a script may see.
fn fix(lua: &Lua, link: &Rc<Link>) -> mlua::Result<Function> {
    let link = Rc::clone(link);
    lua.create_function(move |lua, value: Value| {
        if link.stop.get().is_some() {
            return Err(Raised::Stopped.into());
        }
        let Value::Error(error) = &value else { return Ok(value) };
        match raised(error) {
            Some(Raised::Stopped) => Err(Raised::Stopped.into()),
            Some(Raised::Text(text)) => Ok(Value::String(lua.create_string(text)?)),
            Some(Raised::Table(text)) => super::convert::single(lua, "err", &text),
            None => Ok(Value::String(lua.create_string(error.to_string())?)),
        }
    })
}

/// The function that takes down what ended a script, called where it was raised.
fn report(lua: &Lua, link: &Rc<Link>) -> mlua::Result<Function> {
    let link = Rc::clone(link);
    lua.create_function(move |lua, value: Value| {
        let message = match &value {
            Value::Table(table) => match table.raw_get::<Value>("err")? {
                Value::String(text) => text.as_bytes().to_vec(),
                _ => b"ERR unknown error".to_vec(),
            },
            Value::Error(error) => match raised(error) {
                Some(Raised::Table(text)) => text,
                Some(other) => format!("ERR {other}").into_bytes(),
                None => format!("ERR {error}").into_bytes(),
            },
            other => {
                let text = lua.coerce_string(other.clone())?;
                let text = text.map(|text| text.as_bytes().to_vec());
                let text = text.unwrap_or_else(|| other.type_name().as_bytes().to_vec());
                [b"ERR ", &text[..]].concat()
            }
        };
        link.failure.replace(Some(Failure { message, place: place(lua) }));
        Ok(())
    })
}

/// Where the script was when something was raised: the innermost function of its own.
fn place(lua: &Lua) -> Option<(String, usize)> {
    const LEVELS: usize = 16;
    let found = Cell::new(None);
    for level in 1..LEVELS {
        let look = |debug: &mlua::debug::Debug<'_>| {
            let source = debug.source();
            let name = source.source.as_deref().unwrap_or_default();
            if let (true, Some(line)) = (name.starts_with('@'), debug.current_line()) {
                found.set(Some((name.to_owned(), line)));
                return true;
            }
            false
        };
        if lua.inspect_stack(level, look).is_none_or(|done| done) {
            break;
        }
    }
    found.take()
}

#[cfg(test)]
#[path = "vm_tests.rs"]
mod tests;
