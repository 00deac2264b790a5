//! Images of a table as a snapshot takes them: piece by piece, with commands carried out between
//! the pieces; and what comes of them when the log is replayed behind.

use synap_shards::batch::Batch;
use synap_shards::seq::Seq;
use synap_shards::shard::{Shard, ShardTable};
use synap_shards::snapshot::{Pieces, push_entry, take_entry};

use super::OneTable;

fn shard(db: &OneTable, number: usize) -> &Shard {
    db.shards[number].as_deref().expect("every shard is here")
}

/// Images of the shards, and for each the Seq at which it begins. `meanwhile` is called between the
/// pieces of a large container; how often.
pub(crate) fn images(
    db: &mut OneTable,
    mut meanwhile: impl FnMut(&mut OneTable),
) -> (Vec<(Seq, Vec<u8>)>, usize) {
    let (mut images, mut interrupted) = (Vec::new(), 0);
    for number in 0..db.shards.len() {
        let mut out = Vec::new();
        let begins = shard(db, number).seq();
        let mut position = Some(0);
        while let Some(at) = position {
            let mut large = Vec::new();
            position = shard(db, number).walk(at, |entry| match Pieces::begin(&entry) {
                Some(pieces) => large.push(pieces),
                None => push_entry(&mut out, &entry),
            });
            for mut pieces in large {
                while pieces.write(shard(db, number), &mut out) {
                    interrupted += 1;
                    meanwhile(db);
                }
            }
        }
        images.push((begins, out));
    }
    (images, interrupted)
}

/// Shards filled from images, and the log replayed from there on.
pub(crate) fn recovered(db: &OneTable, images: &[(Seq, Vec<u8>)]) -> ShardTable {
    let mut shards = OneTable::new().shards;
    for (shard, (begins, image)) in shards.iter_mut().flatten().zip(images) {
        shard.begin_load(*begins);
        let mut rest = &image[..];
        while !rest.is_empty() {
            shard.load(&take_entry(&mut rest).expect("an entry"));
        }
    }
    let mut rest = &db.log[..];
    while !rest.is_empty() {
        let (batch, after) = Batch::decode(rest).expect("the log is whole");
        for part in batch.parts() {
            let shard = shards[part.shard.index()].as_mut().expect("every shard is here");
            if part.seq > shard.seq() {
                shard.replay(&batch);
            }
        }
        rest = after;
    }
    shards
}
