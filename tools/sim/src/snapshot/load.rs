//! Loading a snapshot: index, images, then the tails as logs. A snapshot alone gives a prefix per
//! shard with whole transactions, at least up to where its walk of the shard ended.

use std::collections::BTreeMap;

use synap_shards::id::ShardId;
use synap_shards::recovery::{EpochStart, History};
use synap_shards::seq::{Seq, ShardSeqs};
use synap_shards::shard::Shard;
use synap_shards::shard::evict::AccessMode;
use synap_shards::snapshot::{ImageEntry, ImageItem, take_item};

use super::file::{Index, open_index, open_part};
use crate::dice::Dice;
use crate::disk::Name;
use crate::disk::read::Refusal;
use crate::{hands, restart};

/// How a start reads.
pub(crate) struct Reader<'a> {
    /// The bytes of a file, as the medium gives them now.
    pub(crate) read: &'a dyn Fn(Name) -> Option<Vec<u8>>,
    pub(crate) history: &'a History,
    pub(crate) mode: AccessMode,
    /// The planted bug: entries lose their stamps.
    pub(crate) forgets_stamps: bool,
    /// The planted bug: an older snapshot is taken although logs were let go since.
    pub(crate) takes_stale: bool,
    /// The planted bug: what the log records as time to live is made absolute anew.
    pub(crate) relative_to: Option<u64>,
}

/// Shards as a snapshot gives them.
pub(crate) struct Loaded {
    pub(crate) shards: Vec<Box<Shard>>,
    /// Where the snapshot began.
    pub(crate) starts: ShardSeqs,
    pub(crate) snapshot: u64,
}

/// Reads the index of a snapshot.
pub(crate) fn index(reader: &Reader<'_>, snapshot: u64) -> Result<Index, Refusal> {
    let name = Name::Index { snapshot };
    let bytes = (reader.read)(name).unwrap_or_default();
    let evidence = "the index of the snapshot is damaged";
    open_index(snapshot, &bytes).ok_or(Refusal { name, at: 0, evidence })
}

/// What a try to load a snapshot came to.
pub(crate) enum Tried {
    Loaded(Box<Loaded>),
    /// It does not reach back to where the logs begin.
    Late,
    /// A later epoch has cut some of what it holds.
    Dead,
}

/// Loads a snapshot.
pub(crate) fn load(reader: &Reader<'_>, snapshot: u64, dice: &mut Dice) -> Result<Tried, Refusal> {
    let index = index(reader, snapshot)?;
    let released = &reader.history.released.seqs;
    let late = |shard| index.starts.get(shard) < released.get(shard);
    if ShardId::all().any(late) && !reader.takes_stale {
        return Ok(Tried::Late);
    }
    let dead = |start: &EpochStart| {
        let beyond = |shard| index.ends.get(shard) > start.seqs.get(shard);
        start.epoch.0 > index.epoch && ShardId::all().any(beyond)
    };
    if reader.history.starts.iter().any(dead) {
        return Ok(Tried::Dead);
    }
    let part = |name: Name| {
        let bytes = (reader.read)(name).unwrap_or_default();
        let evidence = "a part of the snapshot is damaged";
        let payload = open_part(snapshot, name, &bytes).map(<[u8]>::to_vec);
        payload.ok_or(Refusal { name, at: 0, evidence })
    };
    let seed = dice.draw();
    let mut shards: Vec<Box<Shard>> =
        ShardId::all().map(|id| Box::new(Shard::new(id, seed, reader.mode))).collect();
    for shard in &mut shards {
        shard.begin_load(index.starts.get(shard.id()));
    }
    for number in &index.images {
        let image = part(Name::Image { snapshot, shard: *number })?;
        load_image(&mut shards[*number], &image, reader.forgets_stamps);
    }
    let mut tails = BTreeMap::new();
    for log in &index.tails {
        let tail = part(Name::Tail { snapshot, log: *log })?;
        tails.insert(*log, restart::absolute(tail, reader.relative_to));
    }
    let tails = tails.values().map(Vec::as_slice);
    // A tail may hold what follows a batch that came after the end of another one; both are in the
    // logs.
    let (shards, _) = hands::merge(shards, tails, &reader.history.starts, dice);
    let short = |shard: &Shard| shard.seq() < index.ends.get(shard.id());
    if shards.iter().any(|shard| short(shard)) {
        let evidence = "its tails do not lead to where its images end";
        return Err(Refusal { name: Name::Index { snapshot }, at: 0, evidence });
    }
    Ok(Tried::Loaded(Box::new(Loaded { shards, starts: index.starts, snapshot })))
}

fn load_image(shard: &mut Shard, mut image: &[u8], forgets_stamps: bool) {
    while !image.is_empty() {
        let item = take_item(&mut image).expect("what the checksum covers was encoded");
        let entry = match item {
            ImageItem::Entry(entry) => entry,
            ImageItem::Library(library) => {
                shard.load_library(library.name, library.code);
                continue;
            }
        };
        let stamp = if forgets_stamps { Seq::ZERO } else { entry.stamp };
        shard.load(&ImageEntry { stamp, ..entry });
    }
}
