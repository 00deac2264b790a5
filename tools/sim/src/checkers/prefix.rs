//! What a crash leaves is, per shard, a beginning of what was written, with whole transactions; and
//! the shards hold exactly what those batches say. Told everything that was ever appended, the
//! checker applies what should be left by itself, in the order of appending.

use std::collections::BTreeSet;

use synap_shards::batch::Batch;
use synap_shards::id::ShardId;
use synap_shards::seq::ShardSeqs;
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;

use super::replay::{contents, difference};
use super::{Verdict, Violation};

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    /// Every batch that counts, in order of appending.
    batches: Vec<Vec<u8>>,
}

impl Tape {
    /// An engine has written this run of batches.
    pub(crate) fn appended(&mut self, mut run: &[u8]) {
        while !run.is_empty() {
            let (batch, rest) = Batch::decode(run).expect("engines write whole batches");
            self.batches.push(batch.bytes().to_vec());
            run = rest;
        }
    }

    /// A start found these shards.
    pub(crate) fn recovered(&mut self, shards: &[Box<Shard>]) -> Verdict {
        let mut seqs = ShardSeqs::zero();
        for shard in shards {
            seqs.set(shard.id(), shard.seq());
        }
        let mut expected: Vec<Shard> =
            ShardId::all().map(|id| Shard::new(id, 7, AccessMode::Recency)).collect();
        let mut changed = BTreeSet::new();
        for bytes in &self.batches {
            let (batch, _) = Batch::decode(bytes).expect("it was decoded before");
            let left = batch.parts().filter(|part| part.seq <= seqs.get(part.shard)).count();
            if left != 0 && left != batch.parts().count() {
                let parts: Vec<_> = batch.parts().collect();
                return violation(format!("of the transaction {parts:?} only {left} are left"));
            }
            for part in batch.parts().filter(|_| left != 0) {
                let shard = &mut expected[part.shard.index()];
                if part.seq != shard.seq().next() {
                    return violation(format!("{part:?} does not follow {:?}", shard.seq()));
                }
                shard.apply(&batch);
                changed.insert(part.shard.index());
            }
        }
        self.batches.retain(|bytes| {
            let (batch, _) = Batch::decode(bytes).expect("it was decoded before");
            batch.parts().all(|part| part.seq <= seqs.get(part.shard))
        });
        for shard in shards {
            let at = shard.id().index();
            let same = shard.seq() == expected[at].seq()
                && (!changed.contains(&at) || contents(shard) == contents(&expected[at]));
            if !same {
                let differs = difference(&contents(shard), &contents(&expected[at]));
                return violation(format!("shard {at} is not what its batches say: {differs}"));
            }
        }
        Ok(())
    }
}

fn violation(message: String) -> Verdict {
    Err(Violation { checker: "prefix", message })
}
