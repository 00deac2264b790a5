//! `BITPOS`.

use super::{UNIT_BIT, UNITS, bits_of_range};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const VALUE: Arg = Arg(1);
const START: Arg = Arg(2);
const END: Arg = Arg(3);
const UNIT: Arg = Arg(4);

/// `BITPOS`.
pub(crate) const BITPOS: CommandSpec = CommandSpec {
    id: "bitmap.bitpos",
    resp: "BITPOS",
    family: Family::Bitmap,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("value", "the bit to look for, 0 or 1"),
        ArgSpec::integer("start", "first of the range; negative counts from the end").optional(),
        ArgSpec::integer("end", "last of the range, included").optional(),
        ArgSpec::one_of("unit", UNITS, "what the range counts; bytes, if absent").optional(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/bitmap/{key}/bitpos", JsonReply::Shape("bitmap_pos"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the position of the first bit of a value; -1 if there is none",
    complexity: "O(N) for N bytes",
    run: Run::Read(bitpos),
};

fn bitpos<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let wanted = match args.integer(VALUE) {
        0 => false,
        1 => true,
        _ => return Err(CommandError::Invalid("The bit argument must be 1 or 0.")),
    };
    let unit = args.choice(UNIT).map(|(unit, _)| unit);
    if unit.is_some() && args.opt_integer(END).is_none() {
        return Err(CommandError::Syntax);
    }
    let Some(entry) = view.string(args.bytes(KEY))? else {
        return Ok(Reply::Integer(if wanted { -1 } else { 0 }));
    };
    let value = entry.value();
    let start = args.opt_integer(START).unwrap_or(0);
    let end = args.opt_integer(END);
    // As in Redis, and unlike what BITCOUNT does: what lies before the first thing is the first.
    let things = if unit == Some(UNIT_BIT) { value.len() * 8 } else { value.len() } as i64;
    let (first, last) = (start.max(-things), end.unwrap_or(-1).max(-things));
    let bits = bits_of_range(first, last, unit, value.len());
    if bits.is_empty() {
        return Ok(Reply::Integer(-1));
    }
    Ok(match find(value, wanted, bits) {
        Some(position) => Reply::count(position),
        // A string without end given is followed by zeros.
        None if !wanted && end.is_none() => Reply::count(value.len() * 8),
        None => Reply::Integer(-1),
    })
}

/// The first bit of this value in a half-open range that is not empty.
fn find(value: &[u8], wanted: bool, bits: std::ops::Range<usize>) -> Option<usize> {
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    // Bits of a byte that are as wanted.
    let hits = |at: usize| {
        let byte = if wanted { value[at] } else { !value[at] };
        let head = if at == first { 0xff >> (bits.start % 8) } else { 0xff };
        let tail = if at == last { !(0x7f_u8 >> ((bits.end - 1) % 8)) } else { 0xff };
        byte & head & tail
    };
    let found = |at: usize| {
        let hits = hits(at);
        (hits != 0).then(|| at * 8 + hits.leading_zeros() as usize)
    };
    if let Some(position) = found(first) {
        return Some(position);
    }
    // Eight bytes at a time over what holds no such bit.
    let dull = [if wanted { 0 } else { 0xff }; 8];
    let (words, _) = value[first + 1..last.max(first + 1)].as_chunks::<8>();
    let skipped = words.iter().take_while(|word| **word == dull).count() * 8;
    (first + 1 + skipped..=last).find_map(found)
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::one_table::OneTable;

    #[test]
    fn the_first_bit_is_found() {
        let mut db = OneTable::new();
        db.run(&[b"SET", b"k", &[0xff, 0xf0, 0]]);
        db.run(&[b"SET", b"ones", &[0xff, 0xff]]);
        db.expect(&[
            ("BITPOS k 0", "12"),
            ("BITPOS k 1", "0"),
            ("BITPOS k 1 2", "-1"),
            ("BITPOS k 0 3", "-1"),
            ("BITPOS k 1 -2 -1", "8"),
            ("BITPOS k 1 -47 -49", "0"),
            ("BITPOS k 1 -1 -3", "-1"),
            ("BITPOS k 0 13 -1 BIT", "13"),
            ("BITPOS k 1 7 15 BIT", "7"),
            ("BITPOS ones 0", "16"),
            ("BITPOS ones 0 0", "16"),
            ("BITPOS ones 0 0 -1", "-1"),
            ("BITPOS ones 0 8 15 BIT", "-1"),
            ("BITPOS none 0", "0"),
            ("BITPOS none 1", "-1"),
            ("BITPOS none 0 5 5 BIT", "0"),
            ("BITPOS k 2", "ERR The bit argument must be 1 or 0."),
            ("BITPOS k x", "ERR value is not an integer or out of range"),
            ("BITPOS k 1 0 -1 FOO", "ERR syntax error"),
        ]);
    }

    #[test]
    fn every_range_equals_looking_one_by_one() {
        let mut value = vec![0u8; 40];
        value[30] = 0b0001_0000;
        for (value, wanted) in [(value.clone(), true), (value.iter().map(|b| !b).collect(), false)]
        {
            for start in 0..320 {
                for end in start + 1..=320 {
                    let expected = (start..end).find(|at| *at == 243);
                    assert_eq!(find(&value, wanted, start..end), expected, "{start}..{end}");
                }
            }
        }
    }
}
