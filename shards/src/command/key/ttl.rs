//! When a key expires: `TTL`, `PTTL`, `EXPIRETIME`, `PEXPIRETIME`. -1 where it never does, -2 where
//! there is no key. Seconds are rounded to the nearest, as in Redis; the routes over HTTP answer
//! from milliseconds and round up.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const FOREVER: i64 = -1;
const NO_KEY: i64 = -2;

/// `TTL`.
pub(crate) const TTL: CommandSpec = CommandSpec {
    id: "key.ttl",
    resp: "TTL",
    family: Family::Key,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::FAST.and(Flags::NO_TOUCH),
    since: "0.1.0",
    summary: "Answers the seconds until a key expires; -1 if never, -2 if it does not exist",
    complexity: "O(1)",
    run: Run::Read(|view, args| answer(view, args, |left, _| nearest_second(left))),
};

/// `PTTL`. Over HTTP it serves `ttl`, in seconds rounded up.
pub(crate) const PTTL: CommandSpec = CommandSpec {
    id: "key.pttl",
    resp: "PTTL",
    http: &[
        HttpRoute::get("/key/{key}/ttl", JsonReply::Shape("ttl")),
        HttpRoute::get("/kv/{key}/ttl", JsonReply::Shape("ttl")),
    ],
    summary: "Answers the milliseconds until a key expires; -1 if never, -2 if it does not exist",
    run: Run::Read(|view, args| answer(view, args, |left, _| left)),
    ..TTL
};

/// `EXPIRETIME`.
pub(crate) const EXPIRETIME: CommandSpec = CommandSpec {
    id: "key.expiretime",
    resp: "EXPIRETIME",
    http: &[],
    summary: "Answers the Unix second at which a key expires; -1 if never, -2 if it does not exist",
    run: Run::Read(|view, args| answer(view, args, |_, deadline| nearest_second(deadline))),
    ..TTL
};

/// `PEXPIRETIME`.
pub(crate) const PEXPIRETIME: CommandSpec = CommandSpec {
    id: "key.pexpiretime",
    resp: "PEXPIRETIME",
    http: &[],
    summary: "Answers the Unix millisecond at which a key expires; -1 if never, -2 if no key",
    run: Run::Read(|view, args| answer(view, args, |_, deadline| deadline)),
    ..TTL
};

/// Answers what `form` makes of the milliseconds left and of the deadline.
fn answer<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    form: fn(i64, i64) -> i64,
) -> Result<Reply<'s>, CommandError> {
    let now_ms = view.now().unix_ms;
    let time = match view.get(args.bytes(KEY)).map(|entry| entry.deadline_ms()) {
        None => NO_KEY,
        Some(None) => FOREVER,
        // A live key's deadline lies ahead and fits 48 bits.
        Some(Some(deadline)) => form((deadline - now_ms) as i64, deadline as i64),
    };
    Ok(Reply::Integer(time))
}

fn nearest_second(milliseconds: i64) -> i64 {
    (milliseconds + 500) / 1000
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn times_in_every_form() {
        let mut db = OneTable::new();
        db.expect(&[
            ("TTL none", "-2"),
            ("PTTL none", "-2"),
            ("EXPIRETIME none", "-2"),
            ("SET k v", "OK"),
            ("TTL k", "-1"),
            ("PEXPIRETIME k", "-1"),
            ("PEXPIRE k 1600", "1"),
            ("TTL k", "2"),
            ("PTTL k", "1600"),
            ("EXPIRETIME k", "1700000002"),
            ("PEXPIRETIME k", "1700000001600"),
        ]);
        db.now_ms += 1599;
        db.expect(&[("PTTL k", "1"), ("TTL k", "0")]);
        db.now_ms += 1;
        db.expect(&[("TTL k", "-2")]);
    }
}
