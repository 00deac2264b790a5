//! Declarations of the commands for messages to whoever listens now. The session carries them out.

use super::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, Keys, ReplySpec, Run,
};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &SUBSCRIBE,
    &UNSUBSCRIBE,
    &PSUBSCRIBE,
    &PUNSUBSCRIBE,
    &SSUBSCRIBE,
    &SUNSUBSCRIBE,
    &PUBLISH,
    &SPUBLISH,
    &CHANNELS,
    &NUMSUB,
    &NUMPAT,
    &SHARDCHANNELS,
    &SHARDNUMSUB,
    &HELP,
];

const CHANNELS_ARG: &[ArgSpec] = &[ArgSpec::bytes("channel", "the channels").repeated()];
const CHANNELS_OR_ALL: &[ArgSpec] =
    &[ArgSpec::bytes("channel", "the channels; all without any").optional().repeated()];
const PATTERNS: &[ArgSpec] = &[ArgSpec::pattern("pattern", "glob patterns").repeated()];
const PATTERNS_OR_ALL: &[ArgSpec] =
    &[ArgSpec::pattern("pattern", "glob patterns; all without any").optional().repeated()];

const SUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.subscribe",
    resp: "SUBSCRIBE",
    family: Family::Pubsub,
    access: Access::Read,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: CHANNELS_ARG,
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    since: "0.1.0",
    summary: "Listens to channels; each is confirmed by a message",
    complexity: "O(N log M) for N channels and M subscriptions, on every core",
    // Every core notes it, and each knows the same answer.
    run: Run::EveryCore(Fold::First),
};

const UNSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.unsubscribe",
    resp: "UNSUBSCRIBE",
    args: CHANNELS_OR_ALL,
    summary: "Stops listening to channels, to all without any",
    ..SUBSCRIBE
};

const PSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.psubscribe",
    resp: "PSUBSCRIBE",
    args: PATTERNS,
    summary: "Listens to the channels that match patterns; each is confirmed by a message",
    ..SUBSCRIBE
};

const PUNSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.punsubscribe",
    resp: "PUNSUBSCRIBE",
    args: PATTERNS_OR_ALL,
    summary: "Stops listening to patterns, to all without any",
    ..SUBSCRIBE
};

const SSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.ssubscribe",
    resp: "SSUBSCRIBE",
    summary: "Listens to sharded channels, a name space of their own",
    ..SUBSCRIBE
};

const SUNSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.sunsubscribe",
    resp: "SUNSUBSCRIBE",
    args: CHANNELS_OR_ALL,
    summary: "Stops listening to sharded channels, to all without any",
    ..SUBSCRIBE
};

const PUBLISH: CommandSpec = CommandSpec {
    id: "pubsub.publish",
    resp: "PUBLISH",
    args: &[ArgSpec::bytes("channel", "the channel"), ArgSpec::bytes("message", "the message")],
    reply: ReplySpec::Integer,
    flags: Flags::FAST,
    summary: "Sends a message to whoever listens now, and answers how many subscriptions that is",
    complexity: "O(N+M) for N subscribers of the channel and M patterns",
    run: Run::Session,
    ..SUBSCRIBE
};

const SPUBLISH: CommandSpec = CommandSpec {
    id: "pubsub.spublish",
    resp: "SPUBLISH",
    summary: "Sends a message to whoever listens to a sharded channel now",
    complexity: "O(N) for N subscribers of the channel",
    ..PUBLISH
};

const CHANNELS: CommandSpec = CommandSpec {
    id: "pubsub.channels",
    resp: "PUBSUB CHANNELS",
    args: &[ArgSpec::pattern("pattern", "only channels that match").optional()],
    reply: ReplySpec::Array,
    flags: Flags::NONE,
    summary: "Answers the channels that have subscribers",
    complexity: "O(N) for N channels",
    run: Run::Session,
    ..SUBSCRIBE
};

const NUMSUB: CommandSpec = CommandSpec {
    id: "pubsub.numsub",
    resp: "PUBSUB NUMSUB",
    args: CHANNELS_OR_ALL,
    reply: ReplySpec::Map,
    summary: "Answers the number of subscribers of channels, those by pattern left out",
    ..CHANNELS
};

const NUMPAT: CommandSpec = CommandSpec {
    id: "pubsub.numpat",
    resp: "PUBSUB NUMPAT",
    args: &[],
    reply: ReplySpec::Integer,
    summary: "Answers the number of distinct patterns that are subscribed to",
    complexity: "O(N) for N patterns",
    ..CHANNELS
};

const SHARDCHANNELS: CommandSpec = CommandSpec {
    id: "pubsub.shardchannels",
    resp: "PUBSUB SHARDCHANNELS",
    summary: "Answers the sharded channels that have subscribers",
    ..CHANNELS
};

const SHARDNUMSUB: CommandSpec = CommandSpec {
    id: "pubsub.shardnumsub",
    resp: "PUBSUB SHARDNUMSUB",
    summary: "Answers the number of subscribers of sharded channels",
    ..NUMSUB
};

const HELP: CommandSpec = CommandSpec {
    id: "pubsub.help",
    resp: "PUBSUB HELP",
    access: Access::Open,
    args: &[],
    reply: ReplySpec::Array,
    summary: "Answers the subcommands of PUBSUB",
    complexity: "O(1)",
    ..CHANNELS
};
