//! HyperLogLog: counting distinct elements in at most 12 KiB, with a standard error of 0.81 %
//! (Flajolet, Fusy, Gandouet, Meunier, 2007).
//!
//! A counter is a string in the format of Redis, byte for byte, so `GET`, `SET`, `DUMP` and
//! `RESTORE` carry it from and to Redis. Its records are those of strings.

mod add;
mod count;
mod counter;
mod debug;
mod dense;
mod estimate;
mod hash;
mod merge;
mod sparse;
mod stats;

use crate::command::error::CommandError;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::Entry;
use crate::shard::plan::View;
use counter::Counter;

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Registers of a counter.
const REGISTERS: usize = 1 << INDEX_BITS;
/// Bytes before the registers.
const HEADER_BYTES: usize = 16;

/// The ranks of all registers, one per byte.
type Registers = [u8; REGISTERS];

/// Commands on counters of distinct elements.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::PFADD,
    &count::PFCOUNT,
    &merge::PFMERGE,
    &debug::PFDEBUG,
    &debug::PFSELFTEST,
    &add::EACH,
    &add::EACH_WITH_LIFETIME,
    &count::COUNT_OR_NIL,
    &merge::MERGE_AND_COUNT,
    &stats::STATS,
];

/// What the commands have in common.
const BASE: CommandSpec = CommandSpec {
    id: "",
    resp: "",
    family: Family::HyperLogLog,
    access: Access::Write,
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

const KEY_ONLY: &[ArgSpec] = &[ArgSpec::key("key", "the counter")];

/// The counter of a key with its entry; nothing when the key does not exist.
fn stored<'s>(
    view: &View<'s>,
    key: &[u8],
) -> Result<Option<(Entry<'s>, Counter<'s>)>, CommandError> {
    let Some(entry) = view.string(key)? else { return Ok(None) };
    Ok(Some((entry, Counter::read(entry.value())?)))
}
