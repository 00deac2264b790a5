//! `SLOWLOG`, `LATENCY`, `MEMORY` and `SYNAP.KVSTATS`: how the server fares.

use super::super::spec::{Access, ArgSpec, CommandSpec, Flags, Fold, ReplySpec, Run};
use super::BASE;

pub(super) const SLOWLOG_GET: CommandSpec = CommandSpec {
    id: "slowlog.get",
    resp: "SLOWLOG GET",
    args: &[ArgSpec::integer("count", "most entries, 10 if absent; -1 is all").optional()],
    reply: ReplySpec::Array,
    summary: "Answers the latest slow commands",
    complexity: "O(N) with N entries",
    run: Run::EveryCore(Fold::Concat),
    ..BASE
};

pub(super) const SLOWLOG_LEN: CommandSpec = CommandSpec {
    id: "slowlog.len",
    resp: "SLOWLOG LEN",
    reply: ReplySpec::Integer,
    summary: "Answers how many slow commands are noted",
    run: Run::EveryCore(Fold::Sum),
    ..BASE
};

pub(super) const SLOWLOG_RESET: CommandSpec = CommandSpec {
    id: "slowlog.reset",
    resp: "SLOWLOG RESET",
    summary: "Forgets the slow commands",
    complexity: "O(N) with N entries",
    run: Run::EveryCore(Fold::First),
    ..BASE
};

pub(super) const SLOWLOG_HELP: CommandSpec = CommandSpec {
    id: "slowlog.help",
    resp: "SLOWLOG HELP",
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of SLOWLOG",
    ..BASE
};

pub(super) const LATENCY_LATEST: CommandSpec = CommandSpec {
    id: "latency.latest",
    resp: "LATENCY LATEST",
    reply: ReplySpec::Array,
    summary: "Answers the latest and the worst delay of each kind of event",
    run: Run::EveryCore(Fold::Concat),
    ..BASE
};

pub(super) const LATENCY_HISTORY: CommandSpec = CommandSpec {
    id: "latency.history",
    resp: "LATENCY HISTORY",
    args: &[ArgSpec::bytes("event", "kind of event")],
    reply: ReplySpec::Array,
    summary: "Answers the delays of one kind of event with their times",
    run: Run::EveryCore(Fold::Concat),
    ..BASE
};

pub(super) const LATENCY_RESET: CommandSpec = CommandSpec {
    id: "latency.reset",
    resp: "LATENCY RESET",
    args: &[ArgSpec::bytes("event", "kinds of events, all if none").optional().repeated()],
    reply: ReplySpec::Integer,
    summary: "Forgets delays, and answers how many series there were on all cores",
    run: Run::EveryCore(Fold::Sum),
    ..BASE
};

pub(super) const LATENCY_HISTOGRAM: CommandSpec = CommandSpec {
    id: "latency.histogram",
    resp: "LATENCY HISTOGRAM",
    args: &[ArgSpec::bytes("command", "names of commands, all if none").optional().repeated()],
    reply: ReplySpec::Map,
    summary: "Answers how many calls of commands took at most how many microseconds",
    complexity: "O(N) with N commands",
    ..BASE
};

pub(super) const LATENCY_HELP: CommandSpec = CommandSpec {
    id: "latency.help",
    resp: "LATENCY HELP",
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of LATENCY",
    ..BASE
};

const OPEN: CommandSpec = CommandSpec { access: Access::Open, flags: Flags::RANDOM, ..BASE };

pub(super) const MEMORY_STATS: CommandSpec = CommandSpec {
    id: "memory.stats",
    resp: "MEMORY STATS",
    reply: ReplySpec::Map,
    summary: "Answers where the memory of the process goes",
    ..OPEN
};

pub(super) const MEMORY_DOCTOR: CommandSpec = CommandSpec {
    id: "memory.doctor",
    resp: "MEMORY DOCTOR",
    reply: ReplySpec::Text,
    summary: "Answers what is unusual about the use of memory",
    ..OPEN
};

pub(super) const MEMORY_HELP: CommandSpec = CommandSpec {
    id: "memory.help",
    resp: "MEMORY HELP",
    reply: ReplySpec::Array,
    flags: Flags::NONE,
    summary: "Answers the subcommands of MEMORY",
    ..OPEN
};

pub(super) const KVSTATS: CommandSpec = CommandSpec {
    id: "server.kvstats",
    resp: "SYNAP.KVSTATS",
    reply: ReplySpec::Map,
    summary: "Answers the number of keys, their memory, and counts of operations",
    ..OPEN
};
