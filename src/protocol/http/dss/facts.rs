//! What the queue service says of itself: health, and its metrics as JSON. Made of what all cores
//! may look at; what is in queues is as of the last look, which is about once a second.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use synap_shards::command::table;
use synap_shards::types::queue::Gauge;

use crate::health::Facts;

/// Status and body of `/health`.
pub(crate) fn health(facts: &Facts<'_>) -> (u16, Value) {
    let is_running = !facts.shared.stopping.load(Ordering::Relaxed);
    let (code, status) = if is_running { (200, "healthy") } else { (503, "unhealthy") };
    let body = json!({
        "status": status,
        "node_id": facts.shared.http.dss.node_id,
        "is_running": is_running,
        "type": "queue",
    });
    (code, body)
}

/// The queues of all cores by name; those beyond the bound on names stand together.
pub(crate) fn queues(facts: &Facts<'_>) -> BTreeMap<String, Gauge> {
    let mut all = BTreeMap::new();
    facts.shared.metrics.iter().for_each(|core| core.dss_queues.add_to(&mut all));
    all
}

/// Calls of a command, and the nanoseconds they took.
fn calls(facts: &Facts<'_>, name: &str) -> (u64, u64) {
    let Some(id) = table::by_name(name.as_bytes()) else { return (0, 0) };
    let calls = facts.sum(|core| &core.commands[id.index()].calls);
    (calls, facts.sum(|core| &core.commands[id.index()].nanoseconds))
}

/// Milliseconds that each took on average.
fn mean_ms((calls, nanoseconds): (u64, u64)) -> f64 {
    if calls == 0 { 0.0 } else { nanoseconds as f64 / calls as f64 / 1e6 }
}

/// The body of `/metrics`: totals since the start, and what is in queues.
pub(crate) fn metrics(facts: &Facts<'_>) -> Value {
    let mut sum = Gauge::default();
    let queues = queues(facts);
    queues.values().for_each(|gauge| sum.add(gauge));
    let [enqueue, dequeue, ack] =
        ["DSS.ENQUEUE", "DSS.DEQUEUE", "DSS.ACK"].map(|name| calls(facts, name));
    let operations = enqueue.0 + dequeue.0 + ack.0;
    json!({
        "node_id": facts.shared.http.dss.node_id,
        "total_queues": queues.len(),
        "queue_depth": sum.ready,
        "in_flight_messages": sum.held,
        "dead_letters": sum.dead,
        "messages_enqueued": sum.published,
        "messages_dequeued": sum.consumed,
        "messages_acknowledged": sum.acked,
        "enqueue_latency_ms": mean_ms(enqueue),
        "dequeue_latency_ms": mean_ms(dequeue),
        "throughput": operations as f64 / facts.uptime_secs().max(1) as f64,
        "uptime_seconds": facts.uptime_secs(),
    })
}
