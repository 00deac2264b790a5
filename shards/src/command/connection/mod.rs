//! Declarations of the commands that concern the connection itself. The session of the server
//! carries them out.

mod client;

pub(crate) use client::{UNBLOCK_ARGS, UNBLOCK_ERROR};

use super::spec::{Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &PING,
    &ECHO,
    &HELLO,
    &AUTH,
    &SELECT,
    &QUIT,
    &RESET,
    &client::ID,
    &client::INFO,
    &client::LIST,
    &client::SETNAME,
    &client::GETNAME,
    &client::SETINFO,
    &client::KILL,
    &client::UNBLOCK,
    &client::NO_EVICT,
    &client::NO_TOUCH,
    &client::REPLY,
    &client::TRACKING,
    &client::CACHING,
    &client::GETREDIR,
    &client::TRACKINGINFO,
    &client::HELP,
];

const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::Connection,
    access: Access::Open,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::FAST.and(Flags::NO_SCRIPT),
    since: "0.1.0",
    summary: "",
    complexity: "O(1)",
    run: Run::Session,
};

const PING: CommandSpec = CommandSpec {
    id: "connection.ping",
    resp: "PING",
    args: &[ArgSpec::bytes("message", "what to answer instead of PONG").optional()],
    reply: ReplySpec::Bytes,
    flags: Flags::FAST,
    summary: "Answers PONG, or the message",
    ..BASE
};

const ECHO: CommandSpec = CommandSpec {
    id: "connection.echo",
    resp: "ECHO",
    args: &[ArgSpec::bytes("message", "what to answer")],
    reply: ReplySpec::Bytes,
    flags: Flags::FAST,
    summary: "Answers the message",
    ..BASE
};

const CREDENTIALS: &[ArgSpec] = &[
    ArgSpec::bytes("username", "name of the user"),
    ArgSpec::bytes("password", "password of the user"),
];

const HELLO: CommandSpec = CommandSpec {
    id: "connection.hello",
    resp: "HELLO",
    args: &[
        ArgSpec::bytes("protover", "version of the protocol to speak from now on: 2 or 3")
            .optional(),
        ArgSpec::block("auth", CREDENTIALS, "credentials").with_token("AUTH").optional(),
        ArgSpec::bytes("clientname", "name of the connection").with_token("SETNAME").optional(),
    ],
    reply: ReplySpec::Map,
    flags: BASE.flags.and(Flags::NO_AUTH).and(Flags::SKIP_SLOWLOG),
    summary: "Agrees on the protocol and answers facts about the server",
    ..BASE
};

const AUTH: CommandSpec = CommandSpec {
    id: "connection.auth",
    resp: "AUTH",
    args: &[
        ArgSpec::bytes("username", "name of the user").optional(),
        ArgSpec::bytes("password", "password of the user"),
    ],
    flags: BASE.flags.and(Flags::NO_AUTH).and(Flags::SKIP_SLOWLOG),
    summary: "Authenticates the connection",
    ..BASE
};

const SELECT: CommandSpec = CommandSpec {
    id: "connection.select",
    resp: "SELECT",
    args: &[ArgSpec::integer("index", "number of the database; there is one, 0")],
    flags: Flags::FAST,
    summary: "Selects the database; the only one is 0",
    ..BASE
};

const QUIT: CommandSpec = CommandSpec {
    id: "connection.quit",
    resp: "QUIT",
    flags: BASE.flags.and(Flags::NO_AUTH),
    summary: "Closes the connection after the replies sent so far",
    ..BASE
};

const RESET: CommandSpec = CommandSpec {
    id: "connection.reset",
    resp: "RESET",
    reply: ReplySpec::Text,
    flags: BASE.flags.and(Flags::NO_AUTH),
    summary: "Puts the connection back into the state of a new one",
    ..BASE
};
