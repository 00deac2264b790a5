//! Declarations of the commands that make several commands one. The connection keeps the queue,
//! the engine runs it; see [`crate::engine::tx`].

use super::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];

const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::Transaction,
    access: Access::Open,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::FAST.and(Flags::NO_SCRIPT),
    since: "0.2.0",
    summary: "",
    complexity: "O(1)",
    run: Run::Transaction,
};

const MULTI: CommandSpec = CommandSpec {
    id: "transaction.multi",
    resp: "MULTI",
    http: &[HttpRoute::post("/transaction/multi", JsonReply::Shape("transaction_multi"))],
    summary: "Begins a transaction: commands are queued until EXEC runs them as one",
    ..BASE
};

const EXEC: CommandSpec = CommandSpec {
    id: "transaction.exec",
    resp: "EXEC",
    atomicity: Atomicity::Whole,
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/transaction/exec", JsonReply::Shape("transaction_exec"))],
    flags: Flags::NO_SCRIPT,
    summary: "Runs the queued commands as one, over whatever keys; nil when a watched key changed",
    complexity: "That of the queued commands",
    ..BASE
};

const DISCARD: CommandSpec = CommandSpec {
    id: "transaction.discard",
    resp: "DISCARD",
    http: &[HttpRoute::post("/transaction/discard", JsonReply::Shape("transaction_discard"))],
    summary: "Drops the queued commands and what is watched",
    ..BASE
};

const WATCH: CommandSpec = CommandSpec {
    id: "transaction.watch",
    resp: "WATCH",
    keys: Keys::ALL,
    args: &[ArgSpec::key("keys", "keys that must not change before EXEC").repeated()],
    http: &[HttpRoute::post("/transaction/watch", JsonReply::Shape("transaction_watch"))],
    summary: "Makes the next EXEC do nothing if one of the keys changes before it",
    complexity: "O(N) with N keys",
    ..BASE
};

const UNWATCH: CommandSpec = CommandSpec {
    id: "transaction.unwatch",
    resp: "UNWATCH",
    http: &[HttpRoute::post("/transaction/unwatch", JsonReply::Shape("transaction_unwatch"))],
    summary: "Forgets what is watched",
    complexity: "O(N) with N keys",
    ..BASE
};
