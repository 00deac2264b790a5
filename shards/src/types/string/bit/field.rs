//! `BITFIELD` and `BITFIELD_RO`: integers of any width at any bit of a string.
//!
//! Operations see what those before them wrote. Only the bytes that were written are recorded, so
//! a counter in a long string stays a short record. An operation that fails on overflow writes
//! nothing.

use std::collections::BTreeMap;

use super::{BITS_MAX, OFFSET_REFUSAL};
use crate::command::args::{Arg, Args, integer};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan, View};

const KEY: Arg = Arg(0);
const OPERATIONS: Arg = Arg(1);

const TYPE: ArgSpec = ArgSpec::bytes("encoding", "i or u and the number of bits, at most i64, u63");
const OFFSET: ArgSpec = ArgSpec::bytes("offset", "first bit, or # and the index of the field");
const GET_PARTS: &[ArgSpec] = &[TYPE, OFFSET];
const SET_PARTS: &[ArgSpec] = &[TYPE, OFFSET, ArgSpec::integer("value", "what to store")];
const INCRBY_PARTS: &[ArgSpec] = &[TYPE, OFFSET, ArgSpec::integer("increment", "what to add")];
const OVERFLOWS: &[ArgSpec] = &[
    ArgSpec::flag("wrap", "WRAP", "keep the low bits"),
    ArgSpec::flag("sat", "SAT", "keep the nearest value that fits"),
    ArgSpec::flag("fail", "FAIL", "do nothing and answer nil"),
];
const OVERFLOW_PARTS: &[ArgSpec] =
    &[ArgSpec::one_of("overflow", OVERFLOWS, "what to do with a value that does not fit")];
const GET: ArgSpec = ArgSpec::block("get", GET_PARTS, "answer a field").with_token("GET");
const ANY: &[ArgSpec] = &[
    GET,
    ArgSpec::block("overflow", OVERFLOW_PARTS, "for the operations behind it")
        .with_token("OVERFLOW"),
    ArgSpec::block("set", SET_PARTS, "store a field and answer what it was").with_token("SET"),
    ArgSpec::block("incrby", INCRBY_PARTS, "add to a field and answer the sum")
        .with_token("INCRBY"),
];

/// `BITFIELD`.
pub(crate) const BITFIELD: CommandSpec = CommandSpec {
    id: "bitmap.bitfield",
    resp: "BITFIELD",
    family: Family::Bitmap,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::one_of("operations", ANY, "what to do, in order").optional().repeated(),
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Reads and changes integers of any width within a string; one answer per operation",
    complexity: "O(1) for each operation",
    run: Run::Write(bitfield),
};

/// `BITFIELD_RO`.
pub(crate) const BITFIELD_RO: CommandSpec = CommandSpec {
    id: "bitmap.bitfield_ro",
    resp: "BITFIELD_RO",
    access: Access::Read,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::one_of("operations", &[GET], "what to read, in order").optional().repeated(),
    ],
    flags: Flags::FAST,
    summary: "Reads integers of any width within a string",
    run: Run::Read(bitfield_ro),
    ..BITFIELD
};

fn bitfield(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let operations = parse(args.rest(OPERATIONS))?;
    let key = args.bytes(KEY);
    let base = plan.peek_string(key)?.map_or(&[][..], |entry| entry.value());
    let mut bits = Bits { base, written: BTreeMap::new() };
    let replies = operations.iter().map(|operation| bits.carry_out(operation)).collect();
    let mut runs = bits.runs().into_iter();
    if let Some((start, bytes)) = runs.next() {
        plan.patch(key, start, &bytes)?;
        plan.notify(Notice::String, "setbit", key);
    }
    for (start, bytes) in runs {
        plan.patch_more(key, start, &bytes)?;
    }
    Ok(Reply::Array(replies))
}

fn bitfield_ro<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let operations = parse(args.rest(OPERATIONS))?;
    if operations.iter().any(|operation| !matches!(operation.action, Action::Get)) {
        return Err(CommandError::Invalid("BITFIELD_RO only supports the GET subcommand"));
    }
    let base = view.string(args.bytes(KEY))?.map_or(&[][..], |entry| entry.value());
    let mut bits = Bits { base, written: BTreeMap::new() };
    Ok(Reply::Array(operations.iter().map(|operation| bits.carry_out(operation)).collect()))
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// An integer of up to 64 bits somewhere in a string.
#[derive(Clone, Copy)]
struct Field {
    signed: bool,
    bits: u32,
    /// Number of its first bit; its last is below [`BITS_MAX`].
    offset: u64,
}

struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

fn parse(words: &[&[u8]]) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = words;
    while let Some((name, after)) = rest.split_first() {
        let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
        let (field, action, taken) = match after {
            [encoding, offset, ..] if is("GET") => {
                (Field::parse(encoding, offset)?, Action::Get, 2)
            }
            [encoding, offset, value, ..] if is("SET") => {
                (Field::parse(encoding, offset)?, Action::Set(integer(value)?), 3)
            }
            [encoding, offset, value, ..] if is("INCRBY") => {
                (Field::parse(encoding, offset)?, Action::Add(integer(value)?), 3)
            }
            [kind, ..] if is("OVERFLOW") => {
                overflow = Overflow::parse(kind)?;
                rest = &after[1..];
                continue;
            }
            _ => return Err(CommandError::Syntax),
        };
        operations.push(Operation { field, action, overflow });
        rest = &after[taken..];
    }
    Ok(operations)
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let kinds = [("WRAP", Self::Wrap), ("SAT", Self::Saturate), ("FAIL", Self::Fail)];
        let mut kinds = kinds.into_iter();
        kinds
            .find_map(|(name, kind)| word.eq_ignore_ascii_case(name.as_bytes()).then_some(kind))
            .ok_or(CommandError::Invalid("Invalid OVERFLOW type specified"))
    }
}

impl Field {
    fn parse(encoding: &[u8], offset: &[u8]) -> Result<Self, CommandError> {
        const REFUSED: CommandError = CommandError::Invalid(
            "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but \
             i64 is.",
        );
        let (signed, bits) = match encoding {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return Err(REFUSED),
        };
        let most = if signed { 64 } else { 63 };
        let bits = integer(bits).ok().filter(|bits| (1..=most).contains(bits)).ok_or(REFUSED)?;
        let (number, unit) = match offset {
            [b'#', index @ ..] => (index, bits),
            all => (all, 1),
        };
        let offset = integer(number).ok().and_then(|number| number.checked_mul(unit));
        let offset = offset.and_then(|offset| u64::try_from(offset).ok());
        let offset = offset.filter(|at| at.saturating_add(bits.unsigned_abs()) <= BITS_MAX);
        let offset = offset.ok_or(CommandError::Invalid(OFFSET_REFUSAL))?;
        Ok(Self { signed, bits: bits as u32, offset })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The bytes it stands in, first and last, and the bits behind it in the last.
    fn place(self) -> (usize, usize, u32) {
        let end = self.offset + u64::from(self.bits);
        let last = (end - 1) / 8;
        ((self.offset / 8) as usize, last as usize, ((last + 1) * 8 - end) as u32)
    }

    /// What the field's bits mean.
    fn number(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        // An unsigned field has 63 bits at most.
        if self.signed { (raw << unused).cast_signed() >> unused } else { raw.cast_signed() }
    }

    /// The bits for a number, which may not fit; nothing when that is a failure.
    fn fit(self, number: i128, overflow: Overflow) -> Option<u64> {
        let (least, most) = if self.signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, i128::from(self.mask()))
        };
        let fitting = match overflow {
            _ if (least..=most).contains(&number) => number,
            Overflow::Wrap => number,
            Overflow::Saturate => number.clamp(least, most),
            Overflow::Fail => return None,
        };
        Some(fitting as u64 & self.mask())
    }
}

/// A string, and the bytes written over it.
struct Bits<'s> {
    base: &'s [u8],
    written: BTreeMap<usize, u8>,
}

impl Bits<'_> {
    fn byte(&self, at: usize) -> u8 {
        let written = self.written.get(&at).copied();
        written.unwrap_or_else(|| self.base.get(at).copied().unwrap_or(0))
    }

    fn read(&self, field: Field) -> u64 {
        let (first, last, behind) = field.place();
        let all = (first..=last).fold(0u128, |all, at| all << 8 | u128::from(self.byte(at)));
        (all >> behind) as u64 & field.mask()
    }

    fn write(&mut self, field: Field, raw: u64) {
        let (first, last, behind) = field.place();
        let mask = u128::from(field.mask()) << behind;
        let bits = u128::from(raw) << behind;
        for at in first..=last {
            let shift = (last - at) * 8;
            let (mask, bits) = ((mask >> shift) as u8, (bits >> shift) as u8);
            let byte = self.byte(at) & !mask | bits;
            self.written.insert(at, byte);
        }
    }

    fn carry_out(&mut self, operation: &Operation) -> Reply<'static> {
        let Operation { field, action, overflow } = *operation;
        let raw = self.read(field);
        let before = field.number(raw);
        let wanted = match action {
            Action::Get => return Reply::Integer(before),
            // As in Redis, a negative value for an unsigned field is a very great one.
            Action::Set(value) if !field.signed => i128::from(value.cast_unsigned()),
            Action::Set(value) => i128::from(value),
            Action::Add(amount) => i128::from(before) + i128::from(amount),
        };
        let Some(raw) = field.fit(wanted, overflow) else { return Reply::Nil };
        self.write(field, raw);
        Reply::Integer(if let Action::Add(_) = action { field.number(raw) } else { before })
    }

    /// The written bytes in runs without gaps, each with the position of its first byte.
    fn runs(self) -> Vec<(usize, Vec<u8>)> {
        let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
        for (at, byte) in self.written {
            match runs.last_mut() {
                Some((start, bytes)) if *start + bytes.len() == at => bytes.push(byte),
                Some(_) | None => runs.push((at, vec![byte])),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn fields_are_read_and_written() {
        let greatest = "BITFIELD k SET u63 1 9223372036854775807 GET u63 1";
        let least = "BITFIELD k SET i64 3 -9223372036854775808 GET i64 3";
        OneTable::new().expect(&[
            ("BITFIELD k INCRBY i5 100 1 GET u4 0", "[1, 0]"),
            ("STRLEN k", "14"),
            ("BITFIELD k SET u8 0 255 GET i8 0 SET i4 4 5 GET u8 0", "[0, -1, -1, 245]"),
            ("BITFIELD k SET u8 #1 7 GET u16 0", "[0, 62727]"),
            ("BITFIELD_RO k GET u8 #1 GET u1 0", "[7, 1]"),
            (least, "[-6325305676641861632, -9223372036854775808]"),
            (greatest, "[8070450532247928832, 9223372036854775807]"),
            ("BITFIELD none GET u8 0", "[0]"),
            ("EXISTS none", "0"),
            ("BITFIELD k", "[]"),
            ("BITFIELD far SET u8 0 1 SET u8 800 2", "[0, 0]"),
            ("STRLEN far", "101"),
            ("BITFIELD far GET u8 0 GET u8 800", "[1, 2]"),
        ]);
    }

    #[test]
    fn overflow_is_handled_as_asked() {
        OneTable::new().expect(&[
            ("BITFIELD k SET i4 0 9 GET i4 0", "[0, -7]"),
            ("BITFIELD k OVERFLOW SAT SET i4 0 -20 GET i4 0 INCRBY u63 4 -5", "[-7, -8, 0]"),
            ("BITFIELD u SET u2 0 3 INCRBY u2 0 1", "[0, 0]"),
            ("BITFIELD u OVERFLOW SAT INCRBY u2 0 9 INCRBY u2 0 -9", "[3, 0]"),
            ("BITFIELD u OVERFLOW SAT SET u2 0 -1 GET u2 0", "[0, 3]"),
            ("BITFIELD u OVERFLOW FAIL INCRBY u2 0 1 OVERFLOW WRAP INCRBY u2 0 2", "[nil, 1]"),
            ("BITFIELD fresh OVERFLOW FAIL SET u2 0 9", "[nil]"),
            ("EXISTS fresh", "0"),
        ]);
    }

    #[test]
    fn malformed_operations_are_refused() {
        let kind = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                    supported but i64 is.";
        OneTable::new().expect(&[
            ("BITFIELD k GET u64 0", kind),
            ("BITFIELD k GET i65 0", kind),
            ("BITFIELD k GET i0 0", kind),
            ("BITFIELD k GET x8 0", kind),
            ("BITFIELD k GET u8", "ERR syntax error"),
            ("BITFIELD k FOO", "ERR syntax error"),
            ("BITFIELD k SET u8 0", "ERR syntax error"),
            ("BITFIELD k SET u8 -1 1", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD k GET u8 #x", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD k SET u8 4294967295 1", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD k SET u8 0 x", "ERR value is not an integer or out of range"),
            ("BITFIELD k OVERFLOW NO GET u8 0", "ERR Invalid OVERFLOW type specified"),
            ("BITFIELD_RO k SET u8 0 1", "ERR BITFIELD_RO only supports the GET subcommand"),
            ("BITFIELD", "ERR wrong number of arguments for 'bitfield' command"),
        ]);
    }
}
