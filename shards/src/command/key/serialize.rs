//! `DUMP` and `RESTORE`: values in Redis's own serialization, for moving them between servers.

use crate::command::args::{Arg, Args};
use crate::command::deadline::{Due, TimeForm, due};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::limits::VALUE_BYTES_MAX;
use crate::rdb::{RdbError, Restored, dump, restore as read};
use crate::shard::plan::{Notice, Plan, View};

const KEY: Arg = Arg(0);
const TTL: Arg = Arg(1);
const PAYLOAD: Arg = Arg(2);
const REPLACE: Arg = Arg(3);
const ABSTTL: Arg = Arg(4);
const IDLETIME: Arg = Arg(5);
const FREQ: Arg = Arg(6);

const FREQUENCY_MAX: i64 = 255;
/// Longest idle time that the access bits of an entry can tell.
const IDLE_SECONDS_MAX: u32 = (1 << 24) - 1;

/// `DUMP`.
pub(crate) const DUMP: CommandSpec = CommandSpec {
    id: "key.dump",
    resp: "DUMP",
    family: Family::Key,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[ArgSpec::key("key", "the key")],
    reply: ReplySpec::BytesOrNil,
    http: &[],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the serialized value of a key, for RESTORE here or in Redis 7",
    complexity: "O(N) for N bytes of the value",
    run: Run::Read(dump_key),
};

fn dump_key<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = view.get(args.bytes(KEY));
    let payload = found.and_then(|entry| dump(&entry, view.now().unix_ms));
    Ok(payload.map_or(Reply::Nil, Reply::owned))
}

/// `RESTORE`.
pub(crate) const RESTORE: CommandSpec = CommandSpec {
    id: "key.restore",
    resp: "RESTORE",
    access: Access::Write,
    args: &[
        ArgSpec::key("key", "the key"),
        ArgSpec::integer("ttl", "milliseconds until it expires; 0 is never"),
        ArgSpec::bytes("serialized-value", "what DUMP answered"),
        ArgSpec::flag("replace", "REPLACE", "replace what the key holds"),
        ArgSpec::flag("absttl", "ABSTTL", "ttl is the Unix time in milliseconds"),
        ArgSpec::integer("idletime", "seconds since it was used, for eviction by recency")
            .with_token("IDLETIME")
            .optional(),
        ArgSpec::integer("freq", "counter of its uses, for eviction by frequency")
            .with_token("FREQ")
            .optional(),
    ],
    reply: ReplySpec::Ok,
    flags: Flags::DENY_OOM,
    summary: "Creates a key from what DUMP answered, here or in Redis",
    run: Run::Write(restore),
    ..DUMP
};

fn restore(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let access = access(plan, args)?;
    let key = args.bytes(KEY);
    if !args.flag(REPLACE) && plan.peek(key).is_some() {
        return Err(CommandError::BusyKey);
    }
    let due = deadline(args, plan.now().unix_ms)?;
    let value = read(args.bytes(PAYLOAD), VALUE_BYTES_MAX)?;
    let deadline_ms = match due {
        Some(Due::Past) => {
            plan.delete(key);
            return Ok(Reply::Ok);
        }
        Some(Due::At(deadline)) => Some(deadline),
        None => None,
    };
    match &value {
        Restored::String(value) => plan.put(key, value, deadline_ms)?,
        Restored::Container { value_type, edits } => {
            plan.store(key, *value_type, edits, deadline_ms)?;
        }
    }
    plan.notify(Notice::Generic, "restore", key);
    if let Some(access) = access {
        plan.set_access(key, access);
    }
    Ok(Reply::Ok)
}

/// The access bits to set, if the policy in force has a use for what was given.
fn access(plan: &Plan<'_>, args: &Args<'_>) -> Result<Option<u32>, CommandError> {
    let (idle, uses) = (args.opt_integer(IDLETIME), args.opt_integer(FREQ));
    if idle.is_some() && uses.is_some() {
        return Err(CommandError::Syntax);
    }
    let (mode, now_ms) = (plan.access_mode(), plan.now().unix_ms);
    if let Some(idle) = idle {
        let message = "Invalid IDLETIME value, must be >= 0";
        let idle = u64::try_from(idle).map_err(|_| CommandError::Invalid(message))?;
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(IDLE_SECONDS_MAX);
        return Ok(mode.with_idle(idle, now_ms));
    }
    if let Some(uses) = uses {
        if !(0..=FREQUENCY_MAX).contains(&uses) {
            let message = "Invalid FREQ value, must be >= 0 and <= 255";
            return Err(CommandError::Invalid(message));
        }
        return Ok(mode.with_frequency(uses as u32, now_ms));
    }
    Ok(None)
}

fn deadline(args: &Args<'_>, now_ms: u64) -> Result<Option<Due>, CommandError> {
    let ttl = args.integer(TTL);
    if ttl < 0 {
        return Err(CommandError::Invalid("Invalid TTL value, must be >= 0"));
    }
    if ttl == 0 {
        return Ok(None);
    }
    let form = if args.flag(ABSTTL) { TimeForm::UnixMilliseconds } else { TimeForm::Milliseconds };
    Ok(Some(due(form.deadline(ttl, now_ms, "restore")?, now_ms)))
}

impl From<RdbError> for CommandError {
    fn from(error: RdbError) -> Self {
        Self::Invalid(match error {
            RdbError::Footer => "DUMP payload version or checksum are wrong",
            RdbError::Format => "Bad data format",
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::{OneTable, show};

    fn dumped(db: &mut OneTable, key: &[u8]) -> Vec<u8> {
        match db.run(&[b"DUMP", key]) {
            Reply::Bytes(payload) => payload.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_dumped_is_restored() {
        let mut db = OneTable::new();
        db.expect(&[("DUMP none", "nil"), ("SET a hello", "OK")]);
        let payload = dumped(&mut db, b"a");
        let mut restore = |key: &[u8], ttl: &[u8], options: &[&[u8]]| {
            let mut words = vec![&b"RESTORE"[..], key, ttl, &payload];
            words.extend_from_slice(options);
            let reply = show(&db.run(&words));
            (reply, db.ask("GET b"), db.ask("PTTL b"))
        };
        let answer = |reply: &str, value: &str, ttl: &str| {
            (reply.to_owned(), value.to_owned(), ttl.to_owned())
        };
        assert_eq!(restore(b"b", b"0", &[]), answer("OK", "\"hello\"", "-1"));
        let busy = "BUSYKEY Target key name already exists.";
        assert_eq!(restore(b"b", b"0", &[]), answer(busy, "\"hello\"", "-1"));
        assert_eq!(restore(b"b", b"50", &[b"REPLACE"]), answer("OK", "\"hello\"", "50"));
        let absolute: &[&[u8]] = &[b"ABSTTL", b"replace"];
        let later = b"1700000000070";
        assert_eq!(restore(b"b", later, absolute), answer("OK", "\"hello\"", "70"));
        assert_eq!(restore(b"b", b"5", absolute), answer("OK", "nil", "-2"));
    }

    #[test]
    fn access_bits_are_set() {
        let mut db = OneTable::new();
        db.ask("SET a hello");
        let payload = dumped(&mut db, b"a");
        let idle = db.run(&[b"RESTORE", b"b", b"0", &payload, b"IDLETIME", b"100"]);
        assert_eq!(idle, Reply::Ok);
        db.expect(&[("OBJECT IDLETIME b", "100"), ("OBJECT IDLETIME a", "0")]);
    }

    #[test]
    fn damage_and_bad_options_are_refused() {
        OneTable::new().expect(&[
            ("RESTORE k 0 x", "ERR DUMP payload version or checksum are wrong"),
            ("RESTORE k -1 x", "ERR Invalid TTL value, must be >= 0"),
            ("RESTORE k x x", "ERR value is not an integer or out of range"),
            ("RESTORE k 0 x IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
            ("RESTORE k 0 x FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("RESTORE k 0 x FREQ 1 IDLETIME 1", "ERR syntax error"),
            ("RESTORE k 0 x NOPE", "ERR syntax error"),
        ]);
    }
}
