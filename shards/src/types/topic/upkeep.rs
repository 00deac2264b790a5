//! What a partition does by itself: letting go of what is too old, and taking back what a member
//! did not acknowledge in time.

use super::find;
use super::partition::Partition;
use super::record::Writer;
use super::share::{Dead, Share};
use crate::shard::ValueType;
use crate::shard::plan::Plan;

/// Carries out what is due of a partition, and takes back `most` events of a group at most; about
/// how much that was.
pub(crate) fn keep_up(plan: &mut Plan<'_>, key: &[u8], most: usize) -> usize {
    let Ok(Some(partition)) = find::partition(plan, key) else { return 1 };
    let now_ms = plan.now().unix_ms;
    let mut writer = Writer::default();
    let start = partition.start_by_time(now_ms);
    if start > partition.start() {
        writer.start(start);
    }
    let taken = take_back(partition, now_ms, most, &mut writer);
    if !writer.is_empty() {
        let recorded = plan.edit(key, ValueType::Partition, &writer.out);
        recorded.expect("the key is one that is there");
    }
    1 + taken
}

fn take_back(partition: &Partition, now_ms: u64, most: usize, writer: &mut Writer) -> usize {
    let mut taken = 0;
    for (name, share) in &partition.shares {
        let overdue = share.overdue(now_ms).take(most - taken);
        for (offset, given) in overdue {
            taken += 1;
            let Share { terms, .. } = share;
            if given.count >= terms.deliveries_max {
                let dead = Dead { time_ms: now_ms, count: given.count };
                writer.dead(name, dead, &[offset]);
            } else {
                writer.give((name, b""), (0, given.count), &[offset]);
            }
        }
    }
    taken
}
