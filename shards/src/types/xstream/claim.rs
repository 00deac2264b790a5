//! `XCLAIM` and `XAUTOCLAIM`: handing what one consumer has not acknowledged to another.

use std::collections::BTreeMap;

use super::find;
use super::group::Group;
use super::id::Id;
use super::record::Writer;
use super::stream::Stream;
use crate::command::args::{Arg, Args, integer};
use crate::command::error::{CommandError, GroupLookup, quote};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Keys, ReplySpec, Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const GROUP: Arg = Arg(1);
const CONSUMER: Arg = Arg(2);
const MIN_IDLE: Arg = Arg(3);
const WORDS: Arg = Arg(4);

const KEY_SPEC: ArgSpec = ArgSpec::key("key", "the stream");
const GROUP_SPEC: ArgSpec = ArgSpec::bytes("group", "the group");
const CONSUMER_SPEC: ArgSpec = ArgSpec::bytes("consumer", "who gets them");
const IDLE_SPEC: ArgSpec =
    ArgSpec::integer("min-idle-time", "those that were given longer ago, in milliseconds");
const JUSTID_SPEC: ArgSpec =
    ArgSpec::flag("justid", "JUSTID", "answer ids alone, and do not count it as given");

const CLAIM_PARTS: &[ArgSpec] = &[
    ArgSpec::bytes("id", "an entry").repeated(),
    ArgSpec::integer("ms", "given so long ago").with_token("IDLE").optional(),
    ArgSpec::integer("unix-time-milliseconds", "given at that time").with_token("TIME").optional(),
    ArgSpec::integer("count", "given so often").with_token("RETRYCOUNT").optional(),
    ArgSpec::flag("force", "FORCE", "also what is with nobody"),
    JUSTID_SPEC,
    ArgSpec::bytes("lastid", "the group has come at least here").with_token("LASTID").optional(),
];

/// `XCLAIM`.
pub(crate) const XCLAIM: CommandSpec = CommandSpec {
    id: "xstream.claim",
    resp: "XCLAIM",
    family: Family::Stream,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        KEY_SPEC,
        GROUP_SPEC,
        CONSUMER_SPEC,
        IDLE_SPEC.refused_as("Invalid min-idle-time argument for XCLAIM"),
        ArgSpec::block("what", CLAIM_PARTS, "which entries"),
    ],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::FAST,
    since: "0.1.0",
    summary: "Hands pending entries of a group to a consumer, and answers them",
    complexity: "O(log N) for each entry, with N pending entries",
    run: Run::Write(claim),
};

/// What a claim does to the entries that it takes.
#[derive(Debug, Default)]
struct Options {
    ids: Vec<Id>,
    time_ms: Option<i64>,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Id,
}

impl Options {
    fn parse(words: &[&[u8]], now_ms: u64) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let ids = words.iter().map_while(|word| Id::strict(word, 0).ok());
        options.ids = ids.collect();
        let mut rest = &words[options.ids.len()..];
        while let Some((word, behind)) = rest.split_first() {
            rest = behind;
            let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
            if is("FORCE") {
                options.force = true;
            } else if is("JUSTID") {
                options.just_id = true;
            } else if let Some((value, behind)) = behind.split_first()
                && options.take(word, value, now_ms)?
            {
                rest = behind;
            } else {
                let before = "Unrecognized XCLAIM option '";
                return Err(CommandError::Quoted { before, found: quote(word), after: "'" });
            }
        }
        Ok(options)
    }

    /// Takes an option with a value; false when it is none.
    fn take(&mut self, option: &[u8], value: &[u8], now_ms: u64) -> Result<bool, CommandError> {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let number = |refusal| integer(value).map_err(|_| CommandError::Invalid(refusal));
        if is("IDLE") {
            let idle = number("Invalid IDLE option argument for XCLAIM")?;
            self.time_ms = Some(now_ms.cast_signed().saturating_sub(idle));
        } else if is("TIME") {
            self.time_ms = Some(number("Invalid TIME option argument for XCLAIM")?);
        } else if is("RETRYCOUNT") {
            let count = number("Invalid RETRYCOUNT option argument for XCLAIM")?;
            self.count = u64::try_from(count).ok();
        } else if is("LASTID") {
            self.last_id = Id::strict(value, 0)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// A consumer that takes over entries, and what that changes.
struct Claimer<'s, 'a> {
    stream: &'s Stream,
    group: &'s Group,
    names: (&'a [u8], &'a [u8]),
    now_ms: u64,
    /// What is with whom after the entries before: time and count, or nobody. Only what differs.
    changed: BTreeMap<Id, Option<(u64, u64)>>,
    took_any: bool,
}

/// What there is to know of an entry that may be claimed.
#[derive(Clone, Copy, Debug)]
struct State {
    time_ms: u64,
    count: u64,
}

impl<'s, 'a> Claimer<'s, 'a> {
    fn new(plan: &Plan<'s>, args: &Args<'a>) -> Result<Self, CommandError> {
        let (key, name, consumer) = (args.bytes(KEY), args.bytes(GROUP), args.bytes(CONSUMER));
        let (stream, group) =
            find::group(find::peek(plan, key)?, (key, name), GroupLookup::Pending)?;
        find::check_name(consumer)?;
        let (names, now_ms) = ((name, consumer), plan.now().unix_ms);
        Ok(Self { stream, group, names, now_ms, changed: BTreeMap::new(), took_any: false })
    }

    fn state(&self, id: Id) -> Option<State> {
        match self.changed.get(&id) {
            Some(changed) => changed.map(|(time_ms, count)| State { time_ms, count }),
            None => self
                .group
                .pending
                .get(&id)
                .map(|pending| State { time_ms: pending.time_ms, count: pending.count }),
        }
    }

    /// Forgets an entry that was deleted from the stream; whether it was pending.
    fn drop_deleted(&mut self, id: Id) -> bool {
        let was_pending = self.state(id).is_some();
        if was_pending {
            self.changed.insert(id, None);
        }
        was_pending
    }

    fn take(&mut self, id: Id, time_ms: u64, count: u64) {
        self.changed.insert(id, Some((time_ms, count)));
        self.took_any = true;
    }

    fn is_idle(&self, state: State, min_idle_ms: u64) -> bool {
        self.now_ms.saturating_sub(state.time_ms) >= min_idle_ms
    }

    fn show(&self, id: Id, just_id: bool) -> Reply<'static> {
        match self.stream.get(id) {
            Some(entry) if !just_id => find::entry_reply(entry).into_owned(),
            Some(_) | None => find::id_reply(id),
        }
    }

    /// Records everything.
    fn record(self, plan: &mut Plan<'_>, key: &[u8], last_id: Id) -> Result<(), CommandError> {
        let (name, consumer) = self.names;
        let mut writer = Writer::default();
        if last_id > self.group.last_id {
            writer.group(name, last_id, self.group.entries_read);
        }
        let known = self.group.consumers.get(consumer);
        let active_ms = match self.took_any {
            true => Some(self.now_ms),
            false => known.and_then(|consumer| consumer.active_ms),
        };
        writer.consumer(name, consumer, self.now_ms, active_ms);
        let gone = self.changed.iter().filter(|(_, changed)| changed.is_none());
        writer.ack(name, &gone.map(|(id, _)| *id).collect::<Vec<Id>>());
        let mut alike: BTreeMap<(u64, u64), Vec<Id>> = BTreeMap::new();
        for (id, changed) in &self.changed {
            if let Some(given) = changed {
                alike.entry(*given).or_default().push(*id);
            }
        }
        alike.iter().for_each(|(given, ids)| writer.pending(self.names, *given, ids));
        let is_new = known.is_none();
        plan.edit(key, ValueType::Stream, &writer.out)?;
        if is_new {
            plan.notify(Notice::Stream, "xgroup-createconsumer", key);
        }
        Ok(())
    }
}

fn claim(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let mut claimer = Claimer::new(plan, args)?;
    let now_ms = claimer.now_ms;
    let min_idle_ms = u64::try_from(args.integer(MIN_IDLE)).unwrap_or(0);
    let options = Options::parse(args.rest(WORDS), now_ms)?;
    // A time from elsewhere may be off; now is a sound one.
    let time_ms = options.time_ms.and_then(|time| u64::try_from(time).ok());
    let time_ms = time_ms.filter(|time| *time <= now_ms).unwrap_or(now_ms);
    let mut taken = Vec::new();
    for id in &options.ids {
        if claimer.stream.get(*id).is_none() {
            claimer.drop_deleted(*id);
            continue;
        }
        let count = match claimer.state(*id) {
            Some(state) if claimer.is_idle(state, min_idle_ms) => state.count,
            None if options.force => 1,
            Some(_) | None => continue,
        };
        let given_again = count.saturating_add(u64::from(!options.just_id));
        claimer.take(*id, time_ms, options.count.unwrap_or(given_again));
        taken.push(claimer.show(*id, options.just_id));
    }
    claimer.record(plan, args.bytes(KEY), options.last_id)?;
    Ok(Reply::Array(taken))
}

const START: Arg = Arg(4);
const COUNT: Arg = Arg(5);
const JUSTID: Arg = Arg(6);

/// Entries that are claimed if no count is given.
const COUNT_DEFAULT: usize = 100;
/// Pending entries that are looked at for each that may be claimed.
const LOOKS_PER_ENTRY: usize = 10;

/// `XAUTOCLAIM`.
pub(crate) const XAUTOCLAIM: CommandSpec = CommandSpec {
    id: "xstream.autoclaim",
    resp: "XAUTOCLAIM",
    args: &[
        KEY_SPEC,
        GROUP_SPEC,
        CONSUMER_SPEC,
        IDLE_SPEC.refused_as("Invalid min-idle-time argument for XAUTOCLAIM"),
        ArgSpec::bytes("start", "where the last call ended; 0 at first"),
        ArgSpec::integer("count", "entries at most")
            .with_token("COUNT")
            .optional()
            .refused_as(BAD_COUNT),
        JUSTID_SPEC,
    ],
    summary: "Hands pending entries of a group to a consumer, and answers where to go on, the \
              entries, and those that were deleted",
    complexity: "O(1) for each entry looked at",
    run: Run::Write(auto_claim),
    ..XCLAIM
};

const BAD_COUNT: &str = "COUNT must be > 0";

fn auto_claim(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let min_idle_ms = u64::try_from(args.integer(MIN_IDLE)).unwrap_or(0);
    let start = Id::range_start(args.bytes(START))?;
    let mut count = match args.opt_integer(COUNT) {
        None => COUNT_DEFAULT,
        Some(count) => usize::try_from(count)
            .ok()
            .filter(|count| (1..=usize::MAX / 2 / 16).contains(count))
            .ok_or(CommandError::Invalid(BAD_COUNT))?,
    };
    let just_id = args.flag(JUSTID);
    let mut claimer = Claimer::new(plan, args)?;
    let mut looks = count.saturating_mul(LOOKS_PER_ENTRY);
    let (mut taken, mut deleted) = (Vec::new(), Vec::new());
    let mut pending = claimer.group.pending.range(start..);
    while looks > 0
        && count > 0
        && let Some((id, found)) = pending.next()
    {
        looks -= 1;
        let state = State { time_ms: found.time_ms, count: found.count };
        if claimer.stream.get(*id).is_none() {
            claimer.drop_deleted(*id);
            deleted.push(find::id_reply(*id));
            count -= 1;
        } else if claimer.is_idle(state, min_idle_ms) {
            let given = state.count.saturating_add(u64::from(!just_id));
            claimer.take(*id, claimer.now_ms, given);
            taken.push(claimer.show(*id, just_id));
            count -= 1;
        }
    }
    let next = pending.next().map_or(Id::ZERO, |(id, _)| *id);
    claimer.record(plan, args.bytes(KEY), Id::ZERO)?;
    Ok(Reply::Array(vec![find::id_reply(next), Reply::Array(taken), Reply::Array(deleted)]))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        for id in 1..=4 {
            db.ask(&format!("XADD s {id} f v"));
        }
        db.ask("XGROUP CREATE s g 0");
        db.ask("XREADGROUP GROUP g a COUNT 3 STREAMS s >");
        db.now_ms += 100;
        db
    }

    const ONE: &str = "[\"1-0\", [\"f\", \"v\"]]";

    #[test]
    fn entries_are_claimed() {
        let mut db = filled();
        db.expect(&[
            ("XCLAIM s g b 101 1", "[]"),
            ("XCLAIM s g b 100 1 1", &format!("[{ONE}]")),
            ("XPENDING s g - + 1", "[[\"1-0\", \"b\", 0, 2]]"),
            ("XCLAIM s g c 0 1 1 JUSTID", "[\"1-0\", \"1-0\"]"),
            ("XPENDING s g - + 1", "[[\"1-0\", \"c\", 0, 2]]"),
            ("XCLAIM s g c 0 1 IDLE 7 RETRYCOUNT 9", &format!("[{ONE}]")),
            ("XPENDING s g - + 1", "[[\"1-0\", \"c\", 7, 9]]"),
            ("XCLAIM s g c 0 1 TIME 1700000000000 JUSTID", "[\"1-0\"]"),
            ("XPENDING s g - + 1", "[[\"1-0\", \"c\", 100, 9]]"),
            ("XCLAIM s g c 0 1 TIME 9999999999999 JUSTID", "[\"1-0\"]"),
            ("XPENDING s g - + 1", "[[\"1-0\", \"c\", 0, 9]]"),
            ("XCLAIM s g c 0 4", "[]"),
            ("XCLAIM s g c 0 4 FORCE JUSTID", "[\"4-0\"]"),
            ("XCLAIM s g c 0 5 FORCE", "[]"),
            ("XPENDING s g - + 9 c", "[[\"1-0\", \"c\", 0, 9], [\"4-0\", \"c\", 0, 1]]"),
            ("XDEL s 1", "1"),
            ("XCLAIM s g c 0 1", "[]"),
            ("XPENDING s g - + 9 c", "[[\"4-0\", \"c\", 0, 1]]"),
            ("XCLAIM s g c 0 9 LASTID 4", "[]"),
            ("XREADGROUP GROUP g a STREAMS s >", "nil"),
        ]);
    }

    #[test]
    fn entries_are_claimed_one_after_the_other() {
        let mut db = filled();
        db.expect(&[
            ("XDEL s 2", "1"),
            ("XAUTOCLAIM s g b 101 0", "[\"0-0\", [], [\"2-0\"]]"),
            ("XAUTOCLAIM s g b 100 - COUNT 1", &format!("[\"3-0\", [{ONE}], []]")),
            ("XAUTOCLAIM s g b 0 3 JUSTID", "[\"0-0\", [\"3-0\"], []]"),
            ("XPENDING s g - + 9", "[[\"1-0\", \"b\", 0, 2], [\"3-0\", \"b\", 0, 1]]"),
            ("XAUTOCLAIM s g b 0 (3", "[\"0-0\", [], []]"),
        ]);
    }

    #[test]
    fn bad_requests_are_refused() {
        let mut db = filled();
        db.expect(&[
            ("XCLAIM none g b 0 1", "NOGROUP No such key 'none' or consumer group 'g'"),
            ("XCLAIM s h b 0 1", "NOGROUP No such key 's' or consumer group 'h'"),
            ("XCLAIM s g b x 1", "ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g b 0 1 IDLE x", "ERR Invalid IDLE option argument for XCLAIM"),
            ("XCLAIM s g b 0 1 TIME x", "ERR Invalid TIME option argument for XCLAIM"),
            ("XCLAIM s g b 0 1 RETRYCOUNT x", "ERR Invalid RETRYCOUNT option argument for XCLAIM"),
            (
                "XCLAIM s g b 0 1 LASTID x",
                "ERR Invalid stream ID specified as stream command argument",
            ),
            ("XCLAIM s g b 0 x", "ERR Unrecognized XCLAIM option 'x'"),
            ("XCLAIM s g b 0 1 IDLE", "ERR Unrecognized XCLAIM option 'IDLE'"),
            ("XCLAIM s g b 0", "ERR wrong number of arguments for 'xclaim' command"),
            ("XAUTOCLAIM s h b 0 1", "NOGROUP No such key 's' or consumer group 'h'"),
            ("XAUTOCLAIM s g b x 1", "ERR Invalid min-idle-time argument for XAUTOCLAIM"),
            ("XAUTOCLAIM s g b 0 1 COUNT 0", "ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g b 0 1 COUNT x", "ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g b 0 1 NOPE", "ERR syntax error"),
            ("XAUTOCLAIM s g b 0 x", "ERR Invalid stream ID specified as stream command argument"),
        ]);
    }
}
