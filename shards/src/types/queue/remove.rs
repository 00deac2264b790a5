//! `QPURGE`, `QDELETE`: emptying and removing a queue.

use super::create::{NAME, NAME_SPEC};
use super::find;
use super::record::Writer;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

/// `QDELETE`.
pub(crate) const QDELETE: CommandSpec = CommandSpec {
    id: "queue.delete",
    resp: "QDELETE",
    family: Family::Queue,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[NAME_SPEC],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::delete("/queue/{name}", JsonReply::Shape("queue_deleted"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Removes a queue with everything in it; answers whether there was one",
    complexity: "O(1); memory is given back bit by bit",
    run: Run::Write(delete),
};

/// `QPURGE`.
pub(crate) const QPURGE: CommandSpec = CommandSpec {
    id: "queue.purge",
    resp: "QPURGE",
    args: &[
        NAME_SPEC,
        ArgSpec::bytes("dlq", "false: leave dead letters").with_token("DLQ").optional(),
        ArgSpec::flag("pending", "PENDING", "take those that consumers have as well"),
    ],
    http: &[HttpRoute::post("/queue/{name}/purge", JsonReply::Shape("queue_purged"))],
    flags: Flags::NONE,
    summary: "Removes what waits in a queue and its dead letters; answers how many messages",
    complexity: "O(N) for N messages that stay",
    run: Run::Write(purge),
    ..QDELETE
};

fn delete(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    Ok(Reply::Integer(i64::from(plan.delete(args.bytes(NAME)))))
}

fn purge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const DLQ: Arg = Arg(1);
    const PENDING: Arg = Arg(2);
    let key = args.bytes(NAME);
    let queue = find::get(plan, key)?;
    let mut stay: Vec<u64> = Vec::new();
    if !args.flag(PENDING) {
        stay.extend(queue.held_seqs());
    }
    if !find::truth(args.opt_bytes(DLQ))? {
        stay.extend(queue.dead_letters().map(|(_, seq)| seq));
    }
    let purged = queue.len() - stay.len();
    if purged > 0 {
        let mut writer = Writer::default();
        writer.purge(queue.next_seq, stay.into_iter());
        plan.edit(key, ValueType::Queue, &writer.out)?;
    }
    Ok(Reply::count(purged))
}
