//! What every command on streams does first: looking up the stream and its group, and showing ids
//! and entries.

use super::block::Entry;
use super::group::Group;
use super::id::Id;
use super::record::NAME_BYTES_MAX;
use super::stream::Stream;
use crate::command::error::{CommandError, GroupLookup, quote};
use crate::command::reply::Reply;
use crate::shard::plan::View;
use crate::shard::{Content, Entry as KeyEntry, ValueType};
use crate::types::Large;

/// The stream in an entry of a key.
pub(crate) fn stream_in<'s>(entry: &KeyEntry<'s>) -> &'s Stream {
    match entry.content() {
        Content::Large(Large::Stream(stream), _) => stream,
        Content::Large(..) | Content::Packed(_) => unreachable!("a stream has one form"),
    }
}

/// The stream of a key, for reading; counted as a hit or a miss.
pub(super) fn get<'s>(view: &View<'s>, key: &[u8]) -> Result<Option<&'s Stream>, CommandError> {
    Ok(view.typed(key, ValueType::Stream)?.map(|entry| stream_in(&entry)))
}

/// The stream of a key that is about to be changed.
pub(super) fn peek<'s>(view: &View<'s>, key: &[u8]) -> Result<Option<&'s Stream>, CommandError> {
    Ok(view.peek_typed(key, ValueType::Stream)?.map(|entry| stream_in(&entry)))
}

/// The group of a stream, if there are both.
pub(super) fn group<'s>(
    stream: Option<&'s Stream>,
    (key, name): (&[u8], &[u8]),
    lookup: GroupLookup,
) -> Result<(&'s Stream, &'s Group), CommandError> {
    let found = stream.and_then(|stream| Some((stream, stream.group(name)?)));
    found.ok_or_else(|| CommandError::NoGroup { key: quote(key), group: quote(name), lookup })
}

/// Checks the name of a group or consumer that may be made.
pub(super) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(CommandError::Invalid("a group or consumer name exceeds 65536 bytes"));
    }
    Ok(())
}

/// An id as text.
pub(super) fn id_reply<'a>(id: Id) -> Reply<'a> {
    Reply::string(id.to_string())
}

/// An entry: its id, and names and values in one array.
pub(super) fn entry_reply(entry: Entry<'_>) -> Reply<'_> {
    let mut fields = Vec::with_capacity(entry.count() * 2);
    for (name, value) in entry.fields() {
        fields.push(Reply::borrowed(name));
        fields.push(Reply::borrowed(value));
    }
    Reply::Array(vec![id_reply(entry.id), Reply::Array(fields)])
}

/// The milliseconds between two times, none when `then` is to come.
pub(super) fn elapsed(now_ms: u64, then_ms: u64) -> Reply<'static> {
    number(now_ms.saturating_sub(then_ms))
}

/// An unsigned number; what does not fit the protocol's integers is cut.
pub(super) fn number<'a>(number: u64) -> Reply<'a> {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
