//! `CDC.READ`: what each core answers a reader of a capture, a part per shard.
//! [`super::merge`] joins the parts of all cores.
//!
//! A shard shows its changes from the reader's offset on. When it has shown the last, and the
//! reader is to be shown what there is, the same step walks over some keys: so each key is shown as
//! it is behind exactly the changes before it and before exactly those that follow.

use super::batch::Changes;
use super::find::{key_in, partition};
use super::position::From;
use super::tell::tell_entry;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
};
use crate::glob;
use crate::limits::SHARDS;
use crate::shard::Shard;
use crate::shard::plan::View;
use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};
use crate::types::topic::{Item, Partition};

/// Changes of an answer unless it is said otherwise, and at most.
pub(super) const COUNT_DEFAULT: i64 = 100;
pub(super) const COUNT_MAX: i64 = 10_000;
/// Bytes of an answer, about; what belongs together comes together. Of a core's answer too, but
/// each shard that has something answers one batch, until all have come to [`CORE_BYTES_MAX`].
pub(super) const ANSWER_BYTES: usize = 1024 * 1024;
/// Bytes beyond which a core answers no more than it must.
const CORE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Buckets that one step walks over, at most.
const BUCKETS_MAX: usize = 256;

pub(super) const CAPTURE: &str = "Capture";
const OTHER_CAPTURE: CommandError = CommandError::Coded {
    code: "GONE",
    message: "the position is one of another capture of this name; `snapshot` begins anew",
};

pub(super) const NAME: Arg = Arg(0);
const FROM: Arg = Arg(1);
const COUNT: Arg = Arg(2);

/// `CDC.READ`.
pub(super) const READ: CommandSpec = CommandSpec {
    id: "cdc.read",
    resp: "CDC.READ",
    family: Family::Capture,
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::bytes("capture", "the name of the capture"),
        ArgSpec::bytes(
            "from",
            "`oldest`, `now`, `snapshot`, or the position that the last answer named",
        ),
        ArgSpec::integer("limit", "how many changes, about").with_token("COUNT").optional(),
        ArgSpec::integer("wait_ms", "wait so many milliseconds if there is nothing")
            .with_token("BLOCK")
            .optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/cdc/{capture}/changes", JsonReply::Shape("changes"))],
    flags: Flags::NO_MULTI.and(Flags::NO_SCRIPT),
    since: "0.2.0",
    summary: "Reads changes: the position behind them, the changes, 1 if there are more at once, \
              1 while it shows what there is",
    complexity: "O(N) for N changes answered, and keys walked over",
    run: Run::Read(read),
};

/// How many changes a request asks for.
pub(super) fn count(args: &Args<'_>) -> Result<usize, CommandError> {
    let count = args.opt_integer(COUNT).unwrap_or(COUNT_DEFAULT);
    let count = Some(count).filter(|count| *count > 0).map(|count| count.min(COUNT_MAX) as usize);
    count.ok_or(CommandError::Invalid("the number of changes must be greater than 0"))
}

/// Where a request begins.
pub(super) fn from(args: &Args<'_>) -> Result<From, CommandError> {
    From::parse(args.bytes(FROM))
}

fn read<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (name, from, count) = (args.bytes(NAME), from(args)?, count(args)?);
    let mut shards: Vec<&Shard> = view.shards().collect();
    let first = from.turn() % shards.len().max(1);
    shards.rotate_left(first);
    let mut budget = Budget { count, bytes: ANSWER_BYTES / shards.len().max(1), is_spent: false };
    let (mut parts, mut spent) = (Vec::with_capacity(shards.len()), 0);
    for shard in shards {
        let key = key_in(shard.id(), name);
        let found = view.peek(&key).and_then(|_| partition(shard, &key));
        let partition = found.ok_or_else(|| CommandError::not_found(CAPTURE, name))?;
        let part = Part::read(view, shard, partition, &from, budget)?;
        let part = part.bytes();
        spent += part.len();
        budget.is_spent = spent >= CORE_BYTES_MAX;
        parts.push(Reply::owned(part));
    }
    Ok(Reply::Array(parts))
}

/// How much one shard may answer.
#[derive(Clone, Copy, Debug)]
struct Budget {
    count: usize,
    bytes: usize,
    /// Other shards of the core have answered so much that this one only answers what others may
    /// wait for: transactions.
    is_spent: bool,
}

/// What one shard answers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Part {
    pub(super) shard: u8,
    pub(super) incarnation: u64,
    /// The first offset that is there.
    pub(super) start: u64,
    /// The offset of the first batch.
    pub(super) from: u64,
    /// What the reader has seen or would see next is not there.
    pub(super) is_gone: bool,
    /// There are changes behind these.
    pub(super) has_more: bool,
    /// Where the walk goes on, once the rows are shown.
    pub(super) walk: Option<u64>,
    /// Time and bytes of the events with consecutive offsets.
    pub(super) batches: Vec<(u64, Vec<u8>)>,
    /// The time, and Seq and JSON of keys that were walked over.
    pub(super) now_ms: u64,
    pub(super) rows: Vec<(u64, Vec<u8>)>,
}

impl Part {
    fn read(
        view: &View<'_>,
        shard: &Shard,
        partition: &Partition,
        from: &From,
        budget: Budget,
    ) -> Result<Self, CommandError> {
        let incarnation = partition.definition.incarnation;
        let offset = match from {
            From::Oldest => partition.start(),
            From::Now | From::Snapshot => partition.next(),
            From::Position(position) if position.incarnation != incarnation => {
                return Err(OTHER_CAPTURE);
            }
            From::Position(position) => position.places[shard.id().index()].offset,
        };
        let mut part = Self {
            shard: shard.id().index() as u8,
            incarnation,
            start: partition.start(),
            from: offset,
            // Beyond the end: a crash took back what a lax `fsync_mode` had shown.
            is_gone: !(partition.start()..=partition.next()).contains(&offset),
            walk: from.walk(shard.id().index()),
            now_ms: view.now().unix_ms,
            ..Self::default()
        };
        if part.is_gone {
            // It is refused as a whole.
            return Ok(part);
        }
        let left = part.take_batches(partition, budget);
        if let (Some(bytes), Some(walk)) = (left, part.walk) {
            view.saw_all(shard);
            part.take_rows(shard, partition, walk, bytes);
        }
        Ok(part)
    }

    /// What is left of the budget when all batches were taken; nothing where some were not, or it
    /// is spent.
    fn take_batches(&mut self, partition: &Partition, budget: Budget) -> Option<usize> {
        let (mut bytes, mut changes) = (0, 0);
        for (_, item) in partition.items(self.from) {
            let Item::One(event) = item else { unreachable!("captures are not packed") };
            let told = Changes::read(event.data).expect("captures hold what was captured");
            let is_alone = told.parts.is_empty();
            if bytes >= budget.bytes || changes >= budget.count || budget.is_spent && is_alone {
                self.has_more = true;
                return None;
            }
            bytes += event.data.len();
            changes += told.count as usize;
            self.batches.push((event.time_ms, event.data.to_vec()));
        }
        (!budget.is_spent).then(|| budget.bytes.saturating_sub(bytes))
    }

    fn take_rows(&mut self, shard: &Shard, partition: &Partition, walk: u64, budget: usize) {
        let (mut at, mut bytes) = (Some(walk), 0);
        for _ in 0..BUCKETS_MAX {
            let Some(position) = at.filter(|_| bytes < budget) else { break };
            at = shard.walk(position, |entry| {
                let is_wanted = partition.patterns.iter().any(|it| glob::matches(it, entry.key()));
                if entry.is_expired(self.now_ms) || entry.value_type().is_named() || !is_wanted {
                    return;
                }
                let mut text = Vec::new();
                tell_entry(&entry, self.now_ms, &mut text);
                bytes += text.len();
                self.rows.push((entry.stamp().get(), text));
            });
        }
        self.walk = at;
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let flags = [self.has_more, self.walk.is_some(), self.is_gone].map(u8::from);
        let mut out = vec![self.shard];
        out.extend_from_slice(&flags);
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.walk.unwrap_or(0).to_le_bytes());
        for number in [self.start, self.from, self.now_ms] {
            put_number(&mut out, number);
        }
        for list in [&self.batches, &self.rows] {
            put_number(&mut out, list.len() as u64);
            for (number, bytes) in list {
                put_number(&mut out, *number);
                put_bytes(&mut out, bytes);
            }
        }
        out
    }

    /// Nothing where the bytes are no part.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let ([shard, has_more, walks, is_gone], rest) = bytes.split_first_chunk::<4>()?;
        let (incarnation, rest) = rest.split_first_chunk::<8>()?;
        let (walk, mut rest) = rest.split_first_chunk::<8>()?;
        let input = &mut rest;
        let mut part = Self {
            shard: *shard,
            has_more: *has_more != 0,
            is_gone: *is_gone != 0,
            walk: (*walks != 0).then(|| u64::from_le_bytes(*walk)),
            incarnation: u64::from_le_bytes(*incarnation),
            start: take_number(input)?,
            from: take_number(input)?,
            now_ms: take_number(input)?,
            ..Self::default()
        };
        for list in [&mut part.batches, &mut part.rows] {
            for _ in 0..take_number(input)? {
                list.push((take_number(input)?, take_bytes(input)?.to_vec()));
            }
        }
        (usize::from(part.shard) < SHARDS).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_the_way_between_cores() {
        let part = Part {
            shard: 63,
            incarnation: u64::MAX,
            start: 3,
            from: 300,
            is_gone: true,
            has_more: true,
            walk: Some(1 << 63),
            batches: vec![(7, b"changes".to_vec()), (8, Vec::new())],
            now_ms: 1 << 41,
            rows: vec![(9, b"row".to_vec())],
        };
        let bytes = part.bytes();
        assert_eq!(Part::parse(&bytes), Some(part));
        for cut in 0..bytes.len() {
            assert_eq!(Part::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
