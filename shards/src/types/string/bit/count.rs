//! `BITCOUNT`.

use super::{UNITS, bits_of_range};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const START: Arg = Arg(1);
const END: Arg = Arg(2);
const UNIT: Arg = Arg(3);

/// `BITCOUNT`. Over HTTP the range counts bits.
pub(crate) const BITCOUNT: CommandSpec = CommandSpec {
    id: "bitmap.bitcount",
    resp: "BITCOUNT",
    family: Family::Bitmap,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("start", "first of the range; negative counts from the end").optional(),
        ArgSpec::integer("end", "last of the range, included").optional(),
        ArgSpec::one_of("unit", UNITS, "what the range counts; bytes, if absent").optional(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/bitmap/{key}/bitcount", JsonReply::Shape("bitmap_count"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers how many bits are set, in the whole string or a range with both ends given",
    complexity: "O(N) for N bytes",
    run: Run::Read(bitcount),
};

fn bitcount<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let range = match (args.opt_integer(START), args.opt_integer(END)) {
        (None, None) => (0, -1),
        (Some(start), Some(end)) => (start, end),
        (Some(_), None) | (None, Some(_)) => return Err(CommandError::Syntax),
    };
    let unit = args.choice(UNIT).map(|(unit, _)| unit);
    if unit.is_some() && args.opt_integer(END).is_none() {
        return Err(CommandError::Syntax);
    }
    let value = view.string(args.bytes(KEY))?.map_or(&[][..], |entry| entry.value());
    let bits = bits_of_range(range.0, range.1, unit, value.len());
    Ok(Reply::Integer(count(value, bits)))
}

/// Set bits in a half-open range of bits.
fn count(value: &[u8], bits: std::ops::Range<usize>) -> i64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let (words, rest) = value[first..=last].as_chunks::<8>();
    let words: u64 = words.iter().map(|w| u64::from(u64::from_ne_bytes(*w).count_ones())).sum();
    let rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    // The bits of the first and last byte that are outside were counted too.
    let before = !(0xff_u8 >> (bits.start % 8)) & value[first];
    let after = (0x7f_u8 >> ((bits.end - 1) % 8)) & value[last];
    let outside = u64::from(before.count_ones() + after.count_ones());
    (words + rest - outside) as i64
}

#[cfg(test)]
mod tests {
    use super::count;
    use crate::one_table::OneTable;
    use crate::rng::Rng;

    #[test]
    fn ranges_count_bytes_or_bits() {
        OneTable::new().expect(&[
            ("SET k foobar", "OK"),
            ("BITCOUNT k", "26"),
            ("BITCOUNT k 0 0", "4"),
            ("BITCOUNT k 1 1", "6"),
            ("BITCOUNT k 1 1 BYTE", "6"),
            ("BITCOUNT k 5 30 BIT", "17"),
            ("BITCOUNT k -2 -1", "7"),
            ("BITCOUNT k -100 -50", "4"),
            ("BITCOUNT k 5 3", "0"),
            ("BITCOUNT none", "0"),
            ("BITCOUNT k 1", "ERR syntax error"),
            ("BITCOUNT k 1 2 FOO", "ERR syntax error"),
            ("BITCOUNT k 1 2 BIT 3", "ERR syntax error"),
        ]);
    }

    #[test]
    fn every_range_equals_counting_one_by_one() {
        let mut rng = Rng::new(8);
        let value: Vec<u8> = (0..21).map(|_| rng.draw() as u8).collect();
        let bit = |at: usize| i64::from(value[at / 8] >> (7 - at % 8) & 1);
        for start in 0..value.len() * 8 {
            for end in start..=value.len() * 8 {
                assert_eq!(count(&value, start..end), (start..end).map(bit).sum::<i64>());
            }
        }
    }
}
