//! Reading a partition as a queue: a group is given events one by one, each to one member until it
//! is acknowledged or its time is over; then it is given again, up to a number of times, and is
//! dead after that.

use std::collections::BTreeMap;

use super::cold_read::{Lack, Source};
use super::event::{Item, Packed};
use super::make::TOPIC_NAME;
use super::packed::{self, Inner};
use super::read::{self, BLOCK, COUNT, PARTITION_ARG, numbered};
use super::record::Writer;
use super::share::{Dead, Given, Share, Terms};
use crate::command::args::{Arg, Args, integer};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, Blocked, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys,
    Pause, ReplySpec, Run,
};
use crate::limits::{
    MEMBER_BYTES_MAX, READ_BYTES_MAX, SHARE_DEAD_MAX, SHARE_WINDOW_MAX, SHARES_MAX, TOPIC_READ_MAX,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};

const DEFAULT_TERMS: Terms = Terms { lease_ms: 30_000, deliveries_max: 4 };
const LEASE_SECS_MAX: i64 = 86_400;

const NAME: Arg = Arg(0);
const GROUP_AT: Arg = Arg(2);

const GROUP: ArgSpec = ArgSpec::bytes("group", "who reads together");
const MEMBER_OPTION: ArgSpec =
    ArgSpec::bytes("member", "only what is with this member").with_token("MEMBER").optional();
const OFFSETS: ArgSpec = ArgSpec::integer("offsets", "offsets of events").repeated();

/// `TTAKE`.
pub(super) const TTAKE: CommandSpec = CommandSpec {
    id: "topic.take",
    resp: "TTAKE",
    family: Family::Topic,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        TOPIC_NAME,
        PARTITION_ARG,
        GROUP,
        ArgSpec::bytes("member", "who they are given to"),
        COUNT,
        BLOCK,
        ArgSpec::integer("lease_secs", "from now on, seconds until an event is given again")
            .with_token("LEASE")
            .optional(),
        ArgSpec::integer("max_deliveries", "from now on, how often an event is given")
            .with_token("DELIVERIES")
            .optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post(
        "/topics/{topic}/partitions/{partition}/take",
        JsonReply::Shape("topic_taken"),
    )],
    flags: Flags::DENY_OOM.and(Flags::BLOCKING).and(Flags::WAKES_WHEN_GONE),
    since: "0.2.0",
    summary: "Gives events of a partition to a member of a group, each with how often it was given",
    complexity: "O(M log N) for M events given",
    run: Run::Block(take),
};

/// `TACK`.
pub(super) const TACK: CommandSpec = CommandSpec {
    id: "topic.ack",
    resp: "TACK",
    args: &[TOPIC_NAME, PARTITION_ARG, GROUP, MEMBER_OPTION, OFFSETS],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post(
        "/topics/{topic}/partitions/{partition}/ack",
        JsonReply::Field("acked"),
    )],
    flags: Flags::FAST,
    summary: "Ends with events that a group was given; answers how many it had",
    complexity: "O(M log N) for M offsets",
    run: Run::Write(acknowledge),
    ..TTAKE
};

/// `TNACK`.
pub(super) const TNACK: CommandSpec = CommandSpec {
    id: "topic.nack",
    resp: "TNACK",
    args: &[
        TOPIC_NAME,
        PARTITION_ARG,
        GROUP,
        MEMBER_OPTION,
        ArgSpec::flag("dead", "DEAD", "they are not to be given again"),
        OFFSETS,
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post(
        "/topics/{topic}/partitions/{partition}/nack",
        JsonReply::Field("returned"),
    )],
    flags: Flags::FAST,
    summary: "Returns events that a group was given; answers how many it had",
    complexity: "O(M log N) for M offsets",
    run: Run::Write(give_back),
    ..TTAKE
};

/// `TDEAD`.
pub(super) const TDEAD: CommandSpec = CommandSpec {
    id: "topic.dead",
    resp: "TDEAD",
    access: Access::Read,
    args: &[TOPIC_NAME, PARTITION_ARG, GROUP, COUNT],
    http: &[HttpRoute::get(
        "/topics/{topic}/partitions/{partition}/dead",
        JsonReply::Shape("topic_dead"),
    )],
    flags: Flags::NONE,
    summary: "Events that a group could not handle: offset, time, and how often they were given",
    complexity: "O(M) for M events",
    run: Run::Read(dead),
    ..TTAKE
};

/// `TREVIVE`.
pub(super) const TREVIVE: CommandSpec = CommandSpec {
    id: "topic.revive",
    resp: "TREVIVE",
    args: &[TOPIC_NAME, PARTITION_ARG, GROUP, OFFSETS],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post(
        "/topics/{topic}/partitions/{partition}/revive",
        JsonReply::Field("revived"),
    )],
    flags: Flags::FAST,
    summary: "Has dead events given anew; answers how many there were",
    complexity: "O(M log N) for M offsets",
    run: Run::Write(revive),
    ..TTAKE
};

/// `TUNSHARE`.
pub(super) const TUNSHARE: CommandSpec = CommandSpec {
    id: "topic.unshare",
    resp: "TUNSHARE",
    args: &[TOPIC_NAME, PARTITION_ARG, GROUP],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::delete(
        "/topics/{topic}/partitions/{partition}/take/{group}",
        JsonReply::Flag("deleted"),
    )],
    flags: Flags::FAST,
    summary: "Forgets how far a group has read a partition as a queue; 1 if it had",
    complexity: "O(N) for N events that it was given",
    run: Run::Write(unshare),
    ..TTAKE
};

fn name(word: &[u8]) -> Result<&[u8], CommandError> {
    let fits = (1..=MEMBER_BYTES_MAX).contains(&word.len());
    let refusal = "names of groups and members may have from 1 to 1024 bytes";
    if fits { Ok(word) } else { Err(CommandError::Invalid(refusal)) }
}

fn terms(args: &Args<'_>, before: Option<Terms>) -> Result<Terms, CommandError> {
    let mut terms = before.unwrap_or(DEFAULT_TERMS);
    if let Some(seconds) = args.opt_integer(Arg(6)) {
        let fits = Some(seconds).filter(|seconds| (1..=LEASE_SECS_MAX).contains(seconds));
        let refusal = CommandError::Invalid("lease_secs must be from 1 to 86400");
        terms.lease_ms = fits.ok_or(refusal)? as u64 * 1000;
    }
    if let Some(count) = args.opt_integer(Arg(7)) {
        let fits = u32::try_from(count).ok().filter(|count| *count > 0);
        let refusal = CommandError::Invalid("max_deliveries must be greater than 0");
        terms.deliveries_max = fits.ok_or(refusal)?;
    }
    Ok(terms)
}

/// What one `TTAKE` gives.
struct Taking<'s> {
    source: Source<'s>,
    share: Option<&'s Share>,
    now_ms: u64,
    most: usize,
    /// Offsets, and how often they were given with this time.
    given: BTreeMap<u64, u32>,
    dead: Vec<(u64, u32)>,
    next: u64,
}

impl Taking<'_> {
    /// What came back, those first that have waited for longest.
    fn again(&mut self, terms: Terms) {
        let Some(share) = self.share else { return };
        for (offset, given) in share.due(self.now_ms) {
            if given.count >= terms.deliveries_max {
                self.dead.push((offset, given.count));
            } else if self.given.len() < self.most {
                self.given.insert(offset, given.count + 1);
            }
            if self.given.len() >= self.most || self.dead.len() >= self.most {
                return;
            }
        }
    }

    /// What was never given.
    fn fresh(&mut self) {
        let window = self.share.map_or(0, |share| share.given().len());
        let room = SHARE_WINDOW_MAX.saturating_sub(window);
        let most = (self.most - self.given.len()).min(room) as u64;
        let end = self.source.partition.next().min(self.next + most);
        for offset in self.next..end {
            self.given.insert(offset, 1);
        }
        self.next = self.next.max(end);
    }

    /// The events that are given; what does not fit an answer, or has to be read first, is left
    /// for the next time.
    fn events(&mut self) -> Result<Vec<Reply<'static>>, Lack> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let mut all = Events::of(self.source);
        let mut left_out = None;
        for (offset, count) in &self.given {
            if bytes >= READ_BYTES_MAX {
                left_out = Some(*offset);
                break;
            }
            match all.get(*offset) {
                Ok(Some((event, size))) => {
                    bytes += size;
                    events.push(Reply::Array(vec![Reply::Integer((*count).into()), event]));
                }
                Ok(None) => {}
                Err(lack) if events.is_empty() => return Err(lack),
                Err(_) => {
                    left_out = Some(*offset);
                    break;
                }
            }
        }
        if let Some(offset) = left_out {
            let rest = self.given.split_off(&offset);
            // Of those that are given for the first time, the first not to be given is the next.
            let fresh = rest.iter().find(|(_, count)| **count == 1);
            if let Some((offset, _)) = fresh {
                self.next = self.next.min(*offset);
            }
        }
        Ok(events)
    }
}

/// Events by their offsets; of a packed batch, the events that were unpacked last are kept.
struct Events<'s> {
    source: Source<'s>,
    unpacked: Option<Unpacked>,
}

/// The events of a batch from `base` on.
struct Unpacked {
    base: u64,
    time_ms: u64,
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Unpacked {
    fn of(base: u64, time_ms: u64, packed: &Packed<'_>) -> Self {
        let bytes = packed::unpack(packed).expect("batches are checked when they come");
        let (mut starts, mut rest) = (Vec::new(), &bytes[..]);
        loop {
            let start = bytes.len() - rest.len();
            if packed::take(&mut rest).is_none() {
                break;
            }
            starts.push(start);
        }
        Self { base, time_ms, bytes, starts }
    }

    fn get(&self, offset: u64) -> Option<Inner<'_>> {
        let start = *self.starts.get(usize::try_from(offset.checked_sub(self.base)?).ok()?)?;
        packed::take(&mut &self.bytes[start..])
    }
}

impl<'s> Events<'s> {
    fn of(source: Source<'s>) -> Self {
        Self { source, unpacked: None }
    }

    /// The item that holds an offset, and its own.
    fn item(&self, offset: u64) -> Result<Option<(u64, Item<'s>)>, Lack> {
        Ok(match self.source.cold_block(offset)? {
            Some(block) => block.items(block.place(offset)).next(),
            None => self.source.partition.items(offset).next(),
        })
    }

    /// An event as it is answered, and about how many bytes that takes; those of the batch count
    /// too when it had to be unpacked.
    fn get(&mut self, offset: u64) -> Result<Option<(Reply<'static>, usize)>, Lack> {
        let partition = self.source.partition;
        let mut bytes = 0;
        if self.unpacked.as_ref().is_none_or(|unpacked| unpacked.get(offset).is_none()) {
            match self.item(offset)? {
                None => return Ok(None),
                Some((_, Item::One(event))) => {
                    let reply = read::event_reply(partition, offset, &event);
                    return Ok(Some((reply, event.answer_bytes())));
                }
                Some((base, Item::Packed { time_ms, packed })) => {
                    let unpacked = Unpacked::of(base, time_ms, &packed);
                    bytes = unpacked.bytes.len();
                    self.unpacked = Some(unpacked);
                }
            }
        }
        let Some(unpacked) = self.unpacked.as_ref() else { return Ok(None) };
        let Some(inner) = unpacked.get(offset) else { return Ok(None) };
        let reply = read::inner_reply(partition, offset, unpacked.time_ms, &inner);
        Ok(Some((reply, bytes + inner.answer_bytes())))
    }
}

fn take(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    let (key, now_ms) = (args.bytes(NAME), plan.now().unix_ms);
    let (group, member) = (name(args.bytes(GROUP_AT))?, name(args.bytes(Arg(3)))?);
    let most = read::count(args, Arg(4), TOPIC_READ_MAX)?;
    let wait_ms = read::wait_ms(args, Arg(5))?;
    let partition = numbered(plan, args)?;
    let share = partition.shares.get(group);
    let before = share.map(|share| share.terms);
    let terms = terms(args, before)?;
    if share.is_none() && partition.shares.len() >= SHARES_MAX {
        return Err(CommandError::Invalid("too many groups read this partition as a queue"));
    }
    let next = share.map_or_else(|| partition.start(), Share::next);
    let (given, dead) = (BTreeMap::new(), Vec::new());
    let source = Source { partition, warm: plan.warm(key) };
    let mut taking = Taking { source, share, now_ms, most, given, dead, next };
    taking.again(terms);
    taking.fresh();
    let events = match taking.events() {
        Ok(events) => events,
        Err(lack) => return lack.blocked(key),
    };
    let mut writer = Writer::default();
    let gives = !taking.given.is_empty() || !taking.dead.is_empty();
    // Who finds nothing leaves nothing behind, or could not wait.
    if gives && before != Some(terms) {
        writer.share(group, terms, next);
    }
    bury(&mut writer, (group, share), now_ms, &taking.dead);
    let mut by_count: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (offset, count) in &taking.given {
        by_count.entry(*count).or_default().push(*offset);
    }
    for (count, offsets) in by_count {
        writer.give((group, member), (now_ms + terms.lease_ms, count), &offsets);
    }
    if !writer.is_empty() {
        plan.edit(key, ValueType::Partition, &writer.out)?;
    }
    let is_empty = events.is_empty();
    Ok(match wait_ms {
        // What was recorded has to be applied, so the answer is at once.
        Some(wait_ms) if is_empty && writer.is_empty() => {
            Blocked::Wait(Pause::new(wait_ms, Reply::Array(events)))
        }
        Some(_) | None => Blocked::Done(Reply::Array(events)),
    })
}

/// Writes that events are dead; the first of those that are make room.
pub(super) fn bury(
    writer: &mut Writer,
    (group, share): (&[u8], Option<&Share>),
    now_ms: u64,
    dead: &[(u64, u32)],
) {
    let have = share.map_or(0, |share| share.dead().len());
    let beyond = (have + dead.len()).saturating_sub(SHARE_DEAD_MAX);
    if let Some(share) = share.filter(|_| beyond > 0) {
        let first: Vec<u64> = share.dead().keys().take(beyond).copied().collect();
        writer.forget(group, &first);
    }
    for (offset, count) in dead {
        writer.dead(group, Dead { time_ms: now_ms, count: *count }, &[*offset]);
    }
}

/// A group, and of the offsets that were named those that it has.
type Held<'s> = (Option<&'s Share>, Vec<(u64, &'s Given)>);

/// The group, and which of the offsets are with the member that is meant.
fn held<'s>(plan: &Plan<'s>, args: &Args<'_>, offsets: Arg) -> Result<Held<'s>, CommandError> {
    let share = numbered(plan, args)?.shares.get(args.bytes(GROUP_AT));
    let member = args.opt_bytes(Arg(3));
    let mut held = Vec::new();
    for offset in numbers(args, offsets)? {
        let given = share.and_then(|share| share.given().get(&offset));
        // What has come back is with nobody.
        let given = given.filter(|given| given.deadline_ms > 0);
        let is_meant = |given: &&Given| member.is_none_or(|member| *given.member == *member);
        held.extend(given.filter(is_meant).map(|given| (offset, given)));
    }
    Ok((share, held))
}

fn numbers(args: &Args<'_>, offsets: Arg) -> Result<Vec<u64>, CommandError> {
    let number =
        |word: &&[u8]| integer(word).map(|number| u64::try_from(number).unwrap_or(u64::MAX));
    let mut numbers = args.rest(offsets).iter().map(number).collect::<Result<Vec<u64>, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn record(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    writer: &Writer,
    count: usize,
) -> Result<Reply<'static>, CommandError> {
    if !writer.is_empty() {
        plan.edit(args.bytes(NAME), ValueType::Partition, &writer.out)?;
    }
    Ok(Reply::count(count))
}

fn acknowledge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (_, held) = held(plan, args, Arg(4))?;
    let mut writer = Writer::default();
    if !held.is_empty() {
        let offsets: Vec<u64> = held.iter().map(|(offset, _)| *offset).collect();
        writer.done(args.bytes(GROUP_AT), &offsets);
    }
    record(plan, args, &writer, held.len())
}

fn give_back(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (group, now_ms) = (args.bytes(GROUP_AT), plan.now().unix_ms);
    let (share, held) = held(plan, args, Arg(5))?;
    let most = share.map_or(0, |share| share.terms.deliveries_max);
    let (dead, back): (Vec<_>, Vec<_>) = held
        .iter()
        .map(|(offset, given)| (*offset, given.count))
        .partition(|(_, count)| args.flag(Arg(4)) || *count >= most);
    let mut writer = Writer::default();
    bury(&mut writer, (group, share), now_ms, &dead);
    for (offset, count) in back {
        writer.give((group, b""), (0, count), &[offset]);
    }
    record(plan, args, &writer, held.len())
}

fn dead<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let most = read::count(args, Arg(3), TOPIC_READ_MAX)?;
    let share = numbered(view, args)?.shares.get(args.bytes(GROUP_AT));
    let dead = share.into_iter().flat_map(|share| share.dead()).take(most);
    let event = |(offset, dead): (&u64, &Dead)| {
        Reply::Array(vec![
            Reply::Integer(*offset as i64),
            Reply::Integer(dead.time_ms as i64),
            Reply::Integer(dead.count.into()),
        ])
    };
    Ok(Reply::Array(dead.map(event).collect()))
}

fn revive(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let group = args.bytes(GROUP_AT);
    let share = numbered(plan, args)?.shares.get(group);
    let is_dead = |offset: &u64| share.is_some_and(|share| share.dead().contains_key(offset));
    let offsets: Vec<u64> = numbers(args, Arg(3))?.into_iter().filter(is_dead).collect();
    let mut writer = Writer::default();
    if !offsets.is_empty() {
        writer.forget(group, &offsets);
        writer.give((group, b""), (0, 0), &offsets);
    }
    record(plan, args, &writer, offsets.len())
}

fn unshare(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let group = args.bytes(GROUP_AT);
    let had = numbered(plan, args)?.shares.contains_key(group);
    let mut writer = Writer::default();
    if had {
        writer.unshare(group);
    }
    record(plan, args, &writer, had.into())
}

#[cfg(test)]
mod tests {
    use super::super::event::write_packed;
    use super::super::partition::Partition;
    use super::super::warm::Warm;
    use super::*;
    use crate::one_table::OneTable;

    fn offsets(db: &mut OneTable, line: &str) -> String {
        // Of each event how often it was given, and its offset.
        let text = db.ask(line);
        let parts = text.split("[[").flat_map(|part| part.split("], [")).filter_map(|part| {
            let (count, rest) = part.trim_start_matches('[').split_once(", [")?;
            Some(format!("{}x{count}", rest.split_once(',')?.0))
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        db.ask("TCREATE t PARTITIONS 1 FOREVER");
        for number in 0..6 {
            db.ask(&format!("TPUBLISH t e d{number}"));
        }
        db
    }

    #[test]
    fn events_are_with_one_member_until_they_are_acknowledged_or_time_is_over() {
        let mut db = filled();
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a COUNT 2 LEASE 10 DELIVERIES 2"), "0x1 1x1");
        assert_eq!(offsets(&mut db, "TTAKE t 0 g b COUNT 3"), "2x1 3x1 4x1");
        assert_eq!(offsets(&mut db, "TTAKE t 0 other b COUNT 1"), "0x1", "groups are apart");
        db.expect(&[("TACK t 0 g MEMBER b 0", "0"), ("TACK t 0 g MEMBER a 0", "1")]);
        db.expect(&[("TACK t 0 g 0", "0"), ("TNACK t 0 g 3 3", "1"), ("TNACK t 0 g DEAD 4", "1")]);
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a"), "3x2 5x1", "what came back is there first");
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a"), "");
        db.now_ms += 10_000;
        assert_eq!(offsets(&mut db, "TTAKE t 0 g c"), "1x2 2x2 5x2", "3 was given twice");
        let dead = db.ask("TDEAD t 0 g");
        assert!(dead.starts_with("[[3, ") && dead.contains("[4, "), "{dead}");
        db.expect(&[("TREVIVE t 0 g 3 5", "1"), ("TACK t 0 g 1 2 5", "3")]);
        assert_eq!(offsets(&mut db, "TTAKE t 0 g c"), "3x1");
        db.expect(&[("TUNSHARE t 0 g", "1"), ("TUNSHARE t 0 g", "0")]);
        assert_eq!(offsets(&mut db, "TTAKE t 0 g c COUNT 1"), "0x1");
        let images = |shards: &crate::shard::ShardTable| {
            let entry =
                |shard: &crate::shard::Shard| shard.get(b"\0t\0t").map(|entry| entry.image());
            shards.iter().flatten().find_map(|shard| entry(shard))
        };
        assert_eq!(images(&db.replayed()), images(&db.shards));
    }

    #[test]
    fn what_is_gone_is_not_given() {
        let mut db = OneTable::new();
        db.ask("TCREATE t PARTITIONS 1 MAXEVENTS 3");
        for _ in 0..3 {
            db.ask("TPUBLISH t e d");
        }
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a COUNT 2"), "0x1 1x1");
        for _ in 0..4 {
            db.ask("TPUBLISH t e d");
        }
        db.now_ms += 60_000;
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a"), "4x1 5x1 6x1");
    }

    #[test]
    fn what_is_unpacked_counts_for_an_answer() {
        let (mut raw, mut items) = (vec![0xff; 4], Vec::new());
        raw.extend([0, 0, 0, 0, 2, 0, 0, 0, b'h', b'i']);
        let one = raw.len();
        raw.extend_from_within(..);
        let bytes = &lz4_flex::block::compress(&raw)[..];
        let packed = Packed { count: 2, codec: 1, unpacked_bytes: raw.len() as u64, bytes };
        write_packed(packed, 1, &mut items);
        let mut partition = Partition::default();
        partition.append(0, &items);
        let warm = Warm::default();
        let mut events = Events::of(Source { partition: &partition, warm: &warm });
        let mut size = |at| events.get(at).expect("it is in memory").expect("it is there").1;
        let mut bytes = || [0, 1].map(&mut size);
        let [first, second] = bytes();
        assert_eq!(first - second, 2 * one, "the batch is unpacked once");
        assert_eq!(bytes(), [second, second]);
    }

    #[test]
    fn large_keys_leave_events_for_the_next_time() {
        let mut db = OneTable::new();
        db.ask("TCREATE t PARTITIONS 1 FOREVER");
        for _ in 0..6 {
            db.ask(&format!("TPUBLISH t e d KEY {}", "k".repeat(READ_BYTES_MAX / 4)));
        }
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a"), "0x1 1x1 2x1 3x1");
        assert_eq!(offsets(&mut db, "TTAKE t 0 g a"), "4x1 5x1");
    }
}
