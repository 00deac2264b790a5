//! Walking the keys: `SCAN`, `KEYS`, `RANDOMKEY`. Expired keys are never shown.
//!
//! A cursor of `SCAN` names a place in the space of hashes, not in memory, so it stays valid
//! whatever happens to the keys, and across restarts: every key that is there all the time is
//! returned at least once. It is below 2^39, so a double holds it exactly:
//!
//! ```text
//! bits 11..39   prefix: the top 28 bits of the hashes of the segment to visit
//! bits  5..11   shard
//! bits  0..5    bucket of the segment
//! ```
//!
//! Shards are walked in order of their number; 0 is the beginning of the first and, answered, the
//! end of the walk.

use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, Fold, HttpRoute, JsonReply, Keys,
    ReplySpec, Run,
};
use crate::glob;
use crate::id::ShardId;
use crate::limits::SHARDS;
use crate::rng::Rng;
use crate::shard::plan::View;
use crate::shard::{Entry, Shard};

const CURSOR: Arg = Arg(0);
const MATCH: Arg = Arg(1);
const COUNT: Arg = Arg(2);
const TYPE: Arg = Arg(3);

/// Keys that a step of `SCAN` looks at, unless told.
const COUNT_DEFAULT: i64 = 10;
/// Most buckets that a step visits per key asked for, so that a step over a nearly empty shard
/// ends.
const BUCKETS_PER_KEY: usize = 10;
/// Most keys that a step may be asked for.
const COUNT_MAX: usize = 100_000;

const PREFIX_BITS: u32 = 28;
const SHARD_BITS: u32 = SHARDS.ilog2();
const BUCKET_BITS: u32 = 5;
const CURSOR_END: u64 = 1 << (PREFIX_BITS + SHARD_BITS + BUCKET_BITS);
const _: () = assert!(1 << SHARD_BITS == SHARDS, "shards fill their bits of a cursor");
const _: () = assert!(CURSOR_END < 1 << 53, "a double holds every cursor");

/// `SCAN`.
pub(crate) const SCAN: CommandSpec = CommandSpec {
    id: "key.scan",
    resp: "SCAN",
    family: Family::Key,
    access: Access::Read,
    keys: Keys::Cursor,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::bytes("cursor", "0 to begin, then what the last step answered"),
        ArgSpec::pattern("pattern", "only keys that match").with_token("MATCH").optional(),
        ArgSpec::integer("count", "about how many keys to look at").with_token("COUNT").optional(),
        ArgSpec::bytes("type", "only keys that hold this type").with_token("TYPE").optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/kv/scan", JsonReply::Shape("scan"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the cursor of the next step, 0 at the end, and some of the keys",
    complexity: "O(1) per step, O(N) for a whole walk over N keys",
    run: Run::Read(scan),
};

/// A place of a walk over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    shard: ShardId,
    /// As [`Shard::walk`] counts.
    position: u64,
}

impl Cursor {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let text = std::str::from_utf8(word).ok();
        let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = digits
            .and_then(|text| text.parse().ok())
            .filter(|number| *number < CURSOR_END)
            .ok_or(CommandError::Invalid("invalid cursor"))?;
        let bucket = number % (1 << BUCKET_BITS);
        let shard = (number >> BUCKET_BITS) as usize % SHARDS;
        let prefix = number >> (BUCKET_BITS + SHARD_BITS);
        let position = prefix << (u64::BITS - PREFIX_BITS) | bucket;
        Ok(Self { shard: ShardId::new(shard), position })
    }

    fn number(self) -> u64 {
        let prefix = self.position >> (u64::BITS - PREFIX_BITS);
        let bucket = self.position % (1 << BUCKET_BITS);
        prefix << (SHARD_BITS + BUCKET_BITS) | (self.shard.index() as u64) << BUCKET_BITS | bucket
    }

    /// The beginning of the next shard; nothing after the last.
    fn next_shard(self) -> Option<Self> {
        let next = self.shard.index() + 1;
        (next < SHARDS).then(|| Self { shard: ShardId::new(next), position: 0 })
    }
}

/// The shard at which a cursor stands: where the router sends the step.
pub fn cursor_shard(word: &[u8]) -> Result<ShardId, CommandError> {
    Cursor::parse(word).map(|cursor| cursor.shard)
}

fn scan<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let cursor = Cursor::parse(args.bytes(CURSOR))?;
    let count = args.opt_integer(COUNT).unwrap_or(COUNT_DEFAULT);
    if count < 1 {
        return Err(CommandError::Syntax);
    }
    let count = usize::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX));
    let (pattern, wanted) = (args.opt_bytes(MATCH), args.opt_bytes(TYPE));
    let shard = view.shard(cursor.shard);
    view.saw_all(shard);
    let now_ms = view.now().unix_ms;
    let mut keys = Vec::new();
    let mut seen = 0;
    let mut position = Some(cursor.position);
    for _ in 0..count * BUCKETS_PER_KEY {
        let Some(at) = position.filter(|_| seen < count) else { break };
        position = shard.walk(at, |entry| {
            seen += 1;
            let name = entry.value_type().name().as_bytes();
            let typed = wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name));
            if typed && shown(&entry, pattern, now_ms) {
                keys.push(Reply::owned(entry.key().to_vec()));
            }
        });
    }
    let next = match position {
        Some(position) => Some(Cursor { position, ..cursor }),
        None => cursor.next_shard(),
    };
    let number = next.map_or(0, Cursor::number);
    Ok(Reply::Array(vec![Reply::string(number.to_string()), Reply::Array(keys)]))
}

fn shown(entry: &Entry<'_>, pattern: Option<&[u8]>, now_ms: u64) -> bool {
    !entry.is_expired(now_ms)
        && !entry.value_type().is_named()
        && pattern.is_none_or(|p| glob::matches(p, entry.key()))
}

const PATTERN: Arg = Arg(0);

/// `KEYS`.
pub(crate) const KEYS: CommandSpec = CommandSpec {
    id: "key.keys",
    resp: "KEYS",
    keys: Keys::AllShards(Fold::Concat),
    args: &[ArgSpec::pattern("pattern", "what the keys match")],
    http: &[HttpRoute::get("/kv/keys", JsonReply::Shape("keys"))],
    summary: "Answers every key that matches a pattern; SCAN does not hold others up",
    complexity: "O(N) for N keys of all",
    run: Run::Read(keys),
    ..SCAN
};

fn keys<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let pattern = args.opt_bytes(PATTERN);
    let now_ms = view.now().unix_ms;
    let mut keys = Vec::new();
    view.may_read(view.shards().map(Shard::key_count).sum())?;
    for shard in view.shards() {
        view.saw_all(shard);
        walk_all(shard, |entry| {
            if shown(entry, pattern, now_ms) {
                keys.push(Reply::owned(entry.key().to_vec()));
            }
            true
        });
    }
    Ok(Reply::Array(keys))
}

/// Calls `visit` with every entry of a shard, until it says false.
fn walk_all(shard: &Shard, mut visit: impl FnMut(&Entry<'_>) -> bool) {
    let mut position = Some(0);
    let mut more = true;
    while let Some(at) = position.filter(|_| more) {
        position = shard.walk(at, |entry| more = more && visit(&entry));
    }
}

/// Draws of `RANDOMKEY` before it takes the first live key instead.
const DRAWS: usize = 64;
/// Slots that one draw tries; a shard with a single key fills one of some four hundred.
const TRIES: usize = 1024;

/// `RANDOMKEY`.
pub(crate) const RANDOMKEY: CommandSpec = CommandSpec {
    id: "key.randomkey",
    resp: "RANDOMKEY",
    keys: Keys::AllShards(Fold::AnyNonNil),
    args: &[],
    reply: ReplySpec::BytesOrNil,
    http: &[HttpRoute::get("/key/randomkey", JsonReply::Field("key"))],
    flags: Flags::RANDOM,
    summary: "Answers a random key, nil if there is none",
    complexity: "O(1)",
    run: Run::Read(randomkey),
    ..SCAN
};

fn randomkey<'s>(view: &View<'s>, _: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let total: usize = view.shards().map(|shard| shard.key_count()).sum();
    view.shards().for_each(|shard| view.saw_all(shard));
    if total == 0 {
        return Ok(Reply::Nil);
    }
    let mut rng = Rng::new(view.draw());
    for _ in 0..DRAWS {
        let shard = shard_of_nth(view, rng.below(total));
        let drawn = shard.sample(&mut rng, false, TRIES);
        if let Some(entry) = drawn.filter(|entry| !entry.is_expired(view.now().unix_ms)) {
            return Ok(Reply::owned(entry.key().to_vec()));
        }
    }
    Ok(first_live(view).map_or(Reply::Nil, Reply::owned))
}

/// The shard that holds the key of this number, when all keys are counted shard by shard.
fn shard_of_nth<'s>(view: &View<'s>, mut number: usize) -> &'s Shard {
    for shard in view.shards() {
        match number.checked_sub(shard.key_count()) {
            None => return shard,
            Some(rest) => number = rest,
        }
    }
    unreachable!("the number is below the sum of all counts")
}

fn first_live(view: &View<'_>) -> Option<Vec<u8>> {
    let mut found = None;
    for shard in view.shards() {
        walk_all(shard, |entry| {
            if shown(entry, None, view.now().unix_ms) {
                found = Some(entry.key().to_vec());
            }
            found.is_none()
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_table::{OneTable, show};
    use std::collections::{BTreeMap, BTreeSet};

    /// One walk from beginning to end; the keys seen, and the number of steps.
    fn walk(db: &mut OneTable, options: &str) -> (BTreeSet<String>, usize) {
        let (mut cursor, mut steps, mut seen) = ("0".to_owned(), 0, BTreeSet::new());
        loop {
            let line = format!("SCAN {cursor}{options}");
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let Reply::Array(parts) = db.run(&words) else { panic!("{line}") };
            let [next, Reply::Array(keys)] = &parts[..] else { panic!("{line}") };
            seen.extend(keys.iter().map(show));
            cursor = show(next).trim_matches('"').to_owned();
            steps += 1;
            if cursor == "0" {
                return (seen, steps);
            }
            assert!(cursor_shard(cursor.as_bytes()).is_ok());
        }
    }

    fn filled(count: usize) -> OneTable {
        let mut db = OneTable::new();
        for number in 0..count {
            db.ask(&format!("SET key:{number} v"));
        }
        db
    }

    #[test]
    fn cursors_are_what_they_were() {
        for number in [0, 1, 31, 32, 63 << 5, 1 << 11, CURSOR_END - 1] {
            let cursor = Cursor::parse(number.to_string().as_bytes()).expect("in range");
            assert_eq!(cursor.number(), number);
        }
        for word in ["", "-1", " 1", "+1", "x", "549755813888", "99999999999999999999999"] {
            assert!(cursor_shard(word.as_bytes()).is_err(), "{word:?}");
        }
    }

    #[test]
    fn a_walk_sees_every_key() {
        let mut db = filled(3000);
        let (seen, steps) = walk(&mut db, "");
        assert_eq!(seen.len(), 3000);
        assert!((SHARDS..1000).contains(&steps), "{steps} steps");
        let (seen, steps) = walk(&mut db, " COUNT 1000");
        assert_eq!((seen.len(), steps), (3000, SHARDS));
        assert_eq!(walk(&mut db, " MATCH key:1??").0.len(), 100);
        assert_eq!(walk(&mut db, " TYPE string MATCH key:1").0.len(), 1);
        assert_eq!(walk(&mut db, " TYPE hash").0.len(), 0);
        db.expect(&[
            ("SCAN x", "ERR invalid cursor"),
            ("SCAN 0 COUNT 0", "ERR syntax error"),
            ("SCAN 0 COUNT x", "ERR value is not an integer or out of range"),
            ("SCAN 0 NOPE", "ERR syntax error"),
        ]);
    }

    #[test]
    fn keys_are_listed_by_pattern() {
        let mut db = filled(30);
        db.ask("PEXPIRE key:1 5");
        db.now_ms += 5;
        let mut listed: Vec<String> = match db.run(&[b"KEYS", b"key:?"]) {
            Reply::Array(keys) => keys.iter().map(show).collect(),
            other => panic!("{other:?}"),
        };
        listed.sort();
        assert_eq!(listed.len(), 9);
        assert_eq!(listed[1], "\"key:2\"");
    }

    #[test]
    fn random_keys_are_live_and_spread() {
        let mut db = filled(20);
        for number in 10..20 {
            db.ask(&format!("PEXPIRE key:{number} 1"));
        }
        db.now_ms += 1;
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..1000 {
            *seen.entry(db.ask("RANDOMKEY")).or_default() += 1;
        }
        assert_eq!(seen.len(), 10);
        assert!(seen.values().all(|times| (50..200).contains(times)), "{seen:?}");
        db.ask("FLUSHALL");
        db.expect(&[("RANDOMKEY", "nil"), ("SET last v", "OK"), ("RANDOMKEY", "\"last\"")]);
    }
}
