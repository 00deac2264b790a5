//! `XREAD`, and what it shares with `XREADGROUP`: the options, the keys and their ids.
//!
//! A command that finds nothing waits if it was told to, and is run again when one of its streams
//! was changed; `$` then means what it meant at first.

use super::find;
use super::id::Id;
use super::stream::Stream;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, Keys, Pause, ReplySpec, Run,
};
use crate::command::timeout::{self, NOT_AN_INTEGER};
use crate::shard::plan::Plan;

const WORDS: Arg = Arg(0);

pub(super) const COUNT: ArgSpec =
    ArgSpec::integer("count", "entries of each stream at most").with_token("COUNT").optional();
pub(super) const BLOCK: ArgSpec =
    ArgSpec::integer("milliseconds", "wait so long if there is nothing; 0 is for ever")
        .with_token("BLOCK")
        .optional();
const STREAMS_PARTS: &[ArgSpec] = &[
    ArgSpec::key("key", "a stream").repeated(),
    ArgSpec::bytes("id", "what is read of it is behind this id").repeated(),
];
pub(super) const STREAMS: ArgSpec =
    ArgSpec::block("streams", STREAMS_PARTS, "what is read").with_token("STREAMS");

/// `XREAD`.
pub(crate) const XREAD: CommandSpec = CommandSpec {
    id: "xstream.read",
    resp: "XREAD",
    family: Family::Stream,
    access: Access::Read,
    keys: Keys::Streams,
    atomicity: Atomicity::Whole,
    args: &[ArgSpec::block("what", &[COUNT, BLOCK, STREAMS], "what is read")],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::BLOCKING,
    since: "0.1.0",
    summary: "Answers the entries of streams behind the ids given; nil if there are none",
    complexity: "O(N) for N entries answered",
    run: Run::Block(read),
};

/// What a command that reads streams was asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Group and consumer.
    pub(super) reader: Option<(&'a [u8], &'a [u8])>,
    pub(super) count: usize,
    /// How long it waits if there is nothing, in milliseconds; zero is for ever.
    pub(super) timeout_ms: Option<u64>,
    pub(super) no_ack: bool,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) ids: &'a [&'a [u8]],
    /// Position of the first id among the words of the command.
    pub(super) ids_at: usize,
}

/// Which of the two commands it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Read,
    ReadGroup,
}

impl<'a> Request<'a> {
    /// Reads the words of a command behind its name.
    pub(super) fn parse(form: Form, words: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let (mut count, mut timeout_ms, mut no_ack, mut reader) = (0, None, false, None);
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
            let behind = &words[at + 1..];
            match behind {
                [value, ..] if is("COUNT") => {
                    count = usize::try_from(integer(value)?).unwrap_or(0);
                    at += 2;
                }
                [value, ..] if is("BLOCK") => {
                    let number = integer(value);
                    let number = number.map_err(|_| CommandError::Invalid(NOT_AN_INTEGER))?;
                    timeout_ms = Some(timeout::milliseconds(number)?);
                    at += 2;
                }
                [group, consumer, ..] if is("GROUP") => {
                    refuse_in(form, Form::Read, GROUP_IN_READ)?;
                    reader = Some((*group, *consumer));
                    at += 3;
                }
                _ if is("NOACK") => {
                    refuse_in(form, Form::Read, NOACK_IN_READ)?;
                    no_ack = true;
                    at += 1;
                }
                [_, ..] if is("STREAMS") => {
                    if behind.len() % 2 == 1 {
                        return Err(CommandError::Invalid(match form {
                            Form::Read => UNBALANCED_READ,
                            Form::ReadGroup => UNBALANCED_GROUP,
                        }));
                    }
                    if form == Form::ReadGroup && reader.is_none() {
                        return Err(CommandError::Invalid("Missing GROUP option for XREADGROUP"));
                    }
                    let (keys, ids) = behind.split_at(behind.len() / 2);
                    let count = if count == 0 { usize::MAX } else { count };
                    let ids_at = 1 + at + 1 + keys.len();
                    return Ok(Self { reader, count, timeout_ms, no_ack, keys, ids, ids_at });
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Err(CommandError::Syntax)
    }

    /// What the command comes to with these answers of its streams.
    pub(super) fn finish(&self, found: Vec<(Reply<'static>, Reply<'static>)>) -> Blocked {
        match self.timeout_ms {
            _ if !found.is_empty() => Blocked::Done(Reply::Named(found)),
            Some(timeout_ms) => Blocked::Wait(Pause::new(timeout_ms, Reply::NilArray)),
            None => Blocked::Done(Reply::NilArray),
        }
    }
}

const GROUP_IN_READ: &str =
    "The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
const NOACK_IN_READ: &str =
    "The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
const UNBALANCED_READ: &str = "Unbalanced 'xread' list of streams: \
    for each stream key an ID or '$' must be specified.";
const UNBALANCED_GROUP: &str = "Unbalanced 'xreadgroup' list of streams: \
    for each stream key an ID or '>' must be specified.";
const GROUP_ID_IN_READ: &str = "The > ID can be specified only when calling XREADGROUP \
    using the GROUP <group> <consumer> option.";

fn refuse_in(form: Form, refused: Form, text: &'static str) -> Result<(), CommandError> {
    if form == refused { Err(CommandError::Invalid(text)) } else { Ok(()) }
}

fn read(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let request = Request::parse(Form::Read, args.rest(WORDS))?;
    let mut streams = Vec::with_capacity(request.keys.len());
    for (key, word) in request.keys.iter().zip(request.ids) {
        let stream = find::get(plan, key)?;
        streams.push((*key, stream, behind(stream, word)?));
    }
    let mut found = Vec::new();
    for (key, stream, behind) in &streams {
        let (Some(stream), Some(first)) = (stream, behind.next()) else { continue };
        let entries: Vec<Reply<'static>> = stream
            .range(first, Id::MAX)
            .take(request.count)
            .map(|entry| find::entry_reply(entry).into_owned())
            .collect();
        if !entries.is_empty() {
            found.push((Reply::owned(key.to_vec()), Reply::Array(entries)));
        }
    }
    Ok(match request.finish(found) {
        Blocked::Wait(pause) => {
            let ids = streams.iter().map(|(_, _, behind)| behind.to_string().into_bytes());
            let words = args.words()[..request.ids_at].iter().map(|word| word.to_vec());
            Blocked::Wait(pause.again_as(words.chain(ids).collect()))
        }
        done => done,
    })
}

/// The id behind which a stream is read.
fn behind(stream: Option<&Stream>, word: &[u8]) -> Result<Id, CommandError> {
    let last = stream.map_or(Id::ZERO, Stream::last_id);
    match word {
        b"$" => Ok(last),
        b"+" => Ok(stream.and_then(|stream| stream.top_id().previous()).unwrap_or(last)),
        b">" => Err(CommandError::Invalid(GROUP_ID_IN_READ)),
        word => Id::strict(word, 0),
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn what_is_behind_an_id_is_read() {
        let mut db = OneTable::new();
        for line in ["XADD a 1 f v", "XADD a 2 f w", "XADD b 5 g x"] {
            db.ask(line);
        }
        db.expect(&[
            (
                "XREAD STREAMS a b 0 0",
                "{\"a\": [[\"1-0\", [\"f\", \"v\"]], [\"2-0\", [\"f\", \"w\"]]], \
                 \"b\": [[\"5-0\", [\"g\", \"x\"]]]}",
            ),
            ("XREAD COUNT 1 STREAMS a b 0 5", "{\"a\": [[\"1-0\", [\"f\", \"v\"]]]}"),
            ("XREAD COUNT -1 STREAMS a 1", "{\"a\": [[\"2-0\", [\"f\", \"w\"]]]}"),
            ("XREAD STREAMS a +", "{\"a\": [[\"2-0\", [\"f\", \"w\"]]]}"),
            ("XREAD STREAMS a $", "nil"),
            ("XREAD STREAMS a 2", "nil"),
            ("XREAD STREAMS none 0", "nil"),
            ("XREAD STREAMS none +", "nil"),
            ("XREAD BLOCK 0 STREAMS a $", "nil"),
            ("XREAD STREAMS a 18446744073709551615-18446744073709551615", "nil"),
            ("XDEL a 2", "1"),
            ("XREAD STREAMS a +", "{\"a\": [[\"1-0\", [\"f\", \"v\"]]]}"),
        ]);
    }

    #[test]
    fn bad_requests_are_refused() {
        OneTable::new().expect(&[
            ("XREAD STREAMS a", "ERR wrong number of arguments for 'xread' command"),
            ("XREAD COUNT 1 STREAMS", "ERR syntax error"),
            (
                "XREAD STREAMS a b 0",
                "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
                 specified.",
            ),
            ("XREAD COUNT x STREAMS a 0", "ERR value is not an integer or out of range"),
            ("XREAD BLOCK x STREAMS a 0", "ERR timeout is not an integer or out of range"),
            ("XREAD BLOCK -1 STREAMS a 0", "ERR timeout is negative"),
            (
                "XREAD GROUP g c STREAMS a 0",
                "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
            ),
            (
                "XREAD NOACK STREAMS a 0",
                "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
            ),
            (
                "XREAD STREAMS a >",
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                 <group> <consumer> option.",
            ),
            ("XREAD STREAMS a -", "ERR Invalid stream ID specified as stream command argument"),
            ("XREAD NOPE STREAMS a 0", "ERR syntax error"),
            ("SET k v", "OK"),
            (
                "XREAD STREAMS k 0",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }
}
