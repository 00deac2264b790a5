//! Images of the data on disk: `SAVE`, `BGSAVE`, `BGREWRITEAOF`, `LASTSAVE` and the form that
//! HTTP serves.

use super::super::spec::{ArgSpec, CommandSpec, Flags, HttpRoute, JsonReply, ReplySpec};
use super::BASE;

pub(super) const SAVE: CommandSpec = CommandSpec {
    id: "server.save",
    resp: "SAVE",
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Writes a snapshot and answers when it is on disk; nobody else waits",
    complexity: "O(N) with N keys, in the background",
    ..BASE
};

pub(super) const BGSAVE: CommandSpec = CommandSpec {
    id: "server.bgsave",
    resp: "BGSAVE",
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    args: &[ArgSpec::flag("schedule", "SCHEDULE", "accepted; nothing else is ever in the way")],
    reply: ReplySpec::Any,
    summary: "Begins to write a snapshot and answers that it does",
    complexity: "O(N) with N keys, in the background",
    ..BASE
};

pub(super) const BGREWRITEAOF: CommandSpec = CommandSpec {
    id: "server.bgrewriteaof",
    resp: "BGREWRITEAOF",
    args: &[],
    summary: "Begins to write a snapshot; then the log before it is not needed any more",
    ..BGSAVE
};

pub(super) const LASTSAVE: CommandSpec = CommandSpec {
    id: "server.lastsave",
    resp: "LASTSAVE",
    reply: ReplySpec::Integer,
    flags: Flags::FAST.and(Flags::RANDOM).and(Flags::NO_SCRIPT),
    summary: "Answers when the last snapshot was written, Unix seconds",
    ..BASE
};

pub(super) const SNAPSHOT: CommandSpec = CommandSpec {
    id: "server.snapshot",
    resp: "SYNAP.SNAPSHOT",
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    reply: ReplySpec::Map,
    http: &[HttpRoute::post("/snapshot", JsonReply::Shape("snapshot"))],
    summary: "Writes a snapshot and answers what was written",
    complexity: "O(N) with N keys, in the background",
    ..BASE
};
