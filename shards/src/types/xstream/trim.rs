//! `XTRIM`, and how `XADD` trims: which entries go is decided here, the record names the last one.
//!
//! The approximate form removes whole blocks only, so it depends on where blocks begin.

use super::block::Entry;
use super::find;
use super::id::Id;
use super::record::Writer;
use super::stream::Stream;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const OPERATORS: &[ArgSpec] = &[
    ArgSpec::flag("exactly", "=", "exactly so"),
    ArgSpec::flag("about", "~", "whole blocks only, which is faster"),
];
const OPERATOR: ArgSpec = ArgSpec::one_of("operator", OPERATORS, "how exactly").optional();
const LIMIT: ArgSpec =
    ArgSpec::integer("limit", "remove so many at most; with ~").with_token("LIMIT").optional();
const MAXLEN: &[ArgSpec] = &[OPERATOR, ArgSpec::integer("maxlen", "entries that stay"), LIMIT];
const MINID: &[ArgSpec] = &[OPERATOR, ArgSpec::bytes("minid", "first id that stays"), LIMIT];
const STRATEGIES: &[ArgSpec] = &[
    ArgSpec::block("maxlen", MAXLEN, "by number of entries").with_token("MAXLEN"),
    ArgSpec::block("minid", MINID, "by id").with_token("MINID"),
];
/// The arguments that say what is trimmed.
pub(super) const STRATEGY: ArgSpec = ArgSpec::one_of("trim", STRATEGIES, "what is removed");

const KEY: Arg = Arg(0);
const WORDS: Arg = Arg(1);

/// Blocks that an approximate trim without a limit removes at most, times their entries.
const BLOCKS_AT_ONCE: usize = 100;
/// Bounds of the limit that follows from it, where the setting is none or huge.
const LIMIT_DEFAULT: usize = 10_000;
const LIMIT_MAX: usize = 1_000_000;

/// What stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Strategy {
    MaxLen(usize),
    MinId(Id),
}

/// What is to be trimmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trim {
    strategy: Strategy,
    approximate: bool,
    /// Entries that may go at most.
    limit: usize,
}

/// Options as they are read, one word after the other.
#[derive(Debug, Default)]
pub(super) struct TrimOptions {
    strategy: Option<Strategy>,
    approximate: bool,
    limit: Option<usize>,
}

impl TrimOptions {
    /// Takes an option at the front of `words`; how many words it is, 0 when it is none.
    pub(super) fn take(&mut self, words: &[&[u8]]) -> Result<usize, CommandError> {
        let (Some(option), Some(value)) = (words.first(), words.get(1)) else { return Ok(0) };
        if option.eq_ignore_ascii_case(b"LIMIT") {
            let least = "The LIMIT argument must be >= 0.";
            let limit = usize::try_from(integer(value)?);
            self.limit = Some(limit.map_err(|_| CommandError::Invalid(least))?);
            return Ok(2);
        }
        let by_length = option.eq_ignore_ascii_case(b"MAXLEN");
        if !by_length && !option.eq_ignore_ascii_case(b"MINID") {
            return Ok(0);
        }
        if self.strategy.is_some() {
            return Err(CommandError::Invalid(
                "syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = words.len() > 2 && matches!(*value, b"~" | b"=");
        self.approximate = operator && *value == b"~";
        let value = words[1 + usize::from(operator)];
        self.strategy = Some(if by_length {
            let least = "The MAXLEN argument must be >= 0.";
            let length = usize::try_from(integer(value)?);
            Strategy::MaxLen(length.map_err(|_| CommandError::Invalid(least))?)
        } else {
            Strategy::MinId(Id::strict(value, 0)?)
        });
        Ok(2 + usize::from(operator))
    }

    /// What the options came to; nothing when there were none. A block takes `block_entries`.
    pub(super) fn finish(self, block_entries: usize) -> Result<Option<Trim>, CommandError> {
        let Self { strategy, approximate, limit } = self;
        let Some(strategy) = strategy else {
            return match limit {
                None | Some(0) => Ok(None),
                Some(_) => Err(CommandError::Invalid(
                    "syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
            };
        };
        let limit = match limit {
            Some(_) if !approximate => {
                return Err(CommandError::Invalid(
                    "syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            None if approximate => match block_entries.saturating_mul(BLOCKS_AT_ONCE) {
                0 => LIMIT_DEFAULT,
                limit => limit.min(LIMIT_MAX),
            },
            None | Some(0) => usize::MAX,
            Some(limit) => limit,
        };
        Ok(Some(Trim { strategy, approximate, limit }))
    }
}

/// An entry that is being added while the stream is trimmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) id: Id,
    /// It will stand in a block of its own.
    pub(super) opens_block: bool,
}

/// What a block will be when an entry was added.
struct Span<'s> {
    ids: Box<dyn Iterator<Item = Id> + 's>,
    count: usize,
    last: Id,
}

fn spans<'s>(stream: Option<&'s Stream>, added: Option<Added>) -> impl Iterator<Item = Span<'s>> {
    let blocks = stream.map(|stream| stream.blocks()).into_iter().flatten();
    let alone = added.filter(|added| added.opens_block);
    let joins = added.filter(|added| !added.opens_block);
    let last_base = stream.and_then(|stream| stream.blocks().last()).map(|(base, _)| base);
    let blocks = blocks.map(move |(base, block)| {
        let joins = joins.filter(|_| last_base == Some(base));
        let ids = block.entries(base).map(|entry: Entry<'_>| entry.id);
        let ids = ids.chain(joins.map(|added| added.id));
        Span {
            ids: Box::new(ids),
            count: block.count() + usize::from(joins.is_some()),
            last: joins.map_or_else(|| block.last(), |added| added.id),
        }
    });
    let alone = alone.map(|Added { id, .. }| Span {
        ids: Box::new(std::iter::once(id)),
        count: 1,
        last: id,
    });
    blocks.chain(alone)
}

impl Trim {
    /// How many entries go, and the last of them.
    pub(super) fn of(&self, stream: Option<&Stream>, added: Option<Added>) -> (usize, Id) {
        let total = stream.map_or(0, Stream::len) + usize::from(added.is_some());
        let (mut gone, mut last) = (0, Id::ZERO);
        let goes = |gone: usize, id: Id| match self.strategy {
            Strategy::MaxLen(most) => total - gone > most,
            Strategy::MinId(least) => id < least,
        };
        for span in spans(stream, added) {
            let within_limit = gone + span.count <= self.limit;
            // A block goes if its last entry does.
            if within_limit && goes(gone + span.count - 1, span.last) {
                (gone, last) = (gone + span.count, span.last);
                continue;
            }
            if within_limit && !self.approximate {
                for id in span.ids {
                    if !goes(gone, id) {
                        break;
                    }
                    (gone, last) = (gone + 1, id);
                }
            }
            break;
        }
        (gone, last)
    }
}

/// `XTRIM`.
pub(crate) const XTRIM: CommandSpec = CommandSpec {
    id: "xstream.trim",
    resp: "XTRIM",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::block("what", &[STRATEGY], "what is removed")],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Removes the oldest entries of a stream and answers how many",
    complexity: "O(N) for N entries removed; whole blocks are cheap",
    run: Run::Write(trim),
};

fn trim(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let mut options = TrimOptions::default();
    let mut words = args.rest(WORDS);
    while !words.is_empty() {
        match options.take(words)? {
            0 => return Err(CommandError::Syntax),
            taken => words = &words[taken..],
        }
    }
    let block_entries = plan.thresholds(key).stream_node_max_entries;
    let trim = options.finish(block_entries)?.ok_or(CommandError::Invalid(
        "syntax error, XTRIM must be called with at least one trimming strategy",
    ))?;
    let Some(stream) = find::peek(plan, key)? else { return Ok(Reply::Integer(0)) };
    let (gone, last) = trim.of(Some(stream), None);
    if gone > 0 {
        let mut writer = Writer::default();
        writer.trim(last);
        plan.edit(key, ValueType::Stream, &writer.out)?;
        plan.notify(Notice::Stream, "xtrim", key);
    }
    Ok(Reply::count(gone))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn streams_are_trimmed_by_length_and_by_id() {
        let mut db = OneTable::new();
        for id in 1..=250 {
            db.ask(&format!("XADD s {id} f v"));
        }
        db.expect(&[
            ("XTRIM none MAXLEN 0", "0"),
            ("XTRIM s MAXLEN 300", "0"),
            ("XTRIM s MAXLEN 245", "5"),
            ("XTRIM s MAXLEN ~ 200", "0"),
            ("XTRIM s MAXLEN ~ 150", "95"),
            ("XLEN s", "150"),
            ("XTRIM s MAXLEN ~ 0 LIMIT 50", "0"),
            ("XTRIM s MINID 120", "19"),
            ("XTRIM s MINID ~ 199", "0"),
            ("XTRIM s MINID ~ 201", "81"),
            ("XTRIM s MAXLEN = 2", "48"),
            ("XRANGE s - +", "[[\"249-0\", [\"f\", \"v\"]], [\"250-0\", [\"f\", \"v\"]]]"),
            ("XTRIM s MAXLEN 0", "2"),
            ("XLEN s", "0"),
            ("EXISTS s", "1"),
        ]);
    }

    #[test]
    fn adding_may_trim() {
        OneTable::new().expect(&[
            ("XADD s MAXLEN 2 1 f v", "\"1-0\""),
            ("XADD s MAXLEN 2 2 f v", "\"2-0\""),
            ("XADD s MAXLEN 2 3 f v", "\"3-0\""),
            ("XLEN s", "2"),
            ("XADD s MINID 4 4 f v", "\"4-0\""),
            ("XLEN s", "1"),
            ("XADD s MAXLEN 0 5 f v", "\"5-0\""),
            ("XLEN s", "0"),
            ("XADD s MAXLEN ~ 1 6 f v", "\"6-0\""),
            ("XADD s MAXLEN ~ 1 7 f v", "\"7-0\""),
            ("XLEN s", "2"),
        ]);
    }

    #[test]
    fn bad_options_are_refused() {
        OneTable::new().expect(&[
            ("XTRIM s MAXLEN", "ERR wrong number of arguments for 'xtrim' command"),
            ("XTRIM s MAXLEN x", "ERR value is not an integer or out of range"),
            ("XTRIM s MAXLEN -1", "ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s NOPE 1", "ERR syntax error"),
            (
                "XTRIM s MAXLEN 1 MINID 1",
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            (
                "XTRIM s LIMIT 1",
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            (
                "XTRIM s MAXLEN 1 LIMIT 1",
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            ("XTRIM s MAXLEN ~ 1 LIMIT -1", "ERR The LIMIT argument must be >= 0."),
            (
                "XTRIM s LIMIT 0",
                "ERR syntax error, XTRIM must be called with at least one trimming strategy",
            ),
            ("XTRIM s MINID x", "ERR Invalid stream ID specified as stream command argument"),
        ]);
    }
}
