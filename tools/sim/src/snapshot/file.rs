//! The files of a simulated snapshot. Each is sealed by a checksum and says which snapshot and
//! which part it is, so that parts cannot be mixed up.

use synap_shards::id::ShardId;
use synap_shards::seq::{Seq, ShardSeqs};

use crate::disk::Name;
use crate::disk::format::{open_file, seal_file};

/// What ties the parts together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Index {
    pub(crate) epoch: u32,
    /// Seqs of the shards before the first entry was read.
    pub(crate) starts: ShardSeqs,
    /// And after the last: a start has to get that far with the tails alone.
    pub(crate) ends: ShardSeqs,
    /// Shards that have an image.
    pub(crate) images: Vec<usize>,
    /// Logs that have a tail.
    pub(crate) tails: Vec<usize>,
}

/// The name of a snapshot in the manifest.
pub(crate) fn name(snapshot: u64) -> String {
    format!("snapshot_{snapshot}")
}

/// The snapshot of this name.
pub(crate) fn number(name: &str) -> u64 {
    let number = name.strip_prefix("snapshot_").and_then(|number| number.parse().ok());
    number.expect("it was made by `name`")
}

/// Seals an image or a tail.
pub(crate) fn seal_part(snapshot: u64, name: Name, payload: &[u8]) -> Vec<u8> {
    seal_file(part_id(snapshot, name), payload)
}

/// Opens an image or a tail; nothing when it is damaged, or of another snapshot or part.
pub(crate) fn open_part(snapshot: u64, name: Name, bytes: &[u8]) -> Option<&[u8]> {
    let (id, payload) = open_file(bytes)?;
    (id == part_id(snapshot, name)).then_some(payload)
}

fn part_id(snapshot: u64, name: Name) -> u64 {
    let (kind, number) = match name {
        Name::Image { shard, .. } => (1, shard),
        Name::Tail { log, .. } => (2, log),
        Name::Manifest { .. } | Name::Segment { .. } | Name::Index { .. } => (0, 0),
    };
    snapshot << 32 | kind << 24 | number as u64
}

/// Seals an index.
pub(crate) fn seal_index(snapshot: u64, index: &Index) -> Vec<u8> {
    let mut numbers = vec![u64::from(index.epoch)];
    for seqs in [&index.starts, &index.ends] {
        numbers.extend(ShardId::all().map(|shard| seqs.get(shard).get()));
    }
    for list in [&index.images, &index.tails] {
        numbers.push(list.len() as u64);
        numbers.extend(list.iter().map(|number| *number as u64));
    }
    let payload: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    seal_file(snapshot << 32, &payload)
}

/// Opens an index; nothing when it is damaged or of another snapshot.
pub(crate) fn open_index(snapshot: u64, bytes: &[u8]) -> Option<Index> {
    let (id, payload) = open_file(bytes)?;
    let (numbers, rest) = payload.as_chunks::<8>();
    if id != snapshot << 32 || !rest.is_empty() {
        return None;
    }
    let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let epoch = u32::try_from(numbers.next()?).ok()?;
    let starts = take_seqs(&mut numbers)?;
    let ends = take_seqs(&mut numbers)?;
    let images = take_list(&mut numbers)?;
    let tails = take_list(&mut numbers)?;
    Some(Index { epoch, starts, ends, images, tails })
}

fn take_seqs(numbers: &mut impl Iterator<Item = u64>) -> Option<ShardSeqs> {
    let mut seqs = ShardSeqs::zero();
    for shard in ShardId::all() {
        seqs.set(shard, Seq::new(numbers.next()?));
    }
    Some(seqs)
}

fn take_list(numbers: &mut impl Iterator<Item = u64>) -> Option<Vec<usize>> {
    let count = numbers.next()?;
    (0..count).map(|_| numbers.next().map(|number| number as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use synap_shards::limits::SHARDS;

    #[test]
    fn an_index_comes_back_and_any_flip_shows() {
        let mut starts = ShardSeqs::zero();
        starts.set(ShardId::new(SHARDS - 1), Seq::new(9));
        let ends = ShardSeqs::zero();
        let index = Index { epoch: 3, starts, ends, images: vec![1, 63], tails: vec![0, 2] };
        let bytes = seal_index(7, &index);
        assert_eq!(open_index(7, &bytes), Some(index));
        assert_eq!(open_index(8, &bytes), None);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(open_index(7, &flipped), None, "byte {at}");
        }
    }
}
