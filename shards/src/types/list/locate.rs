//! `LPOS`.

use super::{ListView, list_at};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const ELEMENT: Arg = Arg(1);
const RANK: Arg = Arg(2);
const COUNT: Arg = Arg(3);
const MAXLEN: Arg = Arg(4);

/// `LPOS`.
pub(crate) const LPOS: CommandSpec = CommandSpec {
    id: "list.lpos",
    resp: "LPOS",
    family: Family::List,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the list"),
        ArgSpec::bytes("element", "what to look for"),
        ArgSpec::integer("rank", "which match is the first; negative from the end")
            .with_token("RANK")
            .optional(),
        ArgSpec::integer("count", "how many matches; 0 is all; the answer is an array then")
            .with_token("COUNT")
            .optional(),
        ArgSpec::integer("maxlen", "how many elements to look at; 0 is all")
            .with_token("MAXLEN")
            .optional(),
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the index of elements with a value, or nil",
    complexity: "O(N) for N elements looked at",
    run: Run::Read(lpos),
};

/// What to look for.
#[derive(Debug)]
struct Search<'a> {
    element: &'a [u8],
    /// Matches that are passed over.
    skip: u64,
    backwards: bool,
    count: usize,
    looks: usize,
}

fn lpos<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let (search, wants_all) = search_of(args)?;
    let found = match list_at(view, args.bytes(KEY))? {
        None => Vec::new(),
        Some(list) => positions(&list, &search),
    };
    let mut found = found.into_iter().map(Reply::count);
    Ok(if wants_all { Reply::Array(found.collect()) } else { found.next().unwrap_or(Reply::Nil) })
}

/// The search, and whether its answer is an array.
fn search_of<'a>(args: &Args<'a>) -> Result<(Search<'a>, bool), CommandError> {
    let rank = args.opt_integer(RANK).unwrap_or(1);
    if rank == 0 {
        return Err(CommandError::Invalid(
            "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or \
             use negative to start from the end of the list",
        ));
    }
    if rank == i64::MIN {
        return Err(CommandError::Invalid(
            "value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let number = |arg, refusal| match args.opt_integer(arg).map(usize::try_from) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(CommandError::Invalid(refusal)),
    };
    let count = number(COUNT, "COUNT can't be negative")?;
    let looks = number(MAXLEN, "MAXLEN can't be negative")?;
    let all_for_none = |number: usize| if number == 0 { usize::MAX } else { number };
    let search = Search {
        element: args.bytes(ELEMENT),
        skip: rank.unsigned_abs() - 1,
        backwards: rank < 0,
        count: count.map_or(1, all_for_none),
        looks: looks.map_or(usize::MAX, all_for_none),
    };
    Ok((search, count.is_some()))
}

fn positions(list: &ListView<'_>, search: &Search<'_>) -> Vec<usize> {
    let last = list.len().wrapping_sub(1);
    if search.backwards {
        let indexed = list.iter().rev().enumerate().map(|(back, element)| (last - back, element));
        matches(indexed, search)
    } else {
        matches(list.iter().enumerate(), search)
    }
}

fn matches<'e>(
    elements: impl Iterator<Item = (usize, &'e [u8])>,
    search: &Search<'_>,
) -> Vec<usize> {
    let mut skip = search.skip;
    let is_counted = |_: &usize| match skip {
        0 => true,
        _ => {
            skip -= 1;
            false
        }
    };
    elements
        .take(search.looks)
        .filter(|(_, element)| *element == search.element)
        .map(|(index, _)| index)
        .filter(is_counted)
        .take(search.count)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn matches_are_found_from_both_ends() {
        OneTable::new().expect(&[
            ("RPUSH l a b c 1 2 3 c c", "8"),
            ("LPOS l c", "2"),
            ("LPOS l x", "nil"),
            ("LPOS none x", "nil"),
            ("LPOS none x COUNT 0", "[]"),
            ("LPOS l c RANK 2", "6"),
            ("LPOS l c RANK -1", "7"),
            ("LPOS l c RANK 9", "nil"),
            ("LPOS l c COUNT 2", "[2, 6]"),
            ("LPOS l c COUNT 0", "[2, 6, 7]"),
            ("LPOS l c RANK -1 COUNT 2", "[7, 6]"),
            ("LPOS l c RANK -2 COUNT 0", "[6, 2]"),
            ("LPOS l c COUNT 0 MAXLEN 7", "[2, 6]"),
            ("LPOS l c MAXLEN 2", "nil"),
            ("LPOS l c MAXLEN 0", "2"),
            ("LPOS l c RANK -1 MAXLEN 1", "7"),
            ("LPOS l c COUNT 0 MAXLEN 3 RANK -1", "[7, 6]"),
        ]);
    }

    #[test]
    fn refusals() {
        OneTable::new().expect(&[
            (
                "LPOS l c RANK 0",
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
                 ... or use negative to start from the end of the list",
            ),
            ("LPOS l c COUNT -1", "ERR COUNT can't be negative"),
            ("LPOS l c MAXLEN -1", "ERR MAXLEN can't be negative"),
            ("LPOS l c RANK x", "ERR value is not an integer or out of range"),
            (
                "LPOS l c RANK -9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807",
            ),
            ("LPOS l c NOPE 1", "ERR syntax error"),
            ("SET s v", "OK"),
            ("LPOS s c", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}
