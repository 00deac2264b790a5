//! `XREADGROUP`: entries that no consumer of a group was given yet, or those that one was given and
//! has not acknowledged.

use std::collections::BTreeMap;

use super::find;
use super::group::Group;
use super::id::Id;
use super::progress::Progress;
use super::read::{BLOCK, COUNT, Form, Request, STREAMS, XREAD};
use super::record::Writer;
use super::stream::Stream;
use crate::command::args::{Arg, Args};
use crate::command::error::{CommandError, GroupLookup};
use crate::command::reply::Reply;
use crate::command::spec::{Access, ArgSpec, Blocked, CommandSpec, Flags, Run};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const WORDS: Arg = Arg(0);

/// A consumer that goes on to wait is noted as seen again after so long. Never at once: the change
/// wakes others that wait for the same stream, and theirs would wake this one.
const SEEN_AGAIN_MS: u64 = 1000;

const READER: &[ArgSpec] =
    &[ArgSpec::bytes("group", "the group"), ArgSpec::bytes("consumer", "who reads")];
const PARTS: &[ArgSpec] = &[
    ArgSpec::block("group", READER, "who reads").with_token("GROUP"),
    COUNT,
    BLOCK,
    ArgSpec::flag("noack", "NOACK", "what is read needs no acknowledgement"),
    STREAMS,
];

/// `XREADGROUP`.
pub(crate) const XREADGROUP: CommandSpec = CommandSpec {
    id: "xstream.readgroup",
    resp: "XREADGROUP",
    access: Access::Write,
    args: &[ArgSpec::block("what", PARTS, "who reads what")],
    flags: Flags::BLOCKING.and(Flags::WAKES_WHEN_GONE),
    summary: "Gives a consumer new entries of streams (id >), or those it has not acknowledged",
    complexity: "O(N) for N entries answered",
    run: Run::Block(read_group),
    ..XREAD
};

const LAST_IN_GROUP: &str = "The $ ID is meaningless in the context of XREADGROUP: you want to \
    read the history of this consumer by specifying a proper ID, or use the > ID to get new \
    messages. The $ ID would just return an empty result set.";
const TOP_IN_GROUP: &str = "The + ID is meaningless in the context of XREADGROUP: you want to \
    read the history of this consumer by specifying a proper ID, or use the > ID to get new \
    messages. The + ID would just return an empty result set.";

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    New,
    /// What the consumer has not acknowledged, behind this id.
    Given(Id),
}

impl Wanted {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            b">" => Ok(Self::New),
            b"$" => Err(CommandError::Invalid(LAST_IN_GROUP)),
            b"+" => Err(CommandError::Invalid(TOP_IN_GROUP)),
            word => Id::strict(word, 0).map(Self::Given),
        }
    }
}

/// One stream that is read.
struct Source<'s, 'a> {
    key: &'a [u8],
    stream: &'s Stream,
    group: &'s Group,
    wanted: Wanted,
}

/// Who reads, and how.
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    count: usize,
    no_ack: bool,
    now_ms: u64,
}

fn read_group(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let request = Request::parse(Form::ReadGroup, args.rest(WORDS))?;
    let (group, consumer) = request.reader.expect("it was checked with the options");
    find::check_name(consumer)?;
    let mut sources = Vec::with_capacity(request.keys.len());
    for (key, word) in request.keys.iter().zip(request.ids) {
        let stream = find::get(plan, key)?;
        let (stream, group) = find::group(stream, (key, group), GroupLookup::Read)?;
        sources.push(Source { key, stream, group, wanted: Wanted::parse(word)? });
    }
    let Request { count, no_ack, .. } = request;
    let now_ms = plan.now().unix_ms;
    let reader = Reader { group, consumer, count, no_ack, now_ms };
    // A key that stands twice is read on from where it was left.
    let mut reached = BTreeMap::new();
    let (mut found, mut changes) = (Vec::new(), Vec::new());
    for source in &sources {
        let mut writer = Writer::default();
        let progress = reached.entry(source.key).or_insert_with(|| Progress::of(source.group));
        let entries = match source.wanted {
            Wanted::New => reader.take_new(source, progress, &mut writer),
            Wanted::Given(behind) => Some(reader.take_given(source, behind, &mut writer)),
        };
        changes.push(writer);
        if let Some(entries) = entries {
            found.push((Reply::owned(source.key.to_vec()), Reply::Array(entries)));
        }
    }
    let outcome = request.finish(found);
    let waits = matches!(outcome, Blocked::Wait(_));
    for (source, writer) in sources.iter().zip(changes) {
        reader.record(plan, source, writer, waits)?;
    }
    Ok(outcome)
}

impl Reader<'_> {
    /// Gives entries that nobody has yet; nothing when there are none.
    fn take_new(
        &self,
        source: &Source<'_, '_>,
        progress: &mut Progress,
        writer: &mut Writer,
    ) -> Option<Vec<Reply<'static>>> {
        let first = progress.last_id.next()?;
        let (mut ids, mut entries) = (Vec::new(), Vec::new());
        for entry in source.stream.range(first, Id::MAX).take(self.count) {
            progress.pass(source.stream, entry.id);
            ids.push(entry.id);
            entries.push(find::entry_reply(entry).into_owned());
        }
        if ids.is_empty() {
            return None;
        }
        writer.group(self.group, progress.last_id, progress.entries_read);
        if !self.no_ack {
            writer.pending((self.group, self.consumer), (self.now_ms, 1), &ids);
        }
        Some(entries)
    }

    /// Gives entries again that the consumer has not acknowledged.
    fn take_given(
        &self,
        source: &Source<'_, '_>,
        behind: Id,
        writer: &mut Writer,
    ) -> Vec<Reply<'static>> {
        let Some(first) = behind.next() else { return Vec::new() };
        let Some(consumer) = source.group.consumers.get(self.consumer) else { return Vec::new() };
        let again = |id: &Id| match (source.stream.get(*id), source.group.pending.get(id)) {
            (Some(entry), Some(pending)) => {
                let count = pending.count.saturating_add(1);
                writer.pending((self.group, self.consumer), (self.now_ms, count), &[*id]);
                find::entry_reply(entry).into_owned()
            }
            _ => Reply::Array(vec![find::id_reply(*id), Reply::NilArray]),
        };
        consumer.pending.range(first..).take(self.count).map(again).collect()
    }

    /// Records what was given, and that the consumer was seen.
    fn record(
        &self,
        plan: &mut Plan<'_>,
        source: &Source<'_, '_>,
        given: Writer,
        waits: bool,
    ) -> Result<(), CommandError> {
        let known = source.group.consumers.get(self.consumer);
        let lately = |seen_ms: u64| self.now_ms.saturating_sub(seen_ms) < SEEN_AGAIN_MS;
        if waits && known.is_some_and(|consumer| lately(consumer.seen_ms)) {
            return Ok(());
        }
        let gets_new = matches!(source.wanted, Wanted::New) && !given.is_empty() && !self.no_ack;
        let active_ms = if gets_new {
            Some(self.now_ms)
        } else {
            known.and_then(|consumer| consumer.active_ms)
        };
        let mut writer = Writer::default();
        writer.consumer(self.group, self.consumer, self.now_ms, active_ms);
        writer.out.extend_from_slice(&given.out);
        plan.edit(source.key, ValueType::Stream, &writer.out)?;
        if known.is_none() {
            plan.notify(Notice::Stream, "xgroup-createconsumer", source.key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn consumers_share_what_is_new_and_keep_what_they_got() {
        let mut db = OneTable::new();
        for line in ["XADD s 1 f a", "XADD s 2 f b", "XADD s 3 f c", "XGROUP CREATE s g 0"] {
            db.ask(line);
        }
        db.expect(&[
            ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "{\"s\": [[\"1-0\", [\"f\", \"a\"]]]}"),
            ("XREADGROUP GROUP g d COUNT 1 STREAMS s >", "{\"s\": [[\"2-0\", [\"f\", \"b\"]]]}"),
            ("XREADGROUP GROUP g c NOACK STREAMS s >", "{\"s\": [[\"3-0\", [\"f\", \"c\"]]]}"),
            ("XREADGROUP GROUP g c STREAMS s >", "nil"),
            ("XREADGROUP GROUP g c BLOCK 10 STREAMS s >", "nil"),
            ("XREADGROUP GROUP g c STREAMS s 0", "{\"s\": [[\"1-0\", [\"f\", \"a\"]]]}"),
            ("XREADGROUP GROUP g e STREAMS s 0", "{\"s\": []}"),
            ("XPENDING s g - + 9", "[[\"1-0\", \"c\", 0, 2], [\"2-0\", \"d\", 0, 1]]"),
            ("XDEL s 1", "1"),
            ("XREADGROUP GROUP g c STREAMS s 0", "{\"s\": [[\"1-0\", nil]]}"),
            ("XREADGROUP GROUP g c STREAMS s 1", "{\"s\": []}"),
            ("XACK s g 1 1 9", "1"),
            ("XREADGROUP GROUP g c STREAMS s 0", "{\"s\": []}"),
        ]);
    }

    #[test]
    fn a_key_that_stands_twice_is_read_on() {
        let mut db = OneTable::new();
        for line in ["XADD s 1 f a", "XADD s 2 f b", "XGROUP CREATE s g 0"] {
            db.ask(line);
        }
        db.expect(&[
            (
                "XREADGROUP GROUP g c COUNT 1 STREAMS s s > >",
                "{\"s\": [[\"1-0\", [\"f\", \"a\"]]], \"s\": [[\"2-0\", [\"f\", \"b\"]]]}",
            ),
            ("XPENDING s g", "[2, \"1-0\", \"2-0\", [[\"c\", \"2\"]]]"),
        ]);
    }

    #[test]
    fn bad_requests_are_refused() {
        let mut db = OneTable::new();
        db.expect(&[
            (
                "XREADGROUP GROUP g c STREAMS s >",
                "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
            ),
            ("XADD s 1 f v", "\"1-0\""),
            (
                "XREADGROUP GROUP g c STREAMS s 0",
                "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
            ),
            ("XGROUP CREATE s g $", "OK"),
            ("XREADGROUP GROUP g c STREAMS s >", "nil"),
            ("XREADGROUP COUNT 1 COUNT 1 STREAMS s >", "ERR Missing GROUP option for XREADGROUP"),
            (
                "XREADGROUP GROUP g c STREAMS s a >",
                "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' \
                 must be specified.",
            ),
            (
                "XREADGROUP GROUP g STREAMS s",
                "ERR wrong number of arguments for 'xreadgroup' command",
            ),
            (
                "XREADGROUP GROUP g c STREAMS s x",
                "ERR Invalid stream ID specified as stream command argument",
            ),
        ]);
        for id in ["$", "+"] {
            let answer = db.ask(&format!("XREADGROUP GROUP g c STREAMS s {id}"));
            assert!(answer.starts_with(&format!("ERR The {id} ID is meaningless")), "{answer}");
        }
    }
}
