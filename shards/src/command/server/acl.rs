//! `ACL` and its subcommands: users and what they may do, in the words of Redis.

use super::super::spec::{Access, ArgSpec, CommandSpec, Flags, ReplySpec};
use super::BASE;

/// Those that change who may do what: their words may be secret, and their answer comes from
/// outside the core, so it is not part of a batch.
const CHANGE: CommandSpec =
    CommandSpec { flags: Flags::NO_SCRIPT.and(Flags::SKIP_SLOWLOG).and(Flags::NO_MULTI), ..BASE };
const OPEN: CommandSpec = CommandSpec { access: Access::Open, ..BASE };

pub(super) const WHOAMI: CommandSpec = CommandSpec {
    id: "acl.whoami",
    resp: "ACL WHOAMI",
    reply: ReplySpec::Bytes,
    summary: "Answers the name of the user behind the connection",
    ..OPEN
};

pub(super) const CAT: CommandSpec = CommandSpec {
    id: "acl.cat",
    resp: "ACL CAT",
    args: &[ArgSpec::bytes("category", "whose commands are wanted").optional()],
    reply: ReplySpec::Array,
    summary: "Answers the categories of commands, or the commands of one",
    complexity: "O(N) with N commands",
    ..OPEN
};

pub(super) const GENPASS: CommandSpec = CommandSpec {
    id: "acl.genpass",
    resp: "ACL GENPASS",
    args: &[ArgSpec::integer("bits", "bits of chance, 1 to 4096, 256 if absent").optional()],
    reply: ReplySpec::Bytes,
    flags: Flags::NO_SCRIPT.and(Flags::RANDOM),
    summary: "Answers a password made of chance; it is set for nobody",
    ..OPEN
};

pub(super) const HELP: CommandSpec = CommandSpec {
    id: "acl.help",
    resp: "ACL HELP",
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of ACL",
    ..OPEN
};

pub(super) const USERS: CommandSpec = CommandSpec {
    id: "acl.users",
    resp: "ACL USERS",
    reply: ReplySpec::Array,
    summary: "Answers the names of the users",
    complexity: "O(N) with N users",
    ..BASE
};

pub(super) const LIST: CommandSpec = CommandSpec {
    id: "acl.list",
    resp: "ACL LIST",
    reply: ReplySpec::Array,
    summary: "Answers the users and their rules, a line for each",
    complexity: "O(N) with N users",
    ..BASE
};

pub(super) const GETUSER: CommandSpec = CommandSpec {
    id: "acl.getuser",
    resp: "ACL GETUSER",
    args: &[ArgSpec::bytes("username", "the user")],
    reply: ReplySpec::Map,
    summary: "Answers the rules of a user; nil if there is none",
    complexity: "O(N) with N rules",
    ..BASE
};

pub(super) const SETUSER: CommandSpec = CommandSpec {
    id: "acl.setuser",
    resp: "ACL SETUSER",
    args: &[
        ArgSpec::bytes("username", "the user; made if there is none, disabled and without rights"),
        ArgSpec::bytes("rule", "what is done to it, in order").optional().repeated(),
    ],
    summary: "Makes or changes a user, by all of these rules or by none",
    complexity: "O(N) with N rules",
    ..CHANGE
};

pub(super) const DELUSER: CommandSpec = CommandSpec {
    id: "acl.deluser",
    resp: "ACL DELUSER",
    args: &[ArgSpec::bytes("username", "users").repeated()],
    reply: ReplySpec::Integer,
    summary: "Removes users, ends their connections, and answers how many there were",
    complexity: "O(N) with N connections",
    ..CHANGE
};

pub(super) const DRYRUN: CommandSpec = CommandSpec {
    id: "acl.dryrun",
    resp: "ACL DRYRUN",
    args: &[
        ArgSpec::bytes("username", "the user"),
        ArgSpec::bytes("command", "the command"),
        ArgSpec::bytes("arg", "its arguments").optional().repeated(),
    ],
    reply: ReplySpec::Any,
    summary: "Answers OK if a user may run a command, otherwise why not; it is not run",
    ..BASE
};

pub(super) const SAVE: CommandSpec = CommandSpec {
    id: "acl.save",
    resp: "ACL SAVE",
    summary: "Writes users to disk again, where every change of them is already",
    complexity: "O(N) with N users",
    ..CHANGE
};

pub(super) const LOAD: CommandSpec = CommandSpec {
    id: "acl.load",
    resp: "ACL LOAD",
    summary: "Reads users from disk again, all of them or, if the file is damaged, none",
    complexity: "O(N) with N users",
    ..CHANGE
};
