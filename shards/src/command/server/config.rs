//! `CONFIG` and its subcommands.

use super::super::spec::{ArgSpec, CommandSpec, Fold, ReplySpec, Run};
use super::BASE;

pub(super) const GET: CommandSpec = CommandSpec {
    id: "config.get",
    resp: "CONFIG GET",
    args: &[ArgSpec::pattern("parameter", "names, or patterns of names").repeated()],
    reply: ReplySpec::Map,
    summary: "Answers settings under the names of Redis",
    complexity: "O(N) with N settings",
    ..BASE
};

pub(super) const SET: CommandSpec = CommandSpec {
    id: "config.set",
    resp: "CONFIG SET",
    args: &[ArgSpec::bytes("parameter-value", "names and values in turn").repeated()],
    summary: "Changes settings until the next start; all of them or none",
    complexity: "O(N) with N settings",
    run: Run::EveryCore(Fold::First),
    ..BASE
};

pub(super) const RESETSTAT: CommandSpec = CommandSpec {
    id: "config.resetstat",
    resp: "CONFIG RESETSTAT",
    summary: "Sets the statistics of INFO back to zero",
    run: Run::EveryCore(Fold::First),
    ..BASE
};

pub(super) const REWRITE: CommandSpec = CommandSpec {
    id: "config.rewrite",
    resp: "CONFIG REWRITE",
    summary: "Is refused: the configuration file belongs to the operator",
    ..BASE
};

pub(super) const HELP: CommandSpec = CommandSpec {
    id: "config.help",
    resp: "CONFIG HELP",
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of CONFIG",
    ..BASE
};
