//! `WAIT` and `WAITAOF`: until others have what was written, or the disk has it.

use super::super::args::{Arg, Args};
use super::super::error::CommandError;
use super::super::reply::Reply;
use super::super::spec::{Access, ArgSpec, Blocked, CommandSpec, Flags, Pause, ReplySpec, Run};
use super::super::timeout;
use super::BASE;
use crate::shard::plan::Plan;

const TIMEOUT: ArgSpec = ArgSpec::integer("timeout", "milliseconds to wait at most; 0 is for ever")
    .refused_as(timeout::NOT_AN_INTEGER);

pub(super) const WAIT: CommandSpec = CommandSpec {
    id: "server.wait",
    resp: "WAIT",
    access: Access::Open,
    args: &[ArgSpec::integer("numreplicas", "how many replicas shall have it"), TIMEOUT],
    reply: ReplySpec::Integer,
    flags: Flags::BLOCKING.and(Flags::NO_SCRIPT),
    summary: "Waits until replicas have what was written; how many do",
    run: Run::Block(wait),
    ..BASE
};

/// There are no replicas.
fn wait(_: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let timeout_ms = timeout::milliseconds(args.integer(Arg(1)))?;
    let none = Reply::Integer(0);
    Ok(match args.integer(Arg(0)) {
        ..=0 => Blocked::Done(none),
        _ => Blocked::Wait(Pause::new(timeout_ms, none)),
    })
}

pub(super) const WAITAOF: CommandSpec = CommandSpec {
    id: "server.waitaof",
    resp: "WAITAOF",
    args: &[
        ArgSpec::integer("numlocal", "1: the disk of this server shall have it"),
        ArgSpec::integer("numreplicas", "how many replicas shall have it on disk"),
        TIMEOUT,
    ],
    reply: ReplySpec::Array,
    summary: "Waits until what was written is on disk, here and on replicas; how many have it",
    run: Run::Block(wait_aof),
    ..WAIT
};

/// Both counts are known when every log is on disk as far as it has come by now.
fn wait_aof(_: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    if !(0..=1).contains(&args.integer(Arg(0))) {
        return Err(CommandError::Invalid("value is out of range, value must between 0 and 1"));
    }
    if args.integer(Arg(1)) < 0 {
        return Err(CommandError::Invalid("value is out of range, must be positive"));
    }
    let timeout_ms = timeout::milliseconds(args.integer(Arg(2)))?;
    let counts = |local| Reply::Array(vec![Reply::Integer(local), Reply::Integer(0)]);
    if args.integer(Arg(0)) == 0 && args.integer(Arg(1)) == 0 {
        return Ok(Blocked::Done(counts(0)));
    }
    let pause = Pause::new(timeout_ms, counts(0));
    Ok(Blocked::Wait(pause.for_disk(counts(1), args.integer(Arg(1)) == 0)))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn nobody_else_has_anything() {
        OneTable::new().expect(&[
            ("WAIT 0 0", "0"),
            ("WAIT -1 100", "0"),
            ("WAIT 1 100", "0"),
            ("WAIT x 100", "ERR value is not an integer or out of range"),
            ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1", "ERR timeout is negative"),
            ("WAITAOF 0 0 0", "[0, 0]"),
            ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
            ("WAITAOF 1 0 -1", "ERR timeout is negative"),
        ]);
    }
}
