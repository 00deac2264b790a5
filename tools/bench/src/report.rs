//! A run as text or as JSON.
//!
//! Guarantees: both forms carry the same figures; latencies are quantiles in microseconds, never
//! means. Must not measure.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::load::{LoadSpec, Outcome, Pace, Protocol};

/// The quantiles printed, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// A few lines for people.
pub(crate) fn text(title: &str, outcome: &Outcome) -> String {
    let mut out = format!(
        "{title}: {:.0} ops/s, {} done in {:.2} s",
        outcome.throughput(),
        outcome.tally.done,
        outcome.elapsed.as_secs_f64()
    );
    out.push_str("\n  latency µs:");
    for (name, quantile) in QUANTILES {
        let _ = write!(out, " {name} {:.0}", outcome.latency_us(quantile));
    }
    let _ = write!(out, " max {:.0}", outcome.tally.latency.max() as f64 / 1e3);
    if let (Some(cpu), Some(per_op)) = (outcome.cpu, outcome.cpu_us_per_op()) {
        let (user, system) = (cpu.user.as_secs_f64(), cpu.system.as_secs_f64());
        let _ = write!(out, "\n  server CPU: {per_op:.2} µs/op ({user:.2} s user, {system:.2} s");
        out.push_str(" system)");
    }
    if let Some(rss) = outcome.rss {
        let _ = write!(out, "\n  server RSS: {:.1} MiB", rss as f64 / 1_048_576.0);
    }
    if outcome.tally.misses > 0 {
        let _ = write!(out, "\n  missing keys: {}", outcome.tally.misses);
    }
    if outcome.tally.unsent > 0 {
        let _ = write!(out, "\n  never sent: {}", outcome.tally.unsent);
    }
    for (kind, count) in &outcome.tally.errors {
        let _ = write!(out, "\n  error {kind}: {count}");
    }
    out
}

/// One object for programs.
pub(crate) fn json(spec: &LoadSpec, outcome: &Outcome) -> Value {
    let mut latency = serde_json::Map::new();
    for (name, quantile) in QUANTILES {
        latency.insert(name.to_owned(), json!(outcome.latency_us(quantile)));
    }
    latency.insert("max".to_owned(), json!(outcome.tally.latency.max() as f64 / 1e3));
    let rate = match spec.pace {
        Pace::Closed => None,
        Pace::Open(rate) => Some(rate),
    };
    json!({
        "protocol": if spec.request.protocol == Protocol::Resp { "resp" } else { "http" },
        "mix": spec.request.mix.to_string(),
        "connections": spec.connections,
        "pipeline": spec.pipeline,
        "threads": spec.threads,
        "rate": rate,
        "keys": spec.keys.len(),
        "value_size": spec.request.value_size,
        "elapsed_s": outcome.elapsed.as_secs_f64(),
        "throughput": outcome.throughput(),
        "sent": outcome.tally.sent,
        "done": outcome.tally.done,
        "misses": outcome.tally.misses,
        "unsent": outcome.tally.unsent,
        "errors": outcome.tally.errors,
        "latency_us": latency,
        "server_cpu_us_per_op": outcome.cpu_us_per_op(),
        "server_cpu_user_s": outcome.cpu.map(|cpu| cpu.user.as_secs_f64()),
        "server_cpu_system_s": outcome.cpu.map(|cpu| cpu.system.as_secs_f64()),
        "server_rss_bytes": outcome.rss,
    })
}
