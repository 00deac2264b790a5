//! `SSCAN`. A cursor names a place in the space of hashes, so it stays good whatever happens to the
//! set; a packed set is answered whole.

use super::BASE;
use super::view::SetView;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{ArgSpec, CommandSpec, ReplySpec, Run};
use crate::glob;
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const CURSOR: Arg = Arg(1);
const MATCH: Arg = Arg(2);
const COUNT: Arg = Arg(3);

/// Members that a step looks at, unless told.
const COUNT_DEFAULT: i64 = 10;
/// Most members that a step may be asked for.
const COUNT_MAX: usize = 100_000;

/// `SSCAN`.
pub(super) const SSCAN: CommandSpec = CommandSpec {
    id: "set.sscan",
    resp: "SSCAN",
    args: &[
        ArgSpec::key("key", "the set"),
        ArgSpec::bytes("cursor", "0 to begin, then what the last step answered"),
        ArgSpec::pattern("pattern", "only members that match").with_token("MATCH").optional(),
        ArgSpec::integer("count", "about how many to look at").with_token("COUNT").optional(),
    ],
    reply: ReplySpec::Array,
    summary: "Answers the cursor of the next step, 0 at the end, and some of the members",
    complexity: "O(1) per step, O(N) for a whole walk over N members",
    run: Run::Read(sscan),
    ..BASE
};

fn sscan<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let word = args.bytes(CURSOR);
    let cursor: u64 = std::str::from_utf8(word)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(CommandError::Invalid("invalid cursor"))?;
    let set = SetView::read(view, args.bytes(KEY))?;
    let count = args.opt_integer(COUNT).unwrap_or(COUNT_DEFAULT);
    if count < 1 {
        return Err(CommandError::Syntax);
    }
    let count = usize::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX));
    let pattern = args.opt_bytes(MATCH);
    let mut members = Vec::new();
    let next = set.walk(cursor, count, |member| {
        if pattern.is_none_or(|pattern| glob::matches(pattern, &member.bytes())) {
            members.push(member.reply());
        }
    });
    Ok(Reply::Array(vec![Reply::string(next.to_string()), Reply::Array(members)]))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};
    use std::collections::BTreeSet;

    fn walk(db: &mut OneTable, options: &str) -> (BTreeSet<String>, usize) {
        let (mut cursor, mut steps, mut seen) = ("0".to_owned(), 0, BTreeSet::new());
        loop {
            let line = format!("SSCAN s {cursor}{options}");
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let Reply::Array(parts) = db.run(&words) else { panic!("{line}") };
            let [next, Reply::Array(members)] = &parts[..] else { panic!("{line}") };
            seen.extend(members.iter().map(show));
            cursor = show(next).trim_matches('"').to_owned();
            steps += 1;
            if cursor == "0" {
                return (seen, steps);
            }
        }
    }

    #[test]
    fn a_walk_sees_every_member() {
        let mut db = OneTable::new();
        for number in 0..2_000 {
            db.ask(&format!("SADD s m{number}"));
        }
        let (seen, steps) = walk(&mut db, "");
        assert_eq!(seen.len(), 2_000);
        assert!((20..=200).contains(&steps), "{steps} steps");
        assert_eq!(walk(&mut db, " MATCH m1?? COUNT 100").0.len(), 100);
        assert_eq!(walk(&mut db, " COUNT 100000").1, 1);
    }

    #[test]
    fn a_member_that_stays_is_seen_while_others_come_and_go() {
        let mut db = OneTable::new();
        for number in 0..300 {
            db.ask(&format!("SADD s stay{number}"));
        }
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        for round in 0.. {
            for number in 0..20 {
                db.ask(&format!("SADD s new{round}:{number}"));
                db.ask(&format!("SREM s new{}:{number}", round / 2));
            }
            let reply = db.run(&[b"SSCAN", b"s", cursor.as_bytes(), b"MATCH", b"stay*"]);
            let Reply::Array(parts) = reply else { panic!("{reply:?}") };
            let [next, Reply::Array(members)] = &parts[..] else { panic!("{parts:?}") };
            seen.extend(members.iter().map(show));
            cursor = show(next).trim_matches('"').to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 300);
    }

    #[test]
    fn packed_sets_are_answered_whole() {
        OneTable::new().expect(&[
            ("SADD s 3 1 2", "3"),
            ("SSCAN s 0", r#"["0", ["1", "2", "3"]]"#),
            ("SSCAN s 0 COUNT 1 MATCH 2", r#"["0", ["2"]]"#),
            ("SSCAN none 0", r#"["0", []]"#),
            ("SSCAN s x", "ERR invalid cursor"),
            ("SSCAN s -1", "ERR invalid cursor"),
            ("SSCAN s 0 COUNT 0", "ERR syntax error"),
            ("SSCAN s 0 COUNT x", "ERR value is not an integer or out of range"),
            ("SSCAN s 0 NOPE", "ERR syntax error"),
            ("SSCAN s", "ERR wrong number of arguments for 'sscan' command"),
            ("SET t v", "OK"),
            ("SSCAN t 0", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
