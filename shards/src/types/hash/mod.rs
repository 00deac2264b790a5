//! Hashes: values under the names of fields, each with a deadline of its own if wanted.
//!
//! A hash is packed while it is small (`packed.rs`), and a table of cells when it is not
//! (`large.rs`). What changes it are the edits of `record.rs`. A field whose deadline has passed is
//! invisible at once; it is removed by a batch, with the next change of the hash or by upkeep, and
//! the last one takes the key with it.

mod all;
mod change;
mod counter;
mod delete;
mod expire;
mod fields;
mod get;
mod get_change;
mod large;
mod packed;
mod random;
mod record;
mod scan;
mod set;
mod set_expire;
mod told;
mod ttl;
mod view;

use crate::command::spec::CommandSpec;
use crate::shard::memory::MemoryMut;
use crate::types::Thresholds;
use packed::{FIELDS_MAX, Packed, PackedMut};
use record::{Edit, Edits};

pub(crate) use change::expire_due;
pub(crate) use large::Large;
pub(crate) use record::{check, push_set};
pub(crate) use told::tell;
pub(crate) use view::HashView;

/// Commands on hashes.
pub const COMMANDS: &[&CommandSpec] = &[
    &set::HSET,
    &set::HMSET,
    &set::HSETNX,
    &get::HGET,
    &get::HMGET,
    &get::HEXISTS,
    &get::HSTRLEN,
    &get::HLEN,
    &all::HGETALL,
    &all::HKEYS,
    &all::HVALS,
    &delete::HDEL,
    &delete::HGETDEL,
    &counter::HINCRBY,
    &counter::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &scan::HSCAN,
    &expire::HEXPIRE,
    &expire::HPEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPEXPIREAT,
    &ttl::HTTL,
    &ttl::HPTTL,
    &ttl::HEXPIRETIME,
    &ttl::HPEXPIRETIME,
    &ttl::HPERSIST,
    &get_change::HGETEX,
    &set_expire::HSETEX,
];

/// Applies edits to a packed hash, of no bytes when it is new. What it returns takes its place,
/// because it has outgrown the packed form.
pub(crate) fn apply_packed(
    value: &mut Vec<u8>,
    edits: &[u8],
    memory: &mut MemoryMut<'_>,
    limits: &Thresholds,
) -> Option<Large> {
    let fields_max = limits.hash_max_listpack_entries.min(FIELDS_MAX);
    let bytes_max = limits.hash_max_listpack_value;
    let mut packed = PackedMut::over(value);
    let mut edits = Edits::over(edits);
    while let Some(edit) = edits.next() {
        let fits = match edit {
            Edit::Set { field: name, value, deadline_ms } => {
                let field = packed::Field { name, value, deadline_ms };
                name.len().max(value.len()) <= bytes_max && packed.set(&field, fields_max)
            }
            Edit::Deadline { field, deadline_ms } => {
                packed.set_deadline(field, deadline_ms);
                true
            }
            Edit::Delete { field } => {
                packed.remove(field);
                true
            }
        };
        if !fits {
            let mut large = Large::unpacked(packed.read(), memory);
            large.apply_one(&edit, memory);
            edits.for_each(|edit| large.apply_one(&edit, memory));
            return Some(large);
        }
    }
    None
}

/// Appends edits that rebuild a packed hash.
pub(crate) fn packed_edits(value: &[u8], out: &mut Vec<u8>) {
    Packed::over(value).fields().for_each(|field| large::push_field(out, &field));
}

/// Number of fields of a packed hash.
pub(crate) fn packed_len(value: &[u8]) -> usize {
    Packed::over(value).len()
}

/// What `OBJECT ENCODING` calls a packed hash.
pub(crate) fn packed_encoding(value: &[u8]) -> &'static str {
    if Packed::over(value).has_deadlines() { "listpackex" } else { "listpack" }
}

/// The nearest deadline of a field of a packed hash.
pub(crate) fn packed_least_deadline(value: &[u8]) -> Option<u64> {
    Packed::over(value).least_deadline()
}
