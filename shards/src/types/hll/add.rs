//! `PFADD`, and the form of it that HTTP serves.

use super::counter::{Counter, Raised, STALE_AT};
use super::{BASE, dense, stored};
use crate::command::args::{Arg, Args};
use crate::command::deadline::{self, Due, TimeForm};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{ArgSpec, CommandSpec, Flags, HttpRoute, JsonReply, Run};
use crate::shard::Entry;
use crate::shard::plan::{Notice, Plan};

const KEY: Arg = Arg(0);
const ELEMENTS: Arg = Arg(1);

/// `PFADD`.
pub(super) const PFADD: CommandSpec = CommandSpec {
    id: "hll.pfadd",
    resp: "PFADD",
    args: &[
        ArgSpec::key("key", "the counter"),
        ArgSpec::bytes("elements", "what to count").optional().repeated(),
    ],
    flags: Flags::DENY_OOM.and(Flags::FAST),
    summary: "Counts elements; 1 if that changed the counter or made it",
    complexity: "O(1) for each element",
    run: Run::Write(pfadd),
    ..BASE
};

fn pfadd(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let changed = add(plan, args.bytes(KEY), args.rest(ELEMENTS))? != Added::Nothing;
    Ok(Reply::Integer(i64::from(changed)))
}

/// `PFADD` with the number of elements that counted.
pub(super) const EACH: CommandSpec = CommandSpec {
    id: "hll.pfadd_each",
    resp: "SYNAP.PFADD",
    args: &[
        ArgSpec::key("key", "the counter"),
        ArgSpec::bytes("elements", "what to count").repeated(),
    ],
    http: &[HttpRoute::post("/hyperloglog/{key}/pfadd", JsonReply::Shape("hll_added"))],
    summary: "Counts elements; answers how many of them changed the counter",
    run: Run::Write(|plan, args| Ok(add(plan, args.bytes(KEY), args.rest(ELEMENTS))?.count())),
    ..PFADD
};

/// The same, and the key expires.
pub(super) const EACH_WITH_LIFETIME: CommandSpec = CommandSpec {
    id: "hll.pfadd_each_ex",
    resp: "SYNAP.PFADDEX",
    args: &[
        ArgSpec::key("key", "the counter"),
        ArgSpec::integer("ttl_secs", "seconds until it expires"),
        ArgSpec::bytes("elements", "what to count").repeated(),
    ],
    http: &[],
    summary: "Counts elements and sets the time to live; answers how many changed the counter",
    run: Run::Write(add_with_lifetime),
    ..EACH
};

fn add_with_lifetime(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    const SECONDS: Arg = Arg(1);
    const ELEMENTS: Arg = Arg(2);
    let key = args.bytes(KEY);
    let now_ms = plan.now().unix_ms;
    let due =
        deadline::positive(TimeForm::Seconds, args.integer(SECONDS), now_ms, "synap.pfaddex")?;
    let Due::At(deadline_ms) = due else { unreachable!("a positive lifetime ends later") };
    let (mut counter, _) = read_or_new(stored(plan, key)?);
    let bytes_max = plan.thresholds(key).hll_sparse_max_bytes;
    let mut added = 0;
    for element in args.rest(ELEMENTS) {
        let raised = counter.add(element, bytes_max)?;
        added += usize::from(raised != Raised::No);
    }
    if added > 0 {
        counter.outdate();
    }
    plan.put(key, counter.bytes(), Some(deadline_ms))?;
    plan.notify(Notice::String, "pfadd", key);
    plan.notify(Notice::Generic, "expire", key);
    Ok(Reply::count(added))
}

/// What adding came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Added {
    Nothing,
    /// The counter is new; so many elements changed a register.
    Made(usize),
    /// So many elements changed a register.
    Raised(usize),
}

impl Added {
    fn count(self) -> Reply<'static> {
        match self {
            Self::Nothing => Reply::Integer(0),
            Self::Made(count) | Self::Raised(count) => Reply::count(count),
        }
    }
}

fn read_or_new<'s>(stored: Option<(Entry<'s>, Counter<'s>)>) -> (Counter<'s>, Option<Entry<'s>>) {
    match stored {
        Some((entry, counter)) => (counter, Some(entry)),
        None => (Counter::new(), None),
    }
}

fn add(plan: &mut Plan<'_>, key: &[u8], elements: &[&[u8]]) -> Result<Added, CommandError> {
    let (mut counter, old) = read_or_new(stored(plan, key)?);
    let (mut count, mut layout) = (0, false);
    let mut registers = Vec::new();
    let bytes_max = plan.thresholds(key).hll_sparse_max_bytes;
    for element in elements {
        match counter.add(element, bytes_max)? {
            Raised::No => continue,
            Raised::Layout => layout = true,
            Raised::Register(index) => registers.push(index),
        }
        count += 1;
    }
    let Some(old) = old else {
        counter.outdate();
        plan.put(key, counter.bytes(), None)?;
        plan.notify(Notice::String, "pfadd", key);
        return Ok(Added::Made(count));
    };
    if count == 0 {
        return Ok(Added::Nothing);
    }
    counter.outdate();
    if layout {
        rewrite(plan, key, &old, &counter)?;
    } else {
        patch_registers(plan, key, &old, &counter, &registers)?;
    }
    plan.notify(Notice::String, "pfadd", key);
    Ok(Added::Raised(count))
}

/// Records a counter in place of the one that `old` holds: only what differs, where the old bytes
/// are a beginning that can be kept.
pub(super) fn rewrite(
    plan: &mut Plan<'_>,
    key: &[u8],
    old: &Entry<'_>,
    counter: &Counter<'_>,
) -> Result<(), CommandError> {
    let (before, after) = (old.value(), counter.bytes());
    if after.len() < before.len() || after.len() >= dense::DENSE_BYTES {
        return plan.put(key, after, old.deadline_ms());
    }
    let same = before.iter().zip(after).skip(STALE_AT + 1).take_while(|(a, b)| a == b).count();
    let from = STALE_AT + 1 + same;
    plan.patch(key, STALE_AT, &after[STALE_AT..=STALE_AT])?;
    if from < after.len() {
        plan.patch_more(key, from, &after[from..])?;
    }
    Ok(())
}

/// Records the changed registers of a dense counter.
fn patch_registers(
    plan: &mut Plan<'_>,
    key: &[u8],
    old: &Entry<'_>,
    counter: &Counter<'_>,
    registers: &[usize],
) -> Result<(), CommandError> {
    /// Bytes of a record of two bytes besides its key.
    const RECORD_BYTES: usize = 12;
    let bytes = counter.bytes();
    if registers.len() * (key.len() + RECORD_BYTES) > bytes.len() {
        return plan.put(key, bytes, old.deadline_ms());
    }
    plan.patch(key, STALE_AT, &bytes[STALE_AT..=STALE_AT])?;
    for index in registers {
        let range = dense::bytes_of(*index);
        plan.patch_more(key, range.start, &bytes[range])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::reply::Reply;
    use crate::one_table::OneTable;

    #[test]
    fn elements_count_once() {
        OneTable::new().expect(&[
            ("PFADD h a b c", "1"),
            ("PFADD h a", "0"),
            ("PFADD h d", "1"),
            ("PFCOUNT h", "4"),
            ("PFADD empty", "1"),
            ("PFADD empty", "0"),
            ("PFCOUNT empty", "0"),
            ("STRLEN empty", "18"),
            ("SET s text", "OK"),
            ("PFADD s a", "WRONGTYPE Key is not a valid HyperLogLog string value."),
            ("PFADD", "ERR wrong number of arguments for 'pfadd' command"),
            ("SYNAP.PFADD h a e f", "2"),
            ("SYNAP.PFADD h", "ERR wrong number of arguments for 'synap.pfadd' command"),
        ]);
    }

    #[test]
    fn deadlines_stay_or_are_set() {
        OneTable::new().expect(&[
            ("SYNAP.PFADDEX h 100 a b", "2"),
            ("TTL h", "100"),
            ("PFADD h c", "1"),
            ("TTL h", "100"),
            ("SYNAP.PFADDEX h 50 a", "0"),
            ("TTL h", "50"),
            ("PFCOUNT h", "3"),
            ("SYNAP.PFADDEX h 0 a", "ERR invalid expire time in 'synap.pfaddex' command"),
        ]);
    }

    /// FNV-1a of what `GET` answers.
    fn fingerprint(db: &mut OneTable, key: &str) -> u64 {
        let Reply::Bytes(bytes) = db.run(&[b"GET", key.as_bytes()]) else { panic!("no {key}") };
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    fn add_range(db: &mut OneTable, key: &str, range: std::ops::Range<u32>) {
        let elements: Vec<String> = range.map(|number| format!("e{number}")).collect();
        db.ask(&format!("PFADD {key} {}", elements.join(" ")));
    }

    #[test]
    fn the_bytes_are_those_of_redis_7() {
        let mut db = OneTable::new();
        let mut next = 0;
        // Fingerprints of what redis-server 7.0.15 answers to the same commands.
        for (count, expected) in [
            (1, 0xfffb_6fae_ff77_f7cd),
            (10, 0x4afc_b65d_27f7_d346),
            (100, 0xb8de_76da_b4a4_065e),
            (300, 0xa4cf_ffba_965d_1718),
            (700, 0x0ed7_0184_9c31_06ec),
            (1_000, 0x5935_de02_3280_6824),
            (1_300, 0x2b16_50b5_d511_651c),
            (1_500, 0xd67e_e50b_81f2_a28c),
            (2_000, 0x1b55_76fa_1f6b_8092),
            (5_000, 0x8052_4675_3a1c_dada),
            (10_000, 0x7378_cbab_5ab5_c44b),
        ] {
            (next..count).for_each(|number| add_range(&mut db, "h", number..number + 1));
            next = count;
            assert_eq!(fingerprint(&mut db, "h"), expected, "after {count} elements");
        }
        add_range(&mut db, "a", 0..300);
        add_range(&mut db, "b", 200..600);
        db.expect(&[("PFMERGE m a b", "OK"), ("PFCOUNT a b", "606"), ("PFMERGE a b", "OK")]);
        assert_eq!(fingerprint(&mut db, "m"), 0x46dd_94e0_f079_9ddc);
        assert_eq!(fingerprint(&mut db, "a"), 0x46dd_94e0_f079_9ddc);
        db.expect(&[("PFMERGE a h", "OK"), ("PFCOUNT a", "9973")]);
        assert_eq!(fingerprint(&mut db, "a"), 0x9114_1a08_52dc_0034);
    }

    #[test]
    fn several_elements_are_recorded_like_one_after_the_other() {
        let (mut db, mut one) = (OneTable::new(), OneTable::new());
        for from in (0..6_000).step_by(30) {
            add_range(&mut db, "h", from..from + 30);
            (from..from + 30).for_each(|number| add_range(&mut one, "h", number..number + 1));
            assert_eq!(fingerprint(&mut db, "h"), fingerprint(&mut one, "h"), "{from}");
        }
        db.expect(&[("PFDEBUG ENCODING h", "dense"), ("STRLEN h", "12304")]);
    }
}
