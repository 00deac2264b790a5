//! `INCRBYFLOAT`. The record states the resulting text, so replay computes nothing.

use super::extended::{Extended, FloatError};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
/// Position of the amount among the words: the decimal itself, which a double would round.
const AMOUNT_WORD: usize = 2;

/// `INCRBYFLOAT`.
pub(crate) const INCRBYFLOAT: CommandSpec = CommandSpec {
    id: "kv.incrbyfloat",
    resp: "INCRBYFLOAT",
    family: Family::Kv,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::float("amount", "what to add")],
    reply: ReplySpec::Double,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.1.0",
    summary: "Adds to the decimal a key holds, 0 if it does not exist, and answers the sum",
    complexity: "O(1)",
    run: Run::Write(incrbyfloat),
};

fn incrbyfloat(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let (before, deadline_ms) = match plan.peek_string(key)? {
        Some(entry) => (Extended::parse(entry.value())?, entry.deadline_ms()),
        None => (Extended::ZERO, None),
    };
    let amount = Extended::parse(args.words()[AMOUNT_WORD])?;
    let sum = before.add(amount)?.text().into_bytes();
    plan.put(key, &sum, deadline_ms)?;
    plan.notify(Notice::String, "incrbyfloat", key);
    Ok(Reply::owned(sum))
}

impl From<FloatError> for CommandError {
    fn from(error: FloatError) -> Self {
        match error {
            FloatError::NotFloat => Self::NotFloat,
            FloatError::Infinite => Self::NanOrInfinity,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn decimals_add_up() {
        OneTable::new().expect(&[
            ("INCRBYFLOAT k 10.50", "\"10.5\""),
            ("INCRBYFLOAT k 0.1", "\"10.6\""),
            ("INCRBYFLOAT k -5", "\"5.6\""),
            ("EXPIRE k 10", "1"),
            ("INCRBYFLOAT k 2.0e2", "\"205.60000000000000001\""),
            ("TTL k", "10"),
            ("SET k 3", "OK"),
            ("INCRBYFLOAT k 1", "\"4\""),
            ("INCR k", "5"),
            ("INCRBYFLOAT k x", "ERR value is not a valid float"),
            ("INCRBYFLOAT k inf", "ERR increment would produce NaN or Infinity"),
            ("SET k x", "OK"),
            ("INCRBYFLOAT k 1", "ERR value is not a valid float"),
            ("GET k", "\"x\""),
        ]);
    }
}
