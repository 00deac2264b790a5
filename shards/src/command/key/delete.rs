//! `DEL` and `UNLINK`. They are the same here: memory is given back cell by cell, so removing a key
//! takes the same short time whatever its size.

use std::collections::BTreeSet;

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, PerKey,
    ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan};

const KEYS: Arg = Arg(0);

/// `DEL`.
pub(crate) const DEL: CommandSpec = CommandSpec {
    id: "key.del",
    resp: "DEL",
    family: Family::Key,
    access: Access::Write,
    keys: Keys::ALL,
    atomicity: Atomicity::PerKey(PerKey::Sum),
    args: &[ArgSpec::key("key", "the keys").repeated()],
    reply: ReplySpec::Integer,
    http: &[
        HttpRoute::delete("/kv/del/{key}", JsonReply::Shape("deleted")),
        HttpRoute::delete("/key/{key}", JsonReply::Shape("deleted")),
    ],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Deletes keys and answers how many existed",
    complexity: "O(N) for N keys",
    run: Run::Write(delete),
};

/// `UNLINK`. Over HTTP it serves the route about several keys.
pub(crate) const UNLINK: CommandSpec = CommandSpec {
    id: "key.unlink",
    resp: "UNLINK",
    args: &[ArgSpec::key("keys", "the keys").repeated()],
    http: &[HttpRoute::post("/kv/mdel", JsonReply::Field("deleted"))],
    flags: Flags::FAST,
    summary: "Deletes keys and answers how many existed; the same as DEL",
    ..DEL
};

fn delete(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let keys = args.rest(KEYS);
    if let [key] = keys {
        return Ok(Reply::count(delete_one(plan, key).into()));
    }
    // A key that stands twice exists, and is recorded, once.
    let distinct: BTreeSet<&[u8]> = keys.iter().copied().collect();
    Ok(Reply::count(distinct.into_iter().filter(|key| delete_one(plan, key)).count()))
}

fn delete_one(plan: &mut Plan<'_>, key: &[u8]) -> bool {
    let existed = plan.delete(key);
    if existed {
        plan.notify(Notice::Generic, "del", key);
    }
    existed
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn only_what_existed_is_counted() {
        let mut db = OneTable::new();
        db.expect(&[
            ("MSET a 1 b 2 c 3", "OK"),
            ("DEL a none a", "1"),
            ("UNLINK b c none", "2"),
            ("DEL a", "0"),
            ("SET a 1 PX 1", "OK"),
            ("DEL", "ERR wrong number of arguments for 'del' command"),
        ]);
        db.now_ms += 1;
        db.expect(&[("DEL a", "0"), ("DBSIZE", "0")]);
    }
}
