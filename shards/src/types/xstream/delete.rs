//! `XDEL`, and `XSETID`, which sets what is known of entries that are gone.

use std::collections::BTreeSet;

use super::find;
use super::id::Id;
use super::record::Writer;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const IDS: Arg = Arg(1);

/// `XDEL`.
pub(crate) const XDEL: CommandSpec = CommandSpec {
    id: "xstream.delete",
    resp: "XDEL",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("id", "an entry").repeated()],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Removes entries from a stream and answers how many there were",
    complexity: "O(1) for each entry",
    run: Run::Write(delete),
};

fn delete(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let key = args.bytes(KEY);
    let Some(stream) = find::peek(plan, key)? else { return Ok(Reply::Integer(0)) };
    let ids: Result<BTreeSet<Id>, CommandError> =
        args.rest(IDS).iter().map(|word| Id::strict(word, 0)).collect();
    let found: Vec<Id> = ids?.into_iter().filter(|id| stream.get(*id).is_some()).collect();
    let Some(greatest) = found.last() else { return Ok(Reply::Integer(0)) };
    let mut writer = Writer::default();
    found.iter().for_each(|id| writer.delete(*id));
    let max_deleted = stream.max_deleted().max(*greatest);
    writer.meta(stream.last_id(), stream.entries_added(), max_deleted);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xdel", key);
    Ok(Reply::count(found.len()))
}

const LAST_ID: Arg = Arg(1);
const ENTRIES_ADDED: Arg = Arg(2);
const MAX_DELETED: Arg = Arg(3);

/// `XSETID`.
pub(crate) const XSETID: CommandSpec = CommandSpec {
    id: "xstream.setid",
    resp: "XSETID",
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::bytes("last-id", "the id that counts as the last"),
        ArgSpec::integer("entries-added", "how many entries were ever added")
            .with_token("ENTRIESADDED")
            .optional(),
        ArgSpec::bytes("max-deleted-id", "the greatest id that was deleted")
            .with_token("MAXDELETEDID")
            .optional(),
    ],
    reply: ReplySpec::Ok,
    flags: Flags::DENY_OOM.and(Flags::FAST),
    summary: "Sets the last id of a stream, and what it knows of entries that are gone",
    complexity: "O(1)",
    run: Run::Write(set_id),
    ..XDEL
};

fn set_id(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let refuse = |text| Err(CommandError::Invalid(text));
    let key = args.bytes(KEY);
    let id = Id::strict(args.bytes(LAST_ID), 0)?;
    let added = args.opt_integer(ENTRIES_ADDED).map(u64::try_from);
    let Ok(added) = added.transpose() else { return refuse("entries_added must be positive") };
    let deleted = args.opt_bytes(MAX_DELETED).map(|word| Id::strict(word, 0)).transpose()?;
    if deleted.is_some_and(|deleted| id < deleted) {
        return refuse(
            "The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        );
    }
    let stream = find::peek(plan, key)?.ok_or(CommandError::NoSuchKey)?;
    if id < stream.max_deleted() {
        return refuse("The ID specified in XSETID is smaller than current max_deleted_entry_id");
    }
    if stream.len() > 0 && id < stream.top_id() {
        return refuse("The ID specified in XSETID is smaller than the target stream top item");
    }
    if added.is_some_and(|added| stream.len() as u64 > added) {
        return refuse(
            "The entries_added specified in XSETID is smaller than the target stream length",
        );
    }
    let mut writer = Writer::default();
    let max_deleted = deleted.filter(|id| *id != Id::ZERO).unwrap_or_else(|| stream.max_deleted());
    writer.meta(id, added.unwrap_or_else(|| stream.entries_added()), max_deleted);
    plan.edit(key, ValueType::Stream, &writer.out)?;
    plan.notify(Notice::Stream, "xsetid", key);
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    const SMALLER: &str = "ERR The ID specified in XSETID is smaller than";

    #[test]
    fn entries_are_deleted() {
        OneTable::new().expect(&[
            ("XDEL none 1", "0"),
            ("XDEL none x", "0"),
            ("XADD s 1 f v", "\"1-0\""),
            ("XADD s 2 f v", "\"2-0\""),
            ("XADD s 3 f v", "\"3-0\""),
            ("XDEL s 2 2 9 x", "ERR Invalid stream ID specified as stream command argument"),
            ("XDEL s 2 2 9", "1"),
            ("XDEL s 2", "0"),
            ("XRANGE s - +", "[[\"1-0\", [\"f\", \"v\"]], [\"3-0\", [\"f\", \"v\"]]]"),
            ("XDEL s 1 3", "2"),
            ("XLEN s", "0"),
            ("EXISTS s", "1"),
            (
                "XADD s 3 f v",
                "ERR The ID specified in XADD is equal or smaller than the target stream top \
                 item",
            ),
            ("SET k v", "OK"),
            ("XDEL k 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XDEL s", "ERR wrong number of arguments for 'xdel' command"),
        ]);
    }

    #[test]
    fn the_last_id_is_set() {
        let current = format!("{SMALLER} current max_deleted_entry_id");
        let provided = format!("{SMALLER} the provided max_deleted_entry_id");
        let top = format!("{SMALLER} the target stream top item");
        let few = "ERR The entries_added specified in XSETID is smaller than the target stream \
                   length";
        let add = "ERR The ID specified in XADD is equal or smaller than the target stream top \
                   item";
        OneTable::new().expect(&[
            ("XSETID none 1", "ERR no such key"),
            ("XADD s 5 f v", "\"5-0\""),
            ("XADD s 6 f v", "\"6-0\""),
            ("XDEL s 6", "1"),
            ("XSETID s 5-1", &current),
            ("XADD s 7 f v", "\"7-0\""),
            ("XSETID s 6-1", &top),
            ("XSETID s 9 ENTRIESADDED 1", few),
            ("XSETID s 9 ENTRIESADDED -1", "ERR entries_added must be positive"),
            ("XSETID s 9 MAXDELETEDID 10", &provided),
            ("XSETID s 9 NOPE 1", "ERR syntax error"),
            ("XSETID s -", "ERR Invalid stream ID specified as stream command argument"),
            ("XSETID s 9 ENTRIESADDED 77 MAXDELETEDID 8-1", "OK"),
            ("XADD s 9 f v", add),
            ("XADD s 9-* f v", "\"9-1\""),
        ]);
    }
}
