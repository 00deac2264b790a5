//! `PFMERGE`, and the form of it that HTTP serves.

use super::add::rewrite;
use super::counter::{Counter, Form};
use super::estimate::{cardinality, histogram};
use super::{BASE, REGISTERS, Registers, stored};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    ArgSpec, Atomicity, CommandSpec, Flags, HttpRoute, JsonReply, Keys, ReplySpec, Run,
};
use crate::shard::plan::{Notice, Plan};

const DESTINATION: Arg = Arg(0);
const SOURCES: Arg = Arg(1);

/// `PFMERGE`.
pub(super) const PFMERGE: CommandSpec = CommandSpec {
    id: "hll.pfmerge",
    resp: "PFMERGE",
    keys: Keys::ALL,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("destination", "where the result goes; it is a source as well"),
        ArgSpec::key("sources", "further counters").optional().repeated(),
    ],
    reply: ReplySpec::Ok,
    flags: Flags::DENY_OOM,
    summary: "Makes a counter of all that several counters have seen",
    complexity: "O(N) for N keys",
    run: Run::Write(|plan, args| {
        merge(plan, args)?;
        Ok(Reply::Ok)
    }),
    ..BASE
};

/// `PFMERGE` with the cardinality of the result.
pub(super) const MERGE_AND_COUNT: CommandSpec = CommandSpec {
    id: "hll.pfmerge_and_count",
    resp: "SYNAP.PFMERGE",
    args: &[
        ArgSpec::key("destination", "where the result goes; it is a source as well"),
        ArgSpec::key("sources", "further counters").repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/hyperloglog/{destination}/pfmerge", JsonReply::Shape("hll_merged"))],
    summary: "Makes a counter of all that several have seen, and answers its cardinality",
    run: Run::Write(|plan, args| {
        let count = cardinality(&histogram(&*merge(plan, args)?));
        Ok(Reply::Integer(count.cast_signed()))
    }),
    ..PFMERGE
};

/// Records the union as the destination, and answers its registers.
fn merge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Box<Registers>, CommandError> {
    let destination = args.bytes(DESTINATION);
    let old = stored(plan, destination)?;
    let mut sources: Vec<Counter<'_>> = Vec::new();
    for key in args.rest(SOURCES) {
        sources.extend(stored(plan, key)?.map(|(_, counter)| counter));
    }
    let mut all = Box::new([0; REGISTERS]);
    let (entry, mut counter) = match old {
        Some((entry, counter)) => {
            counter.merge_into(&mut all)?;
            (Some(entry), counter)
        }
        None => (None, Counter::new()),
    };
    sources.iter().try_for_each(|source| source.merge_into(&mut all))?;
    if sources.iter().any(|source| source.form() == Form::Dense) {
        counter.make_dense()?;
    }
    let bytes_max = plan.thresholds(destination).hll_sparse_max_bytes;
    for (index, rank) in all.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        counter.raise(index, *rank, bytes_max)?;
    }
    counter.outdate();
    match entry {
        Some(entry) => rewrite(plan, destination, &entry, &counter)?,
        None => plan.put(destination, counter.bytes(), None)?,
    }
    plan.notify(Notice::String, "pfadd", destination);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn the_destination_is_a_source() {
        OneTable::new().expect(&[
            ("PFADD a x y z", "1"),
            ("PFADD b z w", "1"),
            ("PFADD to q", "1"),
            ("EXPIRE to 100", "1"),
            ("PFMERGE to a b none", "OK"),
            ("PFCOUNT to", "5"),
            ("TTL to", "100"),
            ("PFMERGE fresh a", "OK"),
            ("PFCOUNT fresh", "3"),
            ("PFMERGE alone", "OK"),
            ("PFCOUNT alone", "0"),
            ("PFMERGE fresh fresh", "OK"),
            ("SYNAP.PFMERGE fresh b", "4"),
            ("SYNAP.PFMERGE fresh", "ERR wrong number of arguments for 'synap.pfmerge' command"),
            ("SET s text", "OK"),
            ("PFMERGE to s", "WRONGTYPE Key is not a valid HyperLogLog string value."),
            ("PFMERGE s a", "WRONGTYPE Key is not a valid HyperLogLog string value."),
        ]);
    }

    #[test]
    fn dense_sources_make_a_dense_result() {
        OneTable::new().expect(&[
            ("PFADD dense a", "1"),
            ("PFDEBUG TODENSE dense", "1"),
            ("PFADD to b", "1"),
            ("PFMERGE to dense", "OK"),
            ("PFDEBUG ENCODING to", "dense"),
            ("PFCOUNT to", "2"),
            ("PFMERGE to dense", "OK"),
        ]);
    }
}
