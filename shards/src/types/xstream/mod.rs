//! Streams as `XADD` makes them: logs of entries with ids, and consumer groups that read them.

mod add;
mod block;
mod claim;
mod codec;
mod delete;
mod find;
mod group;
mod groups;
mod id;
mod info;
mod pending;
mod piece;
mod progress;
mod range;
mod read;
mod read_group;
mod record;
mod stream;
mod told;
mod trim;

use crate::command::spec::CommandSpec;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

pub(crate) use block::Block;
pub(crate) use find::stream_in;
pub(crate) use group::Group;
pub(crate) use id::Id;
pub(crate) use record::{Writer, check};
pub(crate) use stream::Stream as Large;
pub(crate) use told::tell;

/// Commands on streams.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::XADD,
    &range::XLEN,
    &range::XRANGE,
    &range::XREVRANGE,
    &delete::XDEL,
    &trim::XTRIM,
    &delete::XSETID,
    &read::XREAD,
    &groups::CREATE,
    &groups::SETID,
    &groups::DESTROY,
    &groups::CREATECONSUMER,
    &groups::DELCONSUMER,
    &groups::HELP,
    &read_group::XREADGROUP,
    &pending::XACK,
    &pending::XPENDING,
    &claim::XCLAIM,
    &claim::XAUTOCLAIM,
    &info::STREAM,
    &info::GROUPS,
    &info::CONSUMERS,
    &info::HELP,
];

impl Large {
    /// Applies edits.
    pub(crate) fn apply(&mut self, edits: &[u8], _: &mut MemoryMut<'_>, limits: &Thresholds) {
        self.apply_edits(edits, limits);
    }

    /// Bytes of cells of its shard that it owns: none.
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Gives memory of about `budget` elements back; true when nothing is left.
    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, budget: usize) -> bool {
        self.release(budget)
    }

    /// Appends edits that rebuild the stream from `cursor` on, about `budget` bytes of them, and
    /// says where it goes on; nothing at the end.
    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Option<Cursor> {
        self.write_piece(cursor, out, budget)
    }
}

/// The stream that edits build from nothing.
pub(crate) fn apply_packed(edits: &[u8], limits: &Thresholds) -> Option<Large> {
    let mut stream = Large::default();
    stream.apply_edits(edits, limits);
    Some(stream)
}
