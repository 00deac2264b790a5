//! `SLOWLOG` and `LATENCY`.

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table::{self, CommandId};

use super::client::barred_name;
use super::finish::slowlog_count;
use super::{CoreContext, CoreHandler, Handler, SessionContext};
use crate::metrics::LATENCY_BOUNDS_NS;
use crate::shared::Shared;

pub(super) const HANDLERS: &[(&str, Handler)] = &[("latency.histogram", histogram)];
pub(super) const CORE_HANDLERS: &[(&str, CoreHandler)] = &[
    ("slowlog.get", |cx, args| Ok(Reply::Array(cx.slowlog.latest(slowlog_count(args)?)))),
    ("slowlog.len", |cx, _| Ok(Reply::count(cx.slowlog.len()))),
    ("slowlog.reset", slowlog_reset),
    ("latency.latest", latest),
    ("latency.history", history),
    ("latency.reset", reset),
];

type Answer = Result<Reply<'static>, CommandError>;

fn slowlog_reset(cx: &mut CoreContext<'_>, _: &Args<'_>) -> Answer {
    cx.slowlog.clear();
    Ok(Reply::Ok)
}

fn number(number: u64) -> Reply<'static> {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn latest(cx: &mut CoreContext<'_>, _: &Args<'_>) -> Answer {
    let events = cx.latency.series().filter_map(|(name, series)| {
        let latest = series.latest()?;
        Some(Reply::Array(vec![
            Reply::string(name),
            number(latest.unix_secs),
            number(latest.milliseconds),
            number(series.worst_ms()),
        ]))
    });
    Ok(Reply::Array(events.collect()))
}

fn history(cx: &mut CoreContext<'_>, args: &Args<'_>) -> Answer {
    let samples = cx.latency.get(args.bytes(Arg(0))).into_iter().flat_map(|series| {
        series
            .samples()
            .map(|sample| Reply::Array(vec![number(sample.unix_secs), number(sample.milliseconds)]))
    });
    Ok(Reply::Array(samples.collect()))
}

fn reset(cx: &mut CoreContext<'_>, args: &Args<'_>) -> Answer {
    Ok(Reply::count(match args.rest(Arg(0)) {
        [] => cx.latency.forget_all(),
        events => events.iter().filter(|event| cx.latency.forget(event)).count(),
    }))
}

/// Calls of one command on all cores, and by bucket.
fn calls(shared: &Shared, command: CommandId) -> (u64, [u64; LATENCY_BOUNDS_NS.len() + 1]) {
    let (mut total, mut buckets) = (0, [0; LATENCY_BOUNDS_NS.len() + 1]);
    for stat in shared.metrics.iter().map(|core| &core.commands[command.index()]) {
        total += stat.calls.get();
        buckets.iter_mut().zip(&stat.buckets).for_each(|(sum, cell)| *sum += cell.get());
    }
    (total, buckets)
}

/// Commands never called are left out, and so are names of no command, as in Redis.
fn histogram(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let commands: Vec<CommandId> = match args.rest(Arg(0)) {
        [] => table::commands().filter_map(|spec| table::by_name(spec.resp.as_bytes())).collect(),
        names => names.iter().flat_map(|name| named(name)).collect(),
    };
    let entries = commands.into_iter().filter_map(|command| {
        let (total, buckets) = calls(cx.shared, command);
        let name = Reply::string(barred_name(command.spec().resp));
        (total > 0).then(|| (name, histogram_entry(total, &buckets)))
    });
    Ok(Reply::Map(entries.collect()))
}

fn named(name: &[u8]) -> Vec<CommandId> {
    match table::subcommands(name) {
        Some(all) => all.to_vec(),
        None => table::by_name(name).into_iter().collect(),
    }
}

/// Counts are cumulative; bounds are rounded up to whole microseconds. Calls above the last bound
/// are in `calls` only.
fn histogram_entry(total: u64, buckets: &[u64]) -> Reply<'static> {
    let (mut sum, mut pairs) = (0, Vec::new());
    for (bound, calls) in LATENCY_BOUNDS_NS.iter().zip(buckets) {
        sum += calls;
        if *calls > 0 {
            pairs.push((number(bound.div_ceil(1000)), number(sum)));
        }
    }
    Reply::Map(vec![
        (Reply::string("calls"), number(total)),
        (Reply::string("histogram_usec"), Reply::Map(pairs)),
    ])
}
