//! `ZSCAN`. A cursor names a place in the space of hashes, so every member that is there throughout
//! is answered, whatever changes meanwhile; a packed set is answered whole.

use super::look;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::double;
use crate::glob;
use crate::shard::plan::View;
use crate::shard::table::Table;

/// Members that a step looks at, unless told.
const COUNT_DEFAULT: i64 = 10;
/// Most members that a step may be asked for.
const COUNT_MAX: usize = 100_000;
/// Most steps of the table per member asked for, so that a step over a nearly empty one ends.
const STEPS_PER_MEMBER: usize = 10;

const CURSOR: Arg = Arg(1);
const MATCH: Arg = Arg(2);
const COUNT: Arg = Arg(3);

/// `ZSCAN`.
pub(crate) const ZSCAN: CommandSpec = CommandSpec {
    id: "sortedset.zscan",
    resp: "ZSCAN",
    family: Family::SortedSet,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("cursor", "0 to begin, then what the last step answered"),
        ArgSpec::pattern("pattern", "only members that match").with_token("MATCH").optional(),
        ArgSpec::integer("count", "about how many members to look at")
            .with_token("COUNT")
            .optional(),
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the cursor of the next step, 0 at the end, and members with their scores",
    complexity: "O(1) per step, O(N) for a whole walk over N members",
    run: Run::Read(zscan),
};

fn zscan<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let cursor = std::str::from_utf8(args.bytes(CURSOR)).ok().and_then(|text| text.parse().ok());
    let cursor: u64 = cursor.ok_or(CommandError::Invalid("invalid cursor"))?;
    let count = args.opt_integer(COUNT).unwrap_or(COUNT_DEFAULT);
    if count < 1 {
        return Err(CommandError::Syntax);
    }
    let count = usize::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX));
    let pattern = args.opt_bytes(MATCH);
    let set = look::set(view, args)?;
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut position = Some(Table::position_at(cursor));
    for _ in 0..count * STEPS_PER_MEMBER {
        let Some(at) = position.filter(|_| seen < count) else { break };
        position = set.walk(at, |score, member| {
            seen += 1;
            if pattern.is_none_or(|pattern| glob::matches(pattern, member)) {
                found.push(Reply::borrowed(member));
                // Scores are text here in both versions of the protocol.
                found.push(Reply::string(double::text(score)));
            }
        });
    }
    let next = Table::cursor_at(position);
    Ok(Reply::Array(vec![Reply::string(next.to_string()), Reply::Array(found)]))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::BTreeMap;

    #[test]
    fn a_walk_sees_every_member() {
        let mut db = OneTable::new();
        for number in 0..3000 {
            db.ask(&format!("ZADD big {number}.5 m{number}"));
        }
        let (mut cursor, mut seen, mut steps) = ("0".to_owned(), BTreeMap::new(), 0);
        loop {
            let words = [&b"ZSCAN"[..], b"big", cursor.as_bytes(), b"COUNT", b"100"];
            let Reply::Array(parts) = db.run(&words) else { panic!() };
            let [next, Reply::Array(found)] = &parts[..] else { panic!() };
            for pair in found.chunks(2) {
                seen.insert(show(&pair[0]), show(&pair[1]));
            }
            cursor = show(next).trim_matches('"').to_owned();
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 3000);
        assert_eq!(seen["\"m17\""], "\"17.5\"");
        assert!(steps > 10, "{steps}");
    }

    #[test]
    fn options_and_refusals() {
        OneTable::new().expect(&[
            ("ZADD z 1 one 2.5 two 3 three", "3"),
            ("ZSCAN z 0", "[\"0\", [\"one\", \"1\", \"two\", \"2.5\", \"three\", \"3\"]]"),
            ("ZSCAN z 0 MATCH t* COUNT 1", "[\"0\", [\"two\", \"2.5\", \"three\", \"3\"]]"),
            ("ZSCAN none 0", "[\"0\", []]"),
            ("ZSCAN z x", "ERR invalid cursor"),
            ("ZSCAN z 0 COUNT 0", "ERR syntax error"),
            ("ZSCAN z 0 NOPE", "ERR syntax error"),
        ]);
    }
}
