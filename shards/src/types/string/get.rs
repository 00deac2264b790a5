//! Commands that read a whole string.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;

const KEY: Arg = Arg(0);

/// `GET`.
pub(crate) const GET: CommandSpec = CommandSpec {
    id: "kv.get",
    resp: "GET",
    family: Family::Kv,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::BytesOrNil,
    http: &[HttpRoute::get("/kv/get/{key}", JsonReply::Shape("kv_get"))],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Answers the string value of a key",
    complexity: "O(1)",
    run: Run::Read(get),
};

fn get<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = view.string(args.bytes(KEY))?;
    Ok(found.map_or(Reply::Nil, |entry| Reply::borrowed(entry.value())))
}

/// `SYNAP.GETFULL`: what a wrapped read over HTTP shows, from one moment.
pub(crate) const GETFULL: CommandSpec = CommandSpec {
    id: "kv.getfull",
    resp: "SYNAP.GETFULL",
    reply: ReplySpec::Any,
    http: &[],
    summary: "Answers value and remaining milliseconds (nil if it never expires), or nil",
    run: Run::Read(get_full),
    ..GET
};

fn get_full<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let Some(entry) = view.string(args.bytes(KEY))? else { return Ok(Reply::Nil) };
    let left = entry.deadline_ms().map(|deadline| deadline - view.now().unix_ms);
    let left = left.map_or(Reply::Nil, |left| Reply::count(left as usize));
    Ok(Reply::Array(vec![Reply::borrowed(entry.value()), left]))
}

/// `STRLEN`.
pub(crate) const STRLEN: CommandSpec = CommandSpec {
    id: "kv.strlen",
    resp: "STRLEN",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::get("/kv/{key}/strlen", JsonReply::Field("length"))],
    summary: "Answers the length in bytes of a string, 0 if the key does not exist",
    run: Run::Read(strlen),
    ..GET
};

fn strlen<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    Ok(Reply::count(view.string(args.bytes(KEY))?.map_or(0, |entry| entry.value().len())))
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    #[test]
    fn a_string_is_read_as_it_was_written() {
        let mut db = OneTable::new();
        let value: Vec<u8> = (0..=255).collect();
        assert_eq!(db.run(&[b"SET", b"\0\r\n", &value]), Reply::Ok);
        assert_eq!(db.run(&[b"GET", b"\0\r\n"]), Reply::owned(value));
        db.expect(&[
            ("SET e \"\"", "OK"),
            ("GET e", "\"\""),
            ("STRLEN e", "0"),
            ("STRLEN none", "0"),
            ("SET k hello", "OK"),
            ("STRLEN k", "5"),
            ("GET", "ERR wrong number of arguments for 'get' command"),
            ("GET k k", "ERR wrong number of arguments for 'get' command"),
        ]);
    }

    #[test]
    fn the_full_view_has_value_and_time() {
        let mut db = OneTable::new();
        db.expect(&[
            ("SYNAP.GETFULL k", "nil"),
            ("SET k v", "OK"),
            ("SYNAP.GETFULL k", "[\"v\", nil]"),
            ("PEXPIRE k 1500", "1"),
            ("SYNAP.GETFULL k", "[\"v\", 1500]"),
        ]);
    }
}
