//! What a partition does by itself: letting go of what is too old, and taking back what a member
//! did not acknowledge in time.

use super::cold::{SealedFile, Sealing};
use super::find;
use super::partition::Partition;
use super::record::Writer;
use super::take::bury;
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

/// Records that events are in a file now; false when the partition has no use for it.
pub(crate) fn record_sealed(
    plan: &mut Plan<'_>,
    key: &[u8],
    sealing: &Sealing,
    written: &SealedFile,
) -> bool {
    let Ok(Some(partition)) = find::partition(plan, key) else { return false };
    let Some(file) = partition.sealed(sealing, written) else { return false };
    let mut writer = Writer::default();
    writer.cold(&file);
    let recorded = plan.edit(key, ValueType::Partition, &writer.out);
    recorded.expect("the key is one that is there");
    true
}

fn take_back(partition: &Partition, now_ms: u64, most: usize, writer: &mut Writer) -> usize {
    let mut taken = 0;
    for (name, share) in &partition.shares {
        let overdue = share.overdue(now_ms).take(most - taken);
        let mut dead = Vec::new();
        for (offset, given) in overdue {
            taken += 1;
            if given.count >= share.terms.deliveries_max {
                dead.push((offset, given.count));
            } else {
                writer.give((name, b""), (0, given.count), &[offset]);
            }
        }
        bury(writer, (name, Some(share)), now_ms, &dead);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::event::NewEvent;
    use super::super::share::{Dead, Terms};
    use super::*;
    use crate::limits::SHARE_DEAD_MAX;

    #[test]
    fn the_first_of_the_dead_make_room() {
        let mut items = Vec::new();
        (0..=SHARE_DEAD_MAX).for_each(|_| NewEvent::default().write(1, &mut items));
        let mut writer = Writer::default();
        writer.append(0, &items);
        writer.share(b"g", Terms { lease_ms: 5, deliveries_max: 1 }, 0);
        let last = SHARE_DEAD_MAX as u64;
        let offsets: Vec<u64> = (0..last).collect();
        writer.dead(b"g", Dead { time_ms: 1, count: 1 }, &offsets);
        writer.give((b"g", b"m"), (7, 1), &[last]);
        let mut partition = Partition::default();
        partition.apply_edits(&writer.out);
        let mut writer = Writer::default();
        assert_eq!(take_back(&partition, 8, 100, &mut writer), 1);
        partition.apply_edits(&writer.out);
        let dead = partition.shares[&b"g"[..]].dead();
        assert_eq!(dead.len(), SHARE_DEAD_MAX);
        assert_eq!(dead.keys().next().zip(dead.keys().last()), Some((&1, &last)));
    }
}
