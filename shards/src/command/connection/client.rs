//! `CLIENT` and its subcommands.

use super::super::args::Arg;
use super::super::spec::{Access, ArgSpec, CommandSpec, Flags, Fold, ReplySpec, Run};
use super::BASE;

pub(super) const ID: CommandSpec = CommandSpec {
    id: "client.id",
    resp: "CLIENT ID",
    reply: ReplySpec::Integer,
    summary: "Answers the number of the connection, unique in the life of the process",
    ..BASE
};

pub(super) const INFO: CommandSpec = CommandSpec {
    id: "client.info",
    resp: "CLIENT INFO",
    reply: ReplySpec::Text,
    summary: "Answers facts about the connection on one line",
    ..BASE
};

pub(super) const LIST: CommandSpec = CommandSpec {
    id: "client.list",
    resp: "CLIENT LIST",
    access: Access::Admin,
    args: &[ArgSpec::bytes("filter", "TYPE normal|master|replica|pubsub, or ID and numbers")
        .optional()
        .repeated()],
    reply: ReplySpec::Text,
    flags: Flags::NO_SCRIPT,
    summary: "Answers facts about all connections, one line each",
    complexity: "O(N) with N connections",
    run: Run::EveryCore(Fold::Text),
    ..BASE
};

pub(super) const SETNAME: CommandSpec = CommandSpec {
    id: "client.setname",
    resp: "CLIENT SETNAME",
    args: &[ArgSpec::bytes("connection-name", "name without blanks; empty removes it")],
    summary: "Gives the connection a name",
    ..BASE
};

pub(super) const GETNAME: CommandSpec = CommandSpec {
    id: "client.getname",
    resp: "CLIENT GETNAME",
    reply: ReplySpec::BytesOrNil,
    summary: "Answers the name of the connection",
    ..BASE
};

pub(super) const SETINFO: CommandSpec = CommandSpec {
    id: "client.setinfo",
    resp: "CLIENT SETINFO",
    args: &[ArgSpec::bytes("attribute", "LIB-NAME or LIB-VER"), ArgSpec::bytes("value", "value")],
    summary: "Notes name or version of the client library",
    ..BASE
};

pub(super) const KILL: CommandSpec = CommandSpec {
    id: "client.kill",
    resp: "CLIENT KILL",
    access: Access::Admin,
    args: &[ArgSpec::bytes(
        "filter",
        "an address, or pairs: ID, TYPE, USER, ADDR, LADDR, SKIPME, MAXAGE",
    )
    .repeated()],
    reply: ReplySpec::Any,
    flags: Flags::NO_SCRIPT,
    summary: "Closes connections, and answers how many; OK for a bare address",
    complexity: "O(N) with N connections",
    run: Run::EveryCore(Fold::Sum),
    ..BASE
};

/// Where `CLIENT UNBLOCK` names the client and the manner.
pub(crate) const UNBLOCK_ARGS: (Arg, Arg) = (Arg(0), Arg(1));
/// The manner that ends the waiting with an error.
pub(crate) const UNBLOCK_ERROR: usize = 1;

pub(super) const UNBLOCK: CommandSpec = CommandSpec {
    id: "client.unblock",
    resp: "CLIENT UNBLOCK",
    access: Access::Admin,
    args: &[
        ArgSpec::integer("client-id", "number of a connection that waits"),
        ArgSpec::one_of("manner", MANNERS, "what it is answered; as if its time were over")
            .optional(),
    ],
    reply: ReplySpec::Integer,
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Ends the waiting of another connection; 1 if it waited",
    run: Run::Unblock,
    ..BASE
};

const MANNERS: &[ArgSpec] = &[
    ArgSpec::flag("timeout", "TIMEOUT", "as if its time were over"),
    ArgSpec::flag("error", "ERROR", "an error"),
];

const SWITCH: &[ArgSpec] =
    &[ArgSpec::flag("on", "ON", "switch on"), ArgSpec::flag("off", "OFF", "switch off")];

pub(super) const NO_EVICT: CommandSpec = CommandSpec {
    id: "client.no-evict",
    resp: "CLIENT NO-EVICT",
    access: Access::Admin,
    args: &[ArgSpec::one_of("enabled", SWITCH, "whether to")],
    flags: Flags::NO_SCRIPT,
    summary: "Keeps the connection when memory is short; no connection is ever closed for that",
    ..BASE
};

pub(super) const NO_TOUCH: CommandSpec = CommandSpec {
    id: "client.no-touch",
    resp: "CLIENT NO-TOUCH",
    args: &[ArgSpec::one_of("enabled", SWITCH, "whether to")],
    summary: "Whether lookups of this connection leave the age of keys alone",
    ..BASE
};

const REPLY_MODES: &[ArgSpec] = &[
    ArgSpec::flag("on", "ON", "answer"),
    ArgSpec::flag("off", "OFF", "do not answer"),
    ArgSpec::flag("skip", "SKIP", "do not answer the next command"),
];

pub(super) const REPLY: CommandSpec = CommandSpec {
    id: "client.reply",
    resp: "CLIENT REPLY",
    args: &[ArgSpec::one_of("action", REPLY_MODES, "what to do")],
    flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::NO_MULTI),
    summary: "Switches the replies of this connection on or off",
    ..BASE
};

pub(super) const TRACKING: CommandSpec = CommandSpec {
    id: "client.tracking",
    resp: "CLIENT TRACKING",
    args: &[
        ArgSpec::one_of("status", SWITCH, "whether to"),
        ArgSpec::bytes(
            "option",
            "REDIRECT and the number of the connection that is told instead; BCAST for every key, \
             or those that begin with a PREFIX; OPTIN, OPTOUT for what CLIENT CACHING says; \
             NOLOOP but for its own changes",
        )
        .optional()
        .repeated(),
    ],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Tells the connection when keys that it has read change",
    ..BASE
};

const YES_NO: &[ArgSpec] =
    &[ArgSpec::flag("yes", "YES", "keep note"), ArgSpec::flag("no", "NO", "do not")];

pub(super) const CACHING: CommandSpec = CommandSpec {
    id: "client.caching",
    resp: "CLIENT CACHING",
    args: &[ArgSpec::one_of("mode", YES_NO, "whether to")],
    summary: "Whether note is kept of what the next command reads",
    ..BASE
};

pub(super) const GETREDIR: CommandSpec = CommandSpec {
    id: "client.getredir",
    resp: "CLIENT GETREDIR",
    reply: ReplySpec::Integer,
    summary: "Answers which connection is told of changes instead; 0 is none, -1 without tracking",
    ..BASE
};

pub(super) const TRACKINGINFO: CommandSpec = CommandSpec {
    id: "client.trackinginfo",
    resp: "CLIENT TRACKINGINFO",
    reply: ReplySpec::Map,
    summary: "Answers what the connection wants to be told of",
    ..BASE
};

pub(super) const HELP: CommandSpec = CommandSpec {
    id: "client.help",
    resp: "CLIENT HELP",
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of CLIENT",
    ..BASE
};
