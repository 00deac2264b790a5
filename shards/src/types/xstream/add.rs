//! `XADD`.

use super::block::NewFields;
use super::find;
use super::id::{Id, number};
use super::record::{FIELDS_BYTES_MAX, Writer};
use super::stream::Stream;
use super::trim::{Added, STRATEGY, Trim, TrimOptions};
use crate::command::args::{Arg, Args, wrong_arity};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};
use crate::types::codec::put_bytes;

const KEY: Arg = Arg(0);
const WORDS: Arg = Arg(1);

const FIELD: &[ArgSpec] =
    &[ArgSpec::bytes("field", "name of a field"), ArgSpec::bytes("value", "its value")];
const PARTS: &[ArgSpec] = &[
    ArgSpec::flag("nomkstream", "NOMKSTREAM", "do nothing if the key does not exist"),
    STRATEGY.optional(),
    ArgSpec::bytes("id", "* for one made of the time, ms-* or ms-seq"),
    ArgSpec::block("fields", FIELD, "what the entry holds").repeated(),
];

/// `XADD`.
pub(crate) const XADD: CommandSpec = CommandSpec {
    id: "xstream.add",
    resp: "XADD",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::block("entry", PARTS, "what is added")],
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST).and(Flags::RANDOM),
    since: "0.1.0",
    summary: "Adds an entry to a stream, trims it on demand, and answers the id of the entry",
    complexity: "O(1), and O(N) for N entries trimmed",
    run: Run::Write(add),
};

const TOO_SMALL: CommandError = CommandError::Invalid(
    "The ID specified in XADD is equal or smaller than the target stream top item",
);

/// The id that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// Made of the time.
    Next,
    /// At this time, the number after the last.
    At(u64),
    /// Exactly this.
    Exactly(Id),
}

impl Wanted {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        if word == b"*" {
            return Ok(Self::Next);
        }
        if let Some(ms) = word.strip_suffix(b"-*").and_then(number) {
            return Ok(Self::At(ms));
        }
        Id::strict(word, 0).map(Self::Exactly)
    }

    /// The id that an entry gets behind `last`.
    fn behind(self, last: Id, now_ms: u64) -> Result<Id, CommandError> {
        if last == Id::MAX {
            return Err(CommandError::Invalid(
                "The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = match self {
            Self::Next => last.following(now_ms),
            Self::At(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| Id::new(ms, seq)),
            Self::At(ms) => Some(Id::new(ms, 0)),
            Self::Exactly(id) => Some(id),
        };
        id.filter(|id| *id > last).ok_or(TOO_SMALL)
    }
}

struct Request<'a> {
    make_stream: bool,
    trim: Option<Trim>,
    wanted: Wanted,
    fields: &'a [&'a [u8]],
}

fn parse<'a>(args: &Args<'a>, block_entries: usize) -> Result<Request<'a>, CommandError> {
    let mut words = args.rest(WORDS);
    let mut options = TrimOptions::default();
    let mut make_stream = true;
    loop {
        let taken = options.take(words)?;
        words = &words[taken..];
        if taken == 0 {
            match words.first() {
                Some(word) if word.eq_ignore_ascii_case(b"NOMKSTREAM") => make_stream = false,
                Some(_) | None => break,
            }
            words = &words[1..];
        }
    }
    let (id, fields) = words.split_first().ok_or_else(|| wrong_arity(&XADD))?;
    let wanted = Wanted::parse(id)?;
    let trim = options.finish(block_entries)?;
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(wrong_arity(&XADD));
    }
    if wanted == Wanted::Exactly(Id::ZERO) {
        return Err(CommandError::Invalid("The ID specified in XADD must be greater than 0-0"));
    }
    Ok(Request { make_stream, trim, wanted, fields })
}

fn add(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let limits = plan.thresholds(key);
    let request = parse(args, limits.stream_node_max_entries)?;
    let stream = find::peek(plan, key)?;
    if stream.is_none() && !request.make_stream {
        return Ok(Reply::Nil);
    }
    let id = request.wanted.behind(stream.map_or(Id::ZERO, Stream::last_id), plan.now().unix_ms)?;
    let mut pairs = Vec::new();
    request.fields.iter().for_each(|word| put_bytes(&mut pairs, word));
    if pairs.len() > FIELDS_BYTES_MAX {
        return Err(CommandError::Invalid("Elements are too large to be stored"));
    }
    let fields = NewFields { count: request.fields.len() / 2, pairs: &pairs };
    let mut writer = Writer::default();
    let added = stream.map_or(0, Stream::entries_added).saturating_add(1);
    writer.add(id, added, fields);
    let opens_block = stream.is_none_or(|stream| stream.opens_block(pairs.len(), &limits));
    let trimmed = request.trim.map(|trim| trim.of(stream, Some(Added { id, opens_block })));
    let trimmed = trimmed.filter(|(gone, _)| *gone > 0);
    if let Some((_, last)) = trimmed {
        writer.trim(last);
    }
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xadd", key);
    if trimmed.is_some() {
        plan.notify(Notice::Stream, "xtrim", key);
    }
    Ok(find::id_reply(id))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn ids_are_made_or_taken() {
        let mut db = OneTable::new();
        db.expect(&[
            ("XADD s NOMKSTREAM * f v", "nil"),
            ("EXISTS s", "0"),
            ("XADD s * f v", "\"1700000000000-0\""),
            ("XADD s * f v g w", "\"1700000000000-1\""),
            ("TYPE s", "stream"),
            ("OBJECT ENCODING s", "\"stream\""),
            ("XADD s 1700000000000-* f v", "\"1700000000000-2\""),
            ("XADD s 1700000000005-* f v", "\"1700000000005-0\""),
            ("XADD s * f v", "\"1700000000005-1\""),
            ("XADD s nomkstream 1700000000006 f v", "\"1700000000006-0\""),
            (
                "XADD s 1700000000006-18446744073709551615 f v",
                "\"1700000000006-18446744073709551615\"",
            ),
            ("XADD s * f v", "\"1700000000007-0\""),
            ("XLEN s", "8"),
            ("XADD z 0-* f v", "\"0-1\""),
        ]);
        db.now_ms += 10;
        db.expect(&[("XADD s * f v", "\"1700000000010-0\"")]);
    }

    #[test]
    fn bad_ids_and_fields_are_refused() {
        let small =
            "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        let arity = "ERR wrong number of arguments for 'xadd' command";
        OneTable::new().expect(&[
            ("XADD s 0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
            ("EXISTS s", "0"),
            ("XADD s 5-5 f v", "\"5-5\""),
            ("XADD s 5-5 f v", small),
            ("XADD s 4-* f v", small),
            ("XADD s 5-5 f", arity),
            ("XADD s 6 f v g", arity),
            ("XADD s MAXLEN 5 f v", invalid),
            ("XADD s MAXLEN 5 6 f", arity),
            ("XADD s x f v", invalid),
            ("XADD s - f v", invalid),
            ("XADD s 1-x f v", invalid),
            ("XADD s *-* f v", invalid),
            (
                "XADD s MAXLEN 5 LIMIT 5 6 f v",
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            (
                "XADD s LIMIT 5 6 f v",
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            ("SET k v", "OK"),
            ("XADD k * f v", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            (
                "XADD s 18446744073709551615-18446744073709551615 f v",
                "\"18446744073709551615-18446744073709551615\"",
            ),
            (
                "XADD s * f v",
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ),
            ("XADD t 5-18446744073709551615 f v", "\"5-18446744073709551615\""),
            ("XADD t 5-* f v", small),
        ]);
    }
}
