//! Declarations of the commands that concern the server and its administration. The session of
//! the server carries them out, on one core or on each.

mod acknowledge;
mod acl;
mod command;
mod config;
mod save;
mod watch;

use super::spec::{Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &command::COMMAND_BARE,
    &command::COUNT,
    &command::INFO,
    &command::DOCS,
    &command::LIST,
    &command::GETKEYS,
    &command::GETKEYSANDFLAGS,
    &command::HELP,
    &INFO,
    &config::GET,
    &config::SET,
    &config::RESETSTAT,
    &config::REWRITE,
    &config::HELP,
    &acl::WHOAMI,
    &acl::USERS,
    &acl::LIST,
    &acl::GETUSER,
    &acl::SETUSER,
    &acl::DELUSER,
    &acl::CAT,
    &acl::DRYRUN,
    &acl::GENPASS,
    &acl::SAVE,
    &acl::LOAD,
    &acl::HELP,
    &watch::SLOWLOG_GET,
    &watch::SLOWLOG_LEN,
    &watch::SLOWLOG_RESET,
    &watch::SLOWLOG_HELP,
    &watch::LATENCY_LATEST,
    &watch::LATENCY_HISTORY,
    &watch::LATENCY_RESET,
    &watch::LATENCY_HISTOGRAM,
    &watch::LATENCY_HELP,
    &watch::MEMORY_STATS,
    &watch::MEMORY_DOCTOR,
    &watch::MEMORY_HELP,
    &watch::KVSTATS,
    &MODULE_LIST,
    &MODULE_HELP,
    &SWAPDB,
    &TIME,
    &LOLWUT,
    &ROLE,
    &REPLICAOF,
    &SLAVEOF,
    &SHUTDOWN,
    &save::SAVE,
    &save::BGSAVE,
    &save::BGREWRITEAOF,
    &save::LASTSAVE,
    &save::SNAPSHOT,
    &acknowledge::WAIT,
    &acknowledge::WAITAOF,
];

const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::Server,
    access: Access::Admin,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::NO_SCRIPT,
    since: "0.1.0",
    summary: "",
    complexity: "O(1)",
    run: Run::Session,
};

const INFO: CommandSpec = CommandSpec {
    id: "server.info",
    resp: "INFO",
    access: Access::Open,
    args: &[ArgSpec::bytes("section", "names of sections, or all, default, everything")
        .optional()
        .repeated()],
    reply: ReplySpec::Text,
    flags: Flags::RANDOM,
    summary: "Answers facts and figures about the server",
    ..BASE
};

const TIME: CommandSpec = CommandSpec {
    id: "server.time",
    resp: "TIME",
    access: Access::Open,
    reply: ReplySpec::Array,
    flags: Flags::FAST.and(Flags::RANDOM),
    summary: "Answers the time of the server: Unix seconds and microseconds",
    ..BASE
};

const LOLWUT: CommandSpec = CommandSpec {
    id: "server.lolwut",
    resp: "LOLWUT",
    access: Access::Open,
    args: &[
        ArgSpec::integer("version", "whose picture to draw; there are none")
            .with_token("VERSION")
            .optional(),
        ArgSpec::integer("size", "of the picture").optional().repeated(),
    ],
    reply: ReplySpec::Text,
    flags: Flags::FAST,
    summary: "Answers the version of the server",
    ..BASE
};

const SWAPDB: CommandSpec = CommandSpec {
    id: "server.swapdb",
    resp: "SWAPDB",
    args: &[
        ArgSpec::integer("index1", "a database; there is only 0")
            .refused_as("invalid first DB index"),
        ArgSpec::integer("index2", "the other; there is only 0")
            .refused_as("invalid second DB index"),
    ],
    flags: Flags::FAST,
    summary: "Swaps two databases; there is one, which can be swapped with itself",
    ..BASE
};

const MODULE_LIST: CommandSpec = CommandSpec {
    id: "module.list",
    resp: "MODULE LIST",
    reply: ReplySpec::Array,
    summary: "Answers the modules; there are none",
    ..BASE
};

const MODULE_HELP: CommandSpec = CommandSpec {
    id: "module.help",
    resp: "MODULE HELP",
    summary: "Answers the subcommands of MODULE",
    ..MODULE_LIST
};

const ROLE: CommandSpec = CommandSpec {
    id: "server.role",
    resp: "ROLE",
    reply: ReplySpec::Array,
    flags: Flags::FAST.and(Flags::NO_SCRIPT),
    summary: "Answers the role in replication",
    ..BASE
};

const SOURCE: &[ArgSpec] = &[ArgSpec::bytes("host", "NO"), ArgSpec::bytes("port", "ONE")];

const REPLICAOF: CommandSpec = CommandSpec {
    id: "server.replicaof",
    resp: "REPLICAOF",
    args: SOURCE,
    summary: "With NO ONE: follows no other server, which is always so",
    ..BASE
};

const SLAVEOF: CommandSpec = CommandSpec { id: "server.slaveof", resp: "SLAVEOF", ..REPLICAOF };

const SHUTDOWN: CommandSpec = CommandSpec {
    id: "server.shutdown",
    resp: "SHUTDOWN",
    args: &[
        ArgSpec::one_of(
            "save",
            &[
                ArgSpec::flag("nosave", "NOSAVE", "write no image of the data; none is written"),
                ArgSpec::flag("save", "SAVE", "refuse unless the data is kept on disk"),
            ],
            "what becomes of the data",
        )
        .optional(),
        ArgSpec::flag("now", "NOW", "wait for no replica; there is none"),
        ArgSpec::flag("force", "FORCE", "go down even if the data is not kept on disk"),
        ArgSpec::flag("abort", "ABORT", "call a shutdown off"),
    ],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Ends the server; what was acknowledged is in the log",
    ..BASE
};
