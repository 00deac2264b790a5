//! `HSCAN`. A small hash is one step; in a large one every field that is there from the first step
//! to the last is answered at least once, whatever changes meanwhile.

use super::get::hash;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::glob;
use crate::shard::plan::View;
use crate::shard::table::Table;

const CURSOR: Arg = Arg(1);
const MATCH: Arg = Arg(2);
const COUNT: Arg = Arg(3);
const NOVALUES: Arg = Arg(4);

/// Fields that a step looks at, unless told.
const COUNT_DEFAULT: i64 = 10;
/// Most fields that a step may be asked for.
const COUNT_MAX: usize = 100_000;
/// Most buckets that a step visits per field asked for, so that a step over a nearly empty hash
/// ends.
const BUCKETS_PER_FIELD: usize = 10;

/// `HSCAN`.
pub(crate) const HSCAN: CommandSpec = CommandSpec {
    id: "hash.scan",
    resp: "HSCAN",
    family: Family::Hash,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("cursor", "0 to begin, then what the last step answered"),
        ArgSpec::pattern("pattern", "only fields that match").with_token("MATCH").optional(),
        ArgSpec::integer("count", "about how many fields to look at")
            .with_token("COUNT")
            .optional(),
        ArgSpec::flag("novalues", "NOVALUES", "only the fields"),
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::NONE,
    since: "0.2.0",
    summary: "Answers the cursor of the next step, 0 at the end, and some fields with their values",
    complexity: "O(1) per step, O(N) for a whole walk over N fields",
    run: Run::Read(hscan),
};

fn hscan<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let cursor = cursor(args.bytes(CURSOR))?;
    let count = args.opt_integer(COUNT).unwrap_or(COUNT_DEFAULT);
    if count < 1 {
        return Err(CommandError::Syntax);
    }
    let count = usize::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX));
    let (pattern, values) = (args.opt_bytes(MATCH), !args.flag(NOVALUES));
    let hash = hash(view, args)?;
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut position = Some(Table::position_at(cursor));
    for _ in 0..count * BUCKETS_PER_FIELD {
        let Some(at) = position.filter(|_| seen < count) else { break };
        position = hash.walk(at, |field| {
            seen += 1;
            if pattern.is_none_or(|pattern| glob::matches(pattern, field.name)) {
                found.push(Reply::borrowed(field.name));
                if values {
                    found.push(Reply::borrowed(field.value));
                }
            }
        });
    }
    let next = Table::cursor_at(position).to_string();
    Ok(Reply::Array(vec![Reply::string(next), Reply::Array(found)]))
}

/// The number that a client names a place with.
fn cursor(word: &[u8]) -> Result<u64, CommandError> {
    let text = std::str::from_utf8(word).ok();
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(CommandError::Invalid("invalid cursor"))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::BTreeSet;

    #[test]
    fn a_small_hash_is_one_step() {
        OneTable::new().expect(&[
            ("HSCAN h 0", "[\"0\", []]"),
            ("HSET h a 1 b 2 ab 3", "3"),
            ("HSCAN h 0", "[\"0\", [\"a\", \"1\", \"b\", \"2\", \"ab\", \"3\"]]"),
            ("HSCAN h 0 MATCH a* COUNT 1", "[\"0\", [\"a\", \"1\", \"ab\", \"3\"]]"),
            ("HSCAN h 0 NOVALUES", "[\"0\", [\"a\", \"b\", \"ab\"]]"),
            ("HSCAN h 17", "[\"0\", [\"a\", \"1\", \"b\", \"2\", \"ab\", \"3\"]]"),
            ("HSCAN h x", "ERR invalid cursor"),
            ("HSCAN h 0 COUNT 0", "ERR syntax error"),
            ("HSCAN h 0 COUNT x", "ERR value is not an integer or out of range"),
            ("HSCAN h 0 NOPE", "ERR syntax error"),
            ("SET s v", "OK"),
            ("HSCAN s 0", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HSCAN h", "ERR wrong number of arguments for 'hscan' command"),
        ]);
    }

    #[test]
    fn a_large_hash_is_walked_while_it_changes() {
        let mut db = OneTable::new();
        for number in 0..2000 {
            db.ask(&format!("HSET h stay{number} v"));
        }
        let (mut cursor, mut seen, mut steps) = ("0".to_owned(), BTreeSet::new(), 0);
        loop {
            let line = format!("HSCAN h {cursor} COUNT 50 NOVALUES");
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let Reply::Array(parts) = db.run(&words) else { panic!("{line}") };
            let [next, Reply::Array(names)] = &parts[..] else { panic!("{line}") };
            seen.extend(names.iter().map(show));
            cursor = show(next).trim_matches('"').to_owned();
            if cursor == "0" {
                break;
            }
            steps += 1;
            for number in 0..40 {
                db.ask(&format!("HSET h come{steps}.{number} v"));
            }
        }
        assert!(steps > 10, "{steps}");
        assert!((0..2000).all(|number| seen.contains(&format!("\"stay{number}\""))));
    }
}
