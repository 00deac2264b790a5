//! Declarations of the commands by which a cluster-aware client finds the core that owns a slot.

use super::spec::{Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &SLOTS, &SHARDS, &NODES, &MYID, &MYSHARDID, &REPLICAS, &SLAVES, &LINKS, &KEYSLOT, &INFO, &HELP,
    &READONLY, &READWRITE, &ASKING,
];

const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::Cluster,
    access: Access::Open,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: &[],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "",
    complexity: "O(N) with N cores",
    run: Run::Session,
};

const SLOTS: CommandSpec = CommandSpec {
    id: "cluster.slots",
    resp: "CLUSTER SLOTS",
    flags: Flags::RANDOM,
    summary: "Answers which core serves which slots, and where",
    ..BASE
};

const SHARDS: CommandSpec = CommandSpec {
    id: "cluster.shards",
    resp: "CLUSTER SHARDS",
    flags: Flags::RANDOM,
    summary: "Answers the cores as shards of a cluster",
    ..BASE
};

const NODES: CommandSpec = CommandSpec {
    id: "cluster.nodes",
    resp: "CLUSTER NODES",
    reply: ReplySpec::Text,
    flags: Flags::RANDOM,
    summary: "Answers the cores as nodes of a cluster, one line each",
    ..BASE
};

const MYID: CommandSpec = CommandSpec {
    id: "cluster.myid",
    resp: "CLUSTER MYID",
    reply: ReplySpec::Bytes,
    summary: "Answers the name under which this core stands among the nodes",
    complexity: "O(1)",
    ..BASE
};

const MYSHARDID: CommandSpec = CommandSpec {
    id: "cluster.myshardid",
    resp: "CLUSTER MYSHARDID",
    summary: "Answers the name of the shard that this core is, which is its own name",
    ..MYID
};

const REPLICAS: CommandSpec = CommandSpec {
    id: "cluster.replicas",
    resp: "CLUSTER REPLICAS",
    args: &[ArgSpec::bytes("node-id", "name of a node")],
    summary: "Answers the replicas of a node; there are none",
    ..BASE
};

const SLAVES: CommandSpec =
    CommandSpec { id: "cluster.slaves", resp: "CLUSTER SLAVES", ..REPLICAS };

const LINKS: CommandSpec = CommandSpec {
    id: "cluster.links",
    resp: "CLUSTER LINKS",
    summary: "Answers the connections between nodes; cores of one process need none",
    complexity: "O(1)",
    ..BASE
};

const KEYSLOT: CommandSpec = CommandSpec {
    id: "cluster.keyslot",
    resp: "CLUSTER KEYSLOT",
    args: &[ArgSpec::bytes("key", "the key")],
    reply: ReplySpec::Integer,
    summary: "Answers the slot of a key",
    complexity: "O(N) with N bytes of the key",
    ..BASE
};

const INFO: CommandSpec = CommandSpec {
    id: "cluster.info",
    resp: "CLUSTER INFO",
    reply: ReplySpec::Text,
    flags: Flags::RANDOM,
    summary: "Answers the state of the cluster that the cores form",
    complexity: "O(1)",
    ..BASE
};

const HELP: CommandSpec = CommandSpec {
    id: "cluster.help",
    resp: "CLUSTER HELP",
    summary: "Answers the subcommands of CLUSTER",
    complexity: "O(1)",
    ..BASE
};

const SWITCH: CommandSpec = CommandSpec {
    reply: ReplySpec::Ok,
    flags: Flags::FAST,
    complexity: "O(1)",
    family: Family::Connection,
    ..BASE
};

const READONLY: CommandSpec = CommandSpec {
    id: "cluster.readonly",
    resp: "READONLY",
    summary: "Allows reads from replicas; there are none, so nothing changes",
    ..SWITCH
};

const READWRITE: CommandSpec = CommandSpec {
    id: "cluster.readwrite",
    resp: "READWRITE",
    summary: "Takes READONLY back",
    ..SWITCH
};

const ASKING: CommandSpec = CommandSpec {
    id: "cluster.asking",
    resp: "ASKING",
    summary: "Announces a redirected command; no slot ever moves, so nothing changes",
    ..SWITCH
};
