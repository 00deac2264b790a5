//! Reading single fields: `HGET`, `HMGET`, `HEXISTS`, `HSTRLEN`, and `HLEN`.

use super::view::HashView;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::View;

const KEY: Arg = Arg(0);
const FIELD: Arg = Arg(1);
const FIELDS: Arg = Arg(1);

/// `HGET`.
pub(crate) const HGET: CommandSpec = CommandSpec {
    id: "hash.get",
    resp: "HGET",
    family: Family::Hash,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("field", "the field")],
    reply: ReplySpec::BytesOrNil,
    http: &[HttpRoute::get("/hash/{key}/{field}", JsonReply::Shape("hash_get"))],
    flags: Flags::FAST,
    since: "0.2.0",
    summary: "Answers the value of a field of a hash, nil if it is not there",
    complexity: "O(1)",
    run: Run::Read(hget),
};

/// The hash of the first argument; one without fields when there is no such key.
pub(super) fn hash<'s>(view: &View<'s>, args: &Args<'_>) -> Result<HashView<'s>, CommandError> {
    let entry = view.typed(args.bytes(KEY), ValueType::Hash)?;
    Ok(HashView::of(entry.as_ref(), view.now().unix_ms))
}

/// The value of a field as a reply.
pub(super) fn value<'s>(hash: &HashView<'s>, name: &[u8]) -> Reply<'s> {
    hash.get(name).map_or(Reply::Nil, |field| Reply::borrowed(field.value))
}

fn hget<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(value(&hash(view, args)?, args.bytes(FIELD)))
}

/// `HMGET`.
pub(crate) const HMGET: CommandSpec = CommandSpec {
    id: "hash.mget",
    resp: "HMGET",
    args: &[ArgSpec::key("key", "the key"), ArgSpec::bytes("fields", "the fields").repeated()],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/hash/{key}/mget", JsonReply::Bare)],
    summary: "Answers the values of fields of a hash, nil for each that is not there",
    complexity: "O(N) for N fields",
    run: Run::Read(hmget),
    ..HGET
};

fn hmget<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let hash = hash(view, args)?;
    Ok(Reply::Array(args.rest(FIELDS).iter().map(|name| value(&hash, name)).collect()))
}

/// `HEXISTS`.
pub(crate) const HEXISTS: CommandSpec = CommandSpec {
    id: "hash.exists",
    resp: "HEXISTS",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/hash/{key}/{field}/exists", JsonReply::Flag("exists"))],
    summary: "Answers 1 if a hash has a field, 0 otherwise",
    run: Run::Read(hexists),
    ..HGET
};

fn hexists<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = hash(view, args)?.get(args.bytes(FIELD)).is_some();
    Ok(Reply::Integer(found.into()))
}

/// `HSTRLEN`.
pub(crate) const HSTRLEN: CommandSpec = CommandSpec {
    id: "hash.strlen",
    resp: "HSTRLEN",
    reply: ReplySpec::Integer,
    http: &[],
    summary: "Answers the length in bytes of the value of a field, 0 if it is not there",
    run: Run::Read(hstrlen),
    ..HGET
};

fn hstrlen<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = hash(view, args)?.get(args.bytes(FIELD));
    Ok(Reply::count(found.map_or(0, |field| field.value.len())))
}

/// `HLEN`.
pub(crate) const HLEN: CommandSpec = CommandSpec {
    id: "hash.len",
    resp: "HLEN",
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/hash/{key}/len", JsonReply::Field("length"))],
    summary: "Answers the number of fields of a hash, 0 if it does not exist",
    run: Run::Read(hlen),
    ..HGET
};

fn hlen<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(Reply::count(hash(view, args)?.len()))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn fields_are_read() {
        OneTable::new().expect(&[
            ("HGET h a", "nil"),
            ("HMGET h a b", "[nil, nil]"),
            ("HEXISTS h a", "0"),
            ("HSTRLEN h a", "0"),
            ("HLEN h", "0"),
            ("HSET h a hello b \"\"", "2"),
            ("HGET h a", "\"hello\""),
            ("HGET h A", "nil"),
            ("HMGET h b none a a", "[\"\", nil, \"hello\", \"hello\"]"),
            ("HEXISTS h b", "1"),
            ("HSTRLEN h a", "5"),
            ("HSTRLEN h b", "0"),
            ("HLEN h", "2"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut db = OneTable::new();
        db.ask("SET s v");
        for line in ["HGET s a", "HMGET s a", "HEXISTS s a", "HSTRLEN s a", "HLEN s"] {
            assert_eq!(
                db.ask(line),
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            );
            let name = line.split(' ').next().expect("a name").to_lowercase();
            let arity = format!("ERR wrong number of arguments for '{name}' command");
            assert_eq!(db.ask(&name), arity);
            if name != "hmget" {
                assert_eq!(db.ask(&format!("{line} b")), arity);
            }
        }
    }
}
