//! Deadlines of fields: `HEXPIRE`, `HPEXPIRE`, `HEXPIREAT`, `HPEXPIREAT`. The answer has one number
//! per field: -2 it is not there, 0 the condition does not hold, 1 it has the deadline, 2 it is
//! gone, because the deadline has passed.

use super::change::Changing;
use super::fields;
use crate::command::args::{Arg, Args, Scalar};
use crate::command::deadline::{Due, TimeForm, due};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::plan::Plan;

const KEY: Arg = Arg(0);
const TIME: Arg = Arg(1);
const CONDITION: Arg = Arg(2);
const FIELDS: Arg = Arg(3);

/// The latest deadline of a field; Redis keeps two of 48 bits to itself.
const DEADLINE_MS_MAX: i64 = ((1 << 48) - 2) >> 2;

const CONDITIONS: &[ArgSpec] = &[
    ArgSpec::flag("nx", "NX", "only fields without a deadline"),
    ArgSpec::flag("xx", "XX", "only fields with one"),
    ArgSpec::flag("gt", "GT", "only if it is later than the one they have"),
    ArgSpec::flag("lt", "LT", "only if it is earlier than the one they have"),
];
const CONDITION_SPEC: ArgSpec =
    ArgSpec::one_of("condition", CONDITIONS, "which fields to change").optional();

/// `HEXPIRE`.
pub(crate) const HEXPIRE: CommandSpec = CommandSpec {
    id: "hash.expire",
    resp: "HEXPIRE",
    family: Family::Hash,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("seconds", "seconds until they expire"),
        CONDITION_SPEC,
        fields::FIELDS,
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    since: "0.2.0",
    summary: "Gives fields of a hash a deadline in seconds",
    complexity: "O(N) for N fields",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::Seconds, "hexpire")),
};

/// `HPEXPIRE`.
pub(crate) const HPEXPIRE: CommandSpec = CommandSpec {
    id: "hash.pexpire",
    resp: "HPEXPIRE",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("milliseconds", "milliseconds until they expire"),
        CONDITION_SPEC,
        fields::FIELDS,
    ],
    summary: "Gives fields of a hash a deadline in milliseconds",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::Milliseconds, "hpexpire")),
    ..HEXPIRE
};

/// `HEXPIREAT`.
pub(crate) const HEXPIREAT: CommandSpec = CommandSpec {
    id: "hash.expireat",
    resp: "HEXPIREAT",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("unix_seconds", "Unix time in seconds at which they expire"),
        CONDITION_SPEC,
        fields::FIELDS,
    ],
    summary: "Gives fields of a hash a deadline as Unix time in seconds",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::UnixSeconds, "hexpireat")),
    ..HEXPIRE
};

/// `HPEXPIREAT`.
pub(crate) const HPEXPIREAT: CommandSpec = CommandSpec {
    id: "hash.pexpireat",
    resp: "HPEXPIREAT",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("unix_milliseconds", "Unix time in milliseconds at which they expire"),
        CONDITION_SPEC,
        fields::FIELDS,
    ],
    summary: "Gives fields of a hash a deadline as Unix time in milliseconds",
    run: Run::Write(|plan, args| expire(plan, args, TimeForm::UnixMilliseconds, "hpexpireat")),
    ..HEXPIRE
};

/// The deadline that a time states, which may have passed.
fn deadline(
    form: TimeForm,
    amount: i64,
    now_ms: u64,
    command: &'static str,
) -> Result<Due, CommandError> {
    if amount < 0 {
        return Err(CommandError::Invalid("invalid expire time, must be >= 0"));
    }
    let deadline = form.deadline(amount, now_ms, command)?;
    if deadline > DEADLINE_MS_MAX {
        return Err(CommandError::InvalidExpire { command });
    }
    Ok(due(deadline, now_ms))
}

/// The deadline that an option of `EX PX EXAT PXAT` states; nothing when it is absent or another.
pub(super) fn of_option(
    args: &Args<'_>,
    option: Arg,
    now_ms: u64,
    command: &'static str,
) -> Result<Option<Due>, CommandError> {
    let Some((index, Scalar::Integer(amount))) = args.choice(option) else { return Ok(None) };
    let Some(form) = TimeForm::from_choice(index) else { return Ok(None) };
    deadline(form, amount, now_ms, command).map(Some)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Always,
    IfNone,
    IfSome,
    IfLater,
    IfEarlier,
}

impl Condition {
    fn of(args: &Args<'_>) -> Self {
        match args.choice(CONDITION) {
            Some((0, _)) => Self::IfNone,
            Some((1, _)) => Self::IfSome,
            Some((2, _)) => Self::IfLater,
            Some((3, _)) => Self::IfEarlier,
            Some(_) | None => Self::Always,
        }
    }

    /// Whether it holds for a field with this deadline; none is later than any. A time that has
    /// passed counts as zero.
    fn holds(self, old: Option<u64>, time: Due) -> bool {
        let new = match time {
            Due::Past => 0,
            Due::At(deadline) => deadline,
        };
        match (self, old) {
            (Self::Always, _)
            | (Self::IfNone | Self::IfEarlier, None)
            | (Self::IfSome, Some(_)) => true,
            (Self::IfNone, Some(_)) | (Self::IfSome | Self::IfLater, None) => false,
            (Self::IfLater, Some(old)) => new > old,
            (Self::IfEarlier, Some(old)) => new < old,
        }
    }
}

const ABSENT: i64 = -2;
const UNMET: i64 = 0;
const DONE: i64 = 1;
const GONE: i64 = 2;

fn expire(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    form: TimeForm,
    command: &'static str,
) -> Result<Reply<'static>, CommandError> {
    let mut change = Changing::open(plan, args.bytes(KEY))?;
    let time = deadline(form, args.integer(TIME), plan.now().unix_ms, command)?;
    let refusal = "Parameter `numFields` should be greater than 0";
    let names = fields::parse(args.rest(FIELDS), 1, refusal)?;
    let condition = Condition::of(args);
    let (mut answers, mut set, mut gone) = (Vec::with_capacity(names.len()), false, false);
    for name in names {
        let field = change.view().get(name);
        // A field that is named twice has the new deadline by now, or is gone.
        let old = match time {
            Due::At(deadline) if change.has_seen(name) => Some(deadline),
            Due::At(_) | Due::Past => field.and_then(|field| field.deadline_ms),
        };
        let answer = match (field, time) {
            (None, _) => ABSENT,
            (Some(_), Due::Past) if change.has_seen(name) => ABSENT,
            (Some(_), _) if !condition.holds(old, time) => UNMET,
            (Some(_), Due::At(deadline)) => {
                change.set_deadline(name, Some(deadline));
                set = true;
                DONE
            }
            (Some(_), Due::Past) => {
                change.remove(name);
                gone = true;
                GONE
            }
        };
        answers.push(Reply::Integer(answer));
    }
    let events: &[&'static str] = match (set, gone) {
        (true, _) => &["hexpire"],
        (false, true) => &["hdel"],
        (false, false) => &[],
    };
    change.commit(plan, events)?;
    Ok(Reply::Array(answers))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn fields_expire_one_by_one() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HEXPIRE none 10 FIELDS 2 a b", "[-2, -2]"),
            ("HSET h a 1 b 2 c 3", "3"),
            ("HEXPIRE h 10 FIELDS 2 a none", "[1, -2]"),
            ("OBJECT ENCODING h", "\"listpackex\""),
            ("HPEXPIRE h 5000 FIELDS 1 b", "[1]"),
            ("HLEN h", "3"),
        ]);
        db.now_ms += 5000;
        db.expect(&[
            ("HGET h b", "nil"),
            ("HLEN h", "2"),
            ("HGETALL h", "{\"a\": \"1\", \"c\": \"3\"}"),
            ("HMGET h a b", "[\"1\", nil]"),
            ("HEXISTS h b", "0"),
            ("HSTRLEN h b", "0"),
            ("HSCAN h 0 NOVALUES", "[\"0\", [\"a\", \"c\"]]"),
            ("HDEL h b", "0"),
            ("HEXPIRE h 10 FIELDS 1 b", "[-2]"),
            ("HSETNX h b 4", "1"),
            ("HTTL h FIELDS 3 a b c", "[5, -1, -1]"),
        ]);
        db.now_ms += 5000;
        db.expect(&[("HKEYS h", "[\"c\", \"b\"]"), ("HDEL h b c", "2"), ("EXISTS h", "0")]);
    }

    #[test]
    fn a_time_that_has_passed_removes() {
        let mut db = OneTable::new();
        db.expect(&[
            ("HSET h a 1 b 2 c 3", "3"),
            ("HEXPIREAT h 1 FIELDS 2 a a", "[2, -2]"),
            ("HPEXPIREAT h 0 FIELDS 1 b", "[2]"),
            ("HKEYS h", "[\"c\"]"),
            ("HEXPIRE h 0 FIELDS 1 c", "[2]"),
            ("EXISTS h", "0"),
        ]);
    }

    #[test]
    fn conditions_hold_or_not() {
        let mut db = OneTable::new();
        let at = |seconds: u64| 1_700_000_000 + seconds;
        db.expect(&[
            ("HSET h a 1 b 2", "2"),
            ("HEXPIRE h 10 XX FIELDS 1 a", "[0]"),
            ("HEXPIRE h 10 GT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 10 NX FIELDS 2 a a", "[1, 0]"),
            ("HEXPIRE h 20 NX FIELDS 2 a b", "[0, 1]"),
            ("HEXPIRE h 5 GT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 10 GT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 15 LT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 15 gt FIELDS 1 a", "[1]"),
            ("HEXPIRE h 15 LT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 12 XX FIELDS 1 a", "[1]"),
            (&format!("HEXPIREAT h {} LT FIELDS 1 a", at(11)), "[1]"),
            ("HPTTL h FIELDS 2 a b", "[11000, 20000]"),
            ("HEXPIRE h 0 GT FIELDS 1 a", "[0]"),
            ("HEXPIRE h 0 LT FIELDS 1 a", "[2]"),
        ]);
        db.expect(&[("HSET h c 1", "1"), ("HEXPIRE h 9 LT FIELDS 1 c", "[1]")]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SET s v", "OK"),
            ("HSET h a 1", "1"),
            ("HEXPIRE s 1 FIELDS 1 a", WRONG_TYPE),
            ("HEXPIRE h 1 FIELDS 1", "ERR wrong number of arguments for 'hexpire' command"),
            ("HPEXPIREAT h 1", "ERR wrong number of arguments for 'hpexpireat' command"),
            ("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range"),
            ("HEXPIRE h -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
            (
                "HEXPIRE h 9223372036854775807 FIELDS 1 a",
                "ERR invalid expire time in 'hexpire' command",
            ),
            (
                "HPEXPIREAT h 70368744177664 FIELDS 1 a",
                "ERR invalid expire time in 'hpexpireat' command",
            ),
            ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "[1]"),
            ("HEXPIRE h 1 NX XX FIELDS 1 a", "ERR syntax error"),
            (
                "HEXPIRE h 1 NOPE FIELDS 1 a",
                "ERR Mandatory argument FIELDS is missing or not at the right position",
            ),
            ("HEXPIRE h 1 FIELDS 0 a", "ERR Parameter `numFields` should be greater than 0"),
            (
                "HEXPIRE h 1 FIELDS 2 a",
                "ERR The `numfields` parameter must match the number of arguments",
            ),
            (
                "HEXPIRE h 1 FIELDS 1 a b",
                "ERR The `numfields` parameter must match the number of arguments",
            ),
        ]);
    }
}
