//! `BITOP`. All sources are read before the destination, which may be one of them, is recorded.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::{Notice, Plan};

const OPERATION: Arg = Arg(0);
const DESTINATION: Arg = Arg(1);
const SOURCES: Arg = Arg(2);

const OPERATIONS: &[ArgSpec] = &[
    ArgSpec::flag("and", "AND", "bits set in all"),
    ArgSpec::flag("or", "OR", "bits set in any"),
    ArgSpec::flag("xor", "XOR", "bits set in an odd number"),
    ArgSpec::flag("not", "NOT", "bits not set in the only source"),
];
const AND: usize = 0;
const OR: usize = 1;
const NOT: usize = 3;

/// `BITOP`.
pub(crate) const BITOP: CommandSpec = CommandSpec {
    id: "bitmap.bitop",
    resp: "BITOP",
    family: Family::Bitmap,
    access: Access::Write,
    keys: Keys::Range { first: 2, last: -1, step: 1 },
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::one_of("operation", OPERATIONS, "how the sources are combined"),
        ArgSpec::key("destination", "where the result goes"),
        ArgSpec::key("source_keys", "the strings; shorter ones are taken as padded with zeros")
            .repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/bitmap/{destination}/bitop", JsonReply::Shape("bitmap_op"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Combines strings bit by bit into a key and answers the length in bytes",
    complexity: "O(N) for N bytes of all strings",
    run: Run::Write(bitop),
};

fn bitop(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (operation, _) = args.choice(OPERATION).expect("the spec requires an operation");
    let (destination, sources) = (args.bytes(DESTINATION), args.rest(SOURCES));
    if operation == NOT && sources.len() != 1 {
        let message = "BITOP NOT must be called with a single source key.";
        return Err(CommandError::Invalid(message));
    }
    let mut values = Vec::with_capacity(sources.len());
    for key in sources {
        values.push(plan.peek_string(key)?.map_or(&[][..], |entry| entry.value()));
    }
    let length = values.iter().map(|value| value.len()).max().unwrap_or(0);
    let mut result = vec![0; length];
    let (first, others) = values.split_first().expect("the spec requires a source");
    result[..first.len()].copy_from_slice(first);
    if operation == NOT {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for value in others {
        combine(operation, &mut result, value);
    }
    if result.is_empty() {
        if plan.delete(destination) {
            plan.notify(Notice::Generic, "del", destination);
        }
    } else {
        plan.put(destination, &result, None)?;
        plan.notify(Notice::String, "set", destination);
    }
    Ok(Reply::count(length))
}

/// Combines a string that is not longer into the result so far.
fn combine(operation: usize, result: &mut [u8], value: &[u8]) {
    let (both, rest) = result.split_at_mut(value.len());
    let pairs = both.iter_mut().zip(value);
    match operation {
        AND => {
            pairs.for_each(|(byte, other)| *byte &= other);
            rest.fill(0);
        }
        OR => pairs.for_each(|(byte, other)| *byte |= other),
        _ => pairs.for_each(|(byte, other)| *byte ^= other),
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn strings_are_combined() {
        let mut db = OneTable::new();
        db.run(&[b"SET", b"a", &[0b1100, 0xff]]);
        db.run(&[b"SET", b"b", &[0b1010]]);
        db.expect(&[
            ("BITOP AND d a b", "2"),
            ("GET d", "\"\\x08\\x00\""),
            ("BITOP or d a b", "2"),
            ("GET d", "\"\\x0e\\xff\""),
            ("BITOP XOR d a b none", "2"),
            ("GET d", "\"\\x06\\xff\""),
            ("BITOP NOT d b", "1"),
            ("GET d", "\"\\xf5\""),
            ("EXPIRE b 10", "1"),
            ("BITOP AND b b a", "2"),
            ("GET b", "\"\\x08\\x00\""),
            ("TTL b", "-1"),
            ("BITOP AND d none none2", "0"),
            ("EXISTS d", "0"),
            ("BITOP NOT d a b", "ERR BITOP NOT must be called with a single source key."),
            ("BITOP NAND d a", "ERR syntax error"),
            ("BITOP AND d", "ERR wrong number of arguments for 'bitop' command"),
        ]);
    }
}
