//! The functions of the table `redis`, and those of `math` and `os` that differ from Lua's own.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::convert::{error_text, single, to_lua};
use super::decimal;
use super::fail::{Arguments, Raised, fail, number_of};
use super::link::{Line, Link, Request};
use super::random::Sequence;
use super::sha1;
use crate::command::args::Words;
use crate::command::reply::Reply;
use crate::command::table;
use crate::limits::ARGS_MAX;

/// The version of Redis whose scripts this interpreter runs.
const REDIS_VERSION: &str = "7.4.0";
const REDIS_VERSION_NUMBER: u32 = 0x0007_0400;
/// Severities of `redis.log`, ascending.
const LEVELS: [&str; 4] = ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"];
/// Bytes of one line in the server's log.
const LINE_BYTES_MAX: usize = 1024;

/// An error that scripts see as a table with the field `err`.
pub(super) fn refuse(message: &str) -> mlua::Error {
    Raised::Table(format!("ERR {message}").into_bytes()).into()
}

/// The table `redis`.
pub(super) fn library(lua: &Lua, link: &Rc<Link>) -> Result<Table> {
    let library = lua.create_table()?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let link = Rc::clone(link);
        let function =
            lua.create_function(move |lua, words: MultiValue| call(lua, &link, &words, raises))?;
        library.raw_set(name, function)?;
    }
    for (level, name) in LEVELS.iter().enumerate() {
        library.raw_set(*name, level)?;
    }
    let constants = [
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ];
    for (name, value) in constants {
        library.raw_set(name, value)?;
    }
    library.raw_set("REDIS_VERSION", REDIS_VERSION)?;
    library.raw_set("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER)?;
    add_replies(lua, &library)?;
    add_switches(lua, &library, link)?;
    add_log(lua, &library, link)?;
    super::register::add(lua, &library, link)?;
    add_rest(lua, &library)?;
    Ok(library)
}

/// Hands a request of the script to the engine.
fn send(link: &Link, request: Request) -> Result<()> {
    let bridge = link.bridge.borrow().clone();
    let Some(bridge) = bridge else {
        return Err(refuse("this function can only be called while a script runs"));
    };
    link.request.replace(Some(request));
    bridge.call::<()>(())
}

/// `redis.call` and `redis.pcall`.
fn call(lua: &Lua, link: &Link, values: &MultiValue, raises: bool) -> Result<Value> {
    let outcome = match collect(link, values) {
        Err(message) => Err(format!("ERR {message}").into_bytes()),
        Ok(()) => {
            send(link, Request::Command)?;
            if link.stop.get().is_some() {
                return Err(Raised::Stopped.into());
            }
            match link.reply.take().expect("the engine answers unless it stops the script") {
                Reply::Error(error) => Err(error_text(&error)),
                reply => Ok(reply),
            }
        }
    };
    match outcome {
        Ok(reply) => to_lua(lua, reply, link.resp3.get()),
        Err(text) if raises => Err(Raised::Table(text).into()),
        Err(text) => single(lua, "err", &text),
    }
}

/// Puts the words of a command into the link.
fn collect(link: &Link, values: &MultiValue) -> std::result::Result<(), &'static str> {
    if values.is_empty() {
        return Err("Please specify at least one argument for this redis.call()");
    }
    if values.len() > ARGS_MAX {
        return Err("too many arguments for this redis.call()");
    }
    let mut words = link.words.borrow_mut();
    words.clear();
    for value in values {
        match (value, number_of(value)) {
            (Value::String(text), _) => words.bytes.extend_from_slice(&text.as_bytes()),
            (_, Some(number)) => decimal::shortest(number, &mut words.bytes),
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
        words.end_word();
    }
    Ok(())
}

/// What a script makes replies and names of.
fn add_replies(lua: &Lua, library: &Table) -> Result<()> {
    let error_reply = lua.create_function(|lua, values: MultiValue| match one_text(&values) {
        Some(text) => single(lua, "err", &error_reply_text(&text)),
        None => single(lua, "err", b"ERR wrong number or type of arguments"),
    })?;
    library.raw_set("error_reply", error_reply)?;
    let status_reply = lua.create_function(|lua, values: MultiValue| match one_text(&values) {
        Some(text) => single(lua, "ok", &text),
        None => single(lua, "err", b"ERR wrong number or type of arguments"),
    })?;
    library.raw_set("status_reply", status_reply)?;
    let sha1hex = lua.create_function(|lua, values: MultiValue| {
        if values.len() != 1 {
            return Err(refuse("wrong number of arguments"));
        }
        let text = Arguments { lua, function: "sha1hex", values: &values }.bytes(1);
        lua.create_string(sha1::hex_digest(&text.unwrap_or_default()))
    })?;
    library.raw_set("sha1hex", sha1hex)
}

fn one_text(values: &MultiValue) -> Option<Vec<u8>> {
    match (values.len(), values.front()) {
        (1, Some(Value::String(text))) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

/// Code, blank, message; a text of one word gets the usual code.
fn error_reply_text(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text).trim_ascii_end();
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
}

/// What a script may switch. Effects are what is logged, always, so there is nothing to choose
/// about replication; scripts that choose are accepted.
fn add_switches(lua: &Lua, library: &Table, link: &Rc<Link>) -> Result<()> {
    let shared = Rc::clone(link);
    let set_resp = lua.create_function(move |_, values: MultiValue| {
        if values.len() != 1 {
            return Err(refuse("redis.setresp() requires one argument."));
        }
        match number_of(&values[0]) {
            Some(2.0) => shared.resp3.set(false),
            Some(3.0) => shared.resp3.set(true),
            _ => return Err(refuse("RESP version must be 2 or 3.")),
        }
        Ok(())
    })?;
    library.raw_set("setresp", set_resp)?;
    let set_repl = lua.create_function(|_, values: MultiValue| {
        if values.len() != 1 {
            return Err(refuse("redis.set_repl() requires two arguments."));
        }
        match number_of(&values[0]).map(|flags| flags as i64) {
            Some(0..=3) => Ok(()),
            _ => Err(refuse(
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            )),
        }
    })?;
    library.raw_set("set_repl", set_repl)?;
    let replicate_commands = lua.create_function(|_, _: MultiValue| Ok(true))?;
    library.raw_set("replicate_commands", replicate_commands)
}

/// What is about debugging and permissions. There is no debugger, so nothing stops or shows
/// anything, as outside a debugging session in Redis.
fn add_rest(lua: &Lua, library: &Table) -> Result<()> {
    library.raw_set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    library.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    let check = lua.create_function(|lua, values: MultiValue| {
        if values.is_empty() {
            return Err(refuse("Please specify at least one argument for this redis lib call"));
        }
        let mut words = Vec::with_capacity(values.len().min(ARGS_MAX));
        for at in 1..=values.len().min(ARGS_MAX) {
            let text = Arguments { lua, function: "acl_check_cmd", values: &values }.bytes(at);
            words.push(text.map_err(|_| {
                refuse("Lua redis lib command arguments must be strings or integers")
            })?);
        }
        let words: Words<'_> = words.iter().map(Vec::as_slice).collect();
        match table::lookup(&words) {
            // Whoever may run scripts may run every command.
            Ok(_) => Ok(true),
            Err(_) => Err(refuse("Invalid command passed to redis.acl_check_cmd()")),
        }
    })?;
    library.raw_set("acl_check_cmd", check)
}

fn add_log(lua: &Lua, library: &Table, link: &Rc<Link>) -> Result<()> {
    let shared = Rc::clone(link);
    let log = lua.create_function(move |lua, values: MultiValue| {
        if values.len() < 2 {
            return Err(refuse("redis.log() requires two arguments or more."));
        }
        let Some(level) = values.front().and_then(number_of) else {
            return Err(refuse("First argument must be a number (log level)."));
        };
        let level = level as i64;
        if !(0..LEVELS.len() as i64).contains(&level) {
            return Err(refuse("Invalid log level."));
        }
        let mut text = Vec::new();
        for value in values.iter().skip(1) {
            let Some(part) = lua.coerce_string(value.clone())? else { continue };
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(&part.as_bytes());
            text.truncate(LINE_BYTES_MAX);
        }
        send(&shared, Request::Log(Line { level: level as u8, text }))
    })?;
    library.raw_set("log", log)
}

/// `math.random`, `math.randomseed`.
pub(super) fn add_random(lua: &Lua, math: &Table, seed: i32) -> Result<()> {
    let sequence = Rc::new(Sequence::new(seed));
    let shared = Rc::clone(&sequence);
    let random = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "random", values: &values };
        let drawn = shared.next();
        let (low, high) = match values.len() {
            0 => return Ok(drawn),
            1 => (1.0, arguments.number(1)?.floor()),
            2 => (arguments.number(1)?.floor(), arguments.number(2)?.floor()),
            _ => return Err(fail(lua, "wrong number of arguments")),
        };
        if low > high {
            return Err(arguments.wrong(values.len(), "interval is empty"));
        }
        Ok((drawn * (high - low + 1.0)).floor() + low)
    })?;
    math.raw_set("random", random)?;
    let seed = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "randomseed", values: &values };
        sequence.seed(arguments.number(1)? as i64 as i32);
        Ok(())
    })?;
    math.raw_set("randomseed", seed)
}

/// `os`, of which scripts get the clock alone: seconds of the clock that was handed in.
pub(super) fn clock_library(lua: &Lua, clock: fn() -> u64) -> Result<Table> {
    let library = lua.create_table()?;
    let clock = lua.create_function(move |_, ()| Ok(clock() as f64 / 1e9))?;
    library.raw_set("clock", clock)?;
    Ok(library)
}
