//! Sets: members without order, each at most once.
//!
//! A small set is packed in its entry: integers sorted, other members one behind the other. A large
//! one is a table of members in the memory of its shard. Which of them is nobody's business but
//! `OBJECT ENCODING`'s.

mod algebra;
mod change;
mod ints;
mod pack;
mod pop;
mod read;
mod record;
mod sample;
mod scan;
mod store;
mod told;
mod view;

use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};

pub(crate) use record::push_add;
pub(crate) use store::{Large, apply_packed, packed_edits, packed_encoding, packed_len};
pub(crate) use told::tell;
pub(crate) use view::{Member, SetView};

/// Whether bytes are edits of a set.
pub(crate) fn check(edits: &[u8]) -> bool {
    record::check(edits)
}

/// Commands on sets.
pub const COMMANDS: &[&CommandSpec] = &[
    &change::SADD,
    &change::SREM,
    &read::SMEMBERS,
    &read::SISMEMBER,
    &read::SMISMEMBER,
    &read::SCARD,
    &pop::SPOP,
    &sample::SRANDMEMBER,
    &change::SMOVE,
    &algebra::SINTER,
    &algebra::SINTERSTORE,
    &algebra::SINTERCARD,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
    &scan::SSCAN,
];

/// What the commands have in common.
const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::Set,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: KEY_ONLY,
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "",
    complexity: "O(1)",
    run: Run::Session,
};

const KEY_ONLY: &[ArgSpec] = &[ArgSpec::key("key", "the set")];
