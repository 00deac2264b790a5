//! `EXISTS` and `TOUCH`.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, PerKey,
    ReplySpec, Run,
};
use crate::shard::plan::View;

const KEYS: Arg = Arg(0);

/// `EXISTS`.
pub(crate) const EXISTS: CommandSpec = CommandSpec {
    id: "key.exists",
    resp: "EXISTS",
    family: Family::Key,
    access: Access::Read,
    keys: Keys::ALL,
    atomicity: Atomicity::PerKey(PerKey::Sum),
    args: &[ArgSpec::key("key", "the keys; one that stands twice counts twice").repeated()],
    reply: ReplySpec::Integer,
    http: &[
        HttpRoute::get("/key/{key}/exists", JsonReply::Shape("key_exists")),
        HttpRoute::get("/kv/{key}/exists", JsonReply::Flag("exists")),
    ],
    flags: Flags::FAST.and(Flags::NO_TOUCH),
    since: "0.1.0",
    summary: "Answers how many of the keys exist",
    complexity: "O(N) for N keys",
    run: Run::Read(exists),
};

/// `TOUCH`.
pub(crate) const TOUCH: CommandSpec = CommandSpec {
    id: "key.touch",
    resp: "TOUCH",
    http: &[],
    flags: Flags::FAST,
    summary: "Notes a use of the keys, as a read would, and answers how many exist",
    ..EXISTS
};

fn exists<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(Reply::count(args.rest(KEYS).iter().filter(|key| view.get(key).is_some()).count()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn every_mention_counts() {
        let mut db = OneTable::new();
        db.expect(&[
            ("MSET a 1 b 2", "OK"),
            ("EXISTS a b none a", "3"),
            ("TOUCH a b none", "2"),
            ("PEXPIRE a 1", "1"),
        ]);
        db.now_ms += 1;
        db.expect(&[("EXISTS a b", "1")]);
    }
}
