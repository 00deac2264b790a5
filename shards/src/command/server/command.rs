//! `COMMAND` and its subcommands: the table of commands as clients ask for it.

use super::super::spec::{Access, ArgSpec, CommandSpec, Flags, ReplySpec};
use super::BASE;

const OPEN: CommandSpec =
    CommandSpec { access: Access::Open, reply: ReplySpec::Array, flags: Flags::NONE, ..BASE };

const NAMES: &[ArgSpec] =
    &[ArgSpec::bytes("command-name", "names of commands, all if none").optional().repeated()];

pub(super) const COMMAND_BARE: CommandSpec = CommandSpec {
    id: "command.all",
    resp: "COMMAND",
    summary: "Answers the facts of all commands",
    complexity: "O(N) with N commands",
    ..OPEN
};

pub(super) const COUNT: CommandSpec = CommandSpec {
    id: "command.count",
    resp: "COMMAND COUNT",
    reply: ReplySpec::Integer,
    summary: "Answers the number of commands",
    ..OPEN
};

pub(super) const INFO: CommandSpec = CommandSpec {
    id: "command.info",
    resp: "COMMAND INFO",
    args: NAMES,
    summary: "Answers the facts of commands: arity, flags, positions of keys",
    complexity: "O(N) with N commands",
    ..OPEN
};

pub(super) const DOCS: CommandSpec = CommandSpec {
    id: "command.docs",
    resp: "COMMAND DOCS",
    args: NAMES,
    reply: ReplySpec::Map,
    summary: "Answers the documentation of commands",
    complexity: "O(N) with N commands",
    ..OPEN
};

const FILTER: &[ArgSpec] = &[
    ArgSpec::bytes("kind", "MODULE, ACLCAT or PATTERN"),
    ArgSpec::bytes("value", "name of a module or category, or a pattern of names"),
];

pub(super) const LIST: CommandSpec = CommandSpec {
    id: "command.list",
    resp: "COMMAND LIST",
    args: &[ArgSpec::block("filterby", FILTER, "which commands").with_token("FILTERBY").optional()],
    summary: "Answers the names of commands",
    complexity: "O(N) with N commands",
    ..OPEN
};

const REQUEST: &[ArgSpec] = &[
    ArgSpec::bytes("command", "name of a command"),
    ArgSpec::bytes("arg", "its arguments").optional().repeated(),
];

pub(super) const GETKEYS: CommandSpec = CommandSpec {
    id: "command.getkeys",
    resp: "COMMAND GETKEYS",
    args: REQUEST,
    summary: "Answers the keys of a request",
    complexity: "O(N) with N arguments",
    ..OPEN
};

pub(super) const GETKEYSANDFLAGS: CommandSpec = CommandSpec {
    id: "command.getkeysandflags",
    resp: "COMMAND GETKEYSANDFLAGS",
    args: REQUEST,
    summary: "Answers the keys of a request and what it does to them",
    complexity: "O(N) with N arguments",
    ..OPEN
};

pub(super) const HELP: CommandSpec = CommandSpec {
    id: "command.help",
    resp: "COMMAND HELP",
    summary: "Answers the subcommands of COMMAND",
    ..OPEN
};
