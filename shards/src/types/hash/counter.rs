//! Counting in fields: `HINCRBY`, `HINCRBYFLOAT`. A field keeps its deadline.

use super::change::Changing;
use crate::command::args::{self, Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::Plan;
use crate::types::string::{Decimal, Extended, FloatError};

const KEY: Arg = Arg(0);
const FIELD: Arg = Arg(1);
const INCREMENT: Arg = Arg(2);
/// Position of the increment among the words: the decimal itself, which a double would round.
const INCREMENT_WORD: usize = 3;

/// `HINCRBY`.
pub(crate) const HINCRBY: CommandSpec = CommandSpec {
    id: "hash.incrby",
    resp: "HINCRBY",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("field", "the field"),
        ArgSpec::integer("increment", "what to add"),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/hash/{key}/incrby", JsonReply::Field("value"))],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.2.0",
    summary: "Adds to the integer in a field of a hash, 0 if it is not there, and answers the sum",
    complexity: "O(1)",
    run: Run::Write(hincrby),
};

fn hincrby(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let name = args.bytes(FIELD);
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let found = change.view().get(name);
    let before = match found {
        Some(field) => args::integer(field.value)
            .map_err(|_| CommandError::Invalid("hash value is not an integer"))?,
        None => 0,
    };
    let sum = before.checked_add(args.integer(INCREMENT)).ok_or(CommandError::Overflow)?;
    let text = Decimal::new(sum);
    let deadline_ms = found.and_then(|field| field.deadline_ms);
    change.set(name, text.as_bytes(), deadline_ms)?;
    change.commit(plan, &["hincrby"])?;
    Ok(Reply::Integer(sum))
}

/// `HINCRBYFLOAT`.
pub(crate) const HINCRBYFLOAT: CommandSpec = CommandSpec {
    id: "hash.incrbyfloat",
    resp: "HINCRBYFLOAT",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("field", "the field"),
        ArgSpec::float("increment", "what to add"),
    ],
    reply: ReplySpec::Double,
    http: &[HttpRoute::post("/hash/{key}/incrbyfloat", JsonReply::Shape("hash_float"))],
    summary: "Adds to the decimal in a field of a hash, 0 if it is not there, and answers the sum",
    run: Run::Write(hincrbyfloat),
    ..HINCRBY
};

fn hincrbyfloat(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let name = args.bytes(FIELD);
    let increment = Extended::parse(args.words()[INCREMENT_WORD]).map_err(|error| match error {
        FloatError::Infinite => CommandError::Invalid("value is NaN or Infinity"),
        FloatError::NotFloat => CommandError::NotFloat,
    })?;
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let found = change.view().get(name);
    let before = match found {
        Some(field) => Extended::parse(field.value)
            .map_err(|_| CommandError::Invalid("hash value is not a float"))?,
        None => Extended::ZERO,
    };
    let sum = before.add(increment)?.text().into_bytes();
    let deadline_ms = found.and_then(|field| field.deadline_ms);
    change.set(name, &sum, deadline_ms)?;
    change.commit(plan, &["hincrbyfloat"])?;
    Ok(Reply::owned(sum))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn integers_add_up() {
        OneTable::new().expect(&[
            ("HINCRBY h a 5", "5"),
            ("HINCRBY h a -7", "-2"),
            ("HGET h a", "\"-2\""),
            ("HSET h big 9223372036854775807 text x float 1.5", "3"),
            ("HINCRBY h big 1", "ERR increment or decrement would overflow"),
            ("HINCRBY h big -1", "9223372036854775806"),
            ("HINCRBY h text 1", "ERR hash value is not an integer"),
            ("HINCRBY h float 1", "ERR hash value is not an integer"),
            ("HINCRBY h a x", "ERR value is not an integer or out of range"),
            ("HINCRBY h a 1.5", "ERR value is not an integer or out of range"),
            ("SET s v", "OK"),
            ("HINCRBY s a 1", WRONG_TYPE),
            ("HINCRBY h a", "ERR wrong number of arguments for 'hincrby' command"),
        ]);
    }

    #[test]
    fn decimals_add_up() {
        OneTable::new().expect(&[
            ("HINCRBYFLOAT h a 10.50", "\"10.5\""),
            ("HINCRBYFLOAT h a 0.1", "\"10.6\""),
            ("HINCRBYFLOAT h a -5", "\"5.6\""),
            ("HINCRBYFLOAT h b 5.0e3", "\"5000\""),
            ("HINCRBYFLOAT h b 2.0e2", "\"5200\""),
            ("HINCRBY h b 1", "5201"),
            ("HSET h text x", "1"),
            ("HINCRBYFLOAT h text 1", "ERR hash value is not a float"),
            ("HINCRBYFLOAT h a x", "ERR value is not a valid float"),
            ("HINCRBYFLOAT h a inf", "ERR value is NaN or Infinity"),
            ("HINCRBYFLOAT h a nan", "ERR value is not a valid float"),
            ("SET s v", "OK"),
            ("HINCRBYFLOAT s a 1", WRONG_TYPE),
            ("HINCRBYFLOAT h a", "ERR wrong number of arguments for 'hincrbyfloat' command"),
        ]);
    }

    #[test]
    fn a_counter_keeps_its_deadline() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HSET h n 1 m 2", "2"),
            ("HPEXPIRE h 100 FIELDS 2 n m", "[1, 1]"),
            ("HINCRBY h n 1", "2"),
            ("HINCRBYFLOAT h m 0.5", "\"2.5\""),
            ("HPTTL h FIELDS 2 n m", "[100, 100]"),
            ("HSET h n 7", "0"),
            ("HPTTL h FIELDS 2 n m", "[-1, 100]"),
        ]);
        db.now_ms += 100;
        db.expect(&[("HINCRBY h m 1", "1"), ("HPTTL h FIELDS 1 m", "[-1]")]);
    }
}
