//! `TIME`, `LOLWUT`, `SWAPDB`, `ROLE`, `REPLICAOF`, `SHUTDOWN` and `SYNAP.KVSTATS`.

use std::sync::atomic::Ordering;

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table;

use super::connection::NO_SUCH_DATABASE;
use super::{Handler, SessionContext, Then, VERSION};
use crate::metrics::{Cell, CoreMetrics};
use crate::shared::Shared;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("server.time", time),
    ("server.lolwut", |_, _| Ok(Reply::Text(format!("Synap ver. {VERSION}\n")))),
    ("server.swapdb", swap),
    ("module.list", |_, _| Ok(Reply::Array(Vec::new()))),
    ("server.role", role),
    ("server.replicaof", replica_of),
    ("server.slaveof", replica_of),
    ("server.shutdown", shutdown),
    ("server.kvstats", kv_stats),
];

type Answer = Result<Reply<'static>, CommandError>;

fn time(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let (seconds, rest_ms) = (cx.now.unix_ms / 1000, cx.now.unix_ms % 1000);
    let words = [seconds, rest_ms * 1000].map(|number| Reply::string(number.to_string()));
    Ok(Reply::Array(words.into()))
}

fn swap(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let is_there = [Arg(0), Arg(1)].into_iter().all(|index| args.integer(index) == 0);
    if is_there { Ok(Reply::Ok) } else { Err(NO_SUCH_DATABASE) }
}

fn role(_: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let replicas = Reply::Array(Vec::new());
    Ok(Reply::Array(vec![Reply::string("master"), Reply::Integer(0), replicas]))
}

fn replica_of(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let words = [args.bytes(Arg(0)), args.bytes(Arg(1))];
    if words[0].eq_ignore_ascii_case(b"no") && words[1].eq_ignore_ascii_case(b"one") {
        return Ok(Reply::Ok);
    }
    Err(CommandError::Invalid("this server follows no other; only NO ONE is accepted"))
}

fn shutdown(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const HOW: Arg = Arg(0);
    const NOW: Arg = Arg(1);
    const FORCE: Arg = Arg(2);
    const ABORT: Arg = Arg(3);
    const SAVE: usize = 1;
    let how = args.choice(HOW).map(|(index, _)| index);
    if args.flag(ABORT) {
        if how.is_some() || args.flag(NOW) || args.flag(FORCE) {
            return Err(CommandError::Syntax);
        }
        return Err(CommandError::Invalid(if cx.shared.stopping.load(Ordering::Relaxed) {
            "the shutdown has begun and cannot be called off"
        } else {
            "No shutdown in progress."
        }));
    }
    if how == Some(SAVE) && !cx.shared.persistence && !args.flag(FORCE) {
        return Err(CommandError::Invalid("persistence is off, the data would be lost"));
    }
    cx.then = Then::Shutdown;
    Ok(Reply::Ok)
}

/// A counter of every core, added up.
pub(super) fn sum(shared: &Shared, cell: impl Fn(&CoreMetrics) -> &Cell) -> u64 {
    shared.metrics.iter().map(|core| cell(core).get()).fold(0, u64::wrapping_add)
}

/// Calls of the named commands on all cores.
pub(crate) fn calls(shared: &Shared, names: &[&str]) -> u64 {
    let ids = names.iter().filter_map(|name| table::by_name(name.as_bytes()));
    ids.map(|id| sum(shared, |core| &core.commands[id.index()].calls)).sum()
}

fn kv_stats(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    const GETS: &[&str] = &["GET", "MGET", "GETEX", "GETRANGE", "SUBSTR", "STRLEN"];
    const SETS: &[&str] = &["SET", "SETNX", "SETEX", "PSETEX", "MSET", "MSETNX", "GETSET"];
    const DELS: &[&str] = &["DEL", "UNLINK", "GETDEL"];
    let shared = cx.shared;
    let pairs = [
        ("total_keys", sum(shared, |core| &core.keys)),
        ("total_memory_bytes", sum(shared, |core| &core.live_bytes)),
        ("gets", calls(shared, GETS)),
        ("sets", calls(shared, SETS)),
        ("dels", calls(shared, DELS)),
        ("hits", sum(shared, |core| &core.keyspace_hits)),
        ("misses", sum(shared, |core| &core.keyspace_misses)),
    ];
    let pair = |(name, number): (&str, u64)| {
        (Reply::string(name), Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    };
    Ok(Reply::Map(pairs.map(pair).into()))
}
