//! What a queue does by the clock: messages whose consumer let its time pass, or had them when the
//! server stopped, are ready again; those that are due become ready; those that waited too long
//! become dead letters; dead letters and idempotency keys are forgotten.

use super::changes::Changes;
use super::find;
use super::record::Writer;
use super::state::{Reason, Total};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

/// Records what is due, `most` messages at most; about how many. Nothing is recorded where nothing
/// is due.
pub fn due(plan: &mut Plan<'_>, key: &[u8], most: usize) -> usize {
    let Ok(Some(queue)) = find::peek(plan, key) else { return 0 };
    let now_ms = plan.now().unix_ms;
    let mut changes = Changes::new(queue, now_ms, plan.rng());
    let room = |changes: &Changes<'_>| most.saturating_sub(changes.len());
    // Who had them is gone with the server: that is nobody's failure.
    queue.stale().take(most).for_each(|seq| changes.ready(seq));
    let late = queue.deadlines().take_while(|(deadline, _)| *deadline <= now_ms);
    for (_, seq) in late.take(room(&changes)).filter(|(_, seq)| !queue.is_stale(*seq)) {
        changes.count(Total::TimedOut);
        changes.fail(seq, None);
    }
    let old = queue.expiries().take_while(|(expires, _)| *expires <= now_ms);
    let mut expired = std::collections::BTreeSet::new();
    for (_, seq) in old.take(room(&changes)) {
        expired.insert(seq);
        changes.die(seq, queue.failures(seq), Reason::Expired);
    }
    let ready = queue.delayed().take_while(|(due, _)| *due <= now_ms);
    for (_, seq) in ready.take(room(&changes)).filter(|(_, seq)| !expired.contains(seq)) {
        changes.ready(seq);
    }
    let retention_ms = queue.settings.dead_retention_ms;
    if retention_ms > 0 {
        let is_over = |at: u64| at.saturating_add(retention_ms) <= now_ms;
        let old = queue.dead_letters().take_while(|(at, _)| is_over(*at));
        old.take(room(&changes)).for_each(|(_, seq)| changes.drop(seq));
    }
    let mut done = changes.len();
    let mut writer = Writer::default();
    changes.write(&mut writer);
    // Keys of one millisecond are forgotten together, however many.
    let keys = queue.keys(0).take_while(|(until, ..)| *until <= now_ms);
    if let Some((through_ms, ..)) = keys.take(most.saturating_sub(done)).last() {
        writer.forget(through_ms);
        done += 1;
    }
    if !writer.out.is_empty() {
        let recorded = plan.edit(key, ValueType::Queue, &writer.out);
        debug_assert!(recorded.is_ok(), "the key was checked when the queue was created");
    }
    done
}
