//! `LCS`: the longest common subsequence of two strings, by the usual table of all pairs of
//! prefixes (Wagner and Fischer, 1974). The table is bounded, so one call holds its core up for
//! some tens of milliseconds at most.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::View;

/// Bytes of the table; two strings of 4000 bytes fit.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;

const KEY1: Arg = Arg(0);
const KEY2: Arg = Arg(1);
const LEN: Arg = Arg(2);
const IDX: Arg = Arg(3);
const MINMATCHLEN: Arg = Arg(4);
const WITHMATCHLEN: Arg = Arg(5);

/// `LCS`.
pub(crate) const LCS: CommandSpec = CommandSpec {
    id: "kv.lcs",
    resp: "LCS",
    family: Family::Kv,
    access: Access::Read,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("key1", "one string"),
        ArgSpec::key("key2", "the other string"),
        ArgSpec::flag("len", "LEN", "answer the length only"),
        ArgSpec::flag("idx", "IDX", "answer where the matches stand, last first"),
        ArgSpec::integer("min-match-len", "with IDX, leave shorter matches out")
            .with_token("MINMATCHLEN")
            .optional(),
        ArgSpec::flag("withmatchlen", "WITHMATCHLEN", "with IDX, answer each match's length"),
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the longest common subsequence of two strings",
    complexity: "O(N*M) for strings of N and M bytes",
    run: Run::Read(lcs),
};

const NOT_STRINGS: CommandError =
    CommandError::Invalid("The specified keys must contain string values");

fn lcs<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    if args.flag(LEN) && args.flag(IDX) {
        let message = "If you want both the length and indexes, please just use IDX.";
        return Err(CommandError::Invalid(message));
    }
    let value = |key| -> Result<&'s [u8], CommandError> {
        let entry = view.string(args.bytes(key)).map_err(|_| NOT_STRINGS)?;
        Ok(entry.map_or(&[][..], |entry| entry.value()))
    };
    let table = Table::new(value(KEY1)?, value(KEY2)?)?;
    if args.flag(LEN) {
        return Ok(Reply::count(table.length()));
    }
    if !args.flag(IDX) {
        return Ok(Reply::owned(table.subsequence()));
    }
    let least = usize::try_from(args.opt_integer(MINMATCHLEN).unwrap_or(0)).unwrap_or(0);
    let matches = table.matches().filter(|found| found.bytes >= least);
    let matches = matches.map(|found| found.reply(args.flag(WITHMATCHLEN))).collect();
    Ok(Reply::Map(vec![
        (Reply::borrowed(b"matches"), Reply::Array(matches)),
        (Reply::borrowed(b"len"), Reply::count(table.length())),
    ]))
}

/// A run of equal bytes in both strings.
struct Match {
    /// Where it begins in the first string.
    a: usize,
    /// Where it begins in the second string.
    b: usize,
    bytes: usize,
}

impl Match {
    fn reply(&self, with_length: bool) -> Reply<'static> {
        let range = |start: usize| {
            Reply::Array(vec![Reply::count(start), Reply::count(start + self.bytes - 1)])
        };
        let mut parts = vec![range(self.a), range(self.b)];
        if with_length {
            parts.push(Reply::count(self.bytes));
        }
        Reply::Array(parts)
    }
}

/// Lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'s> {
    a: &'s [u8],
    b: &'s [u8],
    lengths: Vec<u32>,
}

impl<'s> Table<'s> {
    fn new(a: &'s [u8], b: &'s [u8]) -> Result<Self, CommandError> {
        let cells = (a.len() + 1).saturating_mul(b.len() + 1);
        if cells > TABLE_BYTES_MAX / size_of::<u32>() {
            let message =
                "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
            return Err(CommandError::Invalid(message));
        }
        let mut table = Self { a, b, lengths: vec![0; cells] };
        let width = b.len() + 1;
        for (row, byte) in a.iter().enumerate() {
            let (above, current) =
                table.lengths[row * width..(row + 2) * width].split_at_mut(width);
            for (column, other) in b.iter().enumerate() {
                current[column + 1] = if byte == other {
                    above[column] + 1
                } else {
                    current[column].max(above[column + 1])
                };
            }
        }
        Ok(table)
    }

    /// Of the prefixes of these lengths.
    fn at(&self, a: usize, b: usize) -> u32 {
        self.lengths[a * (self.b.len() + 1) + b]
    }

    fn length(&self) -> usize {
        self.at(self.a.len(), self.b.len()) as usize
    }

    /// Positions of the bytes of the subsequence in both strings, from the last to the first.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let (mut a, mut b) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            while a > 0 && b > 0 {
                if self.a[a - 1] == self.b[b - 1] {
                    (a, b) = (a - 1, b - 1);
                    return Some((a, b));
                }
                if self.at(a - 1, b) > self.at(a, b - 1) {
                    a -= 1;
                } else {
                    b -= 1;
                }
            }
            None
        })
    }

    fn subsequence(&self) -> Vec<u8> {
        let mut found: Vec<u8> = self.pairs().map(|(a, _)| self.a[a]).collect();
        found.reverse();
        found
    }

    /// Runs of neighbouring pairs, from the last to the first.
    fn matches(&self) -> impl Iterator<Item = Match> + '_ {
        let mut pairs = self.pairs().peekable();
        std::iter::from_fn(move || {
            let (mut a, mut b) = pairs.next()?;
            let mut bytes = 1;
            while let Some(before) =
                pairs.next_if(|(next_a, next_b)| next_a + 1 == a && next_b + 1 == b)
            {
                (a, b) = before;
                bytes += 1;
            }
            Some(Match { a, b, bytes })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn subsequences_are_found() {
        let mut db = OneTable::new();
        db.expect(&[
            ("MSET a ohmytext b mynewtext", "OK"),
            ("LCS a b", "\"mytext\""),
            ("LCS a b LEN", "6"),
            ("LCS a b IDX", "{\"matches\": [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], \"len\": 6}"),
            (
                "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
                "{\"matches\": [[[4, 7], [5, 8], 4]], \"len\": 6}",
            ),
            ("LCS a none", "\"\""),
            ("LCS a none IDX", "{\"matches\": [], \"len\": 0}"),
            (
                "LCS a b IDX LEN",
                "ERR If you want both the length and indexes, please just use IDX.",
            ),
            ("LCS a b MINMATCHLEN x", "ERR value is not an integer or out of range"),
        ]);
        db.run(&[b"SET", b"a", &[b'x'; 10_000]]);
        db.run(&[b"SET", b"b", &[b'x'; 10_000]]);
        assert!(db.ask("LCS a b").starts_with("ERR Insufficient memory"));
    }
}
