//! `MEMORY STATS` and `MEMORY DOCTOR`.

use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::server::sum;
use super::{Handler, SessionContext};
use crate::process;
use crate::shared::Shared;

pub(super) const HANDLERS: &[(&str, Handler)] =
    &[("memory.stats", stats), ("memory.doctor", doctor)];

type Answer = Result<Reply<'static>, CommandError>;

/// Bytes of memory, by what they are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Of the process, as the kernel sees it.
    pub(super) process: process::Usage,
    /// Live data; what the limit counts.
    pub(super) live: u64,
    /// Taken from the allocator for data.
    pub(super) held: u64,
    /// Keys.
    pub(super) keys: u64,
}

impl Usage {
    pub(super) fn read(shared: &Shared) -> Self {
        Self {
            process: process::usage(),
            live: sum(shared, |core| &core.live_bytes),
            held: sum(shared, |core| &core.held_bytes),
            keys: sum(shared, |core| &core.keys),
        }
    }

    /// What is resident and is not data.
    pub(super) fn overhead(&self) -> u64 {
        self.process.rss_bytes.saturating_sub(self.held)
    }

    /// Resident bytes per byte of live data.
    pub(super) fn fragmentation(&self) -> f64 {
        ratio(self.process.rss_bytes, self.live)
    }
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn stats(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let usage = Usage::read(cx.shared);
    let memory = usage.process;
    let count = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let lost = memory.rss_bytes.saturating_sub(usage.live);
    let pairs = vec![
        ("peak.allocated", count(memory.rss_peak_bytes)),
        ("total.allocated", count(usage.live)),
        ("overhead.total", count(usage.overhead())),
        ("keys.count", count(usage.keys)),
        ("keys.bytes-per-key", count(usage.live.checked_div(usage.keys).unwrap_or(0))),
        ("dataset.bytes", count(usage.live)),
        ("dataset.percentage", Reply::Double(100.0 * ratio(usage.live, memory.rss_bytes))),
        ("peak.percentage", Reply::Double(100.0 * ratio(memory.rss_bytes, memory.rss_peak_bytes))),
        ("allocator.allocated", count(usage.live)),
        ("allocator.active", count(usage.held)),
        ("allocator.resident", count(memory.rss_bytes)),
        ("allocator-fragmentation.ratio", Reply::Double(ratio(usage.held, usage.live))),
        ("fragmentation", Reply::Double(usage.fragmentation())),
        ("fragmentation.bytes", count(lost)),
    ];
    Ok(Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::string(name), value)).collect()))
}

/// Below this much data the fixed cost of the process outweighs everything.
const SMALL_BYTES: u64 = 16 * 1024 * 1024;

fn doctor(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let usage = Usage::read(cx.shared);
    let limit = cx.settings.max_memory_bytes as u64;
    let mut findings = String::new();
    if usage.live < SMALL_BYTES {
        return Ok(Reply::Text("Too little data to judge: less than 16 MiB.\n".into()));
    }
    if usage.held > usage.live + usage.live / 2 {
        findings.push_str("Freed space: pages for data hold half as much again as the data.\n");
    }
    if usage.process.rss_peak_bytes > usage.process.rss_bytes + usage.process.rss_bytes / 2 {
        findings.push_str("Peak: the process was half as large again as it is now.\n");
    }
    if usage.fragmentation() > 2.0 {
        findings.push_str("Overhead: the process takes twice the memory of its data.\n");
    }
    if limit > 0 && usage.live > limit / 10 * 9 {
        findings.push_str("Limit: more than nine tenths of maxmemory are in use.\n");
    }
    if findings.is_empty() {
        findings.push_str("Nothing unusual.\n");
    }
    Ok(Reply::Text(findings))
}
