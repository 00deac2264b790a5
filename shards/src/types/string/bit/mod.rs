//! Strings as arrays of bits. Bit 0 is the most significant bit of the first byte.

mod count;
mod field;
mod operate;
mod position;
mod single;

use crate::command::spec::{ArgSpec, CommandSpec};
use crate::limits::VALUE_BYTES_MAX;

/// Commands on the bits of strings.
pub const COMMANDS: &[&CommandSpec] = &[
    &single::SETBIT,
    &single::GETBIT,
    &count::BITCOUNT,
    &position::BITPOS,
    &operate::BITOP,
    &field::BITFIELD,
    &field::BITFIELD_RO,
];

/// Bits of the longest string.
const BITS_MAX: u64 = VALUE_BYTES_MAX as u64 * 8;
const OFFSET_REFUSAL: &str = "bit offset is not an integer or out of range";

/// What `start` and `end` of a range count.
const UNITS: &[ArgSpec] = &[
    ArgSpec::flag("byte", "BYTE", "the range counts bytes"),
    ArgSpec::flag("bit", "BIT", "the range counts bits"),
];
const UNIT_BIT: usize = 1;

/// The bits of a range of bytes or bits, half open.
fn bits_of_range(
    start: i64,
    end: i64,
    unit: Option<usize>,
    length: usize,
) -> std::ops::Range<usize> {
    if unit == Some(UNIT_BIT) {
        super::range::clamp(start, end, length * 8)
    } else {
        let bytes = super::range::clamp(start, end, length);
        bytes.start * 8..bytes.end * 8
    }
}
