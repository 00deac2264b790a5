//! `PFDEBUG` and `PFSELFTEST`, for tests of clients and of this server.

use super::counter::{Counter, Form};
use super::hash::RANK_BITS;
use super::{BASE, REGISTERS, dense, stored};
use crate::command::args::{Arg, Args};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::command::spec::{Access, ArgSpec, CommandSpec, Flags, Keys, ReplySpec, Run};
use crate::rng::Rng;
use crate::shard::plan::{Plan, View};

const SUBCOMMAND: Arg = Arg(0);
const KEY: Arg = Arg(1);

/// `PFDEBUG`.
pub(super) const PFDEBUG: CommandSpec = CommandSpec {
    id: "hll.pfdebug",
    resp: "PFDEBUG",
    access: Access::Admin,
    keys: Keys::Range { first: 2, last: 2, step: 1 },
    args: &[
        ArgSpec::bytes("subcommand", "GETREG, ENCODING or TODENSE"),
        ArgSpec::key("key", "the counter"),
    ],
    reply: ReplySpec::Any,
    flags: Flags::DENY_OOM,
    summary: "Answers the registers or the form of a counter, or makes it dense",
    complexity: "O(1)",
    run: Run::Write(pfdebug),
    ..BASE
};

fn pfdebug(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (subcommand, key) = (args.bytes(SUBCOMMAND), args.bytes(KEY));
    let Some((entry, mut counter)) = stored(plan, key)? else {
        return Err(CommandError::Invalid("The specified key does not exist"));
    };
    match &subcommand.to_ascii_uppercase()[..] {
        b"GETREG" => {
            let registers = counter.all_registers()?;
            let replies = registers.iter().map(|rank| Reply::Integer((*rank).into()));
            // As in Redis, asking makes the counter dense.
            make_dense(plan, key, entry.deadline_ms(), &mut counter)?;
            Ok(Reply::Array(replies.collect()))
        }
        b"ENCODING" => Ok(Reply::Status(match counter.form() {
            Form::Dense => "dense",
            Form::Sparse => "sparse",
        })),
        b"TODENSE" => {
            let changed = make_dense(plan, key, entry.deadline_ms(), &mut counter)?;
            Ok(Reply::Integer(i64::from(changed)))
        }
        _ => Err(CommandError::Quoted {
            before: "Unknown PFDEBUG subcommand '",
            found: quote(subcommand),
            after: "'",
        }),
    }
}

fn make_dense(
    plan: &mut Plan<'_>,
    key: &[u8],
    deadline_ms: Option<u64>,
    counter: &mut Counter<'_>,
) -> Result<bool, CommandError> {
    if counter.form() == Form::Dense {
        return Ok(false);
    }
    counter.make_dense()?;
    plan.put(key, counter.bytes(), deadline_ms)?;
    Ok(true)
}

/// `PFSELFTEST`.
pub(super) const PFSELFTEST: CommandSpec = CommandSpec {
    id: "hll.pfselftest",
    resp: "PFSELFTEST",
    access: Access::Admin,
    keys: Keys::None,
    args: &[],
    reply: ReplySpec::Ok,
    flags: Flags::NONE,
    summary: "Tests that registers are kept apart and that counts are about right",
    complexity: "O(1), some milliseconds",
    run: Run::Read(pfselftest),
    ..BASE
};

/// Bytes at which the counter of the test becomes dense.
const SPARSE_BYTES_MAX: usize = 3000;
/// Elements that the test counts.
const TEST_ELEMENTS: u64 = 100_000;
/// Four standard errors of 1.04 / sqrt(16384).
const TEST_ERROR_MAX: f64 = 4.0 * 0.008_125;

fn pfselftest<'s>(_: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let mut rng = Rng::new(TEST_ELEMENTS);
    let (mut packed, mut plain) = (vec![0; dense::REGISTER_BYTES], vec![0; REGISTERS]);
    for index in (0..REGISTERS).chain(0..REGISTERS) {
        let rank = rng.below(RANK_BITS as usize + 2) as u8;
        dense::set(&mut packed, index, rank);
        plain[index] = rank;
    }
    if !(0..REGISTERS).all(|index| dense::get(&packed, index) == plain[index]) {
        return Err(CommandError::Invalid("TESTFAILED a register has disturbed another"));
    }
    let mut counter = Counter::new();
    for number in 1..=TEST_ELEMENTS {
        counter.add(&rng.draw().to_le_bytes(), SPARSE_BYTES_MAX)?;
        if number.is_power_of_two() || number == TEST_ELEMENTS {
            let error = counter.count()?.abs_diff(number) as f64;
            if error > (number as f64 * TEST_ERROR_MAX).max(1.0) {
                return Err(CommandError::Invalid("TESTFAILED a count is too far off"));
            }
        }
    }
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    #[test]
    fn counters_can_be_looked_into() {
        let mut db = OneTable::new();
        db.expect(&[
            ("PFADD h a b c", "1"),
            ("PFDEBUG ENCODING h", "sparse"),
            ("PFDEBUG TODENSE h", "1"),
            ("PFDEBUG TODENSE h", "0"),
            ("PFDEBUG encoding h", "dense"),
            ("PFCOUNT h", "3"),
            ("PFDEBUG NOPE h", "ERR Unknown PFDEBUG subcommand 'NOPE'"),
            ("PFDEBUG ENCODING none", "ERR The specified key does not exist"),
            ("PFSELFTEST", "OK"),
        ]);
        let Reply::Array(registers) = db.run(&[b"PFDEBUG", b"GETREG", b"h"]) else { panic!() };
        assert_eq!(registers.len(), 16_384);
        assert_eq!(registers.iter().filter(|rank| **rank != Reply::Integer(0)).count(), 3);
    }
}
