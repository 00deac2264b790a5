//! Declarations of the commands for messages to whoever listens now. The session carries them out.

use super::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
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
    &TSUBSCRIBE,
    &TUNSUBSCRIBE,
    &TPUBLISH,
    &TPOLL,
    &TOPICS,
    &TOPICINFO,
    &STATS,
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

const TOPIC_DOC: &str = "topics; `*` is one segment, `#` at the end any number";

const TSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.topic_subscribe",
    resp: "SYNAP.SUBSCRIBE",
    args: &[ArgSpec::bytes("topics", TOPIC_DOC).repeated()],
    http: &[HttpRoute::post("/pubsub/subscribe", JsonReply::Shape("pubsub_subscribed"))],
    summary: "Listens to topics by pattern; a message that several match comes once",
    complexity: "O(N) for N topics, on every core",
    ..SUBSCRIBE
};

const TUNSUBSCRIBE: CommandSpec = CommandSpec {
    id: "pubsub.topic_unsubscribe",
    resp: "SYNAP.UNSUBSCRIBE",
    args: &[ArgSpec::bytes("topics", "the patterns; all without any").optional().repeated()],
    http: &[HttpRoute::post("/pubsub/unsubscribe", JsonReply::Shape("pubsub_unsubscribed"))],
    summary: "Stops listening to topics, to all without any",
    ..TSUBSCRIBE
};

const TPUBLISH: CommandSpec = CommandSpec {
    id: "pubsub.topic_publish",
    resp: "SYNAP.PUBLISH",
    args: &[
        ArgSpec::bytes("topic", "the topic, or a channel of RESP"),
        ArgSpec::bytes("payload", "the message"),
        ArgSpec::flag("json", "JSON", "the payload is JSON, not text"),
        ArgSpec::bytes("metadata", "a JSON object of strings that goes with the message")
            .with_token("METADATA")
            .optional(),
    ],
    reply: ReplySpec::Map,
    http: &[
        HttpRoute::post("/pubsub/{topic}/publish", JsonReply::Bare),
        HttpRoute::post("/pubsub/publish", JsonReply::Bare),
    ],
    flags: Flags::FAST,
    summary: "Sends a message with an id, and answers the id and how many it is for",
    complexity: "O(N+M) for N subscribers of the topic and M segments of it",
    run: Run::Session,
    ..SUBSCRIBE
};

const TPOLL: CommandSpec = CommandSpec {
    id: "pubsub.poll",
    resp: "SYNAP.POLL",
    args: &[
        ArgSpec::bytes("subscriber_id", "a subscriber made over HTTP"),
        ArgSpec::integer("wait_ms", "milliseconds to wait for a message, at most 30000")
            .with_token("WAIT")
            .optional(),
        ArgSpec::integer("limit", "most messages to answer").with_token("LIMIT").optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/pubsub/{subscriber_id}/poll", JsonReply::Shape("pubsub_messages"))],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Takes the messages that wait for a subscriber that has no connection",
    complexity: "O(N) for N messages",
    run: Run::Session,
    ..SUBSCRIBE
};

const TOPICS: CommandSpec = CommandSpec {
    id: "pubsub.topics",
    resp: "SYNAP.TOPICS",
    args: &[],
    http: &[HttpRoute::get("/pubsub/topics", JsonReply::Shape("pubsub_topics"))],
    summary: "Answers the topics and channels that are subscribed to by name",
    complexity: "O(N) for N topics and channels",
    ..CHANNELS
};

const TOPICINFO: CommandSpec = CommandSpec {
    id: "pubsub.info",
    resp: "SYNAP.TOPICINFO",
    args: &[ArgSpec::bytes("topic", "a topic that is subscribed to by name")],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/pubsub/{topic}/info", JsonReply::Bare)],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Answers subscribers of a topic, messages to it, and since when it has subscribers",
    complexity: "O(N) for N subscribers, on every core",
    run: Run::EveryCore(Fold::Concat),
    ..CHANNELS
};

const STATS: CommandSpec = CommandSpec {
    id: "pubsub.stats",
    resp: "SYNAP.TOPICSTATS",
    args: &[],
    reply: ReplySpec::Map,
    http: &[HttpRoute::get("/pubsub/stats", JsonReply::Bare)],
    summary: "Answers totals of subscriptions and messages",
    complexity: "O(N) for N topics and channels",
    ..CHANNELS
};
